-- +goose Up

-- A transaction that ran NOTIFY holds a lock of the whole server through its
-- commit, so transactions that all notify commit one at a time. The bell
-- therefore rings only if a listener sleeps. One that does holds, shared, the
-- advisory lock 123589334756460 of this database: the bytes of 'pgbell'.

-- +goose StatementBegin
CREATE FUNCTION pgbell.must_ring() RETURNS boolean
LANGUAGE sql VOLATILE
RETURN CASE lower(coalesce(current_setting('pgbell.bell', true), 'auto'))
           WHEN 'never' THEN false
           WHEN 'always' THEN true
           -- Got the lock: nobody sleeps. Taken and let go in one expression,
           -- so that no cancel falls between.
           ELSE NOT CASE WHEN pg_try_advisory_lock(123589334756460) THEN pg_advisory_unlock(123589334756460) ELSE false END
       END;
-- +goose StatementEnd
COMMENT ON FUNCTION pgbell.must_ring() IS 'Whether a bell is needed: some listener sleeps (it holds the advisory lock 123589334756460), or another writer asks at this instant. To be asked after the event was written. Obeys pgbell.bell = auto | always | never.';

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION pgbell.ring(id bigint, xid xid8, at timestamptz, body text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    micros  bigint;
    payload text := '';
    rung    text := current_setting('pgbell.rung', true);
BEGIN
    -- A full queue fails the commit that rings. A bell is only a hint; a
    -- write is not.
    IF pg_notification_queue_usage() > 0.5 THEN
        RETURN;
    END IF;
    -- NOTIFY takes at most 7999 bytes. What is larger rings without the event. So
    -- does a transaction that has rung with 16: until it commits, bells take its
    -- memory, and then room in the queue, but all the empty ones are one.
    IF octet_length(body) < 8000 AND coalesce(length(rung), 0) < 16 THEN
        PERFORM set_config('pgbell.rung', concat(rung, '.'), true);
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
COMMENT ON FUNCTION pgbell.ring(bigint, xid8, timestamptz, text) IS 'Rings the bell: NOTIFY pgbell with the event if it fits and is among the first 16 that the transaction rings with, or empty.';

-- Whoever reads the log must be able to take what is in it: text that leaves the
-- database as UTF-8, and no more of it at once than memory holds. It is found
-- out where something else can still be said instead.
-- +goose StatementBegin
CREATE FUNCTION pgbell.readable(body text) RETURNS json
LANGUAGE sql STABLE
RETURN CASE WHEN octet_length(body) <= 134217728
             AND (getdatabaseencoding() = 'UTF8' OR convert_to(body, 'UTF8') IS NOT NULL)
            THEN body::json END;
-- +goose StatementEnd
COMMENT ON FUNCTION pgbell.readable(text) IS 'The event body as JSON. NULL if it has more than 128 MiB, an error if it is no JSON or has no form in UTF-8.';

-- +goose StatementBegin
CREATE FUNCTION pgbell.append(bodies json[], carry boolean) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    event record;
BEGIN
    IF cardinality(bodies) = 1 AND carry THEN
        INSERT INTO pgbell.events (body) VALUES (bodies[1]) RETURNING id, xid, at INTO event;
        IF pgbell.must_ring() THEN
            PERFORM pgbell.ring(event.id, event.xid, event.at, bodies[1]::text);
        END IF;
    ELSIF cardinality(bodies) > 0 THEN
        INSERT INTO pgbell.events (body) SELECT body FROM unnest(bodies) AS body;
        IF pgbell.must_ring() THEN
            PERFORM pgbell.ring(NULL, NULL, NULL, NULL);
        END IF;
    END IF;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION pgbell.append(json[], boolean) IS 'Writes readable event bodies to the log and rings if a listener sleeps. One body rings with the event; several, or carry = false, ring once without.';

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION pgbell.record(bodies text[], carry boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF EXISTS (SELECT FROM unnest(bodies) AS body WHERE pgbell.readable(body) IS NULL) THEN
        RAISE EXCEPTION 'an event body has at most 128 MiB' USING ERRCODE = 'program_limit_exceeded';
    END IF;
    PERFORM pgbell.append(bodies::json[], carry);
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION pgbell.record(text[], boolean) IS 'Checks event bodies, then does as pgbell.append().';

REVOKE ALL ON FUNCTION pgbell.must_ring(), pgbell.readable(text), pgbell.append(json[], boolean) FROM PUBLIC;

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION pgbell.ring(id bigint, xid xid8, at timestamptz, body text) RETURNS void
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
CREATE OR REPLACE FUNCTION pgbell.record(bodies text[], carry boolean DEFAULT true) RETURNS void
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
DROP FUNCTION pgbell.append(json[], boolean);
DROP FUNCTION pgbell.readable(text);
DROP FUNCTION pgbell.must_ring();
