BEGIN;
SET LOCAL lock_timeout = '2s'; -- rather fail than make writers wait
SET LOCAL standard_conforming_strings = on;

-- Create function pgbell.public.things: it is missing.
CREATE OR REPLACE FUNCTION pgbell."public.things"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = 'off'
AS $pgbell$
#variable_conflict use_column
-- Records every change of public.things as a thing event.
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
    shown   record;           -- of the row, the columns that every audience sees
BEGIN
    -- The switch: SET, ALTER ROLE or ALTER DATABASE … SET pgbell.enabled = off.
    IF lower(current_setting('pgbell.enabled', true)) IN ('off', 'false', 'no', '0') THEN
        RETURN NULL;
    END IF;

    -- Called for each row. Mostly this says the same as the queries below, for
    -- less. Where it cannot, it leaves body NULL and all to them: another key
    -- or owner, an error. It only reads.
    <<one>>
    BEGIN
        IF TG_OP = 'UPDATE' THEN
            EXIT one WHEN old.id IS DISTINCT FROM new.id OR old.part IS DISTINCT FROM new.part OR old.owner IS DISTINCT FROM new.owner;
            IF old.n IS DISTINCT FROM new.n THEN
                changed := concat(changed, ',"n":', coalesce(to_json(old.n), 'null'));
            END IF;
            IF changed IS NULL THEN
                RETURN NULL; -- nothing that anybody sees
            END IF;
            SELECT new.id, new.part, new.owner, new.n INTO shown;
            action := CASE
                          WHEN (NEW.n > OLD.n) THEN '"grew"'
                          ELSE '"updated"'
                      END;
            body := format('{"type":"thing","op":"update","action":%s,"table":"public.things","key":{"id":%s,"part":%s},"owners":%s,"data":%s,"old":{%s}}',
                action,
                to_json(new.id),
                to_json(new.part),
                json_strip_nulls(json_build_object('a', new.owner::text)),
                row_to_json(shown),
                substr(changed, 2));
            IF action = '"grew"' AND new.owner::text IS NOT NULL THEN
                notes := notes || concat('{"user_id":', to_json(new.owner::text), ',"type":"thing.grew","audience":"a","level":"info","title":',
                                         to_json(left('Thing ' || coalesce(new.id::text, '') || ' grew', 500)),
                                         ',"message":"","data":{"type":"thing","key":{"id":', coalesce(to_json(new.id), 'null'), ',"part":',
                                         coalesce(to_json(new.part), 'null'), '}}}');
            END IF;
        ELSIF TG_OP = 'INSERT' THEN
            SELECT new.id, new.part, new.owner, new.n INTO shown;
            action := CASE
                          WHEN (NEW.n > OLD.n) THEN '"grew"'
                          ELSE '"created"'
                      END;
            body := format('{"type":"thing","op":"insert","action":%s,"table":"public.things","key":{"id":%s,"part":%s},"owners":%s,"data":%s}',
                action,
                to_json(new.id),
                to_json(new.part),
                json_strip_nulls(json_build_object('a', new.owner::text)),
                row_to_json(shown));
            IF action = '"grew"' AND new.owner::text IS NOT NULL THEN
                notes := notes || concat('{"user_id":', to_json(new.owner::text), ',"type":"thing.grew","audience":"a","level":"info","title":',
                                         to_json(left('Thing ' || coalesce(new.id::text, '') || ' grew', 500)),
                                         ',"message":"","data":{"type":"thing","key":{"id":', coalesce(to_json(new.id), 'null'), ',"part":',
                                         coalesce(to_json(new.part), 'null'), '}}}');
            END IF;
        ELSIF TG_OP = 'DELETE' THEN
            SELECT old.id, old.part, old.owner, old.n INTO shown;
            action := CASE
                          WHEN (NEW.n > OLD.n) THEN '"grew"'
                          ELSE '"deleted"'
                      END;
            body := format('{"type":"thing","op":"delete","action":%s,"table":"public.things","key":{"id":%s,"part":%s},"owners":%s,"old":%s}',
                action,
                to_json(old.id),
                to_json(old.part),
                json_strip_nulls(json_build_object('a', old.owner::text)),
                row_to_json(shown));
            IF action = '"grew"' AND old.owner::text IS NOT NULL THEN
                notes := notes || concat('{"user_id":', to_json(old.owner::text), ',"type":"thing.grew","audience":"a","level":"info","title":',
                                         to_json(left('Thing ' || coalesce(old.id::text, '') || ' grew', 500)),
                                         ',"message":"","data":{"type":"thing","key":{"id":', coalesce(to_json(old.id), 'null'), ',"part":',
                                         coalesce(to_json(old.part), 'null'), '}}}');
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
            -- Without the event, so that a statement of many rows rings once.
            PERFORM pgbell.ring(NULL, NULL, NULL, NULL);
        END IF;
        IF notes IS NOT NULL THEN
            PERFORM pgbell.record_notifications(notes);
        END IF;
        RETURN NULL;
    END IF;

    IF TG_OP = 'TRUNCATE' THEN
        PERFORM pgbell.record(ARRAY[
            '{"type":"thing","op":"reset","table":"public.things","reason":"truncate"}'
        ]);
        RETURN NULL;
    END IF;

    -- Whatever may raise an error stands in this block, so no write fails
    -- because of it. Unless the statement is large it only reads, and a
    -- subtransaction that only reads takes no transaction id.
    BEGIN
        IF TG_OP = 'INSERT' THEN
            OPEN changes FOR
                WITH new_rows AS (SELECT new.*)
                -- thing: rows that are new.
                SELECT '{' || concat_ws(',',
                           '"type":"thing","op":"insert"',
                           '"action":' || what.action,
                           '"table":"public.things"',
                           '"key":{"id":' || coalesce(to_json(new.id)::text, 'null') ||
                           ',"part":' || coalesce(to_json(new.part)::text, 'null') || '}',
                           '"owners":' || '{' || concat_ws(',', '"a":' || to_json(new.owner::text)::text) || '}',
                           '"data":' || row_to_json(new_shown.*)::text) || '}',
                       CASE what.action
                           WHEN '"grew"' THEN
                               nullif(concat_ws(',',
                                   CASE WHEN new.owner::text IS NOT NULL THEN
                                       concat('{"user_id":', to_json(new.owner::text), ',"type":"thing.grew","audience":"a","level":"info","title":',
                                              to_json(left('Thing ' || coalesce(new.id::text, '') || ' grew', 500)),
                                              ',"message":"","data":{"type":"thing","key":{"id":', coalesce(to_json(new.id), 'null'), ',"part":',
                                              coalesce(to_json(new.part), 'null'), '}}}') END), '')
                       END
                  FROM new_rows AS new
                       -- Actions may ask for OLD: it is NULL.
                  LEFT JOIN new_rows AS old ON false
                 CROSS JOIN LATERAL (SELECT new.id, new.part, new.owner, new.n) AS new_shown
                 CROSS JOIN LATERAL (SELECT CASE
                                                WHEN (NEW.n > OLD.n) THEN '"grew"'
                                                ELSE '"created"'
                                            END OFFSET 0) AS what (action);
        ELSIF TG_OP = 'UPDATE' THEN
            OPEN changes FOR
                WITH old_rows AS (SELECT old.*), new_rows AS (SELECT new.*)
                -- thing: rows that changed. A changed key is a row that went and one that came.
                SELECT '{' || concat_ws(',',
                           '"type":"thing","op":"' || change.op || '"',
                           '"action":' || what.action,
                           '"table":"public.things"',
                           '"key":{"id":' || coalesce(to_json(coalesce(new.id, old.id))::text, 'null') ||
                           ',"part":' || coalesce(to_json(coalesce(new.part, old.part))::text, 'null') || '}',
                           '"owners":' || CASE change.op WHEN 'delete' THEN '{' || concat_ws(',', '"a":' || to_json(old.owner::text)::text) || '}'
                                                               ELSE '{' || concat_ws(',', '"a":' || to_json(new.owner::text)::text) || '}' END,
                           CASE WHEN change.op = 'update' AND (old.owner IS DISTINCT FROM new.owner) THEN '"was":' || '{' || concat_ws(',', '"a":' || to_json(old.owner::text)::text) || '}' END,
                           CASE WHEN change.op <> 'delete' THEN '"data":' || row_to_json(new_shown.*)::text END,
                           CASE change.op
                               WHEN 'delete' THEN
                                   '"old":' || row_to_json(old_shown.*)::text
                               WHEN 'update' THEN
                                   '"old":{' || array_to_string(ARRAY[
                                                    CASE WHEN old.owner IS DISTINCT FROM new.owner THEN '"owner":' || coalesce(to_json(old.owner)::text, 'null') END,
                                                    CASE WHEN old.n IS DISTINCT FROM new.n THEN '"n":' || coalesce(to_json(old.n)::text, 'null') END
                                                ], ',') || '}'
                           END) || '}',
                       CASE WHEN change.op = 'delete' THEN
                           CASE what.action
                               WHEN '"grew"' THEN
                                   nullif(concat_ws(',',
                                       CASE WHEN old.owner::text IS NOT NULL THEN
                                           concat('{"user_id":', to_json(old.owner::text), ',"type":"thing.grew","audience":"a","level":"info","title":',
                                                  to_json(left('Thing ' || coalesce(old.id::text, '') || ' grew', 500)),
                                                  ',"message":"","data":{"type":"thing","key":{"id":', coalesce(to_json(old.id), 'null'), ',"part":',
                                                  coalesce(to_json(old.part), 'null'), '}}}') END), '')
                           END
                       ELSE
                           CASE what.action
                               WHEN '"grew"' THEN
                                   nullif(concat_ws(',',
                                       CASE WHEN new.owner::text IS NOT NULL THEN
                                           concat('{"user_id":', to_json(new.owner::text), ',"type":"thing.grew","audience":"a","level":"info","title":',
                                                  to_json(left('Thing ' || coalesce(new.id::text, '') || ' grew', 500)),
                                                  ',"message":"","data":{"type":"thing","key":{"id":', coalesce(to_json(new.id), 'null'), ',"part":',
                                                  coalesce(to_json(new.part), 'null'), '}}}') END), '')
                           END END
                  FROM old_rows AS old
                  FULL JOIN new_rows AS new
                    ON old.id = new.id AND old.part = new.part
                 CROSS JOIN LATERAL (SELECT CASE WHEN old.id IS NULL THEN 'insert'
                                                 WHEN new.id IS NULL THEN 'delete'
                                                 ELSE 'update' END) AS change(op)
                 CROSS JOIN LATERAL (SELECT new.id, new.part, new.owner, new.n) AS new_shown
                 CROSS JOIN LATERAL (SELECT old.id, old.part, old.owner, old.n) AS old_shown
                 CROSS JOIN LATERAL (SELECT CASE
                                                WHEN (NEW.n > OLD.n) THEN '"grew"'
                                                WHEN change.op = 'insert' THEN '"created"'
                                                WHEN change.op = 'delete' THEN '"deleted"'
                                                ELSE '"updated"'
                                            END OFFSET 0) AS what (action)
                 WHERE change.op <> 'update'
                    OR record_image_ne(ROW(old.id, old.part, old.owner, old.n),
                                       ROW(new.id, new.part, new.owner, new.n));
        ELSIF TG_OP = 'DELETE' THEN
            OPEN changes FOR
                WITH old_rows AS (SELECT old.*)
                -- thing: rows that went.
                SELECT '{' || concat_ws(',',
                           '"type":"thing","op":"delete"',
                           '"action":' || what.action,
                           '"table":"public.things"',
                           '"key":{"id":' || coalesce(to_json(old.id)::text, 'null') ||
                           ',"part":' || coalesce(to_json(old.part)::text, 'null') || '}',
                           '"owners":' || '{' || concat_ws(',', '"a":' || to_json(old.owner::text)::text) || '}',
                           '"old":' || row_to_json(old_shown.*)::text) || '}',
                       CASE what.action
                           WHEN '"grew"' THEN
                               nullif(concat_ws(',',
                                   CASE WHEN old.owner::text IS NOT NULL THEN
                                       concat('{"user_id":', to_json(old.owner::text), ',"type":"thing.grew","audience":"a","level":"info","title":',
                                              to_json(left('Thing ' || coalesce(old.id::text, '') || ' grew', 500)),
                                              ',"message":"","data":{"type":"thing","key":{"id":', coalesce(to_json(old.id), 'null'), ',"part":',
                                              coalesce(to_json(old.part), 'null'), '}}}') END), '')
                       END
                  FROM old_rows AS old
                       -- Actions may ask for NEW: it is NULL.
                  LEFT JOIN old_rows AS new ON false
                 CROSS JOIN LATERAL (SELECT old.id, old.part, old.owner, old.n) AS old_shown
                 CROSS JOIN LATERAL (SELECT CASE
                                                WHEN (NEW.n > OLD.n) THEN '"grew"'
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
            concat('{"type":"thing","op":"reset","table":"public.things","reason":"capture_failed","error":', to_json(body), '}')
        ];
        whole  := true;
        notes  := NULL;
    END;

    IF bodies IS NOT NULL THEN
        PERFORM pgbell.record(bodies, carry => false);
    END IF;
    IF notes IS NOT NULL THEN
        PERFORM pgbell.record_notifications(notes);
    END IF;
    RETURN NULL;
