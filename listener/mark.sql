-- The highest event id given out so far, and, looked at after it, the next
-- transaction id: xmax and how far that is behind.
--
-- xmax is one past the highest transaction that has ended, so transactions from
-- there on may be in progress. age() without a transaction id of one's own
-- measures from the one that will be assigned next (GetStableLatestTransactionId).
SELECT CASE WHEN s.is_called THEN s.last_value ELSE 0 END,
       pg_snapshot_xmax(pg_current_snapshot()),
       age(pg_snapshot_xmax(pg_current_snapshot())::xid)
  FROM pgbell.events_id_seq AS s
