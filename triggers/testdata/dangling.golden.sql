BEGIN;
SET LOCAL lock_timeout = '2s'; -- rather fail than make writers wait
SET LOCAL standard_conforming_strings = on;

-- Warning: public.payments has no index that begins with "booking_id": a change of owner in public.bookings scans the whole table

-- Create function pgbell.public.bookings: it is missing.
CREATE OR REPLACE FUNCTION pgbell."public.bookings"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = 'off'
SET lc_monetary = 'C'
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
            SELECT id, client_id INTO old FROM old_rows;
            IF NOT FOUND THEN
                RETURN NULL;
            END IF;
            SELECT id, client_id INTO STRICT new FROM new_rows;
            IF NOT (old.id IS DISTINCT FROM new.id OR old.client_id IS DISTINCT FROM new.client_id) THEN
                RETURN NULL; -- as nearly always
            END IF;
        END IF;
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        body := NULL;
    END;

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
        seen := pg_current_snapshot();
        IF TG_OP = 'INSERT' THEN
            moves := (SELECT jsonb_agg(m.move) FROM (
                SELECT jsonb_build_object(
                           'keys', CASE WHEN count(DISTINCT after.id::text) <= 1000 THEN jsonb_agg(DISTINCT after.id::text) END,
                           'reset', '{"type":"payment","op":"reset","table":"public.payments","reason":"owner_race"}'::jsonb ||
                                    CASE WHEN count(DISTINCT owner.id) <= 1000 THEN jsonb_build_object('users', jsonb_agg(DISTINCT owner.id)) ELSE '{}' END)
                  FROM new_rows AS after
                  LEFT JOIN new_rows AS before ON false
                 CROSS JOIN LATERAL (VALUES (before.client_id::text), (after.client_id::text)) AS owner (id)
                 WHERE record_image_ne(ROW(before.client_id),
                                       ROW(after.client_id)) AND owner.id IS NOT NULL
                HAVING count(*) > 0) AS m (move));
            OPEN changes FOR
                -- payment: rows whose public.bookings came, found by booking_id.
                SELECT '{' || concat_ws(',',
                           '"type":"payment","op":"update"',
                           '"action":' || '"updated"',
                           '"table":"public.payments"',
                           '"key":{"id":' || coalesce(to_json(new.id)::text, 'null') || '}',
                           '"owners":' || owner.now,
                           CASE WHEN owner.was <> owner.now THEN '"was":' || owner.was END,
                           '"via":{' || concat_ws(',',
                               '"keys":' || to_json(array_remove(ARRAY[new.booking_id::text], NULL))::text,
                               (SELECT '"seen":"' || s.seen || '"' FROM (SELECT pg_current_snapshot()::text) AS s (seen) WHERE length(s.seen) <= 200)) || '}',
                           '"data":' || row_to_json(new_shown.*)::text,
                           '"old":{}') || '}'
                  FROM new_rows AS after
                  LEFT JOIN new_rows AS before ON false
                       -- OFFSET 0: found by index, also by a plan that was made for many.
                 CROSS JOIN LATERAL (SELECT * FROM public.payments AS child WHERE child.booking_id = after.id OFFSET 0) AS new
                 CROSS JOIN LATERAL (SELECT new.*) AS old
                 CROSS JOIN LATERAL (SELECT new.id, new.booking_id, new.amount) AS new_shown
                 CROSS JOIN LATERAL (SELECT '{' || concat_ws(',', '"client":' || to_json(after.client_id::text)::text) || '}',
                                            '{' || concat_ws(',', '"client":' || to_json(before.client_id::text)::text) || '}'
                                      OFFSET 0) AS owner(now, was)
                 WHERE record_image_ne(ROW(before.client_id),
                                       ROW(after.client_id));
        ELSIF TG_OP = 'UPDATE' THEN
            moves := (SELECT jsonb_agg(m.move) FROM (
                SELECT jsonb_build_object(
                           'keys', CASE WHEN count(DISTINCT coalesce(after.id, before.id)::text) <= 1000 THEN jsonb_agg(DISTINCT coalesce(after.id, before.id)::text) END,
                           'reset', '{"type":"payment","op":"reset","table":"public.payments","reason":"owner_race"}'::jsonb ||
                                    CASE WHEN count(DISTINCT owner.id) <= 1000 THEN jsonb_build_object('users', jsonb_agg(DISTINCT owner.id)) ELSE '{}' END)
                  FROM old_rows AS before
                  FULL JOIN new_rows AS after
                    ON before.id = after.id
                 CROSS JOIN LATERAL (VALUES (before.client_id::text), (after.client_id::text)) AS owner (id)
                 WHERE record_image_ne(ROW(before.client_id),
                                       ROW(after.client_id)) AND owner.id IS NOT NULL
                HAVING count(*) > 0) AS m (move));
            OPEN changes FOR
                -- payment: rows whose public.bookings changed hands, found by booking_id.
                SELECT '{' || concat_ws(',',
                           '"type":"payment","op":"update"',
                           '"action":' || '"updated"',
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
                  FULL JOIN new_rows AS after
                    ON before.id = after.id
                       -- OFFSET 0: found by index, also by a plan that was made for many.
                 CROSS JOIN LATERAL (SELECT * FROM public.payments AS child WHERE child.booking_id = coalesce(after.id, before.id) OFFSET 0) AS new
                 CROSS JOIN LATERAL (SELECT new.*) AS old
                 CROSS JOIN LATERAL (SELECT new.id, new.booking_id, new.amount) AS new_shown
                 CROSS JOIN LATERAL (SELECT '{' || concat_ws(',', '"client":' || to_json(after.client_id::text)::text) || '}',
                                            '{' || concat_ws(',', '"client":' || to_json(before.client_id::text)::text) || '}'
                                      OFFSET 0) AS owner(now, was)
                 WHERE record_image_ne(ROW(before.client_id),
                                       ROW(after.client_id));
        ELSIF TG_OP = 'DELETE' THEN
            moves := (SELECT jsonb_agg(m.move) FROM (
                SELECT jsonb_build_object(
                           'keys', CASE WHEN count(DISTINCT before.id::text) <= 1000 THEN jsonb_agg(DISTINCT before.id::text) END,
                           'reset', '{"type":"payment","op":"reset","table":"public.payments","reason":"owner_race"}'::jsonb ||
                                    CASE WHEN count(DISTINCT owner.id) <= 1000 THEN jsonb_build_object('users', jsonb_agg(DISTINCT owner.id)) ELSE '{}' END)
                  FROM old_rows AS before
                  LEFT JOIN old_rows AS after ON false
                 CROSS JOIN LATERAL (VALUES (before.client_id::text), (after.client_id::text)) AS owner (id)
                 WHERE record_image_ne(ROW(before.client_id),
                                       ROW(after.client_id)) AND owner.id IS NOT NULL
                HAVING count(*) > 0) AS m (move));
            OPEN changes FOR
                -- payment: rows whose public.bookings went, found by booking_id.
                SELECT '{' || concat_ws(',',
                           '"type":"payment","op":"update"',
                           '"action":' || '"updated"',
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
                  LEFT JOIN old_rows AS after ON false
                       -- OFFSET 0: found by index, also by a plan that was made for many.
                 CROSS JOIN LATERAL (SELECT * FROM public.payments AS child WHERE child.booking_id = before.id OFFSET 0) AS new
                 CROSS JOIN LATERAL (SELECT new.*) AS old
                 CROSS JOIN LATERAL (SELECT new.id, new.booking_id, new.amount) AS new_shown
                 CROSS JOIN LATERAL (SELECT '{' || concat_ws(',', '"client":' || to_json(after.client_id::text)::text) || '}',
                                            '{' || concat_ws(',', '"client":' || to_json(before.client_id::text)::text) || '}'
                                      OFFSET 0) AS owner(now, was)
                 WHERE record_image_ne(ROW(before.client_id),
                                       ROW(after.client_id));
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
COMMENT ON FUNCTION pgbell."public.bookings"() IS 'pgbell: records what a change of public.bookings means for the owners of other tables'' rows. Definition d195869219fb81ca.';
REVOKE ALL ON FUNCTION pgbell."public.bookings"() FROM PUBLIC;

-- Create trigger pgbell_insert on public.bookings: it is missing.
CREATE OR REPLACE TRIGGER pgbell_insert AFTER INSERT ON public.bookings
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pgbell."public.bookings"();
COMMENT ON TRIGGER pgbell_insert ON public.bookings IS 'pgbell: after each INSERT calls pgbell.public.bookings.';

-- Create trigger pgbell_update on public.bookings: it is missing.
CREATE OR REPLACE TRIGGER pgbell_update AFTER UPDATE ON public.bookings
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pgbell."public.bookings"();
COMMENT ON TRIGGER pgbell_update ON public.bookings IS 'pgbell: after each UPDATE calls pgbell.public.bookings.';

-- Create trigger pgbell_delete on public.bookings: it is missing.
CREATE OR REPLACE TRIGGER pgbell_delete AFTER DELETE ON public.bookings
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION pgbell."public.bookings"();
COMMENT ON TRIGGER pgbell_delete ON public.bookings IS 'pgbell: after each DELETE calls pgbell.public.bookings.';

-- Create trigger pgbell_truncate on public.bookings: it is missing.
CREATE OR REPLACE TRIGGER pgbell_truncate AFTER TRUNCATE ON public.bookings
    FOR EACH STATEMENT EXECUTE FUNCTION pgbell."public.bookings"();
COMMENT ON TRIGGER pgbell_truncate ON public.bookings IS 'pgbell: after each TRUNCATE calls pgbell.public.bookings.';

-- Create function pgbell.public.payments: it is missing.
CREATE OR REPLACE FUNCTION pgbell."public.payments"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = 'off'
SET lc_monetary = 'C'
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
    snapshot text;             -- what was visible when they were looked up
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
            SELECT id, booking_id, amount INTO old FROM old_rows;
            IF NOT FOUND THEN
                RETURN NULL;
            END IF;
            SELECT id, booking_id, amount INTO STRICT new FROM new_rows;
            EXIT one WHEN old.id IS DISTINCT FROM new.id OR old.booking_id IS DISTINCT FROM new.booking_id;
            IF record_image_ne(ROW(old.amount), ROW(new.amount)) THEN
                changed := concat(changed, ',"amount":', coalesce(to_json(old.amount), 'null'));
            END IF;
            IF changed IS NULL THEN
                RETURN NULL; -- nothing that anybody sees
            END IF;
            SELECT parent.client_id::text, pg_current_snapshot()::text
              INTO owner_1, snapshot
              FROM public.bookings AS parent WHERE parent.id = new.booking_id;
            EXIT one WHEN NOT FOUND OR length(snapshot) > 200;
            body := format('{"type":"payment","op":"update","action":%s,"table":"public.payments","key":{"id":%s},"owners":%s,"via":{"keys":[%s],"seen":"%s"},"data":%s,"old":{%s}}',
                '"updated"',
                to_json(new.id),
                json_strip_nulls(json_build_object('client', owner_1)),
                to_json(new.booking_id::text),
                snapshot,
                row_to_json(new),
                substr(changed, 2));
        ELSIF TG_OP = 'INSERT' THEN
            SELECT id, booking_id, amount INTO STRICT new FROM new_rows;
            SELECT parent.client_id::text, pg_current_snapshot()::text
              INTO owner_1, snapshot
              FROM public.bookings AS parent WHERE parent.id = new.booking_id;
            EXIT one WHEN NOT FOUND OR length(snapshot) > 200;
            body := format('{"type":"payment","op":"insert","action":%s,"table":"public.payments","key":{"id":%s},"owners":%s,"via":{"keys":[%s],"seen":"%s"},"data":%s}',
                '"created"',
                to_json(new.id),
                json_strip_nulls(json_build_object('client', owner_1)),
                to_json(new.booking_id::text),
                snapshot,
                row_to_json(new));
        ELSIF TG_OP = 'DELETE' THEN
            SELECT id, booking_id, amount INTO STRICT old FROM old_rows;
            SELECT parent.client_id::text, pg_current_snapshot()::text
              INTO owner_1, snapshot
              FROM public.bookings AS parent WHERE parent.id = old.booking_id;
            EXIT one WHEN NOT FOUND OR length(snapshot) > 200;
            body := format('{"type":"payment","op":"delete","action":%s,"table":"public.payments","key":{"id":%s},"owners":%s,"via":{"keys":[%s],"seen":"%s"},"old":%s}',
                '"deleted"',
                to_json(old.id),
                json_strip_nulls(json_build_object('client', owner_1)),
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
                           '"action":' || '"created"',
                           '"table":"public.payments"',
                           '"key":{"id":' || coalesce(to_json(new.id)::text, 'null') || '}',
                           '"owners":' || '{' || concat_ws(',', '"client":' || to_json(new_parent_1.client_id)::text) || '}',
                           '"via":{' || concat_ws(',',
                               '"keys":' || to_json(array_remove(ARRAY[new.booking_id::text], NULL))::text,
                               (SELECT '"seen":"' || s.seen || '"' FROM (SELECT pg_current_snapshot()::text) AS s (seen) WHERE length(s.seen) <= 200)) || '}',
                           '"data":' || row_to_json(new_shown.*)::text) || '}'
                  FROM new_rows AS new
                 CROSS JOIN LATERAL (SELECT new.id, new.booking_id, new.amount) AS new_shown
                  LEFT JOIN LATERAL (
                       SELECT true AS found, parent.client_id::text AS client_id
                         FROM public.bookings AS parent WHERE parent.id = new.booking_id
                        LIMIT 1) AS new_parent_1 ON true;
        ELSIF TG_OP = 'UPDATE' THEN
            OPEN changes FOR
                -- payment: rows that changed. A changed key is a row that went and one that came.
                SELECT '{' || concat_ws(',',
                           '"type":"payment","op":"' || change.op || '"',
                           '"action":' || CASE
                                              WHEN change.op = 'insert' THEN '"created"'
                                              WHEN change.op = 'delete' THEN '"deleted"'
                                              ELSE '"updated"'
                                          END,
                           '"table":"public.payments"',
                           '"key":{"id":' || coalesce(to_json(coalesce(new.id, old.id))::text, 'null') || '}',
                           '"owners":' || CASE change.op WHEN 'delete' THEN '{' || concat_ws(',', '"client":' || to_json(old_parent_1.client_id)::text) || '}'
                                                               ELSE '{' || concat_ws(',', '"client":' || to_json(new_parent_1.client_id)::text) || '}' END,
                           CASE WHEN change.op = 'update' AND (old_parent_1.client_id IS DISTINCT FROM new_parent_1.client_id) THEN '"was":' || '{' || concat_ws(',', '"client":' || to_json(old_parent_1.client_id)::text) || '}' END,
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
                                                    CASE WHEN record_image_ne(ROW(old.amount), ROW(new.amount)) THEN '"amount":' || coalesce(to_json(old.amount)::text, 'null') END
                                                ], ',') || '}'
                           END) || '}'
                  FROM old_rows AS old
                  FULL JOIN new_rows AS new
                    ON old.id = new.id
                 CROSS JOIN LATERAL (SELECT CASE WHEN old.id IS NULL THEN 'insert'
                                                 WHEN new.id IS NULL THEN 'delete'
                                                 ELSE 'update' END) AS change(op)
                 CROSS JOIN LATERAL (SELECT new.id, new.booking_id, new.amount) AS new_shown
                 CROSS JOIN LATERAL (SELECT old.id, old.booking_id, old.amount) AS old_shown
                  LEFT JOIN LATERAL (
                       SELECT true AS found, parent.client_id::text AS client_id
                         FROM public.bookings AS parent WHERE parent.id = new.booking_id
                        LIMIT 1) AS new_parent_1 ON true
                  LEFT JOIN LATERAL (
                       SELECT true AS found, parent.client_id::text AS client_id
                         FROM public.bookings AS parent WHERE parent.id = old.booking_id
                        LIMIT 1) AS old_parent_1 ON true
                 WHERE change.op <> 'update'
                    OR record_image_ne(ROW(old.id, old.booking_id, old.amount),
                                       ROW(new.id, new.booking_id, new.amount));
        ELSIF TG_OP = 'DELETE' THEN
            OPEN changes FOR
                -- payment: rows that went.
                SELECT '{' || concat_ws(',',
                           '"type":"payment","op":"delete"',
                           '"action":' || '"deleted"',
                           '"table":"public.payments"',
                           '"key":{"id":' || coalesce(to_json(old.id)::text, 'null') || '}',
                           '"owners":' || '{' || concat_ws(',', '"client":' || to_json(old_parent_1.client_id)::text) || '}',
                           '"via":{' || concat_ws(',',
                               '"keys":' || to_json(array_remove(ARRAY[old.booking_id::text], NULL))::text,
                               (SELECT '"seen":"' || s.seen || '"' FROM (SELECT pg_current_snapshot()::text) AS s (seen) WHERE length(s.seen) <= 200)) || '}',
                           '"old":' || row_to_json(old_shown.*)::text) || '}'
                  FROM old_rows AS old
                 CROSS JOIN LATERAL (SELECT old.id, old.booking_id, old.amount) AS old_shown
                  LEFT JOIN LATERAL (
                       SELECT true AS found, parent.client_id::text AS client_id
                         FROM public.bookings AS parent WHERE parent.id = old.booking_id
                        LIMIT 1) AS old_parent_1 ON true;
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
    END;

    IF bodies IS NOT NULL THEN
        PERFORM pgbell.record(bodies, carry => whole);
    END IF;
    RETURN NULL;
END
$pgbell$;
COMMENT ON FUNCTION pgbell."public.payments"() IS 'pgbell: records every change of public.payments as a payment event. Definition 69a3e17624f63f3b.';
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
