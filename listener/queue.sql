-- How many transactions wait for the lock that NOTIFY takes: that of the object
-- 0 of the catalog of databases, which belongs to no database (PreCommit_Notify).
SELECT count(*)
  FROM pg_locks
 WHERE locktype = 'object' AND database = 0 AND classid = 'pg_database'::regclass AND objid = 0
   AND NOT granted
