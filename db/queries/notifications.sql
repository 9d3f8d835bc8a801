-- A user's notifications as clients get them, the newest first:
--
--   $1  the user
--   $2  only those with a lower id; NULL for the newest
--   $3  only those unread
--   $4  how many
SELECT n.id, pgbell.notification_json(n)
  FROM pgbell.notifications AS n
 WHERE n.user_id = $1 AND n.id < coalesce($2, 9223372036854775807) AND (n.read_at IS NULL OR NOT $3::boolean)
 ORDER BY n.id DESC
 LIMIT $4
