-- +goose Up

-- How everything stands, in one look: SELECT * FROM pgbell.status. What it reads
-- of the log is bounded, so it may be asked as often as a dashboard likes.
--
-- A view reads tables with its owner's rights, so SELECT on this one is all
-- that a reader needs. It calls functions with the caller's, so it calls only
-- those that everybody may.
CREATE VIEW pgbell.status AS
WITH latest AS MATERIALIZED (
    -- The log's newest rows, by the index. Transaction ids grow with time but
    -- for transactions that stay open, which is near enough for a rate.
    -- A json column may hold escapes that text cannot, such as \u0000. No name
    -- of ours has one, so none is unescaped.
    SELECT e.tableoid AS partition, e.at,
           CASE WHEN strpos(e.body::text, '\u') = 0 THEN e.body
                ELSE replace(replace(e.body::text, '\\', '//'), '\u', '/u')::json END ->> 'table' AS name
      FROM pgbell.events AS e
     ORDER BY e.xid DESC
     LIMIT 10000
), span AS (
    -- A minute, or as far as the newest rows reach.
    SELECT clock_timestamp() AS now,
           CASE WHEN count(*) < 10000 THEN 60
                ELSE greatest(least(60, extract(epoch FROM clock_timestamp() - min(l.at))), 0.001) END::float8 AS seconds
      FROM latest AS l
), recorded AS (
    SELECT l.name,
           count(*) FILTER (WHERE l.at > span.now - make_interval(secs => span.seconds)) * 60 / span.seconds AS per_minute,
           max(l.at) AS last_at
      FROM latest AS l
     CROSS JOIN span
     GROUP BY l.name, span.seconds
), function AS (
    SELECT p.oid, p.proname
      FROM pg_proc AS p
     WHERE p.pronamespace = 'pgbell'::regnamespace AND p.prorettype = 'trigger'::regtype
       AND p.proname LIKE '%.%' -- a table's; those of pgbell itself have no dot
), captured AS (
    SELECT coalesce(n.nspname || '.' || c.relname, f.proname) AS name,
           CASE WHEN count(t.oid) = 0 THEN 'missing'
                WHEN bool_or(t.tgenabled = 'D') THEN 'disabled'
                WHEN bool_or(t.tgenabled = 'R') THEN 'replica'
                WHEN bool_and(t.tgenabled = 'A') THEN 'always'
                ELSE 'enabled' END AS state,
           nullif(pg_stat_get_function_calls(f.oid), 0) AS calls,
           pg_stat_get_function_total_time(f.oid) AS milliseconds
      FROM function AS f
      LEFT JOIN pg_trigger AS t ON t.tgfoid = f.oid AND NOT t.tgisinternal AND t.tgparentid = 0
      LEFT JOIN pg_class AS c ON c.oid = coalesce(pg_partition_root(t.tgrelid), t.tgrelid)
      LEFT JOIN pg_namespace AS n ON n.oid = c.relnamespace
     GROUP BY f.oid, f.proname, n.nspname, c.relname
), partition AS (
    SELECT c.oid, c.relname,
           pg_total_relation_size(c.oid) AS bytes,
           greatest(pg_stat_get_live_tuples(c.oid), c.reltuples::bigint, 0) AS rows
      FROM pg_inherits AS i
      JOIN pg_class AS c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'pgbell.events'::regclass
), asleep AS (
    -- A listener that waits for a bell holds this lock: see docs/event-log.md.
    SELECT DISTINCT l.pid
      FROM pg_locks AS l
     WHERE l.locktype = 'advisory' AND l.granted AND l.mode = 'ShareLock' AND l.objsubid = 1
       AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
       AND (l.classid::bigint << 32) | l.objid::bigint = 123589334756460
)
SELECT 'table' AS part, c.name, c.state,
       coalesce(round(r.per_minute::numeric, 1), 0) AS events_per_minute,
       NULL::timestamptz AS first_event_at, r.last_at AS last_event_at,
       NULL::bigint AS bytes, NULL::bigint AS rows_estimate,
       c.calls, c.milliseconds / c.calls AS mean_ms,
       NULL::interval AS silent_for, NULL::float8 AS used
  FROM captured AS c
  LEFT JOIN recorded AS r ON r.name = c.name
