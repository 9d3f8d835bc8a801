-- +goose Up

-- A broadcast is an event without a row. It goes through the log, in the
-- transaction of whoever publishes, so every node delivers it and sessions that
-- are away resume it.

-- What was published with an idempotency key, for as long as the log keeps it.
CREATE TABLE pgbell.publications (
    publisher       name        NOT NULL,
    idempotency_key text        NOT NULL,
    at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    digest          bytea       NOT NULL,
    event           bigint,
    PRIMARY KEY (publisher, idempotency_key)
) WITH (fillfactor = 70);
CREATE INDEX publications_at ON pgbell.publications (at);
COMMENT ON TABLE pgbell.publications IS 'Idempotency keys of pgbell.publish(), for 24 hours.';
COMMENT ON COLUMN pgbell.publications.publisher IS 'The role that logged in. Keys of different roles have nothing to do with each other.';
COMMENT ON COLUMN pgbell.publications.digest IS 'SHA-256 of the event, to tell the same again from something else.';
COMMENT ON COLUMN pgbell.publications.event IS 'The event''s id.';

-- +goose StatementBegin
CREATE FUNCTION pgbell.publish(
    type            text,
    action          text,
    data            json   DEFAULT '{}',
    users           text[] DEFAULT NULL,
    roles           text[] DEFAULT NULL,
    rooms           text[] DEFAULT NULL,
    idempotency_key text   DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    word CONSTANT text := '^[A-Za-z_][A-Za-z0-9_]{0,63}$';
    targets text[];
    body    text;
    made    text;
    known   record;
    key     text := publish.idempotency_key;
BEGIN
    -- What clients see of it must pass for nothing else: a signal has a dot in
    -- its type, a change of a row another op.
    IF publish.type IS NULL OR publish.type !~ word OR publish.type IN ('user', 'role', 'room') THEN
        RAISE EXCEPTION 'type takes letters, digits and underscores, at most 64, and not user, role or room' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF publish.action IS NULL OR publish.action !~ word THEN
        RAISE EXCEPTION 'action takes letters, digits and underscores, at most 64' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    made := coalesce(publish.data::text, 'null');
    IF octet_length(made) > 262144 THEN
        RAISE EXCEPTION 'data has % bytes, at most 262144 are published', octet_length(made) USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Decoders bound the depth, and so many cannot be too deep.
    IF length(made) - length(translate(made, '[{', '')) > 9000 THEN
        RAISE EXCEPTION 'data has more than 9000 objects and arrays' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF cardinality(publish.users) > 1000 OR cardinality(publish.roles) > 100 OR cardinality(publish.rooms) > 100 THEN
        RAISE EXCEPTION 'there are at most 1000 users, 100 roles and 100 rooms' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    targets := publish.users || publish.roles || publish.rooms;
    IF coalesce(cardinality(targets), 0) = 0 THEN
        RAISE EXCEPTION 'there is nobody to publish to; name users, roles or rooms, or the room * for everybody' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF EXISTS (SELECT FROM unnest(targets) AS t (name) WHERE t.name IS NULL OR octet_length(t.name) NOT BETWEEN 1 AND 256) THEN
        RAISE EXCEPTION 'users, roles and rooms have 1 to 256 bytes each' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF key IS NOT NULL AND octet_length(key) NOT BETWEEN 1 AND 600 THEN
        RAISE EXCEPTION 'an idempotency key has 1 to 600 bytes' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF lower(current_setting('pgbell.enabled', true)) IN ('off', 'false', 'no', '0') THEN
        RETURN NULL;
    END IF;

    -- An id may only be given out to a transaction that has its own: by that
    -- readers tell that no lower one can come any more.
    PERFORM pg_current_xact_id();
    body := concat('{"type":', to_json(publish.type), ',"op":"publish","action":', to_json(publish.action),
                   ',"users":' || to_json(nullif(publish.users, '{}')),
                   ',"watchers":' || to_json(nullif(publish.roles, '{}')),
                   ',"rooms":' || to_json(nullif(publish.rooms, '{}')),
                   ',"data":', made, '}');
    IF key IS NULL THEN
        PERFORM pgbell.record(ARRAY[body]);
        RETURN currval('pgbell.events_id_seq');
    END IF;

    -- Waits for whoever publishes with the same key just now.
    INSERT INTO pgbell.publications AS p (publisher, idempotency_key, digest)
    VALUES (session_user, key, sha256(convert_to(body, 'UTF8')))
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        SELECT p.event, p.digest INTO STRICT known
          FROM pgbell.publications AS p
         WHERE p.publisher = session_user AND p.idempotency_key = key;
        IF known.digest <> sha256(convert_to(body, 'UTF8')) THEN
            RAISE EXCEPTION 'this idempotency key was used for something else' USING ERRCODE = 'unique_violation';
        END IF;
        RETURN known.event;
    END IF;
    PERFORM pgbell.record(ARRAY[body]);
    UPDATE pgbell.publications AS p SET event = currval('pgbell.events_id_seq')
     WHERE p.publisher = session_user AND p.idempotency_key = key;
    -- What is old leaves with the next that comes, so the table stays small.
    DELETE FROM pgbell.publications
     WHERE (publisher, idempotency_key) IN (
               SELECT o.publisher, o.idempotency_key FROM pgbell.publications AS o
                WHERE o.at < clock_timestamp() - interval '24 hours'
                ORDER BY o.at LIMIT 10 FOR UPDATE SKIP LOCKED);
    RETURN currval('pgbell.events_id_seq');
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION pgbell.publish(text, text, json, text[], text[], text[], text) IS
    'Sends <type>_update, with op publish, to users, to whoever has one of the roles, and to whoever''s token names one of the rooms; the room * is everybody. Part of the caller''s transaction. Returns the event''s id, or NULL while pgbell.enabled is off. With an idempotency key the same again, within 24 hours, returns the same id. A role that is to call it needs USAGE on schema pgbell and EXECUTE on this.';

REVOKE ALL ON pgbell.publications FROM PUBLIC;
REVOKE ALL ON FUNCTION pgbell.publish(text, text, json, text[], text[], text[], text) FROM PUBLIC;

-- +goose Down
DROP FUNCTION pgbell.publish(text, text, json, text[], text[], text[], text);
DROP TABLE pgbell.publications;
