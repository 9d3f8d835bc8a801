-- Tables that may be watched: ordinary and partitioned ones outside the
-- system's schemas, no partitions, with what a first configuration is made
-- from. $1 are schemas, or NULL for all; $2 are tables as schema.table, or NULL.
SELECT n.nspname::text, c.relname::text,
       EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary) AS has_key,
       has_table_privilege(c.oid, 'SELECT') AS may_read,
       coalesce((SELECT json_agg(json_build_object(
                            'name', a.attname, 'type', format_type(a.atttypid, NULL),
                            'key', EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey)),
                            'virtual', a.attgenerated = 'v',
                            'refers', (SELECT json_build_object('schema', rn.nspname, 'table', r.relname, 'column', ra.attname)
                                         FROM pg_constraint AS f
                                         JOIN pg_class AS r ON r.oid = f.confrelid
                                         JOIN pg_namespace AS rn ON rn.oid = r.relnamespace
                                         JOIN pg_attribute AS ra ON ra.attrelid = f.confrelid AND ra.attnum = f.confkey[1]
                                        WHERE f.contype = 'f' AND f.conrelid = c.oid AND f.conkey = ARRAY[a.attnum]
                                        ORDER BY f.oid LIMIT 1))
                        ORDER BY a.attnum)
                   FROM pg_attribute AS a
                  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]') AS columns
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pgbell', 'information_schema') AND n.nspname NOT LIKE 'pg\_%'
  AND ($1::text[] IS NULL OR n.nspname = ANY ($1))
  AND ($2::text[] IS NULL OR n.nspname || '.' || c.relname = ANY ($2))
  -- Not what an extension made.
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname, c.relname
LIMIT 1000