END
$pgbell$;
COMMENT ON FUNCTION pgbell."public.things"() IS 'pgbell: records every change of public.things as a thing event. Definition b3de8447770e9373.';
REVOKE ALL ON FUNCTION pgbell."public.things"() FROM PUBLIC;

-- Create trigger pgbell_insert on public.things: it is missing.
CREATE OR REPLACE TRIGGER pgbell_insert AFTER INSERT ON public.things
    FOR EACH ROW EXECUTE FUNCTION pgbell."public.things"();
COMMENT ON TRIGGER pgbell_insert ON public.things IS 'pgbell: after each row of an INSERT calls pgbell.public.things.';

-- Create trigger pgbell_update on public.things: it is missing.
CREATE OR REPLACE TRIGGER pgbell_update AFTER UPDATE ON public.things
    FOR EACH ROW EXECUTE FUNCTION pgbell."public.things"();
COMMENT ON TRIGGER pgbell_update ON public.things IS 'pgbell: after each row of an UPDATE calls pgbell.public.things.';

-- Create trigger pgbell_delete on public.things: it is missing.
CREATE OR REPLACE TRIGGER pgbell_delete AFTER DELETE ON public.things
    FOR EACH ROW EXECUTE FUNCTION pgbell."public.things"();
COMMENT ON TRIGGER pgbell_delete ON public.things IS 'pgbell: after each row of an DELETE calls pgbell.public.things.';

