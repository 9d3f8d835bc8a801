BEGIN;
SET LOCAL lock_timeout = '2s'; -- rather fail than make writers wait
SET LOCAL standard_conforming_strings = on;

-- Create function pgbell.public.bookings: it is missing.
CREATE OR REPLACE FUNCTION pgbell."public.bookings"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = 'off'
SET standard_conforming_strings = 'on'
SET DateStyle = 'ISO, YMD'
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
    note    text;             -- the notifications of one event
    notes   text[];           -- those not yet made
    seen    pg_snapshot;      -- what is committed then is found below
    moves   jsonb;            -- for those who write rows unseen while these move
    event   json;             -- the body of the only one
    at      timestamptz;      -- when it was written
    changed text;             -- what the columns that changed held before
    changed_1 text;             -- those that provider alone sees
    action  text;             -- what happened, as JSON
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
            action := CASE
                          WHEN (OLD.status = 'PENDING' AND NEW.status = 'CONFIRMED') THEN '"accepted"'
                          WHEN old.status IS DISTINCT FROM new.status THEN '"status_changed"'
                          ELSE '"updated"'
                      END;
            body := format('{"type":"booking","op":"update","action":%s,"table":"public.bookings","key":{"id":%s},"owners":%s,"watchers":["ADMIN"],"data":%s,"old":{%s},"only":{"provider":{"data":{"provider_note":%s},"old":{%s}}}}',
                action,
                to_json(new.id),
                json_strip_nulls(json_build_object('client', new.client_id::text, 'provider', new.provider_id::text)),
                row_to_json(shown),
                substr(changed, 2),
                coalesce(to_json(new.provider_note), 'null'),
                substr(changed_1, 2));
            IF action = '"accepted"' AND new.client_id::text IS NOT NULL THEN
                notes := notes || concat('{"user_id":', to_json(new.client_id::text),
                                         ',"type":"booking.accepted","audience":"client","level":"success","title":"Your booking has been accepted!","message":',
                                         to_json(left('Booking ' || coalesce(new.id::text, '') || ' is confirmed.', 4000)),
                                         ',"data":{"type":"booking","key":{"id":', coalesce(to_json(new.id), 'null'), '}}}');
            END IF;
            IF action = '"accepted"' AND new.provider_id::text IS NOT NULL THEN
                notes := notes || concat('{"user_id":', to_json(new.provider_id::text),
                                         ',"type":"booking.accepted","audience":"provider","level":"info","title":',
                                         to_json(left(coalesce(new.price::text, ''), 500)), ',"message":"","data":{"type":"booking","key":{"id":',
                                         coalesce(to_json(new.id), 'null'), '}}}');
            END IF;
        ELSIF TG_OP = 'INSERT' THEN
            SELECT id, client_id, provider_id, status, price, starts_at, provider_note INTO STRICT new FROM new_rows;
            -- Actions may ask for OLD: it is NULL.
            SELECT id, client_id, provider_id, status, price, starts_at, provider_note INTO old FROM new_rows LIMIT 0;
            SELECT id, client_id, provider_id, status, price, starts_at INTO shown FROM new_rows;
            action := CASE
                          WHEN (OLD.status = 'PENDING' AND NEW.status = 'CONFIRMED') THEN '"accepted"'
                          ELSE '"created"'
                      END;
            body := format('{"type":"booking","op":"insert","action":%s,"table":"public.bookings","key":{"id":%s},"owners":%s,"watchers":["ADMIN"],"data":%s,"only":{"provider":{"data":{"provider_note":%s}}}}',
                action,
                to_json(new.id),
                json_strip_nulls(json_build_object('client', new.client_id::text, 'provider', new.provider_id::text)),
                row_to_json(shown),
                coalesce(to_json(new.provider_note), 'null'));
            IF action = '"created"' AND new.provider_id::text IS NOT NULL THEN
                notes := notes || concat('{"user_id":', to_json(new.provider_id::text),
                                         ',"type":"booking.created","audience":"provider","level":"info","title":"A new request","message":',
                                         to_json(left('Booking ' || coalesce(new.id::text, '') || ' on ' || coalesce(new.starts_at::text, '') || '. ' || coalesce(new.provider_note::text, ''), 4000)),
                                         ',"data":{"type":"booking","key":{"id":', coalesce(to_json(new.id), 'null'), '}}}');
            END IF;
            IF action = '"accepted"' AND new.client_id::text IS NOT NULL THEN
                notes := notes || concat('{"user_id":', to_json(new.client_id::text),
                                         ',"type":"booking.accepted","audience":"client","level":"success","title":"Your booking has been accepted!","message":',
                                         to_json(left('Booking ' || coalesce(new.id::text, '') || ' is confirmed.', 4000)),
                                         ',"data":{"type":"booking","key":{"id":', coalesce(to_json(new.id), 'null'), '}}}');
            END IF;
            IF action = '"accepted"' AND new.provider_id::text IS NOT NULL THEN
                notes := notes || concat('{"user_id":', to_json(new.provider_id::text),
                                         ',"type":"booking.accepted","audience":"provider","level":"info","title":',
                                         to_json(left(coalesce(new.price::text, ''), 500)), ',"message":"","data":{"type":"booking","key":{"id":',
                                         coalesce(to_json(new.id), 'null'), '}}}');
            END IF;
        END IF;
        event := body::json; -- what is not is found here
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        body := NULL;
        notes := NULL;
    END;
    IF body IS NOT NULL THEN
        at := clock_timestamp();
        INSERT INTO pgbell.events (at, body) VALUES (at, event);
        IF pgbell.must_ring() THEN
            PERFORM pgbell.ring(lastval(), pg_current_xact_id(), at, body);
        END IF;
        IF notes IS NOT NULL THEN
            PERFORM pgbell.record_notifications(notes);
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
        seen := pg_current_snapshot();
        IF TG_OP = 'INSERT' THEN
            OPEN changes FOR
                -- booking: rows that are new.
                SELECT '{' || concat_ws(',',
                           '"type":"booking","op":"insert"',
                           '"action":' || what.action,
                           '"table":"public.bookings"',
                           '"key":{"id":' || coalesce(to_json(new.id)::text, 'null') || '}',
                           '"owners":' || '{' || concat_ws(',', '"client":' || to_json(new.client_id::text)::text,
                                                                '"provider":' || to_json(new.provider_id::text)::text) || '}',
                           '"watchers":["ADMIN"]',
                           '"data":' || row_to_json(new_shown.*)::text,
                           '"only":{' || concat_ws(',',
                               '"provider":{' || concat_ws(',',
                                   '"data":' || row_to_json(new_only_1.*)::text) || '}') || '}') || '}',
                       CASE what.action
                           WHEN '"created"' THEN
                               nullif(concat_ws(',',
                                   CASE WHEN new.provider_id::text IS NOT NULL THEN
                                       concat('{"user_id":', to_json(new.provider_id::text),
                                              ',"type":"booking.created","audience":"provider","level":"info","title":"A new request","message":',
                                              to_json(left('Booking ' || coalesce(new.id::text, '') || ' on ' || coalesce(new.starts_at::text, '') || '. ' || coalesce(new.provider_note::text, ''), 4000)),
                                              ',"data":{"type":"booking","key":{"id":', coalesce(to_json(new.id), 'null'), '}}}') END), '')
                           WHEN '"accepted"' THEN
                               nullif(concat_ws(',',
                                   CASE WHEN new.client_id::text IS NOT NULL THEN
                                       concat('{"user_id":', to_json(new.client_id::text),
                                              ',"type":"booking.accepted","audience":"client","level":"success","title":"Your booking has been accepted!","message":',
                                              to_json(left('Booking ' || coalesce(new.id::text, '') || ' is confirmed.', 4000)),
                                              ',"data":{"type":"booking","key":{"id":', coalesce(to_json(new.id), 'null'), '}}}') END,
                                   CASE WHEN new.provider_id::text IS NOT NULL THEN
                                       concat('{"user_id":', to_json(new.provider_id::text),
                                              ',"type":"booking.accepted","audience":"provider","level":"info","title":',
                                              to_json(left(coalesce(new.price::text, ''), 500)), ',"message":"","data":{"type":"booking","key":{"id":',
                                              coalesce(to_json(new.id), 'null'), '}}}') END), '')
                       END
                  FROM new_rows AS new
                       -- Actions may ask for OLD: it is NULL.
                  LEFT JOIN new_rows AS old ON false
                 CROSS JOIN LATERAL (SELECT new.id, new.client_id, new.provider_id, new.status, new.price, new.starts_at) AS new_shown
                 CROSS JOIN LATERAL (SELECT new.provider_note) AS new_only_1
                 CROSS JOIN LATERAL (SELECT CASE
                                                WHEN (OLD.status = 'PENDING' AND NEW.status = 'CONFIRMED') THEN '"accepted"'
                                                ELSE '"created"'
                                            END OFFSET 0) AS what (action);
        ELSIF TG_OP = 'UPDATE' THEN
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
                -- booking: rows that changed. A changed key is a row that went and one that came.
                SELECT '{' || concat_ws(',',
                           '"type":"booking","op":"' || change.op || '"',
                           '"action":' || what.action,
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
                                   END) || '}') || '}') || '}',
                       CASE WHEN change.op = 'delete' THEN
                           CASE what.action
                               WHEN '"accepted"' THEN
                                   nullif(concat_ws(',',
                                       CASE WHEN old.client_id::text IS NOT NULL THEN
                                           concat('{"user_id":', to_json(old.client_id::text),
                                                  ',"type":"booking.accepted","audience":"client","level":"success","title":"Your booking has been accepted!","message":',
                                                  to_json(left('Booking ' || coalesce(old.id::text, '') || ' is confirmed.', 4000)),
                                                  ',"data":{"type":"booking","key":{"id":', coalesce(to_json(old.id), 'null'), '}}}') END,
                                       CASE WHEN old.provider_id::text IS NOT NULL THEN
                                           concat('{"user_id":', to_json(old.provider_id::text),
                                                  ',"type":"booking.accepted","audience":"provider","level":"info","title":',
                                                  to_json(left(coalesce(old.price::text, ''), 500)), ',"message":"","data":{"type":"booking","key":{"id":',
                                                  coalesce(to_json(old.id), 'null'), '}}}') END), '')
                               WHEN '"deleted"' THEN
                                   nullif(concat_ws(',',
                                       CASE WHEN old.client_id::text IS NOT NULL THEN
                                           concat('{"user_id":', to_json(old.client_id::text),
                                                  ',"type":"booking.deleted","audience":"client","level":"warning","title":',
                                                  to_json(left('Booking ' || coalesce(old.id::text, '') || ' is gone', 500)),
                                                  ',"message":"","data":{"type":"booking","key":{"id":', coalesce(to_json(old.id), 'null'), '}}}') END), '')
                           END
                       ELSE
                           CASE what.action
                               WHEN '"created"' THEN
                                   nullif(concat_ws(',',
                                       CASE WHEN new.provider_id::text IS NOT NULL THEN
                                           concat('{"user_id":', to_json(new.provider_id::text),
                                                  ',"type":"booking.created","audience":"provider","level":"info","title":"A new request","message":',
                                                  to_json(left('Booking ' || coalesce(new.id::text, '') || ' on ' || coalesce(new.starts_at::text, '') || '. ' || coalesce(new.provider_note::text, ''), 4000)),
                                                  ',"data":{"type":"booking","key":{"id":', coalesce(to_json(new.id), 'null'), '}}}') END), '')
                               WHEN '"accepted"' THEN
                                   nullif(concat_ws(',',
                                       CASE WHEN new.client_id::text IS NOT NULL THEN
                                           concat('{"user_id":', to_json(new.client_id::text),
                                                  ',"type":"booking.accepted","audience":"client","level":"success","title":"Your booking has been accepted!","message":',
                                                  to_json(left('Booking ' || coalesce(new.id::text, '') || ' is confirmed.', 4000)),
                                                  ',"data":{"type":"booking","key":{"id":', coalesce(to_json(new.id), 'null'), '}}}') END,
                                       CASE WHEN new.provider_id::text IS NOT NULL THEN
                                           concat('{"user_id":', to_json(new.provider_id::text),
                                                  ',"type":"booking.accepted","audience":"provider","level":"info","title":',
                                                  to_json(left(coalesce(new.price::text, ''), 500)), ',"message":"","data":{"type":"booking","key":{"id":',
                                                  coalesce(to_json(new.id), 'null'), '}}}') END), '')
                           END END
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
                 CROSS JOIN LATERAL (SELECT CASE
                                                WHEN (OLD.status = 'PENDING' AND NEW.status = 'CONFIRMED') THEN '"accepted"'
                                                WHEN change.op = 'insert' THEN '"created"'
                                                WHEN change.op = 'delete' THEN '"deleted"'
                                                WHEN old.status IS DISTINCT FROM new.status THEN '"status_changed"'
                                                ELSE '"updated"'
                                            END OFFSET 0) AS what (action)
                 WHERE change.op <> 'update'
                    OR record_image_ne(ROW(old.id, old.client_id, old.provider_id, old.status, old.price, old.starts_at, old.provider_note),
                                       ROW(new.id, new.client_id, new.provider_id, new.status, new.price, new.starts_at, new.provider_note))
                UNION ALL
                -- payment: rows whose public.bookings changed hands, found by booking_id.
                SELECT '{' || concat_ws(',',
                           '"type":"payment","op":"update"',
                           '"action":' || what.action,
                           '"table":"public.payments"',
                           '"key":{"id":' || coalesce(to_json(new.id)::text, 'null') || '}',
                           '"owners":' || owner.now,
                           CASE WHEN owner.was <> owner.now THEN '"was":' || owner.was END,
                           '"via":{' || concat_ws(',',
                               '"keys":' || to_json(array_remove(ARRAY[new.booking_id::text], NULL))::text,
                               (SELECT '"seen":"' || s.seen || '"' FROM (SELECT pg_current_snapshot()::text) AS s (seen) WHERE length(s.seen) <= 200)) || '}',
                           '"data":' || row_to_json(new_shown.*)::text,
                           '"old":{}') || '}',
                       CASE what.action
                           WHEN '"released"' THEN
                               nullif(concat_ws(',',
                                   CASE WHEN after.provider_id::text IS NOT NULL THEN
                                       concat('{"user_id":', to_json(after.provider_id::text),
                                              ',"type":"payment.released","audience":"provider","level":"success","title":"It''s \"paid\"","message":',
                                              to_json(left(coalesce(new.amount::text, ''), 4000)), ',"data":{"type":"payment","key":{"id":',
                                              coalesce(to_json(new.id), 'null'), '}}}') END), '')
                           WHEN '"updated"' THEN
                               nullif(concat_ws(',',
                                   CASE WHEN after.client_id::text IS NOT NULL THEN
                                       concat('{"user_id":', to_json(after.client_id::text),
                                              ',"type":"payment.updated","audience":"client","level":"info","title":"A payment changed","message":"","data":{"type":"payment","key":{"id":',
                                              coalesce(to_json(new.id), 'null'), '}}}') END), '')
                       END
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
                 CROSS JOIN LATERAL (SELECT CASE
                                                WHEN (NEW.status = 'RELEASED' AND OLD.status IS DISTINCT FROM 'RELEASED') THEN '"released"'
                                                ELSE '"updated"'
                                            END OFFSET 0) AS what (action)
                 WHERE record_image_ne(ROW(before.client_id, before.provider_id),
                                       ROW(after.client_id, after.provider_id));
        ELSIF TG_OP = 'DELETE' THEN
            -- Rows that go with these ask for their owners when these are gone.
            PERFORM set_config('pgbell.gone_7e89118a', gone.owners::text, true)
               FROM (SELECT jsonb_object_agg(old.id::text, jsonb_build_object('client_id', old.client_id::text, 'provider_id', old.provider_id::text)) AS owners
                       FROM old_rows AS old
                    ) AS gone
              WHERE gone.owners IS NOT NULL;
            OPEN changes FOR
                -- booking: rows that went.
                SELECT '{' || concat_ws(',',
                           '"type":"booking","op":"delete"',
                           '"action":' || what.action,
                           '"table":"public.bookings"',
                           '"key":{"id":' || coalesce(to_json(old.id)::text, 'null') || '}',
                           '"owners":' || '{' || concat_ws(',', '"client":' || to_json(old.client_id::text)::text,
                                                                '"provider":' || to_json(old.provider_id::text)::text) || '}',
                           '"watchers":["ADMIN"]',
                           '"old":' || row_to_json(old_shown.*)::text,
                           '"only":{' || concat_ws(',',
                               '"provider":{' || concat_ws(',',
                                   '"old":' || row_to_json(old_only_1.*)::text) || '}') || '}') || '}',
                       CASE what.action
                           WHEN '"accepted"' THEN
                               nullif(concat_ws(',',
                                   CASE WHEN old.client_id::text IS NOT NULL THEN
                                       concat('{"user_id":', to_json(old.client_id::text),
                                              ',"type":"booking.accepted","audience":"client","level":"success","title":"Your booking has been accepted!","message":',
                                              to_json(left('Booking ' || coalesce(old.id::text, '') || ' is confirmed.', 4000)),
                                              ',"data":{"type":"booking","key":{"id":', coalesce(to_json(old.id), 'null'), '}}}') END,
                                   CASE WHEN old.provider_id::text IS NOT NULL THEN
                                       concat('{"user_id":', to_json(old.provider_id::text),
                                              ',"type":"booking.accepted","audience":"provider","level":"info","title":',
                                              to_json(left(coalesce(old.price::text, ''), 500)), ',"message":"","data":{"type":"booking","key":{"id":',
                                              coalesce(to_json(old.id), 'null'), '}}}') END), '')
                           WHEN '"deleted"' THEN
                               nullif(concat_ws(',',
                                   CASE WHEN old.client_id::text IS NOT NULL THEN
                                       concat('{"user_id":', to_json(old.client_id::text),
                                              ',"type":"booking.deleted","audience":"client","level":"warning","title":',
                                              to_json(left('Booking ' || coalesce(old.id::text, '') || ' is gone', 500)),
                                              ',"message":"","data":{"type":"booking","key":{"id":', coalesce(to_json(old.id), 'null'), '}}}') END), '')
                       END
                  FROM old_rows AS old
                       -- Actions may ask for NEW: it is NULL.
                  LEFT JOIN old_rows AS new ON false
                 CROSS JOIN LATERAL (SELECT old.id, old.client_id, old.provider_id, old.status, old.price, old.starts_at) AS old_shown
                 CROSS JOIN LATERAL (SELECT old.provider_note) AS old_only_1
                 CROSS JOIN LATERAL (SELECT CASE
                                                WHEN (OLD.status = 'PENDING' AND NEW.status = 'CONFIRMED') THEN '"accepted"'
                                                ELSE '"deleted"'
                                            END OFFSET 0) AS what (action);
        END IF;

        LOOP
            FETCH changes INTO body, note;
            EXIT WHEN NOT FOUND;
            -- Many events are written piece by piece: memory stays bounded.
            IF size > 1048576 THEN
                INSERT INTO pgbell.events (body) SELECT piece::json FROM unnest(bodies) AS piece;
                IF notes IS NOT NULL THEN
                    PERFORM pgbell.record_notifications(notes);
                END IF;
                notes  := NULL;
                bodies := NULL;
                size   := 0;
                whole  := false;
            END IF;
            bodies := bodies || body;
            size   := size + octet_length(body);
            IF note IS NOT NULL THEN
                notes := notes || note;
                size  := size + octet_length(note);
            END IF;
        END LOOP;
        CLOSE changes;
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        -- What this block wrote is undone. Clients are told to fetch again.
        body   := left(concat(SQLSTATE, ': ', SQLERRM), 1000);
        bodies := ARRAY[
            concat('{"type":"booking","op":"reset","table":"public.bookings","reason":"capture_failed","error":', to_json(body), '}'),
            concat('{"type":"payment","op":"reset","table":"public.payments","reason":"capture_failed","error":', to_json(body), '}')
        ];
        whole  := true;
        notes  := NULL;
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
    IF notes IS NOT NULL THEN
        PERFORM pgbell.record_notifications(notes);
    END IF;
    RETURN NULL;
