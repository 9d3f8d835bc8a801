-- The events with the ids $1, which the transactions $2 wrote, each named once.
-- OFFSET 0: by the index, however many there are.
SELECT e.id, e.xid, e.at, e.body
FROM unnest($2::xid8[]) AS x,
     LATERAL (
         SELECT e.id, e.xid, (extract(epoch FROM e.at) * 1000000)::bigint AS at, e.body::text
         FROM pgbell.events AS e
         WHERE e.xid = x
           AND e.id = ANY ($1::bigint[])
         OFFSET 0
     ) AS e
ORDER BY e.id