-- Create trigger pgbell_truncate on public.things: it is missing.
CREATE OR REPLACE TRIGGER pgbell_truncate AFTER TRUNCATE ON public.things
    FOR EACH STATEMENT EXECUTE FUNCTION pgbell."public.things"();
COMMENT ON TRIGGER pgbell_truncate ON public.things IS 'pgbell: after each TRUNCATE calls pgbell.public.things.';

-- Create trigger pgbell_truncate on public.things_a: it is missing.
CREATE OR REPLACE TRIGGER pgbell_truncate AFTER TRUNCATE ON public.things_a
    FOR EACH STATEMENT EXECUTE FUNCTION pgbell."public.things"();
COMMENT ON TRIGGER pgbell_truncate ON public.things_a IS 'pgbell: after each TRUNCATE calls pgbell.public.things.';

-- Create trigger pgbell_truncate on public.things_b: it is missing.
CREATE OR REPLACE TRIGGER pgbell_truncate AFTER TRUNCATE ON public.things_b
    FOR EACH STATEMENT EXECUTE FUNCTION pgbell."public.things"();
COMMENT ON TRIGGER pgbell_truncate ON public.things_b IS 'pgbell: after each TRUNCATE calls pgbell.public.things.';

-- Create trigger pgbell_truncate on public.things_b1: it is missing.
CREATE OR REPLACE TRIGGER pgbell_truncate AFTER TRUNCATE ON public.things_b1
    FOR EACH STATEMENT EXECUTE FUNCTION pgbell."public.things"();
COMMENT ON TRIGGER pgbell_truncate ON public.things_b1 IS 'pgbell: after each TRUNCATE calls pgbell.public.things.';

COMMIT;
