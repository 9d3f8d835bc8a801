BEGIN;
SET LOCAL lock_timeout = '2s'; -- rather fail than make writers wait
SET LOCAL standard_conforming_strings = on;

-- Create function pgbell.My App.Order "Lines": it is missing.
CREATE OR REPLACE FUNCTION pgbell."My App.Order ""Lines"""() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = 'off'
SET standard_conforming_strings = 'on'
SET TimeZone = 'UTC'
AS $pgbell$
#variable_conflict use_column
-- Records every change of My App.Order "Lines" as a line event.
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
    changed_1 text;             -- those that it's alone sees
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
            SELECT "Order", "näme \ x", "select", "it's" INTO old FROM old_rows;
            IF NOT FOUND THEN
                RETURN NULL;
            END IF;
            SELECT "Order", "näme \ x", "select", "it's" INTO STRICT new FROM new_rows;
            EXIT one WHEN old."Order" IS DISTINCT FROM new."Order" OR record_image_ne(ROW(old."näme \ x"), ROW(new."näme \ x")) OR record_image_ne(ROW(old."it's"), ROW(new."it's"));
            IF old."select" IS DISTINCT FROM new."select" THEN
                changed := concat(changed, ',"select":', to_json(old."select"));
            END IF;
            IF changed IS NULL AND changed_1 IS NULL THEN
                RETURN NULL; -- nothing that anybody sees
            END IF;
            SELECT "Order", "näme \ x", "select" INTO shown FROM new_rows;
            body := format('{"type":"line","op":"update","action":%s,"table":"My App.Order \"Lines\"","key":{"Order":%s,"näme \\ x":%s},"owners":%s,"data":%s,"old":{%s},"only":{"it''s":{"data":{"it''s":%s},"old":{%s}}}}',
                '"updated"',
                to_json(new."Order"),
                to_json(new."näme \ x"),
                json_strip_nulls(json_build_object('it''s', new."it's"::text)),
                row_to_json(shown),
                substr(changed, 2),
                coalesce(to_json(new."it's"), 'null'),
                substr(changed_1, 2));
        ELSIF TG_OP = 'INSERT' THEN
            SELECT "Order", "näme \ x", "select", "it's" INTO STRICT new FROM new_rows;
            SELECT "Order", "näme \ x", "select" INTO shown FROM new_rows;
            body := format('{"type":"line","op":"insert","action":%s,"table":"My App.Order \"Lines\"","key":{"Order":%s,"näme \\ x":%s},"owners":%s,"data":%s,"only":{"it''s":{"data":{"it''s":%s}}}}',
                '"created"',
                to_json(new."Order"),
                to_json(new."näme \ x"),
                json_strip_nulls(json_build_object('it''s', new."it's"::text)),
                row_to_json(shown),
                coalesce(to_json(new."it's"), 'null'));
        ELSIF TG_OP = 'DELETE' THEN
            SELECT "Order", "näme \ x", "select", "it's" INTO STRICT old FROM old_rows;
            SELECT "Order", "näme \ x", "select" INTO shown FROM old_rows;
            body := format('{"type":"line","op":"delete","action":%s,"table":"My App.Order \"Lines\"","key":{"Order":%s,"näme \\ x":%s},"owners":%s,"old":%s,"only":{"it''s":{"old":{"it''s":%s}}}}',
                '"deleted"',
                to_json(old."Order"),
                to_json(old."näme \ x"),
                json_strip_nulls(json_build_object('it''s', old."it's"::text)),
                row_to_json(shown),
                coalesce(to_json(old."it's"), 'null'));
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
            '{"type":"line","op":"reset","table":"My App.Order \"Lines\"","reason":"truncate"}'
        ]);
        RETURN NULL;
    END IF;

    -- Whatever may raise an error stands in this block, so no write fails
    -- because of it. Unless the statement is large it only reads, and a
    -- subtransaction that only reads takes no transaction id.
    BEGIN
        IF TG_OP = 'INSERT' THEN
            OPEN changes FOR
                -- line: rows that are new.
                SELECT '{' || concat_ws(',',
                           '"type":"line","op":"insert"',
                           '"action":' || '"created"',
                           '"table":"My App.Order \"Lines\""',
                           '"key":{"Order":' || coalesce(to_json(new."Order")::text, 'null') ||
                           ',"näme \\ x":' || coalesce(to_json(new."näme \ x")::text, 'null') || '}',
                           '"owners":' || '{' || concat_ws(',', '"it''s":' || to_json(new."it's"::text)::text) || '}',
                           '"data":' || row_to_json(new_shown.*)::text,
                           '"only":{' || concat_ws(',',
                               '"it''s":{' || concat_ws(',',
                                   '"data":' || row_to_json(new_only_1.*)::text) || '}') || '}') || '}'
                  FROM new_rows AS new
                 CROSS JOIN LATERAL (SELECT new."Order", new."näme \ x", new."select") AS new_shown
                 CROSS JOIN LATERAL (SELECT new."it's") AS new_only_1;
        ELSIF TG_OP = 'UPDATE' THEN
            OPEN changes FOR
                -- line: rows that changed. A changed key is a row that went and one that came.
                SELECT '{' || concat_ws(',',
                           '"type":"line","op":"' || change.op || '"',
                           '"action":' || CASE
                                              WHEN change.op = 'insert' THEN '"created"'
                                              WHEN change.op = 'delete' THEN '"deleted"'
                                              ELSE '"updated"'
                                          END,
                           '"table":"My App.Order \"Lines\""',
                           '"key":{"Order":' || coalesce(to_json(coalesce(new."Order", old."Order"))::text, 'null') ||
                           ',"näme \\ x":' || coalesce(to_json(coalesce(new."näme \ x", old."näme \ x"))::text, 'null') || '}',
                           '"owners":' || CASE change.op WHEN 'delete' THEN '{' || concat_ws(',', '"it''s":' || to_json(old."it's"::text)::text) || '}'
                                                               ELSE '{' || concat_ws(',', '"it''s":' || to_json(new."it's"::text)::text) || '}' END,
                           CASE WHEN change.op = 'update' AND (old."it's"::text IS DISTINCT FROM new."it's"::text) THEN '"was":' || '{' || concat_ws(',', '"it''s":' || to_json(old."it's"::text)::text) || '}' END,
                           CASE WHEN change.op <> 'delete' THEN '"data":' || row_to_json(new_shown.*)::text END,
                           CASE change.op
                               WHEN 'delete' THEN
                                   '"old":' || row_to_json(old_shown.*)::text
                               WHEN 'update' THEN
                                   '"old":{' || array_to_string(ARRAY[
                                                    CASE WHEN record_image_ne(ROW(old."näme \ x"), ROW(new."näme \ x")) THEN '"näme \\ x":' || coalesce(to_json(old."näme \ x")::text, 'null') END,
                                                    CASE WHEN old."select" IS DISTINCT FROM new."select" THEN '"select":' || coalesce(to_json(old."select")::text, 'null') END
                                                ], ',') || '}'
                           END,
                           '"only":{' || concat_ws(',',
                               '"it''s":{' || concat_ws(',',
                                   CASE WHEN change.op <> 'delete' THEN '"data":' || row_to_json(new_only_1.*)::text END,
                                   CASE change.op
                                       WHEN 'delete' THEN
                                           '"old":' || row_to_json(old_only_1.*)::text
                                       WHEN 'update' THEN
                                           '"old":{' || array_to_string(ARRAY[
                                                            CASE WHEN record_image_ne(ROW(old."it's"), ROW(new."it's")) THEN '"it''s":' || coalesce(to_json(old."it's")::text, 'null') END
                                                        ], ',') || '}'
                                   END) || '}') || '}') || '}'
                  FROM old_rows AS old
                  FULL JOIN new_rows AS new
                    ON old."Order" = new."Order" AND old."näme \ x"::text COLLATE "C" = new."näme \ x"::text COLLATE "C"
                 CROSS JOIN LATERAL (SELECT CASE WHEN old."Order" IS NULL THEN 'insert'
                                                 WHEN new."Order" IS NULL THEN 'delete'
                                                 ELSE 'update' END) AS change(op)
                 CROSS JOIN LATERAL (SELECT new."Order", new."näme \ x", new."select") AS new_shown
                 CROSS JOIN LATERAL (SELECT old."Order", old."näme \ x", old."select") AS old_shown
                 CROSS JOIN LATERAL (SELECT new."it's") AS new_only_1
                 CROSS JOIN LATERAL (SELECT old."it's") AS old_only_1
                 WHERE change.op <> 'update'
                    OR record_image_ne(ROW(old."Order", old."näme \ x", old."select", old."it's"),
                                       ROW(new."Order", new."näme \ x", new."select", new."it's"));
        ELSIF TG_OP = 'DELETE' THEN
            OPEN changes FOR
                -- line: rows that went.
                SELECT '{' || concat_ws(',',
                           '"type":"line","op":"delete"',
                           '"action":' || '"deleted"',
                           '"table":"My App.Order \"Lines\""',
                           '"key":{"Order":' || coalesce(to_json(old."Order")::text, 'null') ||
                           ',"näme \\ x":' || coalesce(to_json(old."näme \ x")::text, 'null') || '}',
                           '"owners":' || '{' || concat_ws(',', '"it''s":' || to_json(old."it's"::text)::text) || '}',
                           '"old":' || row_to_json(old_shown.*)::text,
                           '"only":{' || concat_ws(',',
                               '"it''s":{' || concat_ws(',',
                                   '"old":' || row_to_json(old_only_1.*)::text) || '}') || '}') || '}'
                  FROM old_rows AS old
                 CROSS JOIN LATERAL (SELECT old."Order", old."näme \ x", old."select") AS old_shown
                 CROSS JOIN LATERAL (SELECT old."it's") AS old_only_1;
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
            concat('{"type":"line","op":"reset","table":"My App.Order \"Lines\"","reason":"capture_failed","error":', to_json(body), '}')
        ];
        whole  := true;
    END;

    IF bodies IS NOT NULL THEN
        PERFORM pgbell.record(bodies, carry => whole);
    END IF;
    RETURN NULL;
