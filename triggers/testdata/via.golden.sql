BEGIN;
SET LOCAL lock_timeout = '2s'; -- rather fail than make writers wait
SET LOCAL standard_conforming_strings = on;

-- Create function pgbell.public.bookings: it is missing.
CREATE OR REPLACE FUNCTION pgbell."public.bookings"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = 'off'
AS $pgbell$
#variable_conflict use_column
-- Records what a change of public.bookings means for the owners of other tables' rows.
-- Made by pgbell from its configuration: change it there, not here.
DECLARE
    changes refcursor;
    body    text;
    bodies  text[];           -- events not yet written
    size    bigint  := 0;     -- their length in bytes
    whole   boolean := true;  -- they are all that the statement made
    seen    pg_snapshot;      -- what is committed then is found below
    moves   jsonb;            -- for those who write rows unseen while these move
BEGIN
    -- The switch: SET, ALTER ROLE or ALTER DATABASE … SET pgbell.enabled = off.
    IF lower(current_setting('pgbell.enabled', true)) IN ('off', 'false', 'no', '0') THEN
        RETURN NULL;
    END IF;

    -- Most statements change one row. This says the same of it as the queries
    -- below, for less. Where it cannot, it leaves body NULL and all to them:
    -- several rows, another key or owner, an error. It only reads.
    <<one>>
    BEGIN
        IF TG_OP = 'UPDATE' THEN
            SELECT id, client_id, provider_id INTO old FROM old_rows;
            IF NOT FOUND THEN
                RETURN NULL;
            END IF;
            SELECT id, client_id, provider_id INTO STRICT new FROM new_rows;
            IF NOT (old.id IS DISTINCT FROM new.id OR old.client_id IS DISTINCT FROM new.client_id OR old.provider_id IS DISTINCT FROM new.provider_id) THEN
                RETURN NULL; -- as nearly always
            END IF;
        END IF;
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        body := NULL;
    END;

    -- Whatever may raise an error stands in this block, so no write fails
    -- because of it. Unless the statement is large it only reads, and a
    -- subtransaction that only reads takes no transaction id.
    BEGIN
        seen := pg_current_snapshot();
        IF TG_OP = 'UPDATE' THEN
            -- Rows that go with these ask for their owners when these are gone.
            PERFORM set_config('pgbell.gone_7e89118a', gone.owners::text, true)
               FROM (SELECT jsonb_object_agg(old.id::text, jsonb_build_object('client_id', old.client_id::text, 'provider_id', old.provider_id::text)) AS owners
                       FROM old_rows AS old
                       LEFT JOIN new_rows AS new ON old.id = new.id
                      WHERE new.id IS NULL
                    ) AS gone
              WHERE gone.owners IS NOT NULL;
            moves := (SELECT jsonb_agg(m.move) FROM (
                SELECT jsonb_build_object(
                           'keys', CASE WHEN count(DISTINCT after.id::text) <= 1000 THEN jsonb_agg(DISTINCT after.id::text) END,
                           'reset', '{"type":"payment","op":"reset","table":"public.payments","reason":"owner_race"}'::jsonb ||
                                    CASE WHEN count(DISTINCT owner.id) <= 1000 THEN jsonb_build_object('users', jsonb_agg(DISTINCT owner.id)) ELSE '{}' END)
                  FROM old_rows AS before
                  JOIN new_rows AS after
                    ON before.id = after.id
                 CROSS JOIN LATERAL (VALUES (before.client_id::text), (before.provider_id::text), (after.client_id::text), (after.provider_id::text)) AS owner (id)
                 WHERE record_image_ne(ROW(before.client_id, before.provider_id),
                                       ROW(after.client_id, after.provider_id)) AND owner.id IS NOT NULL
                HAVING count(*) > 0) AS m (move));
            OPEN changes FOR
                -- payment: rows whose public.bookings changed hands, found by booking_id.
                SELECT '{' || concat_ws(',',
                           '"type":"payment","op":"update"',
                           '"action":' || CASE
                                              WHEN (NEW.status = 'RELEASED' AND OLD.status IS DISTINCT FROM 'RELEASED') THEN '"released"'
                                              ELSE '"updated"'
                                          END,
                           '"table":"public.payments"',
                           '"key":{"id":' || coalesce(to_json(new.id)::text, 'null') || '}',
                           '"owners":' || owner.now,
                           CASE WHEN owner.was <> owner.now THEN '"was":' || owner.was END,
                           '"via":{' || concat_ws(',',
                               '"keys":' || to_json(array_remove(ARRAY[new.booking_id::text], NULL))::text,
                               (SELECT '"seen":"' || s.seen || '"' FROM (SELECT pg_current_snapshot()::text) AS s (seen) WHERE length(s.seen) <= 200)) || '}',
                           '"data":' || row_to_json(new_shown.*)::text,
                           '"old":{}') || '}'
                  FROM old_rows AS before
                  JOIN new_rows AS after
                    ON before.id = after.id
                       -- OFFSET 0: found by index, also by a plan that was made for many.
                 CROSS JOIN LATERAL (SELECT * FROM public.payments AS child WHERE child.booking_id = after.id OFFSET 0) AS new
                 CROSS JOIN LATERAL (SELECT new.*) AS old
                 CROSS JOIN LATERAL (SELECT new.id, new.booking_id, new.amount, new.status) AS new_shown
                 CROSS JOIN LATERAL (SELECT '{' || concat_ws(',', '"client":' || to_json(after.client_id::text)::text,
                                                                  '"provider":' || to_json(after.provider_id::text)::text) || '}',
                                            '{' || concat_ws(',', '"client":' || to_json(before.client_id::text)::text,
                                                                  '"provider":' || to_json(before.provider_id::text)::text) || '}'
                                      OFFSET 0) AS owner(now, was)
                 WHERE record_image_ne(ROW(before.client_id, before.provider_id),
                                       ROW(after.client_id, after.provider_id));
        ELSIF TG_OP = 'DELETE' THEN
            -- Rows that go with these ask for their owners when these are gone.
            PERFORM set_config('pgbell.gone_7e89118a', gone.owners::text, true)
               FROM (SELECT jsonb_object_agg(old.id::text, jsonb_build_object('client_id', old.client_id::text, 'provider_id', old.provider_id::text)) AS owners
                       FROM old_rows AS old
                    ) AS gone
              WHERE gone.owners IS NOT NULL;
            RETURN NULL;
        END IF;

        LOOP
            FETCH changes INTO body;
            EXIT WHEN NOT FOUND;
            -- Many events are written piece by piece: memory stays bounded.
            IF size > 1048576 THEN
                INSERT INTO pgbell.events (body) SELECT piece::json FROM unnest(bodies) AS piece;
                bodies := NULL;
                size   := 0;
                whole  := false;
            END IF;
            bodies := bodies || body;
            size   := size + octet_length(body);
        END LOOP;
        CLOSE changes;
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        -- What this block wrote is undone. Clients are told to fetch again.
        body   := left(concat(SQLSTATE, ': ', SQLERRM), 1000);
        bodies := ARRAY[
            concat('{"type":"payment","op":"reset","table":"public.payments","reason":"capture_failed","error":', to_json(body), '}')
        ];
        whole  := true;
        seen   := pg_current_snapshot();
        moves  := jsonb_build_array(
            jsonb_build_object('keys', NULL, 'reset', '{"type":"payment","op":"reset","table":"public.payments","reason":"owner_race"}'::jsonb));
    END;

    IF moves IS NOT NULL THEN
        INSERT INTO pgbell.owner_moves (seen, move) SELECT seen, m.move FROM jsonb_array_elements(moves) AS m (move);
    END IF;

    IF bodies IS NOT NULL THEN
        PERFORM pgbell.record(bodies, carry => whole);
    END IF;
    RETURN NULL;