END
$pgbell$;
COMMENT ON FUNCTION pgbell."public.bookings"() IS 'pgbell: records every change of public.bookings as a booking event. Definition 8ad7ca58ca7a1a03.';
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
SET standard_conforming_strings = 'on'
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
    note    text;             -- the notifications of one event
    notes   text[];           -- those not yet made
    event   json;             -- the body of the only one
    at      timestamptz;      -- when it was written
    changed text;             -- what the columns that changed held before
    action  text;             -- what happened, as JSON
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
            action := CASE
                          WHEN (NEW.status = 'RELEASED' AND OLD.status IS DISTINCT FROM 'RELEASED') THEN '"released"'
                          WHEN old.status IS DISTINCT FROM new.status THEN '"status_changed"'
                          ELSE '"updated"'
                      END;
            body := format('{"type":"payment","op":"update","action":%s,"table":"public.payments","key":{"id":%s},"owners":%s,"via":{"keys":[%s],"seen":"%s"},"data":%s,"old":{%s}}',
                action,
                to_json(new.id),
                json_strip_nulls(json_build_object('client', owner_1, 'provider', owner_2)),
                to_json(new.booking_id::text),
                snapshot,
                row_to_json(new),
                substr(changed, 2));
            IF action = '"released"' AND owner_2 IS NOT NULL THEN
                notes := notes || concat('{"user_id":', to_json(owner_2),
                                         ',"type":"payment.released","audience":"provider","level":"success","title":"It''s \"paid\"","message":',
                                         to_json(left(coalesce(new.amount::text, ''), 4000)), ',"data":{"type":"payment","key":{"id":',
                                         coalesce(to_json(new.id), 'null'), '}}}');
            END IF;
            IF action = '"updated"' AND owner_1 IS NOT NULL THEN
                notes := notes || concat('{"user_id":', to_json(owner_1),
                                         ',"type":"payment.updated","audience":"client","level":"info","title":"A payment changed","message":"","data":{"type":"payment","key":{"id":',
                                         coalesce(to_json(new.id), 'null'), '}}}');
            END IF;
        ELSIF TG_OP = 'INSERT' THEN
            SELECT id, booking_id, amount, status INTO STRICT new FROM new_rows;
            -- Actions may ask for OLD: it is NULL.
            SELECT id, booking_id, amount, status INTO old FROM new_rows LIMIT 0;
            SELECT parent.client_id::text, parent.provider_id::text, pg_current_snapshot()::text
              INTO owner_1, owner_2, snapshot
              FROM public.bookings AS parent WHERE parent.id = new.booking_id;
            EXIT one WHEN NOT FOUND OR length(snapshot) > 200;
            action := CASE
                          WHEN (NEW.status = 'RELEASED' AND OLD.status IS DISTINCT FROM 'RELEASED') THEN '"released"'
                          ELSE '"created"'
                      END;
            body := format('{"type":"payment","op":"insert","action":%s,"table":"public.payments","key":{"id":%s},"owners":%s,"via":{"keys":[%s],"seen":"%s"},"data":%s}',
                action,
                to_json(new.id),
                json_strip_nulls(json_build_object('client', owner_1, 'provider', owner_2)),
                to_json(new.booking_id::text),
                snapshot,
                row_to_json(new));
            IF action = '"released"' AND owner_2 IS NOT NULL THEN
                notes := notes || concat('{"user_id":', to_json(owner_2),
                                         ',"type":"payment.released","audience":"provider","level":"success","title":"It''s \"paid\"","message":',
                                         to_json(left(coalesce(new.amount::text, ''), 4000)), ',"data":{"type":"payment","key":{"id":',
                                         coalesce(to_json(new.id), 'null'), '}}}');
            END IF;
        ELSIF TG_OP = 'DELETE' THEN
            SELECT id, booking_id, amount, status INTO STRICT old FROM old_rows;
            -- Actions may ask for NEW: it is NULL.
            SELECT id, booking_id, amount, status INTO new FROM old_rows LIMIT 0;
            SELECT parent.client_id::text, parent.provider_id::text, pg_current_snapshot()::text
              INTO owner_1, owner_2, snapshot
              FROM public.bookings AS parent WHERE parent.id = old.booking_id;
            EXIT one WHEN NOT FOUND OR length(snapshot) > 200;
            action := CASE
                          WHEN (NEW.status = 'RELEASED' AND OLD.status IS DISTINCT FROM 'RELEASED') THEN '"released"'
                          ELSE '"deleted"'
                      END;
            body := format('{"type":"payment","op":"delete","action":%s,"table":"public.payments","key":{"id":%s},"owners":%s,"via":{"keys":[%s],"seen":"%s"},"old":%s}',
                action,
                to_json(old.id),
                json_strip_nulls(json_build_object('client', owner_1, 'provider', owner_2)),
                to_json(old.booking_id::text),
                snapshot,
                row_to_json(old));
            IF action = '"released"' AND owner_2 IS NOT NULL THEN
                notes := notes || concat('{"user_id":', to_json(owner_2),
                                         ',"type":"payment.released","audience":"provider","level":"success","title":"It''s \"paid\"","message":',
                                         to_json(left(coalesce(old.amount::text, ''), 4000)), ',"data":{"type":"payment","key":{"id":',
                                         coalesce(to_json(old.id), 'null'), '}}}');
            END IF;
        END IF;
        event := body::json; -- what is not is found here
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        body := NULL;
        notes := NULL;
    END;
    IF body IS NOT NULL THEN
        at := clock_timestamp();
        INSERT INTO pgbell.events (at, body) VALUES (at, event);
        IF pgbell.must_ring() THEN
            PERFORM pgbell.ring(lastval(), pg_current_xact_id(), at, body);
        END IF;
        IF notes IS NOT NULL THEN
            PERFORM pgbell.record_notifications(notes);
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
                           '"action":' || what.action,
                           '"table":"public.payments"',
                           '"key":{"id":' || coalesce(to_json(new.id)::text, 'null') || '}',
                           '"owners":' || '{' || concat_ws(',', '"client":' || to_json(new_parent_1.client_id)::text,
                                                                '"provider":' || to_json(new_parent_1.provider_id)::text) || '}',
                           '"via":{' || concat_ws(',',
                               '"keys":' || to_json(array_remove(ARRAY[new.booking_id::text], NULL))::text,
                               (SELECT '"seen":"' || s.seen || '"' FROM (SELECT pg_current_snapshot()::text) AS s (seen) WHERE length(s.seen) <= 200)) || '}',
                           '"data":' || row_to_json(new_shown.*)::text) || '}',
                       CASE what.action
                           WHEN '"released"' THEN
                               nullif(concat_ws(',',
                                   CASE WHEN new_parent_1.provider_id IS NOT NULL THEN
                                       concat('{"user_id":', to_json(new_parent_1.provider_id),
                                              ',"type":"payment.released","audience":"provider","level":"success","title":"It''s \"paid\"","message":',
                                              to_json(left(coalesce(new.amount::text, ''), 4000)), ',"data":{"type":"payment","key":{"id":',
                                              coalesce(to_json(new.id), 'null'), '}}}') END), '')
                       END
                  FROM new_rows AS new
                       -- Actions may ask for OLD: it is NULL.
                  LEFT JOIN new_rows AS old ON false
                 CROSS JOIN LATERAL (SELECT new.id, new.booking_id, new.amount, new.status) AS new_shown
                  LEFT JOIN LATERAL (
                       SELECT true AS found, parent.client_id::text AS client_id, parent.provider_id::text AS provider_id
                         FROM public.bookings AS parent WHERE parent.id = new.booking_id
                        LIMIT 1) AS new_parent_1 ON true
                 CROSS JOIN LATERAL (SELECT CASE
                                                WHEN (NEW.status = 'RELEASED' AND OLD.status IS DISTINCT FROM 'RELEASED') THEN '"released"'
                                                ELSE '"created"'
                                            END OFFSET 0) AS what (action);
        ELSIF TG_OP = 'UPDATE' THEN
            gone_1 := nullif(current_setting('pgbell.gone_7e89118a', true), '')::jsonb;
            OPEN changes FOR
                -- payment: rows that changed. A changed key is a row that went and one that came.
                SELECT CASE WHEN old.booking_id IS NOT NULL AND old_parent_1.found IS NULL THEN NULL ELSE '{' || concat_ws(',',
                           '"type":"payment","op":"' || change.op || '"',
                           '"action":' || what.action,
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
                           END) || '}' END,
                       CASE WHEN change.op = 'delete' THEN
                           CASE what.action
                               WHEN '"released"' THEN
                                   nullif(concat_ws(',',
                                       CASE WHEN old_parent_1.provider_id IS NOT NULL THEN
                                           concat('{"user_id":', to_json(old_parent_1.provider_id),
                                                  ',"type":"payment.released","audience":"provider","level":"success","title":"It''s \"paid\"","message":',
                                                  to_json(left(coalesce(old.amount::text, ''), 4000)), ',"data":{"type":"payment","key":{"id":',
                                                  coalesce(to_json(old.id), 'null'), '}}}') END), '')
                           END
                       ELSE
                           CASE what.action
                               WHEN '"released"' THEN
                                   nullif(concat_ws(',',
                                       CASE WHEN new_parent_1.provider_id IS NOT NULL THEN
                                           concat('{"user_id":', to_json(new_parent_1.provider_id),
                                                  ',"type":"payment.released","audience":"provider","level":"success","title":"It''s \"paid\"","message":',
                                                  to_json(left(coalesce(new.amount::text, ''), 4000)), ',"data":{"type":"payment","key":{"id":',
                                                  coalesce(to_json(new.id), 'null'), '}}}') END), '')
                               WHEN '"updated"' THEN
                                   nullif(concat_ws(',',
                                       CASE WHEN new_parent_1.client_id IS NOT NULL THEN
                                           concat('{"user_id":', to_json(new_parent_1.client_id),
                                                  ',"type":"payment.updated","audience":"client","level":"info","title":"A payment changed","message":"","data":{"type":"payment","key":{"id":',
                                                  coalesce(to_json(new.id), 'null'), '}}}') END), '')
                           END END
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
                 CROSS JOIN LATERAL (SELECT CASE
                                                WHEN (NEW.status = 'RELEASED' AND OLD.status IS DISTINCT FROM 'RELEASED') THEN '"released"'
                                                WHEN change.op = 'insert' THEN '"created"'
                                                WHEN change.op = 'delete' THEN '"deleted"'
                                                WHEN old.status IS DISTINCT FROM new.status THEN '"status_changed"'
                                                ELSE '"updated"'
                                            END OFFSET 0) AS what (action)
                 WHERE change.op <> 'update'
                    OR record_image_ne(ROW(old.id, old.booking_id, old.amount, old.status),
                                       ROW(new.id, new.booking_id, new.amount, new.status));
        ELSIF TG_OP = 'DELETE' THEN
            gone_1 := nullif(current_setting('pgbell.gone_7e89118a', true), '')::jsonb;
            OPEN changes FOR
                -- payment: rows that went.
                SELECT CASE WHEN old.booking_id IS NOT NULL AND old_parent_1.found IS NULL THEN NULL ELSE '{' || concat_ws(',',
                           '"type":"payment","op":"delete"',
                           '"action":' || what.action,
                           '"table":"public.payments"',
                           '"key":{"id":' || coalesce(to_json(old.id)::text, 'null') || '}',
                           '"owners":' || '{' || concat_ws(',', '"client":' || to_json(old_parent_1.client_id)::text,
                                                                '"provider":' || to_json(old_parent_1.provider_id)::text) || '}',
                           '"via":{' || concat_ws(',',
                               '"keys":' || to_json(array_remove(ARRAY[old.booking_id::text], NULL))::text,
                               (SELECT '"seen":"' || s.seen || '"' FROM (SELECT pg_current_snapshot()::text) AS s (seen) WHERE length(s.seen) <= 200)) || '}',
                           '"old":' || row_to_json(old_shown.*)::text) || '}' END,
                       CASE what.action
                           WHEN '"released"' THEN
                               nullif(concat_ws(',',
                                   CASE WHEN old_parent_1.provider_id IS NOT NULL THEN
                                       concat('{"user_id":', to_json(old_parent_1.provider_id),
                                              ',"type":"payment.released","audience":"provider","level":"success","title":"It''s \"paid\"","message":',
                                              to_json(left(coalesce(old.amount::text, ''), 4000)), ',"data":{"type":"payment","key":{"id":',
                                              coalesce(to_json(old.id), 'null'), '}}}') END), '')
                       END
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
                        LIMIT 1) AS old_parent_1 ON true
                 CROSS JOIN LATERAL (SELECT CASE
                                                WHEN (NEW.status = 'RELEASED' AND OLD.status IS DISTINCT FROM 'RELEASED') THEN '"released"'
                                                ELSE '"deleted"'
                                            END OFFSET 0) AS what (action);
        END IF;

        LOOP
            FETCH changes INTO body, note;
            EXIT WHEN NOT FOUND;
            IF body IS NULL THEN
                RAISE EXCEPTION 'the owner of a row is lost: what it refers to went before it could be read';
            END IF;
            -- Many events are written piece by piece: memory stays bounded.
            IF size > 1048576 THEN
                INSERT INTO pgbell.events (body) SELECT piece::json FROM unnest(bodies) AS piece;
                IF notes IS NOT NULL THEN
                    PERFORM pgbell.record_notifications(notes);
                END IF;
                notes  := NULL;
                bodies := NULL;
                size   := 0;
                whole  := false;
            END IF;
            bodies := bodies || body;
            size   := size + octet_length(body);
            IF note IS NOT NULL THEN
                notes := notes || note;
                size  := size + octet_length(note);
            END IF;
        END LOOP;
        CLOSE changes;
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        -- What this block wrote is undone. Clients are told to fetch again.
        body   := left(concat(SQLSTATE, ': ', SQLERRM), 1000);
        bodies := ARRAY[
            concat('{"type":"payment","op":"reset","table":"public.payments","reason":"capture_failed","error":', to_json(body), '}')
        ];
        whole  := true;
        notes  := NULL;
    END;

    IF bodies IS NOT NULL THEN
        PERFORM pgbell.record(bodies, carry => whole);
    END IF;
    IF notes IS NOT NULL THEN
        PERFORM pgbell.record_notifications(notes);
    END IF;
    RETURN NULL;
END
$pgbell$;
COMMENT ON FUNCTION pgbell."public.payments"() IS 'pgbell: records every change of public.payments as a payment event. Definition 9d644ebbf2de19dd.';
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
