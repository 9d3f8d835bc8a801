-- What the catalog has of the tables $1.$2, by their position in the lists: kind
-- and persistence as in pg_class, and whether there is a primary key.
SELECT wanted.position, coalesce(c.relkind::text, ''), coalesce(c.relpersistence::text, ''),
       EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary)
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted (schema, name, position)
LEFT JOIN (pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace)
  ON n.nspname = wanted.schema AND c.relname = wanted.name AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
ORDER BY wanted.position