END
$pgbell$;
COMMENT ON FUNCTION pgbell."My App.Order ""Lines"""() IS 'pgbell: records every change of My App.Order "Lines" as a line event. Definition dd7babe8c474caad.';
REVOKE ALL ON FUNCTION pgbell."My App.Order ""Lines"""() FROM PUBLIC;

-- Create trigger pgbell_insert on My App.Order "Lines": it is missing.
CREATE OR REPLACE TRIGGER pgbell_insert AFTER INSERT ON "My App"."Order ""Lines"""
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pgbell."My App.Order ""Lines"""();
COMMENT ON TRIGGER pgbell_insert ON "My App"."Order ""Lines""" IS 'pgbell: after each INSERT calls pgbell.My App.Order "Lines".';

-- Create trigger pgbell_update on My App.Order "Lines": it is missing.
CREATE OR REPLACE TRIGGER pgbell_update AFTER UPDATE ON "My App"."Order ""Lines"""
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pgbell."My App.Order ""Lines"""();
COMMENT ON TRIGGER pgbell_update ON "My App"."Order ""Lines""" IS 'pgbell: after each UPDATE calls pgbell.My App.Order "Lines".';

-- Create trigger pgbell_delete on My App.Order "Lines": it is missing.
CREATE OR REPLACE TRIGGER pgbell_delete AFTER DELETE ON "My App"."Order ""Lines"""
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION pgbell."My App.Order ""Lines"""();
COMMENT ON TRIGGER pgbell_delete ON "My App"."Order ""Lines""" IS 'pgbell: after each DELETE calls pgbell.My App.Order "Lines".';

-- Create trigger pgbell_truncate on My App.Order "Lines": it is missing.
CREATE OR REPLACE TRIGGER pgbell_truncate AFTER TRUNCATE ON "My App"."Order ""Lines"""
    FOR EACH STATEMENT EXECUTE FUNCTION pgbell."My App.Order ""Lines"""();
COMMENT ON TRIGGER pgbell_truncate ON "My App"."Order ""Lines""" IS 'pgbell: after each TRUNCATE calls pgbell.My App.Order "Lines".';

COMMIT;