END
$pgbell$;
COMMENT ON FUNCTION pgbell."public.bookings"() IS 'pgbell: records what a change of public.bookings means for the owners of other tables'' rows. Definition 5e632257e2af253c.';
REVOKE ALL ON FUNCTION pgbell."public.bookings"() FROM PUBLIC;

-- Create trigger pgbell_update on public.bookings: it is missing.
CREATE OR REPLACE TRIGGER pgbell_update AFTER UPDATE ON public.bookings
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pgbell."public.bookings"();
COMMENT ON TRIGGER pgbell_update ON public.bookings IS 'pgbell: after each UPDATE calls pgbell.public.bookings.';

-- Create trigger pgbell_delete on public.bookings: it is missing.
CREATE OR REPLACE TRIGGER pgbell_delete AFTER DELETE ON public.bookings
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION pgbell."public.bookings"();
COMMENT ON TRIGGER pgbell_delete ON public.bookings IS 'pgbell: after each DELETE calls pgbell.public.bookings.';

-- Create function pgbell.public.payments: it is missing.
CREATE OR REPLACE FUNCTION pgbell."public.payments"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = 'off'
AS $pgbell$
#variable_conflict use_column
-- Records every change of public.payments as a payment event.
-- Made by pgbell from its configuration: change it there, not here.
DECLARE
    changes refcursor;
    body    text;
    bodies  text[];           -- events not yet written
    size    bigint  := 0;     -- their length in bytes
    whole   boolean := true;  -- they are all that the statement made
    event   json;             -- the body of the only one
    at      timestamptz;      -- when it was written
    changed text;             -- what the columns that changed held before
    owner_1 text;             -- client_id of public.bookings
    owner_2 text;             -- provider_id of public.bookings
    snapshot text;             -- what was visible when they were looked up
    gone_1 jsonb; -- owners of the rows of public.bookings that went in this statement