UNION ALL
SELECT 'log', 'pgbell.events', CASE WHEN last.at IS NULL THEN 'empty' ELSE 'in use' END,
       (SELECT coalesce(round(sum(r.per_minute)::numeric, 1), 0) FROM recorded AS r),
       (SELECT e.at FROM pgbell.events AS e ORDER BY e.xid LIMIT 1), last.at,
       (SELECT sum(p.bytes)::bigint FROM partition AS p), (SELECT sum(p.rows)::bigint FROM partition AS p),
       NULL, NULL, NULL, NULL
  FROM (SELECT max(r.last_at) AS at FROM recorded AS r) AS last
UNION ALL
SELECT 'partition', 'pgbell.' || p.relname,
       CASE WHEN p.oid = (SELECT l.partition FROM latest AS l ORDER BY l.at DESC LIMIT 1) THEN 'filling'
            WHEN pg_relation_size(p.oid) > 0 THEN 'kept'
            ELSE 'empty' END,
       NULL, NULL, NULL, p.bytes, p.rows, NULL, NULL, NULL, NULL
  FROM partition AS p
UNION ALL
SELECT 'listener', 'pid ' || a.pid || ', ' || a.application_name,
       CASE WHEN a.pid IN (SELECT s.pid FROM asleep AS s) THEN 'asleep' ELSE 'on rounds' END,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       clock_timestamp() - a.query_start, NULL
  FROM pg_stat_activity AS a
 WHERE a.datname = current_database()
   AND (a.application_name IN ('pgbell listener', 'pgbell tail') OR a.pid IN (SELECT s.pid FROM asleep AS s))
UNION ALL
SELECT 'queue', 'NOTIFY', CASE WHEN u.used > 0.5 THEN 'bells withheld' ELSE 'in use' END,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, u.used
  FROM (SELECT pg_notification_queue_usage() AS used) AS u;

COMMENT ON VIEW pgbell.status IS 'How pgbell stands: one row for each table with triggers of ours, for the event log, for each of its partitions, for each listener, and for the NOTIFY queue. Cheap: it looks at the newest 10,000 events at most.';
COMMENT ON COLUMN pgbell.status.part IS 'table, log, partition, listener or queue.';
COMMENT ON COLUMN pgbell.status.name IS 'The table as events name it, the partition, or the listener''s process and application_name.';
COMMENT ON COLUMN pgbell.status.state IS 'table: enabled, disabled (one trigger at least), replica or always as in ALTER TABLE ENABLE TRIGGER, or missing (a function without triggers). partition: filling, kept or empty. listener: asleep (a bell wakes it) or on rounds (it reads by itself). queue: in use, or bells withheld when over half full.';
COMMENT ON COLUMN pgbell.status.events_per_minute IS 'Events recorded in the last minute. If there were more than 10,000 in all, the rate of the newest 10,000.';
COMMENT ON COLUMN pgbell.status.first_event_at IS 'When the oldest event that the log holds was written.';
COMMENT ON COLUMN pgbell.status.last_event_at IS 'When the last event was written. NULL for a table that has none among the newest 10,000.';
COMMENT ON COLUMN pgbell.status.bytes IS 'Size on disk, with indexes.';
COMMENT ON COLUMN pgbell.status.rows_estimate IS 'Rows, as the statistics have it.';
COMMENT ON COLUMN pgbell.status.calls IS 'Calls of the table''s trigger function since statistics were reset. NULL unless track_functions is pl or all.';
COMMENT ON COLUMN pgbell.status.mean_ms IS 'Mean time of such a call in milliseconds, writing to the log and ringing included. NULL unless track_functions is pl or all.';
COMMENT ON COLUMN pgbell.status.silent_for IS 'Since when the listener has asked the database nothing; over a few seconds, it hangs. NULL if this role may not see it: GRANT pg_read_all_stats, or ask as the listener''s role.';
COMMENT ON COLUMN pgbell.status.used IS 'How full the NOTIFY queue of the whole cluster is, from 0 to 1.';

REVOKE ALL ON pgbell.status FROM PUBLIC;

-- +goose Down
DROP VIEW pgbell.status;
