-- Which of some privileges the connected role lacks:
--
--   $1  their kinds of object: SCHEMA, TABLE, SEQUENCE or FUNCTION
--   $2  schemas
--   $3  names in these; of a function with its types; empty for a schema itself
--   $4  privileges
--
-- as positions in the lists, from 1. An object that does not exist is passed
-- over. Names are looked up in the catalog, which anybody may read: a cast to
-- regclass would demand the very USAGE that may be missing.
SELECT wanted.position
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS wanted (kind, schema, name, privilege, position)
JOIN pg_namespace AS n ON n.nspname = wanted.schema
LEFT JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = wanted.name AND wanted.kind IN ('TABLE', 'SEQUENCE')
LEFT JOIN pg_proc AS p ON p.pronamespace = n.oid AND format('%s(%s)', p.proname, oidvectortypes(p.proargtypes)) = wanted.name AND wanted.kind = 'FUNCTION'
WHERE NOT coalesce(CASE wanted.kind
                       WHEN 'SCHEMA' THEN has_schema_privilege(n.oid, wanted.privilege)
                       WHEN 'TABLE' THEN has_table_privilege(c.oid, wanted.privilege)
                       WHEN 'SEQUENCE' THEN has_sequence_privilege(c.oid, wanted.privilege)
                       WHEN 'FUNCTION' THEN has_function_privilege(p.oid, wanted.privilege)
                   END, true)
ORDER BY wanted.position
