-- Where the log stands: what cursors of this log are told apart by, the
-- present snapshot, and the key of the bell.
--
-- The timeline is that of the WAL being written. The control file's lags
-- behind after a promotion, until the next checkpoint.
SELECT (SELECT system_identifier FROM pg_control_system()),
       left(pg_walfile_name(pg_current_wal_lsn()), 8),
       (SELECT oid FROM pg_database WHERE datname = current_database()),
       (SELECT id::text FROM pgbell.installation),
       pgbell.life_id()::text,
       pg_current_snapshot()::text,
       k.inner_key,
       k.outer_key
FROM pgbell.bell_key AS k
