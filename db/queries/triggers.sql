-- What still calls functions of schema pgbell: tables with triggers, but for our
-- own, and trigger functions that have no trigger any more.
SELECT format('the triggers of table %s', t.tgrelid::regclass)
FROM pg_trigger AS t
JOIN pg_proc AS f ON f.oid = t.tgfoid
JOIN pg_class AS c ON c.oid = t.tgrelid
WHERE f.pronamespace = 'pgbell'::regnamespace
  AND c.relnamespace <> f.pronamespace
  AND NOT t.tgisinternal
GROUP BY t.tgrelid
UNION ALL
SELECT format('the trigger function %s', f.oid::regprocedure)
FROM pg_proc AS f
WHERE f.pronamespace = 'pgbell'::regnamespace
  AND f.prorettype = 'trigger'::regtype
  AND NOT EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgfoid = f.oid)
ORDER BY 1
