-- Triggers and trigger functions of ours that belong to none of the tables
-- $1.$2, which are all that are watched or that owners are found in. Names of
-- the functions of tables have a dot; pgbell's own have none.
WITH wanted AS (
    SELECT c.oid
    FROM unnest($1::text[], $2::text[]) AS w (schema, name)
    JOIN pg_namespace AS n ON n.nspname = w.schema
    JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.name
), function AS (
    SELECT p.oid, p.proname
    FROM pg_proc AS p
    JOIN pg_namespace AS n ON n.oid = p.pronamespace AND n.nspname = 'pgbell'
    WHERE p.prorettype = 'trigger'::regtype AND p.proname LIKE '%.%'
)
SELECT format('triggers %s on %s.%s', string_agg(t.tgname, ', ' ORDER BY t.tgname), n.nspname, c.relname)
FROM function AS f
JOIN pg_trigger AS t ON t.tgfoid = f.oid AND NOT t.tgisinternal AND t.tgparentid = 0
JOIN pg_class AS c ON c.oid = t.tgrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE coalesce(pg_partition_root(t.tgrelid), t.tgrelid) NOT IN (SELECT w.oid FROM wanted AS w)
GROUP BY n.nspname, c.relname
UNION ALL
SELECT format('function pgbell.%I()', f.proname)
FROM function AS f
WHERE NOT EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgfoid = f.oid)
ORDER BY 1
