-- The partitions that may be due at the time $1, by default now: the one of the
-- ring whose turn comes next, whose events are all older than the retention
-- time, and the one for strays, which is if it holds nothing younger than the
-- time given beside it. Empty and missing ones are not listed.
WITH at AS (
    SELECT coalesce($1::timestamptz, clock_timestamp()) AS now
)
SELECT due.partition::text, due.unless_after
FROM at
CROSS JOIN LATERAL (
    VALUES (to_regclass(format('pgbell.events_%s', (pgbell.slot(at.now) + 1) % 4)), NULL),
           (to_regclass('pgbell.events_rest'), at.now - interval '24 hours')
) AS due (partition, unless_after)
WHERE pg_relation_size(due.partition) > 0
