-- The columns of the table with the oid $1, in their order:
--
--   its name, and its type as a cast names it
--   family    what its values are made of, below every domain; nothing where =
--             may find two different texts equal
--   sortable  pg_catalog has the operators that compare it, so that they mean
--             the same in every search_path
--   key       its place in the primary key, -1 if it has none
--   leading   an index that serves =, and has every row, begins with it
--   virtual   it is computed when read, so triggers never see it
WITH RECURSIVE base(attnum, typid) AS (
    SELECT a.attnum, a.atttypid
    FROM pg_attribute AS a
    WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT b.attnum, t.typbasetype
    FROM base AS b
    JOIN pg_type AS t ON t.oid = b.typid
    WHERE t.typtype = 'd'
)
SELECT a.attname::text,
       format('%I.%I', n.nspname, named.typname),
       CASE WHEN coalesce(l.collisdeterministic, true) THEN t.typname::text ELSE '' END AS family,
       t.typnamespace = 'pg_catalog'::regnamespace OR t.typtype = 'e' AS sortable,
       coalesce(array_position((k.indkey::smallint[])[0:k.indnkeyatts - 1], a.attnum), -1) AS key,
       EXISTS (
           SELECT FROM pg_index AS i
           JOIN pg_class AS c ON c.oid = i.indexrelid
           JOIN pg_am AS m ON m.oid = c.relam
           WHERE i.indrelid = a.attrelid AND i.indisvalid AND i.indpred IS NULL
             AND i.indkey[0] = a.attnum AND m.amname IN ('btree', 'hash')
       ) AS leading,
       a.attgenerated = 'v' AS virtual
FROM pg_attribute AS a
JOIN pg_type AS named ON named.oid = a.atttypid
JOIN pg_namespace AS n ON n.oid = named.typnamespace
JOIN base AS b ON b.attnum = a.attnum
JOIN pg_type AS t ON t.oid = b.typid AND t.typtype <> 'd'
LEFT JOIN pg_collation AS l ON l.oid = a.attcollation
LEFT JOIN pg_index AS k ON k.indrelid = a.attrelid AND k.indisprimary
WHERE a.attrelid = $1::oid
ORDER BY a.attnum