BEGIN
    -- The switch: SET, ALTER ROLE or ALTER DATABASE … SET pgbell.enabled = off.
    IF lower(current_setting('pgbell.enabled', true)) IN ('off', 'false', 'no', '0') THEN
        RETURN NULL;
    END IF;

    -- Most statements change one row. This says the same of it as the queries
    -- below, for less. Where it cannot, it leaves body NULL and all to them:
    -- several rows, another key or owner, an error. It only reads.
    <<one>>
    BEGIN
        IF TG_OP = 'UPDATE' THEN
            SELECT id, booking_id, amount, status INTO old FROM old_rows;
            IF NOT FOUND THEN
                RETURN NULL;
            END IF;
            SELECT id, booking_id, amount, status INTO STRICT new FROM new_rows;
            EXIT one WHEN old.id IS DISTINCT FROM new.id OR old.booking_id IS DISTINCT FROM new.booking_id;
            IF old.amount IS DISTINCT FROM new.amount THEN
                changed := concat(changed, ',"amount":', to_json(old.amount));
            END IF;
            IF old.status IS DISTINCT FROM new.status THEN
                changed := concat(changed, ',"status":', to_json(old.status));
            END IF;
            IF changed IS NULL THEN
                RETURN NULL; -- nothing that anybody sees
            END IF;
            SELECT parent.client_id::text, parent.provider_id::text, pg_current_snapshot()::text
              INTO owner_1, owner_2, snapshot
              FROM public.bookings AS parent WHERE parent.id = new.booking_id;
            EXIT one WHEN NOT FOUND OR length(snapshot) > 200;
            body := format('{"type":"payment","op":"update","action":%s,"table":"public.payments","key":{"id":%s},"owners":%s,"via":{"keys":[%s],"seen":"%s"},"data":%s,"old":{%s}}',
                CASE
                    WHEN (NEW.status = 'RELEASED' AND OLD.status IS DISTINCT FROM 'RELEASED') THEN '"released"'
                    WHEN old.status IS DISTINCT FROM new.status THEN '"status_changed"'
                    ELSE '"updated"'
                END,
                to_json(new.id),
                json_strip_nulls(json_build_object('client', owner_1, 'provider', owner_2)),
                to_json(new.booking_id::text),
                snapshot,
                row_to_json(new),
                substr(changed, 2));
        ELSIF TG_OP = 'INSERT' THEN
            SELECT id, booking_id, amount, status INTO STRICT new FROM new_rows;
            -- Actions may ask for OLD: it is NULL.
            SELECT id, booking_id, amount, status INTO old FROM new_rows LIMIT 0;
            SELECT parent.client_id::text, parent.provider_id::text, pg_current_snapshot()::text
              INTO owner_1, owner_2, snapshot
              FROM public.bookings AS parent WHERE parent.id = new.booking_id;
            EXIT one WHEN NOT FOUND OR length(snapshot) > 200;
            body := format('{"type":"payment","op":"insert","action":%s,"table":"public.payments","key":{"id":%s},"owners":%s,"via":{"keys":[%s],"seen":"%s"},"data":%s}',
                CASE
                    WHEN (NEW.status = 'RELEASED' AND OLD.status IS DISTINCT FROM 'RELEASED') THEN '"released"'
                    ELSE '"created"'
                END,
                to_json(new.id),
                json_strip_nulls(json_build_object('client', owner_1, 'provider', owner_2)),
                to_json(new.booking_id::text),
                snapshot,
                row_to_json(new));
        ELSIF TG_OP = 'DELETE' THEN
            SELECT id, booking_id, amount, status INTO STRICT old FROM old_rows;
            -- Actions may ask for NEW: it is NULL.
            SELECT id, booking_id, amount, status INTO new FROM old_rows LIMIT 0;
            SELECT parent.client_id::text, parent.provider_id::text, pg_current_snapshot()::text
              INTO owner_1, owner_2, snapshot
              FROM public.bookings AS parent WHERE parent.id = old.booking_id;
            EXIT one WHEN NOT FOUND OR length(snapshot) > 200;
            body := format('{"type":"payment","op":"delete","action":%s,"table":"public.payments","key":{"id":%s},"owners":%s,"via":{"keys":[%s],"seen":"%s"},"old":%s}',
                CASE
                    WHEN (NEW.status = 'RELEASED' AND OLD.status IS DISTINCT FROM 'RELEASED') THEN '"released"'
                    ELSE '"deleted"'
                END,
                to_json(old.id),
                json_strip_nulls(json_build_object('client', owner_1, 'provider', owner_2)),
                to_json(old.booking_id::text),
                snapshot,
                row_to_json(old));
        END IF;
        event := body::json; -- what is not is found here
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        body := NULL;
    END;
    IF body IS NOT NULL THEN
        at := clock_timestamp();
        INSERT INTO pgbell.events (at, body) VALUES (at, event);
        IF pgbell.must_ring() THEN
            PERFORM pgbell.ring(lastval(), pg_current_xact_id(), at, body);
        END IF;
        RETURN NULL;
    END IF;

    IF TG_OP = 'TRUNCATE' THEN
        PERFORM pgbell.record(ARRAY[
            '{"type":"payment","op":"reset","table":"public.payments","reason":"truncate"}'
        ]);
        RETURN NULL;
    END IF;

    -- Whatever may raise an error stands in this block, so no write fails
    -- because of it. Unless the statement is large it only reads, and a
    -- subtransaction that only reads takes no transaction id.
    BEGIN
        IF TG_OP = 'INSERT' THEN
            OPEN changes FOR
                -- payment: rows that are new.
                SELECT '{' || concat_ws(',',
                           '"type":"payment","op":"insert"',
                           '"action":' || CASE
                                              WHEN (NEW.status = 'RELEASED' AND OLD.status IS DISTINCT FROM 'RELEASED') THEN '"released"'
                                              ELSE '"created"'
                                          END,
                           '"table":"public.payments"',
                           '"key":{"id":' || coalesce(to_json(new.id)::text, 'null') || '}',
                           '"owners":' || '{' || concat_ws(',', '"client":' || to_json(new_parent_1.client_id)::text,
                                                                '"provider":' || to_json(new_parent_1.provider_id)::text) || '}',
                           '"via":{' || concat_ws(',',
                               '"keys":' || to_json(array_remove(ARRAY[new.booking_id::text], NULL))::text,
                               (SELECT '"seen":"' || s.seen || '"' FROM (SELECT pg_current_snapshot()::text) AS s (seen) WHERE length(s.seen) <= 200)) || '}',
                           '"data":' || row_to_json(new_shown.*)::text) || '}'
                  FROM new_rows AS new
                       -- Actions may ask for OLD: it is NULL.
                  LEFT JOIN new_rows AS old ON false
                 CROSS JOIN LATERAL (SELECT new.id, new.booking_id, new.amount, new.status) AS new_shown
                  LEFT JOIN LATERAL (
                       SELECT true AS found, parent.client_id::text AS client_id, parent.provider_id::text AS provider_id
                         FROM public.bookings AS parent WHERE parent.id = new.booking_id
                        LIMIT 1) AS new_parent_1 ON true;
        ELSIF TG_OP = 'UPDATE' THEN
            gone_1 := nullif(current_setting('pgbell.gone_7e89118a', true), '')::jsonb;
            OPEN changes FOR
                -- payment: rows that changed. A changed key is a row that went and one that came.
                SELECT CASE WHEN old.booking_id IS NOT NULL AND old_parent_1.found IS NULL THEN NULL ELSE '{' || concat_ws(',',
                           '"type":"payment","op":"' || change.op || '"',
                           '"action":' || CASE
                                              WHEN (NEW.status = 'RELEASED' AND OLD.status IS DISTINCT FROM 'RELEASED') THEN '"released"'
                                              WHEN change.op = 'insert' THEN '"created"'
                                              WHEN change.op = 'delete' THEN '"deleted"'
                                              WHEN old.status IS DISTINCT FROM new.status THEN '"status_changed"'
                                              ELSE '"updated"'
                                          END,
                           '"table":"public.payments"',
                           '"key":{"id":' || coalesce(to_json(coalesce(new.id, old.id))::text, 'null') || '}',
                           '"owners":' || CASE change.op WHEN 'delete' THEN '{' || concat_ws(',', '"client":' || to_json(old_parent_1.client_id)::text,
                                                                                                  '"provider":' || to_json(old_parent_1.provider_id)::text) || '}'
                                                               ELSE '{' || concat_ws(',', '"client":' || to_json(new_parent_1.client_id)::text,
                                                                                          '"provider":' || to_json(new_parent_1.provider_id)::text) || '}' END,
                           CASE WHEN change.op = 'update' AND (old_parent_1.client_id IS DISTINCT FROM new_parent_1.client_id OR old_parent_1.provider_id IS DISTINCT FROM new_parent_1.provider_id) THEN '"was":' || '{' || concat_ws(',', '"client":' || to_json(old_parent_1.client_id)::text,
                                                                                                                                                                                                                                            '"provider":' || to_json(old_parent_1.provider_id)::text) || '}' END,
                           '"via":{' || concat_ws(',',
                               '"keys":' || to_json(array_remove(ARRAY[new.booking_id::text, nullif(old.booking_id::text, new.booking_id::text)], NULL))::text,
                               (SELECT '"seen":"' || s.seen || '"' FROM (SELECT pg_current_snapshot()::text) AS s (seen) WHERE length(s.seen) <= 200)) || '}',
                           CASE WHEN change.op <> 'delete' THEN '"data":' || row_to_json(new_shown.*)::text END,
                           CASE change.op
                               WHEN 'delete' THEN
                                   '"old":' || row_to_json(old_shown.*)::text
                               WHEN 'update' THEN
                                   '"old":{' || array_to_string(ARRAY[
                                                    CASE WHEN old.booking_id IS DISTINCT FROM new.booking_id THEN '"booking_id":' || coalesce(to_json(old.booking_id)::text, 'null') END,
                                                    CASE WHEN old.amount IS DISTINCT FROM new.amount THEN '"amount":' || coalesce(to_json(old.amount)::text, 'null') END,
                                                    CASE WHEN old.status IS DISTINCT FROM new.status THEN '"status":' || coalesce(to_json(old.status)::text, 'null') END
                                                ], ',') || '}'
                           END) || '}' END
                  FROM old_rows AS old
                  FULL JOIN new_rows AS new
                    ON old.id = new.id
                 CROSS JOIN LATERAL (SELECT CASE WHEN old.id IS NULL THEN 'insert'
                                                 WHEN new.id IS NULL THEN 'delete'
                                                 ELSE 'update' END) AS change(op)
                 CROSS JOIN LATERAL (SELECT new.id, new.booking_id, new.amount, new.status) AS new_shown
                 CROSS JOIN LATERAL (SELECT old.id, old.booking_id, old.amount, old.status) AS old_shown
                  LEFT JOIN LATERAL (
                       SELECT true AS found, parent.client_id::text AS client_id, parent.provider_id::text AS provider_id
                         FROM public.bookings AS parent WHERE parent.id = new.booking_id
                        LIMIT 1) AS new_parent_1 ON true
                  LEFT JOIN LATERAL (
                       SELECT true AS found, parent.client_id::text AS client_id, parent.provider_id::text AS provider_id
                         FROM public.bookings AS parent WHERE parent.id = old.booking_id
                        UNION ALL -- or it went in this statement, and left its owners
                       SELECT true, gone_1 -> old.booking_id::text ->> 'client_id', gone_1 -> old.booking_id::text ->> 'provider_id'
                        WHERE jsonb_exists(gone_1, old.booking_id::text)
                        LIMIT 1) AS old_parent_1 ON true
                 WHERE change.op <> 'update'
                    OR record_image_ne(ROW(old.id, old.booking_id, old.amount, old.status),
                                       ROW(new.id, new.booking_id, new.amount, new.status));
        ELSIF TG_OP = 'DELETE' THEN
            gone_1 := nullif(current_setting('pgbell.gone_7e89118a', true), '')::jsonb;
            OPEN changes FOR
                -- payment: rows that went.
                SELECT CASE WHEN old.booking_id IS NOT NULL AND old_parent_1.found IS NULL THEN NULL ELSE '{' || concat_ws(',',
                           '"type":"payment","op":"delete"',
                           '"action":' || CASE
                                              WHEN (NEW.status = 'RELEASED' AND OLD.status IS DISTINCT FROM 'RELEASED') THEN '"released"'
                                              ELSE '"deleted"'
                                          END,
                           '"table":"public.payments"',
                           '"key":{"id":' || coalesce(to_json(old.id)::text, 'null') || '}',
                           '"owners":' || '{' || concat_ws(',', '"client":' || to_json(old_parent_1.client_id)::text,
                                                                '"provider":' || to_json(old_parent_1.provider_id)::text) || '}',
                           '"via":{' || concat_ws(',',
                               '"keys":' || to_json(array_remove(ARRAY[old.booking_id::text], NULL))::text,
                               (SELECT '"seen":"' || s.seen || '"' FROM (SELECT pg_current_snapshot()::text) AS s (seen) WHERE length(s.seen) <= 200)) || '}',
                           '"old":' || row_to_json(old_shown.*)::text) || '}' END
                  FROM old_rows AS old
                       -- Actions may ask for NEW: it is NULL.
                  LEFT JOIN old_rows AS new ON false
                 CROSS JOIN LATERAL (SELECT old.id, old.booking_id, old.amount, old.status) AS old_shown
                  LEFT JOIN LATERAL (
                       SELECT true AS found, parent.client_id::text AS client_id, parent.provider_id::text AS provider_id
                         FROM public.bookings AS parent WHERE parent.id = old.booking_id
                        UNION ALL -- or it went in this statement, and left its owners
                       SELECT true, gone_1 -> old.booking_id::text ->> 'client_id', gone_1 -> old.booking_id::text ->> 'provider_id'
                        WHERE jsonb_exists(gone_1, old.booking_id::text)
                        LIMIT 1) AS old_parent_1 ON true;
        END IF;

        LOOP
            FETCH changes INTO body;
            EXIT WHEN NOT FOUND;
            IF body IS NULL THEN
                RAISE EXCEPTION 'the owner of a row is lost: what it refers to went before it could be read';
            END IF;
            -- Many events are written piece by piece: memory stays bounded.
            IF size > 1048576 THEN
                INSERT INTO pgbell.events (body) SELECT piece::json FROM unnest(bodies) AS piece;
                bodies := NULL;
                size   := 0;
                whole  := false;
            END IF;
            bodies := bodies || body;
            size   := size + octet_length(body);
        END LOOP;
        CLOSE changes;
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        -- What this block wrote is undone. Clients are told to fetch again.
        body   := left(concat(SQLSTATE, ': ', SQLERRM), 1000);
        bodies := ARRAY[
            concat('{"type":"payment","op":"reset","table":"public.payments","reason":"capture_failed","error":', to_json(body), '}')
        ];
        whole  := true;
    END;

    IF bodies IS NOT NULL THEN
        PERFORM pgbell.record(bodies, carry => whole);
    END IF;
    RETURN NULL;
