-- Where the log stands: what cursors of this log are told apart by, and the
-- present snapshot. It is position.sql without the key of the bell.
SELECT (SELECT system_identifier FROM pg_control_system()),
       left(pg_walfile_name(pg_current_wal_lsn()), 8),
       (SELECT oid FROM pg_database WHERE datname = current_database()),
       (SELECT id::text FROM pgbell.installation),
       pgbell.life_id()::text,
       pg_current_snapshot()::text
