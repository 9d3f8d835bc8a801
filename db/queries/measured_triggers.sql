-- Our triggers on the table $1.$2, but for TRUNCATE, and the SQL that makes the
-- same on the temporary table pgbell_copy. The bits are those of
-- pg_trigger.tgtype.
SELECT t.tgname::text,
       format('CREATE TRIGGER %I AFTER %s ON pg_temp.pgbell_copy %s FOR EACH %s EXECUTE FUNCTION %I.%I(%s)',
              t.tgname,
              concat_ws(' OR ', CASE WHEN t.tgtype & 4 <> 0 THEN 'INSERT' END,
                                CASE WHEN t.tgtype & 8 <> 0 THEN 'DELETE' END,
                                CASE WHEN t.tgtype & 16 <> 0 THEN 'UPDATE' END),
              CASE WHEN t.tgoldtable IS NOT NULL OR t.tgnewtable IS NOT NULL THEN 'REFERENCING' END
              || CASE WHEN t.tgoldtable IS NOT NULL THEN format(' OLD TABLE AS %I', t.tgoldtable) ELSE '' END
              || CASE WHEN t.tgnewtable IS NOT NULL THEN format(' NEW TABLE AS %I', t.tgnewtable) ELSE '' END,
              CASE WHEN t.tgtype & 1 <> 0 THEN 'ROW' ELSE 'STATEMENT' END,
              pn.nspname, p.proname,
              (SELECT string_agg(quote_literal(a), ', ')
                 FROM regexp_split_to_table(regexp_replace(encode(t.tgargs, 'escape'), '\\000$', ''), '\\000') AS a
                WHERE t.tgnargs > 0))
FROM pg_trigger AS t
JOIN pg_class AS c ON c.oid = t.tgrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_proc AS p ON p.oid = t.tgfoid AND p.proname LIKE '%.%'
JOIN pg_namespace AS pn ON pn.oid = p.pronamespace AND pn.nspname = 'pgbell'
WHERE n.nspname = $1 AND c.relname = $2 AND NOT t.tgisinternal AND t.tgtype & 28 <> 0
ORDER BY t.tgname
