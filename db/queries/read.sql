-- The events that are visible now and were not in an earlier snapshot.
--
--   $1  the earlier snapshot's xmax; 0 for everything that the log holds
--   $2  the transactions that were in progress in it
--
-- The first row, with id 0, is about the read itself: body is this statement's
-- snapshot, and lost says that retention removed something that would have
-- been here. Then nothing else comes. The events follow in id order.
--
-- Two conditions, each of which the index on xid serves; one OR would not be.
-- The upper bound of the first is no bound at all. It makes the planner expect
-- few rows also when it doesn't look at $1.
WITH head AS MATERIALIZED (
    SELECT pg_current_snapshot()::text AS snapshot,
           $1::xid8 <> '0' AND (
               h.xid > $1::xid8
               OR EXISTS (SELECT FROM unnest($2::xid8[]) AS x WHERE x < h.xid AND x <> ALL (h.running))
           ) AS lost
    FROM pgbell.horizon AS h
)
SELECT 0::bigint AS id, '0'::xid8 AS xid, 0::bigint AS at, head.snapshot AS body, head.lost
FROM head
UNION ALL
SELECT e.id, e.xid, (extract(epoch FROM e.at) * 1000000)::bigint, e.body::text, false
FROM pgbell.events AS e
WHERE e.xid >= $1::xid8 AND e.xid <= '18446744073709551615'::xid8
  AND NOT (SELECT lost FROM head)
UNION ALL
SELECT e.id, e.xid, (extract(epoch FROM e.at) * 1000000)::bigint, e.body::text, false
FROM pgbell.events AS e
WHERE e.xid = ANY ($2::xid8[])
  AND NOT (SELECT lost FROM head)
ORDER BY id
