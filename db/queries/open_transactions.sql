-- The three oldest transactions of this database that others wait behind: what
-- each is, its age in seconds, and the SQL that ends it. A role without
-- pg_read_all_stats sees when its own sessions began, and of the others nothing
-- but that they are there.
SELECT held.what, held.seconds::float8, held.remedy
FROM (
    SELECT format('the transaction of pid %s (%s)', a.pid, coalesce(nullif(a.application_name, ''), 'no application_name')) AS what,
           extract(epoch FROM clock_timestamp() - a.xact_start) AS seconds,
           format('SELECT pg_terminate_backend(%s)', a.pid) AS remedy
    FROM pg_stat_activity AS a
    WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
      AND a.xact_start IS NOT NULL AND (a.backend_xid IS NOT NULL OR a.backend_xmin IS NOT NULL)
    UNION ALL
    SELECT format('the prepared transaction %L', p.gid),
           extract(epoch FROM clock_timestamp() - p.prepared),
           format('COMMIT PREPARED %L, or ROLLBACK PREPARED', p.gid)
    FROM pg_prepared_xacts AS p
    WHERE p.database = current_database()
) AS held
ORDER BY held.seconds DESC
LIMIT 3
