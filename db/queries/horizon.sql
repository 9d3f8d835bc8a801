-- Moves the horizon over the events of the partition %[1]s, which is locked
-- against everybody and about to be emptied.
--
-- Whoever wrote one of them has ended, or we would not have the lock. So the
-- transactions that are still running have lost nothing, whatever their number.
UPDATE pgbell.horizon AS h
SET xid     = greatest(h.xid, gone.next),
    running = ARRAY(
        SELECT x FROM pg_snapshot_xip(pg_current_snapshot()) AS x
        WHERE x < greatest(h.xid, gone.next)
    )
FROM (SELECT (max(xid)::text::numeric + 1)::text::xid8 AS next FROM %[1]s) AS gone
WHERE gone.next IS NOT NULL
