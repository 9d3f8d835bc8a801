-- +goose Up

-- Signals are events for pgbell itself: type pgbell.<name>, op publish, addressed to
-- nobody. They travel with all the others, so every node gets them in order and
-- soon, and needs no query for it. No client ever sees one.

-- Tokens that are no longer believed: one by its id (the claim jti), or all
-- that a subject (sub) got before.
CREATE TABLE pgbell.revocations (
    id         bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    subject    text,
    token_id   text,
    revoked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz,
    reason     text,
    CONSTRAINT subject_or_token_id CHECK (num_nonnulls(subject, token_id) = 1),
    CONSTRAINT length CHECK (octet_length(coalesce(subject, token_id)) BETWEEN 1 AND 256),
    CONSTRAINT times CHECK (revoked_at BETWEEN '2000-01-01' AND '9999-12-30' AND expires_at <= '9999-12-30')
);
COMMENT ON TABLE pgbell.revocations IS 'Tokens that every node refuses, within a second of the commit. Use pgbell.revoke(), or insert; delete a row to take it back.';
COMMENT ON COLUMN pgbell.revocations.subject IS 'Refuses every token of this user that was issued (iat) before revoked_at, or without iat.';
COMMENT ON COLUMN pgbell.revocations.token_id IS 'Refuses the token with this id (jti).';
COMMENT ON COLUMN pgbell.revocations.expires_at IS 'From then on the row means nothing and may be removed: when the last of these tokens has expired. NULL: never.';
COMMENT ON COLUMN pgbell.revocations.reason IS 'For operators. Never told to a client.';

-- +goose StatementBegin
CREATE FUNCTION pgbell.tell_revocations() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET TimeZone = 'UTC'
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM pgbell.record(array_agg(json_build_object(
                    'type', 'pgbell.revocation', 'op', 'publish', 'action', 'revoked',
                    'data', json_build_object('subject', r.subject, 'tokenId', r.token_id,
                                              'revokedAt', r.revoked_at, 'expiresAt', r.expires_at))::text))
           FROM new_rows AS r;
        -- What expired leaves with the next that comes, so the table stays small.
        DELETE FROM pgbell.revocations
         WHERE id IN (SELECT e.id FROM pgbell.revocations AS e WHERE e.expires_at < clock_timestamp() FOR UPDATE SKIP LOCKED);
        RETURN NULL;
    END IF;
    IF TG_OP = 'DELETE' THEN
        PERFORM FROM old_rows AS r WHERE r.expires_at IS NULL OR r.expires_at > clock_timestamp();
        IF NOT FOUND THEN
            RETURN NULL; -- nodes forget what expired by themselves
        END IF;
    END IF;
    PERFORM pgbell.record(ARRAY['{"type":"pgbell.revocation","op":"publish","action":"changed"}']);
    RETURN NULL;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION pgbell.tell_revocations() IS 'Tells every node what was revoked, or that it must read the table again.';

CREATE TRIGGER tell_insert AFTER INSERT ON pgbell.revocations
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pgbell.tell_revocations();
CREATE TRIGGER tell_delete AFTER DELETE ON pgbell.revocations
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION pgbell.tell_revocations();
CREATE TRIGGER tell_change AFTER UPDATE OR TRUNCATE ON pgbell.revocations
    FOR EACH STATEMENT EXECUTE FUNCTION pgbell.tell_revocations();

-- +goose StatementBegin
CREATE FUNCTION pgbell.revoke(subject text DEFAULT NULL, token_id text DEFAULT NULL, reason text DEFAULT NULL, expires_at timestamptz DEFAULT NULL)
RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO pgbell.revocations (subject, token_id, reason, expires_at)
    VALUES (revoke.subject, revoke.token_id, revoke.reason, revoke.expires_at)
    RETURNING id
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION pgbell.revoke(text, text, text, timestamptz) IS
    'Refuses tokens from now on and closes their connections: pgbell.revoke(subject => ''u1'') all that the user has, pgbell.revoke(token_id => ''t1'') the one with this jti. Returns the row''s id. A role that is to call it needs USAGE on schema pgbell and EXECUTE on this.';

-- A canary shows that a change travels: trigger, log, bell, hub. A node releases
-- its own when somebody asks whether it is ready, and waits for it to arrive.
CREATE TABLE pgbell.canaries (
    node        text        PRIMARY KEY,
    flight      bigint      NOT NULL,
    released_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE pgbell.canaries IS 'The last canary of each node that was asked whether it is ready.';

-- +goose StatementBegin
CREATE FUNCTION pgbell.tell_canary() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pgbell.record(ARRAY[json_build_object(
        'type', 'pgbell.canary', 'op', 'publish', 'action', 'released',
        'data', json_build_object('node', NEW.node, 'flight', NEW.flight))::text]);
    RETURN NULL;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION pgbell.tell_canary() IS 'Records the canary as an event.';

CREATE TRIGGER tell AFTER INSERT OR UPDATE ON pgbell.canaries
    FOR EACH ROW EXECUTE FUNCTION pgbell.tell_canary();

-- +goose StatementBegin
CREATE FUNCTION pgbell.release_canary(node text, flight bigint) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO pgbell.canaries AS c (node, flight)
    VALUES (release_canary.node, release_canary.flight)
    ON CONFLICT ON CONSTRAINT canaries_pkey DO UPDATE SET flight = excluded.flight, released_at = clock_timestamp();
    -- Nodes that are gone.
    DELETE FROM pgbell.canaries AS c
     WHERE c.node IN (SELECT d.node FROM pgbell.canaries AS d WHERE d.released_at < clock_timestamp() - interval '1 day' FOR UPDATE SKIP LOCKED);
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION pgbell.release_canary(text, bigint) IS 'Releases a node''s canary. The server''s role needs EXECUTE on this for /readyz.';

REVOKE ALL ON pgbell.revocations, pgbell.canaries FROM PUBLIC;
REVOKE ALL ON FUNCTION pgbell.tell_revocations(), pgbell.revoke(text, text, text, timestamptz),
                       pgbell.tell_canary(), pgbell.release_canary(text, bigint) FROM PUBLIC;

-- +goose Down
DROP TABLE pgbell.canaries;
DROP FUNCTION pgbell.release_canary(text, bigint);
DROP FUNCTION pgbell.tell_canary();
DROP TABLE pgbell.revocations;
DROP FUNCTION pgbell.revoke(text, text, text, timestamptz);
DROP FUNCTION pgbell.tell_revocations();
