-- What a cursor may lack: the events that are visible now and were not in the
-- snapshot of its last complete read, by id, without their bodies.
--
--   $1  that snapshot's xmax
--   $2  the transactions that were in progress in it
--   $3  how many events to find at most
--
-- The one row has this statement's snapshot, whether retention removed some of
-- what was missed, and the events as arrays. A cursor may be forged, so nothing
-- here takes longer the older it claims to be: the index on xid gives the first
-- $3 and no more. That makes them the ones of the lowest transactions, not of
-- the lowest ids; with $3 of them there are too many anyway.
WITH head AS MATERIALIZED (
    SELECT pg_current_snapshot() AS snapshot,
           h.xid > $1::xid8
           OR EXISTS (SELECT FROM unnest($2::xid8[]) AS x WHERE x < h.xid AND x <> ALL (h.running)) AS lost
    FROM pgbell.horizon AS h
), missed AS (
    (SELECT e.id, e.xid, octet_length(e.body::text) AS size
     FROM pgbell.events AS e
     WHERE e.xid >= $1::xid8
       AND NOT (SELECT lost FROM head)
     ORDER BY e.xid
     LIMIT $3)
    UNION ALL
    -- OFFSET 0: one by one, by the index, however many there are.
    (SELECT open.*
     FROM unnest($2::xid8[]) AS x,
          LATERAL (SELECT e.id, e.xid, octet_length(e.body::text) FROM pgbell.events AS e WHERE e.xid = x OFFSET 0) AS open
     WHERE NOT (SELECT lost FROM head)
     LIMIT $3)
)
SELECT head.snapshot::text, head.lost, m.ids, m.xids, m.sizes
FROM head,
     (SELECT array_agg(id) AS ids, array_agg(xid) AS xids, array_agg(size) AS sizes
      FROM (SELECT id, xid::text::bigint AS xid, size FROM missed ORDER BY id) AS ordered) AS m
