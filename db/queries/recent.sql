-- The earliest place to start from so that what follows is no more than this:
--
--   $1  events
--   $2  bytes of their bodies
--   $3  seconds since they were written
--
-- as a snapshot that sees the transactions below some xid, but none of those
-- that are running now. Whatever xid is chosen, the events that such a snapshot
-- does not see are all those from there on: the choice is one of quantity
-- alone. Cursors are served by it if they were made since, unless a transaction
-- was open then that has ended in the meantime and is below it.
WITH latest AS MATERIALIZED (
    SELECT e.xid, e.at, octet_length(e.body::text) AS size
    FROM pgbell.events AS e
    ORDER BY e.xid DESC
    LIMIT $1::bigint + 1
), counted AS (
    -- Transactions whole: rows of the same xid are peers.
    SELECT xid, at, count(*) OVER newest AS events, sum(size) OVER newest AS bytes
    FROM latest
    WINDOW newest AS (ORDER BY xid DESC)
), young AS (
    SELECT min(xid) AS xid FROM counted WHERE at >= clock_timestamp() - make_interval(secs => $3::float8)
), start AS MATERIALIZED (
    -- Right after the last transaction that is left out.
    SELECT greatest((SELECT h.xid FROM pgbell.horizon AS h LIMIT 1), '1', (max(c.xid)::text::numeric + 1)::text::xid8) AS xid
    FROM counted AS c, young
    WHERE c.events > $1::bigint OR c.bytes > $2::bigint OR young.xid IS NULL OR c.xid < young.xid
)
SELECT concat(coalesce(running.first, start.xid), ':', start.xid, ':', running.list)
FROM start,
     LATERAL (
         SELECT min(x) AS first, string_agg(x::text, ',' ORDER BY x) AS list
         FROM pg_snapshot_xip(pg_current_snapshot()) AS x
         WHERE x < start.xid
     ) AS running
