-- +goose Up

-- Notifications are rows, kept for people who are away. Whoever makes one, and
-- however, its insert tells the user's sessions through the event log, in the
-- same transaction; so does whatever marks it as read.

CREATE TABLE pgbell.notifications (
    id         bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    user_id    text        NOT NULL,
    type       text        NOT NULL DEFAULT 'notice',
    audience   text,
    level      text        NOT NULL DEFAULT 'info',
    title      text        NOT NULL,
    message    text        NOT NULL DEFAULT '',
    data       json,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    read_at    timestamptz,
    CONSTRAINT user_id_of_1_to_256_bytes CHECK (octet_length(user_id) BETWEEN 1 AND 256),
    CONSTRAINT type_of_letters_digits_dots_and_underscores CHECK (type ~ '^[A-Za-z_][A-Za-z0-9_.]{0,128}$'),
    CONSTRAINT audience_of_1_to_256_bytes CHECK (octet_length(audience) BETWEEN 1 AND 256),
    CONSTRAINT level_is_info_success_warning_or_error CHECK (level IN ('info', 'success', 'warning', 'error')),
    CONSTRAINT title_of_1_to_500_characters CHECK (char_length(title) BETWEEN 1 AND 500),
    CONSTRAINT message_of_at_most_4000_characters CHECK (char_length(message) <= 4000),
    -- Decoders bound the depth, and so many cannot be too deep.
    CONSTRAINT data_of_at_most_64_kib_and_9000_parts CHECK (
        octet_length(data::text) <= 65536 AND length(data::text) - length(translate(data::text, '[{', '')) <= 9000),
    CONSTRAINT times_are_finite CHECK (isfinite(created_at) AND isfinite(read_at))
);
-- A user's, the newest first.
CREATE INDEX notifications_user ON pgbell.notifications (user_id, id);
-- Counting those unread looks at nothing else.
CREATE INDEX notifications_unread ON pgbell.notifications (user_id, id) WHERE read_at IS NULL;
-- What retention removes.
CREATE INDEX notifications_read ON pgbell.notifications (read_at) WHERE read_at IS NOT NULL;
CREATE INDEX notifications_unread_age ON pgbell.notifications (created_at) WHERE read_at IS NULL;
COMMENT ON TABLE pgbell.notifications IS 'What users are to be told, kept until retention removes it. Insert, or use pgbell.notify(); the user''s sessions hear of it with the commit.';
COMMENT ON COLUMN pgbell.notifications.type IS 'What it is about, such as booking.accepted. Preferences go by it.';
COMMENT ON COLUMN pgbell.notifications.audience IS 'As what the user is told, such as client. NULL: as nothing in particular.';
COMMENT ON COLUMN pgbell.notifications.data IS 'For programs.';
COMMENT ON COLUMN pgbell.notifications.read_at IS 'NULL: unread.';

-- Who does not want which.
CREATE TABLE pgbell.notification_preferences (
    user_id  text NOT NULL,
    type     text NOT NULL DEFAULT '*',
    audience text NOT NULL DEFAULT '*',
    delivery text NOT NULL,
    PRIMARY KEY (user_id, type, audience),
    CONSTRAINT user_id_of_1_to_256_bytes CHECK (octet_length(user_id) BETWEEN 1 AND 256),
    CONSTRAINT type_or_asterisk CHECK (type ~ '^([A-Za-z_][A-Za-z0-9_.]{0,128}|\*)$'),
    CONSTRAINT audience_of_1_to_256_bytes CHECK (octet_length(audience) BETWEEN 1 AND 256),
    CONSTRAINT delivery_is_in_app_or_muted CHECK (delivery IN ('in_app', 'muted'))
);
COMMENT ON TABLE pgbell.notification_preferences IS 'Which notifications users get. Without a row: all. A muted one is not made.';
COMMENT ON COLUMN pgbell.notification_preferences.type IS 'The notification''s type, or * for each that has no row of its own.';
COMMENT ON COLUMN pgbell.notification_preferences.audience IS 'The notification''s audience, or * for each that has no row of its own, and for notifications without. A row that names the type counts before one that names the audience.';

-- +goose StatementBegin
CREATE FUNCTION pgbell.mute_notification() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (SELECT p.delivery
          FROM pgbell.notification_preferences AS p
         WHERE p.user_id = NEW.user_id AND p.type IN (NEW.type, '*') AND p.audience IN (NEW.audience, '*')
         ORDER BY p.type = '*', p.audience = '*'
         LIMIT 1) = 'muted' THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION pgbell.mute_notification() IS 'Leaves out what the user has muted.';

