BEGIN;
SET LOCAL lock_timeout = '2s'; -- rather fail than make writers wait
SET LOCAL standard_conforming_strings = on;

-- Create function pgbell.public.bookings: it is missing.
CREATE OR REPLACE FUNCTION pgbell."public.bookings"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = 'off'
SET TimeZone = 'UTC'
AS $pgbell$
#variable_conflict use_column
-- Records every change of public.bookings as a booking event.
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
    changed_1 text;             -- those that provider alone sees
    shown   record;           -- of the row, the columns that every audience sees
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
            SELECT id, client_id, provider_id, status, price, starts_at, provider_note INTO old FROM old_rows;
            IF NOT FOUND THEN
                RETURN NULL;
            END IF;
            SELECT id, client_id, provider_id, status, price, starts_at, provider_note INTO STRICT new FROM new_rows;
            EXIT one WHEN old.id IS DISTINCT FROM new.id OR old.client_id IS DISTINCT FROM new.client_id OR old.provider_id IS DISTINCT FROM new.provider_id;
            IF old.status IS DISTINCT FROM new.status THEN
                changed := concat(changed, ',"status":', to_json(old.status));
            END IF;
            IF old.price IS DISTINCT FROM new.price THEN
                changed := concat(changed, ',"price":', coalesce(to_json(old.price), 'null'));
            END IF;
            IF old.starts_at IS DISTINCT FROM new.starts_at THEN
                changed := concat(changed, ',"starts_at":', coalesce(to_json(old.starts_at), 'null'));
            END IF;
            IF old.provider_note IS DISTINCT FROM new.provider_note THEN
                changed_1 := concat(changed_1, ',"provider_note":', coalesce(to_json(old.provider_note), 'null'));
            END IF;
            IF changed IS NULL AND changed_1 IS NULL THEN
                RETURN NULL; -- nothing that anybody sees
            END IF;
            SELECT id, client_id, provider_id, status, price, starts_at INTO shown FROM new_rows;
            body := format('{"type":"booking","op":"update","action":%s,"table":"public.bookings","key":{"id":%s},"owners":%s,"watchers":["ADMIN"],"data":%s,"old":{%s},"only":{"provider":{"data":{"provider_note":%s},"old":{%s}}}}',
                CASE
                    WHEN (OLD.status = 'PENDING' AND NEW.status = 'CONFIRMED') THEN '"accepted"'
                    WHEN old.status IS DISTINCT FROM new.status THEN '"status_changed"'
                    ELSE '"updated"'
                END,
                to_json(new.id),
                json_strip_nulls(json_build_object('client', new.client_id::text, 'provider', new.provider_id::text)),
                row_to_json(shown),
                substr(changed, 2),
                coalesce(to_json(new.provider_note), 'null'),
                substr(changed_1, 2));
        ELSIF TG_OP = 'INSERT' THEN
            SELECT id, client_id, provider_id, status, price, starts_at, provider_note INTO STRICT new FROM new_rows;
            -- Actions may ask for OLD: it is NULL.
            SELECT id, client_id, provider_id, status, price, starts_at, provider_note INTO old FROM new_rows LIMIT 0;
            SELECT id, client_id, provider_id, status, price, starts_at INTO shown FROM new_rows;
            body := format('{"type":"booking","op":"insert","action":%s,"table":"public.bookings","key":{"id":%s},"owners":%s,"watchers":["ADMIN"],"data":%s,"only":{"provider":{"data":{"provider_note":%s}}}}',
                CASE
                    WHEN (OLD.status = 'PENDING' AND NEW.status = 'CONFIRMED') THEN '"accepted"'
                    ELSE '"created"'
                END,
                to_json(new.id),
                json_strip_nulls(json_build_object('client', new.client_id::text, 'provider', new.provider_id::text)),
                row_to_json(shown),
                coalesce(to_json(new.provider_note), 'null'));
        ELSIF TG_OP = 'DELETE' THEN
            SELECT id, client_id, provider_id, status, price, starts_at, provider_note INTO STRICT old FROM old_rows;
            -- Actions may ask for NEW: it is NULL.
            SELECT id, client_id, provider_id, status, price, starts_at, provider_note INTO new FROM old_rows LIMIT 0;
            SELECT id, client_id, provider_id, status, price, starts_at INTO shown FROM old_rows;
            body := format('{"type":"booking","op":"delete","action":%s,"table":"public.bookings","key":{"id":%s},"owners":%s,"watchers":["ADMIN"],"old":%s,"only":{"provider":{"old":{"provider_note":%s}}}}',
                CASE
                    WHEN (OLD.status = 'PENDING' AND NEW.status = 'CONFIRMED') THEN '"accepted"'
                    ELSE '"deleted"'
                END,
                to_json(old.id),
                json_strip_nulls(json_build_object('client', old.client_id::text, 'provider', old.provider_id::text)),
                row_to_json(shown),
                coalesce(to_json(old.provider_note), 'null'));
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
            '{"type":"booking","op":"reset","table":"public.bookings","reason":"truncate"}'
        ]);
        RETURN NULL;
    END IF;

    -- Whatever may raise an error stands in this block, so no write fails
    -- because of it. Unless the statement is large it only reads, and a
    -- subtransaction that only reads takes no transaction id.
    BEGIN
        IF TG_OP = 'INSERT' THEN
            OPEN changes FOR
                -- booking: rows that are new.
                SELECT '{' || concat_ws(',',
                           '"type":"booking","op":"insert"',
                           '"action":' || CASE
                                              WHEN (OLD.status = 'PENDING' AND NEW.status = 'CONFIRMED') THEN '"accepted"'
                                              ELSE '"created"'
                                          END,
                           '"table":"public.bookings"',
                           '"key":{"id":' || coalesce(to_json(new.id)::text, 'null') || '}',
                           '"owners":' || '{' || concat_ws(',', '"client":' || to_json(new.client_id::text)::text,
                                                                '"provider":' || to_json(new.provider_id::text)::text) || '}',
                           '"watchers":["ADMIN"]',
                           '"data":' || row_to_json(new_shown.*)::text,
                           '"only":{' || concat_ws(',',
                               '"provider":{' || concat_ws(',',
                                   '"data":' || row_to_json(new_only_1.*)::text) || '}') || '}') || '}'
                  FROM new_rows AS new
                       -- Actions may ask for OLD: it is NULL.
                  LEFT JOIN new_rows AS old ON false
                 CROSS JOIN LATERAL (SELECT new.id, new.client_id, new.provider_id, new.status, new.price, new.starts_at) AS new_shown
                 CROSS JOIN LATERAL (SELECT new.provider_note) AS new_only_1;
        ELSIF TG_OP = 'UPDATE' THEN
            OPEN changes FOR
                -- booking: rows that changed. A changed key is a row that went and one that came.
                SELECT '{' || concat_ws(',',
                           '"type":"booking","op":"' || change.op || '"',
                           '"action":' || CASE
                                              WHEN (OLD.status = 'PENDING' AND NEW.status = 'CONFIRMED') THEN '"accepted"'
                                              WHEN change.op = 'insert' THEN '"created"'
                                              WHEN change.op = 'delete' THEN '"deleted"'
                                              WHEN old.status IS DISTINCT FROM new.status THEN '"status_changed"'
                                              ELSE '"updated"'
                                          END,
                           '"table":"public.bookings"',
                           '"key":{"id":' || coalesce(to_json(coalesce(new.id, old.id))::text, 'null') || '}',
                           '"owners":' || CASE change.op WHEN 'delete' THEN '{' || concat_ws(',', '"client":' || to_json(old.client_id::text)::text,
                                                                                                  '"provider":' || to_json(old.provider_id::text)::text) || '}'
                                                               ELSE '{' || concat_ws(',', '"client":' || to_json(new.client_id::text)::text,
                                                                                          '"provider":' || to_json(new.provider_id::text)::text) || '}' END,
                           CASE WHEN change.op = 'update' AND (old.client_id IS DISTINCT FROM new.client_id OR old.provider_id IS DISTINCT FROM new.provider_id) THEN '"was":' || '{' || concat_ws(',', '"client":' || to_json(old.client_id::text)::text,
                                                                                                                                                                                                        '"provider":' || to_json(old.provider_id::text)::text) || '}' END,
                           '"watchers":["ADMIN"]',
                           CASE WHEN change.op <> 'delete' THEN '"data":' || row_to_json(new_shown.*)::text END,
                           CASE change.op
                               WHEN 'delete' THEN
                                   '"old":' || row_to_json(old_shown.*)::text
                               WHEN 'update' THEN
                                   '"old":{' || array_to_string(ARRAY[
                                                    CASE WHEN old.client_id IS DISTINCT FROM new.client_id THEN '"client_id":' || coalesce(to_json(old.client_id)::text, 'null') END,
                                                    CASE WHEN old.provider_id IS DISTINCT FROM new.provider_id THEN '"provider_id":' || coalesce(to_json(old.provider_id)::text, 'null') END,
                                                    CASE WHEN old.status IS DISTINCT FROM new.status THEN '"status":' || coalesce(to_json(old.status)::text, 'null') END,
                                                    CASE WHEN old.price IS DISTINCT FROM new.price THEN '"price":' || coalesce(to_json(old.price)::text, 'null') END,
                                                    CASE WHEN old.starts_at IS DISTINCT FROM new.starts_at THEN '"starts_at":' || coalesce(to_json(old.starts_at)::text, 'null') END
                                                ], ',') || '}'
                           END,
                           '"only":{' || concat_ws(',',
                               '"provider":{' || concat_ws(',',
                                   CASE WHEN change.op <> 'delete' THEN '"data":' || row_to_json(new_only_1.*)::text END,
                                   CASE change.op
                                       WHEN 'delete' THEN
                                           '"old":' || row_to_json(old_only_1.*)::text
                                       WHEN 'update' THEN
                                           '"old":{' || array_to_string(ARRAY[
                                                            CASE WHEN old.provider_note IS DISTINCT FROM new.provider_note THEN '"provider_note":' || coalesce(to_json(old.provider_note)::text, 'null') END
                                                        ], ',') || '}'
                                   END) || '}') || '}') || '}'
                  FROM old_rows AS old
                  FULL JOIN new_rows AS new
                    ON old.id = new.id
                 CROSS JOIN LATERAL (SELECT CASE WHEN old.id IS NULL THEN 'insert'
                                                 WHEN new.id IS NULL THEN 'delete'
                                                 ELSE 'update' END) AS change(op)
                 CROSS JOIN LATERAL (SELECT new.id, new.client_id, new.provider_id, new.status, new.price, new.starts_at) AS new_shown
                 CROSS JOIN LATERAL (SELECT old.id, old.client_id, old.provider_id, old.status, old.price, old.starts_at) AS old_shown
                 CROSS JOIN LATERAL (SELECT new.provider_note) AS new_only_1
                 CROSS JOIN LATERAL (SELECT old.provider_note) AS old_only_1
                 WHERE change.op <> 'update'
                    OR record_image_ne(ROW(old.id, old.client_id, old.provider_id, old.status, old.price, old.starts_at, old.provider_note),
                                       ROW(new.id, new.client_id, new.provider_id, new.status, new.price, new.starts_at, new.provider_note));
        ELSIF TG_OP = 'DELETE' THEN
            OPEN changes FOR
                -- booking: rows that went.
                SELECT '{' || concat_ws(',',
                           '"type":"booking","op":"delete"',
                           '"action":' || CASE
                                              WHEN (OLD.status = 'PENDING' AND NEW.status = 'CONFIRMED') THEN '"accepted"'
                                              ELSE '"deleted"'
                                          END,
                           '"table":"public.bookings"',
                           '"key":{"id":' || coalesce(to_json(old.id)::text, 'null') || '}',
                           '"owners":' || '{' || concat_ws(',', '"client":' || to_json(old.client_id::text)::text,
                                                                '"provider":' || to_json(old.provider_id::text)::text) || '}',
                           '"watchers":["ADMIN"]',
                           '"old":' || row_to_json(old_shown.*)::text,
                           '"only":{' || concat_ws(',',
                               '"provider":{' || concat_ws(',',
                                   '"old":' || row_to_json(old_only_1.*)::text) || '}') || '}') || '}'
                  FROM old_rows AS old
                       -- Actions may ask for NEW: it is NULL.
                  LEFT JOIN old_rows AS new ON false
                 CROSS JOIN LATERAL (SELECT old.id, old.client_id, old.provider_id, old.status, old.price, old.starts_at) AS old_shown
                 CROSS JOIN LATERAL (SELECT old.provider_note) AS old_only_1;
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
            concat('{"type":"booking","op":"reset","table":"public.bookings","reason":"capture_failed","error":', to_json(body), '}')
        ];
        whole  := true;
    END;

    IF bodies IS NOT NULL THEN
        PERFORM pgbell.record(bodies, carry => whole);
    END IF;
    RETURN NULL;
END
$pgbell$;
COMMENT ON FUNCTION pgbell."public.bookings"() IS 'pgbell: records every change of public.bookings as a booking event. Definition 0c2f57c677bf010a.';
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

COMMIT;
