-- +goose Up

-- A row may be owned through another table. Who changes the row and who gives
-- its parent to somebody else may run at the same time and not see each other,
-- and neither may wait for the other. So who moves owners leaves a note, and
-- when everybody who could have missed the move has ended, a node looks in the
-- log whether somebody did.
CREATE TABLE pgbell.owner_moves (
    id    bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    xid   xid8        NOT NULL DEFAULT pg_current_xact_id(),
    at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen  pg_snapshot NOT NULL,
    move  jsonb       NOT NULL,
    until xid8
);
COMMENT ON TABLE pgbell.owner_moves IS 'Parents that changed hands a moment ago: see pgbell.settle_owner_moves().';
COMMENT ON COLUMN pgbell.owner_moves.seen IS 'Whose rows the mover looked for: what is not visible in it, it did not tell anybody.';
COMMENT ON COLUMN pgbell.owner_moves.move IS 'keys: the parents, NULL for any; reset: the event to record if somebody missed the move.';
COMMENT ON COLUMN pgbell.owner_moves.until IS 'Whoever missed the move has a lower transaction id. NULL until a node has seen it.';

-- +goose StatementBegin
CREATE FUNCTION pgbell.settle_owner_moves() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    oldest xid8 := pg_snapshot_xmin(pg_current_snapshot());
    ids    bigint[];
    resets text[];
BEGIN
    IF NOT EXISTS (SELECT FROM pgbell.owner_moves AS m WHERE m.until IS NULL OR m.until <= oldest) THEN
        RETURN 0; -- a transaction that only reads
    END IF;
    IF pg_current_xact_id_if_assigned() IS NOT NULL THEN
        RAISE EXCEPTION 'pgbell.settle_owner_moves() needs a transaction of its own';
    END IF;

    -- These moves are visible. Whoever missed one has a lower transaction id
    -- than we get here: it wrote before it looked. Other nodes skip the rows.
    UPDATE pgbell.owner_moves AS m
       SET until = pg_current_xact_id()
     WHERE m.id IN (SELECT n.id FROM pgbell.owner_moves AS n WHERE n.until IS NULL FOR UPDATE SKIP LOCKED);

    -- Of those who could have missed these, nobody is left.
    SELECT array_agg(m.id) INTO ids
      FROM (SELECT n.id FROM pgbell.owner_moves AS n WHERE n.until <= oldest FOR UPDATE SKIP LOCKED) AS m;
    IF ids IS NULL THEN
        RETURN 0;
    END IF;

    -- Who wrote a row that the mover did not see, and did not see the move,
    -- told the wrong owners. The log is read by its index: the transactions
    -- that the mover saw running, and those that began before the move was
    -- visible.
    WITH moves AS MATERIALIZED (SELECT * FROM pgbell.owner_moves AS m WHERE m.id = ANY (ids)),
         span AS MATERIALIZED (
             SELECT (SELECT pg_snapshot_xmax(m.seen) FROM moves AS m ORDER BY 1 LIMIT 1) AS first,
                    (SELECT m.until FROM moves AS m ORDER BY 1 DESC LIMIT 1) AS last),
         running AS MATERIALIZED (
             SELECT DISTINCT x.xid FROM moves AS m CROSS JOIN span CROSS JOIN LATERAL pg_snapshot_xip(m.seen) AS x (xid) WHERE x.xid < span.first),
         found AS MATERIALIZED (
             SELECT e.xid, e.body
               FROM span CROSS JOIN LATERAL (SELECT * FROM pgbell.events AS e WHERE e.xid >= span.first AND e.xid < span.last OFFSET 0) AS e
              UNION ALL
             SELECT e.xid, e.body
               FROM running CROSS JOIN LATERAL (SELECT * FROM pgbell.events AS e WHERE e.xid = running.xid OFFSET 0) AS e),
         -- A json column may hold escapes that text cannot, such as \u0000. Where
         -- there are some, none is unescaped, and keys may be any.
         bodies AS MATERIALIZED (
             SELECT f.xid, strpos(f.body::text, '\u') > 0 AS escaped,
                    CASE WHEN strpos(f.body::text, '\u') = 0 THEN f.body
                         ELSE replace(replace(f.body::text, '\\', '//'), '\u', '/u')::json END AS body
               FROM found AS f),
         written AS MATERIALIZED (
             SELECT DISTINCT b.xid, b.body ->> 'type' AS type, (b.body #>> '{via,seen}')::pg_snapshot::text AS seen,
                    CASE WHEN NOT b.escaped THEN key.value END AS key
               FROM bodies AS b
               LEFT JOIN LATERAL json_array_elements_text(b.body #> '{via,keys}') AS key (value) ON true
              -- Where nobody knows the parents, key is NULL.
              WHERE b.body -> 'via' IS NOT NULL AND (key.value IS NOT NULL OR b.body #> '{via,keys}' IS NULL)
                 OR b.body ->> 'reason' = 'capture_failed')
    SELECT array_agg(DISTINCT (m.move -> 'reset')::text) INTO resets
      FROM moves AS m
     WHERE EXISTS (SELECT FROM written AS w
                    WHERE w.type = m.move #>> '{reset,type}'
                      AND w.xid <> m.xid
                      AND NOT pg_visible_in_snapshot(w.xid, m.seen)
                      AND (w.seen IS NULL OR NOT pg_visible_in_snapshot(m.xid, w.seen::pg_snapshot))
                      AND (w.key IS NULL OR m.move ->> 'keys' IS NULL OR m.move -> 'keys' ? w.key));
    DELETE FROM pgbell.owner_moves AS m WHERE m.id = ANY (ids);
    IF resets IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM pgbell.record(resets);
    RETURN cardinality(resets);
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION pgbell.settle_owner_moves() IS 'Records a reset for the owners of rows that were changed while their parent changed hands, once all who took part have ended. Every node calls it, every second or so. Returns how many resets.';

REVOKE ALL ON pgbell.owner_moves FROM PUBLIC;
REVOKE ALL ON FUNCTION pgbell.settle_owner_moves() FROM PUBLIC;

-- +goose Down
DROP FUNCTION pgbell.settle_owner_moves();
DROP TABLE pgbell.owner_moves;