CREATE TRIGGER mute BEFORE INSERT ON pgbell.notifications
    FOR EACH ROW EXECUTE FUNCTION pgbell.mute_notification();

-- +goose StatementBegin
CREATE FUNCTION pgbell.notification_json(n pgbell.notifications) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat('{"id":', n.id, ',"type":', to_json(n.type), ',"audience":', coalesce(to_json(n.audience), 'null'),
                  ',"level":', to_json(n.level), ',"title":', to_json(n.title), ',"message":', to_json(n.message),
                  ',"data":', coalesce(n.data, 'null'),
                  ',"createdAt":', to_json(to_char(n.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')),
                  ',"readAt":', coalesce(to_json(to_char(n.read_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')), 'null'), '}')
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION pgbell.notification_json(pgbell.notifications) IS 'A notification as clients get it, by the stream and by the list.';

-- Events of type pgbell.notification, op publish, action created or read, are
-- delivered, unlike other signals. What is recorded is recorded piece by piece,
-- so that memory stays bounded.

-- +goose StatementBegin
CREATE FUNCTION pgbell.tell_new_notifications() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bodies text[];
BEGIN
    IF lower(current_setting('pgbell.enabled', true)) IN ('off', 'false', 'no', '0') THEN
        RETURN NULL;
    END IF;
    FOR bodies IN
        SELECT array_agg(concat('{"type":"pgbell.notification","op":"publish","action":"created","users":[', to_json(n.user_id),
                                '],"data":', pgbell.notification_json(n.made), '}') ORDER BY n.id)
          FROM (SELECT r.id, r.user_id,
                       ROW(r.id, r.user_id, r.type, r.audience, r.level, r.title, r.message, r.data, r.created_at, r.read_at)::pgbell.notifications AS made,
                       row_number() OVER (ORDER BY r.id) / 256 AS piece
                  FROM new_rows AS r) AS n
         GROUP BY n.piece
         ORDER BY n.piece
    LOOP
        -- Within a trigger a statement may make them one by one: it rings once.
        PERFORM pgbell.record(bodies, carry => pg_trigger_depth() = 1);
    END LOOP;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION pgbell.tell_new_notifications() IS 'Tells users of their new notifications.';

-- +goose StatementBegin
CREATE FUNCTION pgbell.disturb_notifications(users text[]) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    FOR i IN 1 .. coalesce(cardinality(users), 0) BY 100 LOOP
        PERFORM pgbell.record(ARRAY[concat('{"type":"pgbell.notification","op":"reset","reason":"changed","users":', to_json(users[i:i + 99]), '}')]);
    END LOOP;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION pgbell.disturb_notifications(text[]) IS 'Tells users to fetch their notifications again.';

-- +goose StatementBegin
CREATE FUNCTION pgbell.tell_changed_notifications() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bodies text[];
BEGIN
    IF lower(current_setting('pgbell.enabled', true)) IN ('off', 'false', 'no', '0') THEN
        RETURN NULL;
    END IF;
    -- Read, at most 1000 in an event.
    FOR bodies IN
        SELECT array_agg(p.body)
          FROM (SELECT concat('{"type":"pgbell.notification","op":"publish","action":"read","users":[', to_json(r.user_id),
                              '],"data":{"ids":[', string_agg(r.id::text, ',' ORDER BY r.id), ']}}') AS body,
                       row_number() OVER (ORDER BY min(r.id)) / 256 AS piece
                  FROM (SELECT n.user_id, n.id, (row_number() OVER (PARTITION BY n.user_id ORDER BY n.id) - 1) / 1000 AS part
                          FROM old_rows AS o
                          JOIN new_rows AS n ON n.id = o.id AND n.user_id = o.user_id
                         WHERE o.read_at IS NULL AND n.read_at IS NOT NULL) AS r
                 GROUP BY r.user_id, r.part) AS p
         GROUP BY p.piece
         ORDER BY p.piece
    LOOP
        PERFORM pgbell.record(bodies);
    END LOOP;
    -- Any other change has no event of its own.
    PERFORM pgbell.disturb_notifications(array_agg(DISTINCT u.user_id))
       FROM old_rows AS o
       FULL JOIN new_rows AS n ON n.id = o.id
      CROSS JOIN LATERAL (VALUES (o.user_id), (n.user_id)) AS u (user_id)
      WHERE u.user_id IS NOT NULL
        AND (o.read_at IS NOT NULL AND n.read_at IS NULL
             OR record_image_ne(ROW(o.id, o.user_id, o.type, o.audience, o.level, o.title, o.message, o.data, o.created_at),
                                ROW(n.id, n.user_id, n.type, n.audience, n.level, n.title, n.message, n.data, n.created_at)));
    RETURN NULL;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION pgbell.tell_changed_notifications() IS 'Tells users which of their notifications were read, or to fetch them again.';

-- +goose StatementBegin
CREATE FUNCTION pgbell.tell_removed_notifications() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF lower(current_setting('pgbell.enabled', true)) IN ('off', 'false', 'no', '0') THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM pgbell.record(ARRAY['{"type":"pgbell.notification","op":"reset","reason":"truncate"}']);
        RETURN NULL;
    END IF;
    -- What goes long after it was read is missed by nobody.
    PERFORM pgbell.disturb_notifications(array_agg(DISTINCT o.user_id))
       FROM old_rows AS o
      WHERE o.read_at IS NULL OR o.read_at > clock_timestamp() - interval '1 day';
    RETURN NULL;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION pgbell.tell_removed_notifications() IS 'Tells users to fetch their notifications again when some are gone.';

CREATE TRIGGER tell_insert AFTER INSERT ON pgbell.notifications
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pgbell.tell_new_notifications();
CREATE TRIGGER tell_update AFTER UPDATE ON pgbell.notifications
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pgbell.tell_changed_notifications();
CREATE TRIGGER tell_delete AFTER DELETE ON pgbell.notifications
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION pgbell.tell_removed_notifications();
CREATE TRIGGER tell_truncate AFTER TRUNCATE ON pgbell.notifications
    FOR EACH STATEMENT EXECUTE FUNCTION pgbell.tell_removed_notifications();

-- For the rules of watches. It cannot fail: what the table would refuse is cut
-- or left out.
-- +goose StatementBegin
CREATE FUNCTION pgbell.record_notifications(notes text[]) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO pgbell.notifications (user_id, type, audience, level, title, message, data)
    SELECT n.user_id, n.type, n.audience, n.level, coalesce(nullif(left(n.title, 500), ''), n.type), left(n.message, 4000),
           CASE WHEN octet_length(n.data::text) <= 9000 THEN n.data END
      FROM json_to_recordset(concat('[', array_to_string(notes, ','), ']')::json)
           AS n (user_id text, type text, audience text, level text, title text, message text, data json)
     WHERE octet_length(n.user_id) BETWEEN 1 AND 256;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION pgbell.record_notifications(text[]) IS 'Makes the notifications that the rules of watches ask for. Each text is one, or several with commas between: JSON objects with the columns of pgbell.notifications.';

-- +goose StatementBegin
CREATE FUNCTION pgbell.notify(
    users           text[],
    title           text,
    message         text DEFAULT '',
    level           text DEFAULT 'info',
    type            text DEFAULT 'notice',
    data            json DEFAULT NULL,
    audience        text DEFAULT NULL,
    idempotency_key text DEFAULT NULL
) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    key    text := notify.idempotency_key;
    digest bytea;
    known  record;
    made   integer;
BEGIN
    IF coalesce(cardinality(notify.users), 0) NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'name 1 to 1000 users' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF key IS NOT NULL AND octet_length(key) NOT BETWEEN 1 AND 600 THEN
        RAISE EXCEPTION 'an idempotency key has 1 to 600 bytes' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF lower(current_setting('pgbell.enabled', true)) IN ('off', 'false', 'no', '0') THEN
        RETURN NULL;
    END IF;
    IF key IS NOT NULL THEN
        digest := sha256(convert_to(json_build_array('notify', notify.users, notify.title, notify.message, notify.level, notify.type,
                                                     notify.data, notify.audience)::text, 'UTF8'));
        -- Waits for whoever uses the same key just now.
        INSERT INTO pgbell.publications AS p (publisher, idempotency_key, digest)
        VALUES (session_user, key, digest)
        ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            SELECT p.event, p.digest INTO STRICT known
              FROM pgbell.publications AS p
             WHERE p.publisher = session_user AND p.idempotency_key = key;
            IF known.digest <> digest THEN
                RAISE EXCEPTION 'this idempotency key was used for something else' USING ERRCODE = 'unique_violation';
            END IF;
            RETURN known.event;
        END IF;
    END IF;
    INSERT INTO pgbell.notifications (user_id, type, audience, level, title, message, data)
    SELECT u.user_id, notify.type, notify.audience, notify.level, notify.title, notify.message, notify.data
      FROM (SELECT DISTINCT unnest(notify.users)) AS u (user_id);
    GET DIAGNOSTICS made = ROW_COUNT;
    IF key IS NOT NULL THEN
        UPDATE pgbell.publications AS p SET event = made
         WHERE p.publisher = session_user AND p.idempotency_key = key;
        -- What is old leaves with the next that comes, so the table stays small.
        DELETE FROM pgbell.publications
         WHERE (publisher, idempotency_key) IN (
                   SELECT o.publisher, o.idempotency_key FROM pgbell.publications AS o
                    WHERE o.at < clock_timestamp() - interval '24 hours'
                    ORDER BY o.at LIMIT 10 FOR UPDATE SKIP LOCKED);
    END IF;
    RETURN made;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION pgbell.notify(text[], text, text, text, text, json, text, text) IS
    'Makes a notification for each of the users who has not muted it. Part of the caller''s transaction. Returns how many, or NULL while pgbell.enabled is off. With an idempotency key the same again, within 24 hours, makes none and returns the same. A role that is to call it needs USAGE on schema pgbell and EXECUTE on this.';

-- More are not counted: counting takes time, and nobody reads them one by one.
-- +goose StatementBegin
CREATE FUNCTION pgbell.unread_notifications(user_id text) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT count(*)
      FROM (SELECT FROM pgbell.notifications AS n
             WHERE n.user_id = unread_notifications.user_id AND n.read_at IS NULL
             LIMIT 10000) AS unread
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION pgbell.unread_notifications(text) IS 'How many notifications of the user are unread; 10000 stands for more, too.';

-- +goose StatementBegin
CREATE FUNCTION pgbell.read_notifications(user_id text, ids bigint[] DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    -- Two devices of a user lock in the same order.
    UPDATE pgbell.notifications AS n
       SET read_at = clock_timestamp()
      FROM (SELECT l.id
              FROM pgbell.notifications AS l
             WHERE l.user_id = read_notifications.user_id AND l.read_at IS NULL
               AND (read_notifications.ids IS NULL OR l.id = ANY (read_notifications.ids))
             ORDER BY l.id
               FOR UPDATE) AS unread
     WHERE n.id = unread.id;
    RETURN pgbell.unread_notifications(read_notifications.user_id);
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION pgbell.read_notifications(text, bigint[]) IS 'Marks notifications of the user as read, without ids all. What is not the user''s is left alone. Returns how many are unread then.';

-- +goose StatementBegin
CREATE FUNCTION pgbell.expire_notifications(keep_read interval, keep_unread interval, most integer DEFAULT 1000) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    removed integer;
BEGIN
    -- What somebody else has locked goes another time.
    DELETE FROM pgbell.notifications AS n
     WHERE n.id = ANY (ARRAY(
               SELECT r.id FROM pgbell.notifications AS r
                WHERE r.read_at IS NOT NULL AND r.read_at < clock_timestamp() - keep_read
                ORDER BY r.read_at LIMIT most FOR UPDATE SKIP LOCKED))
        OR n.id = ANY (ARRAY(
               SELECT u.id FROM pgbell.notifications AS u
                WHERE u.read_at IS NULL AND u.created_at < clock_timestamp() - keep_unread
                ORDER BY u.created_at LIMIT most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION pgbell.expire_notifications(interval, interval, integer) IS 'Removes notifications that were read, or were made and never read, longer ago than that: a piece at a time. Returns how many; 0 when there are none left. Every node calls it.';

REVOKE ALL ON pgbell.notifications, pgbell.notification_preferences FROM PUBLIC;
REVOKE ALL ON FUNCTION pgbell.mute_notification(), pgbell.notification_json(pgbell.notifications), pgbell.tell_new_notifications(),
                       pgbell.disturb_notifications(text[]), pgbell.tell_changed_notifications(), pgbell.tell_removed_notifications(),
                       pgbell.record_notifications(text[]),
                       pgbell.notify(text[], text, text, text, text, json, text, text), pgbell.unread_notifications(text),
                       pgbell.read_notifications(text, bigint[]), pgbell.expire_notifications(interval, interval, integer) FROM PUBLIC;

-- +goose Down
DROP FUNCTION pgbell.expire_notifications(interval, interval, integer);
DROP FUNCTION pgbell.read_notifications(text, bigint[]);
DROP FUNCTION pgbell.unread_notifications(text);
DROP FUNCTION pgbell.notify(text[], text, text, text, text, json, text, text);
DROP FUNCTION pgbell.record_notifications(text[]);
DROP FUNCTION pgbell.notification_json(pgbell.notifications);
DROP TABLE pgbell.notifications;
DROP FUNCTION pgbell.tell_removed_notifications();
DROP FUNCTION pgbell.tell_changed_notifications();
DROP FUNCTION pgbell.disturb_notifications(text[]);
DROP FUNCTION pgbell.tell_new_notifications();
DROP FUNCTION pgbell.mute_notification();
DROP TABLE pgbell.notification_preferences;