END
$pgbell$;
COMMENT ON FUNCTION pgbell."public.payments"() IS 'pgbell: records every change of public.payments as a payment event. Definition 80be0eaea1acfcb1.';
REVOKE ALL ON FUNCTION pgbell."public.payments"() FROM PUBLIC;

-- Create trigger pgbell_insert on public.payments: it is missing.
CREATE OR REPLACE TRIGGER pgbell_insert AFTER INSERT ON public.payments
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pgbell."public.payments"();
COMMENT ON TRIGGER pgbell_insert ON public.payments IS 'pgbell: after each INSERT calls pgbell.public.payments.';

-- Create trigger pgbell_update on public.payments: it is missing.
CREATE OR REPLACE TRIGGER pgbell_update AFTER UPDATE ON public.payments
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pgbell."public.payments"();
COMMENT ON TRIGGER pgbell_update ON public.payments IS 'pgbell: after each UPDATE calls pgbell.public.payments.';

-- Create trigger pgbell_delete on public.payments: it is missing.
CREATE OR REPLACE TRIGGER pgbell_delete AFTER DELETE ON public.payments
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION pgbell."public.payments"();
COMMENT ON TRIGGER pgbell_delete ON public.payments IS 'pgbell: after each DELETE calls pgbell.public.payments.';

-- Create trigger pgbell_truncate on public.payments: it is missing.
CREATE OR REPLACE TRIGGER pgbell_truncate AFTER TRUNCATE ON public.payments
    FOR EACH STATEMENT EXECUTE FUNCTION pgbell."public.payments"();
COMMENT ON TRIGGER pgbell_truncate ON public.payments IS 'pgbell: after each TRUNCATE calls pgbell.public.payments.';

COMMIT;
