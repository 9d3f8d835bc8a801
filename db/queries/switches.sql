-- Settings of pgbell that hold for more than a session, in this database: for a
-- role, for the database, and for the whole server. pg_settings has of the last
-- only those that somebody set.
SELECT split_part(setting, '=', 1), substr(setting, strpos(setting, '=') + 1),
       coalesce(r.rolname::text, ''), coalesce(d.datname::text, '')
FROM pg_db_role_setting AS s
CROSS JOIN unnest(s.setconfig) AS setting
LEFT JOIN pg_roles AS r ON r.oid = s.setrole
LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
WHERE setting LIKE 'pgbell.%'
  AND (s.setdatabase = 0 OR d.datname = current_database())
UNION ALL
SELECT name, reset_val, '', ''
FROM pg_settings
WHERE name LIKE 'pgbell.%' AND source IN ('configuration file', 'command line', 'environment variable')
ORDER BY 1, 4, 3
