-- The last events of one row:
--
--   $1  its table, as events name it
--   $2  the columns of its key
--   $3  their values, as events write them
--   $4  how many
--
-- among the newest 100,000 of the log: no index knows rows. What resets the whole
-- table counts as an event of the row. A json column may hold escapes that text
-- cannot, such as \u0000: where there are some, none is unescaped.
SELECT e.id, e.xid, (extract(epoch FROM e.at) * 1000000)::bigint, e.body::text
FROM (
    SELECT l.id, l.xid, l.at, l.body,
           CASE WHEN strpos(l.body::text, '\u') = 0 THEN l.body
                ELSE replace(replace(l.body::text, '\\', '//'), '\u', '/u')::json END AS plain
    FROM pgbell.events AS l
    ORDER BY l.xid DESC
    LIMIT 100000
) AS e
WHERE e.plain ->> 'table' = $1
  AND (e.plain ->> 'op' = 'reset'
       OR NOT EXISTS (
           SELECT FROM unnest($2::text[], $3::text[]) AS part (name, value)
           WHERE e.plain -> 'key' ->> part.name IS DISTINCT FROM part.value))
ORDER BY e.id DESC
LIMIT $4
