-- +goose Up

-- Whoever may create objects here owns what triggers run. Nobody else needs
-- anything in this schema: triggers reach it as their functions' owner.
REVOKE ALL ON SCHEMA pgbell FROM PUBLIC;
COMMENT ON SCHEMA pgbell IS 'pgbell: realtime events from row changes. Remove with: pgbell triggers remove, then pgbell migrate down.';

-- One random id an installation: with the cluster's identity it makes the
-- epoch of a cursor, so that a restored copy is never taken for the original.
CREATE TABLE pgbell.installation (
    id           uuid        NOT NULL DEFAULT gen_random_uuid(),
    installed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE pgbell.installation IS 'One row: identifies this installation in cursors.';
INSERT INTO pgbell.installation DEFAULT VALUES;

-- One random id for each life of the cluster, from crash to crash: recovery
-- empties an unlogged table. After a crash Postgres gives out transaction ids
-- again that it had not yet written down, and whoever saw the first bearer end
-- would take the second for old. So a crash is the end of an epoch.
CREATE UNLOGGED TABLE pgbell.life (
    id  uuid    NOT NULL DEFAULT gen_random_uuid(),
    one boolean PRIMARY KEY DEFAULT true CHECK (one)
);
COMMENT ON TABLE pgbell.life IS 'At most one row: identifies the time since Postgres last recovered from a crash. Emptied by recovery.';

-- +goose StatementBegin
CREATE FUNCTION pgbell.life_id() RETURNS uuid
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pgbell.life) THEN
        INSERT INTO pgbell.life DEFAULT VALUES ON CONFLICT DO NOTHING;
    END IF;
    RETURN (SELECT l.id FROM pgbell.life AS l);
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION pgbell.life_id() IS 'The id in pgbell.life; makes one if a crash took it.';

-- Every role may NOTIFY every channel, so a bell that carries an event carries
-- a code made with these keys. 64 bytes each: one block of SHA-256.
CREATE TABLE pgbell.bell_key (
    inner_key bytea NOT NULL,
    outer_key bytea NOT NULL
);
COMMENT ON TABLE pgbell.bell_key IS 'One row: keys that authenticate the events that NOTIFY carries. Secret.';
INSERT INTO pgbell.bell_key
SELECT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()),
       uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid());

-- The log is a ring of four partitions, each taking its turn for half of the
-- retention time. Retention truncates the one whose turn comes next, so no
-- partition is ever created or dropped while writers write, and nothing bloats.
-- +goose StatementBegin
CREATE FUNCTION pgbell.slot(at timestamptz DEFAULT clock_timestamp()) RETURNS smallint
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (floor(extract(epoch FROM at) / 43200)::bigint % 4)::smallint;
-- +goose StatementEnd
COMMENT ON FUNCTION pgbell.slot(timestamptz) IS 'The partition of pgbell.events that takes what is written then: a turn is half of the retention time, 12 h of 24 h.';

CREATE TABLE pgbell.events (
    id   bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    xid  xid8        NOT NULL DEFAULT pg_current_xact_id(),
    at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    slot smallint    NOT NULL DEFAULT pgbell.slot(),
    body json        NOT NULL
) PARTITION BY LIST (slot);
COMMENT ON TABLE pgbell.events IS 'The event log: what triggers recorded, in the writer''s own transaction. Append-only.';
COMMENT ON COLUMN pgbell.events.xid IS 'The writing transaction. The log is read by snapshots of these, never by id alone: ids become visible out of order.';
COMMENT ON COLUMN pgbell.events.body IS 'The event, as the bell carries it; see docs/event-log.md.';

CREATE TABLE pgbell.events_0 PARTITION OF pgbell.events FOR VALUES IN (0);
CREATE TABLE pgbell.events_1 PARTITION OF pgbell.events FOR VALUES IN (1);
CREATE TABLE pgbell.events_2 PARTITION OF pgbell.events FOR VALUES IN (2);
CREATE TABLE pgbell.events_3 PARTITION OF pgbell.events FOR VALUES IN (3);
-- Takes what a missing partition would refuse: a write must never fail here.
CREATE TABLE pgbell.events_rest PARTITION OF pgbell.events DEFAULT;
CREATE INDEX events_xid ON pgbell.events (xid);
-- Tells retention at once whether all of the strays are old.
CREATE INDEX events_rest_at ON pgbell.events_rest (at);

-- How far retention has cut: every event removed so far was written by a
-- transaction below xid, but none by those that were still running. A cursor is
-- good if it sees all the others.
CREATE TABLE pgbell.horizon (
    xid     xid8   NOT NULL DEFAULT '0',
    running xid8[] NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE pgbell.horizon IS 'One row: all events that retention removed were written by transactions below xid that had ended.';
COMMENT ON COLUMN pgbell.horizon.running IS 'The transactions below xid that had not ended when retention last removed something.';
INSERT INTO pgbell.horizon DEFAULT VALUES;

-- +goose StatementBegin
CREATE FUNCTION pgbell.ring(id bigint, xid xid8, at timestamptz, body text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    micros  bigint;
    payload text := '';
BEGIN
    IF coalesce(current_setting('pgbell.bell', true), 'auto') = 'never' THEN
        RETURN;
    END IF;
    -- A full queue fails the commit that rings. A bell is only a hint; a
    -- write is not.
    IF pg_notification_queue_usage() > 0.5 THEN
        RETURN;
    END IF;
    -- NOTIFY takes at most 7999 bytes. What is larger rings without the event.
    IF octet_length(body) < 7700 THEN
        micros := extract(epoch FROM at) * 1000000;
        SELECT concat('{"id":', id, ',"xid":', xid, ',"at":', micros, ',"mac":"',
                      encode(sha256(k.outer_key || sha256(k.inner_key || convert_to(concat(id, ':', xid, ':', micros, ':', body), 'UTF8'))), 'hex'),
                      '","body":', body, '}')
          INTO payload
          FROM pgbell.bell_key AS k;
    END IF;
    PERFORM pg_notify('pgbell', CASE WHEN octet_length(payload) < 8000 THEN payload ELSE '' END);
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION pgbell.ring(bigint, xid8, timestamptz, text) IS 'Rings the bell: NOTIFY pgbell with the event if it fits, or empty. Obeys pgbell.bell.';

-- +goose StatementBegin
CREATE FUNCTION pgbell.record(bodies text[], carry boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    event record;
BEGIN
    IF cardinality(bodies) = 1 AND carry THEN
        INSERT INTO pgbell.events (body) VALUES (bodies[1]::json) RETURNING id, xid, at INTO event;
        PERFORM pgbell.ring(event.id, event.xid, event.at, bodies[1]);
    ELSIF cardinality(bodies) > 0 THEN
        INSERT INTO pgbell.events (body) SELECT body::json FROM unnest(bodies) AS body;
        PERFORM pgbell.ring(NULL, NULL, NULL, NULL);
    END IF;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION pgbell.record(text[], boolean) IS 'Writes event bodies to the log and rings. One body rings with the event; several, or carry = false, ring once without.';

REVOKE ALL ON ALL TABLES IN SCHEMA pgbell FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA pgbell FROM PUBLIC;

-- +goose Down
DROP FUNCTION pgbell.record(text[], boolean);
DROP FUNCTION pgbell.ring(bigint, xid8, timestamptz, text);
DROP TABLE pgbell.horizon;
DROP TABLE pgbell.events;
DROP FUNCTION pgbell.slot(timestamptz);
DROP TABLE pgbell.bell_key;
DROP FUNCTION pgbell.life_id();
DROP TABLE pgbell.life;
DROP TABLE pgbell.installation;
