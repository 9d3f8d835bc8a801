-- How triggers of ours stand on the table $1.$2, for each operation that makes
-- events of rows. The bits are those of pg_trigger.tgtype.
SELECT operation.name,
       CASE WHEN count(t.oid) = 0 THEN 'missing'
            WHEN bool_or(t.tgenabled = 'D') THEN 'disabled'
            WHEN bool_or(t.tgenabled = 'R') THEN 'replica'
            WHEN bool_and(t.tgenabled = 'A') THEN 'always'
            ELSE 'enabled' END
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = $1 AND c.relname = $2
CROSS JOIN (VALUES (1, 'INSERT', 4), (2, 'UPDATE', 16), (3, 'DELETE', 8)) AS operation (position, name, bit)
LEFT JOIN (
    pg_trigger AS t
    JOIN pg_proc AS p ON p.oid = t.tgfoid AND p.proname LIKE '%.%'
    JOIN pg_namespace AS pn ON pn.oid = p.pronamespace AND pn.nspname = 'pgbell'
) ON t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgtype & operation.bit <> 0
WHERE c.relkind IN ('r', 'p')
GROUP BY operation.position, operation.name
ORDER BY operation.position
