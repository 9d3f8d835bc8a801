-- Where to start from so that what follows is everything written at the time
-- $1 or later, as a snapshot that sees the transactions below some xid but none
-- of those that are running now; see recent.sql. Some earlier events may follow,
-- too. It begins where the log does if that is later.
--
-- No index is on the time, so this reads the log once.
WITH horizon AS MATERIALIZED (
    SELECT h.xid FROM pgbell.horizon AS h LIMIT 1
), asked AS MATERIALIZED (
    SELECT min(e.xid) AS xid
    FROM pgbell.events AS e
    WHERE e.at >= $1::timestamptz
), start AS MATERIALIZED (
    SELECT greatest(horizon.xid, '1', coalesce(asked.xid, pg_snapshot_xmax(pg_current_snapshot()))) AS xid
    FROM horizon, asked
)
SELECT concat(coalesce(running.first, start.xid), ':', start.xid, ':', running.list)
FROM start,
     LATERAL (
         SELECT min(x) AS first, string_agg(x::text, ',' ORDER BY x) AS list
         FROM pg_snapshot_xip(pg_current_snapshot()) AS x
         WHERE x < start.xid
     ) AS running
