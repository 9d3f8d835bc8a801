package db_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/pgtest"
)

// notification is what clients get.
type notification struct {
	ID        int64           `json:"id"`
	Type      string          `json:"type"`
	Audience  *string         `json:"audience"`
	Level     string          `json:"level"`
	Title     string          `json:"title"`
	Message   string          `json:"message"`
	Data      json.RawMessage `json:"data"`
	CreatedAt time.Time       `json:"createdAt"`
	ReadAt    *time.Time      `json:"readAt"`
}

func decodeNotification(t require.TestingT, object json.RawMessage) notification {
	var n notification
	require.NoError(t, json.Unmarshal(object, &n))
	return n
}

// told are the new notifications among events, by title and user, and the
// number of ids read by user.
func told(t require.TestingT, events []pgbell.Event) (made []string, read map[string][]int64, resets []string) {
	read = make(map[string][]int64)
	for _, e := range events {
		require.Equal(t, "pgbell.notification", e.Type)
		switch {
		case e.Op == pgbell.Reset:
			resets = append(resets, e.Reason+" "+strings.Join(e.Users, ","))
		case e.Action == "created":
			require.Len(t, e.Users, 1)
			made = append(made, decodeNotification(t, e.Data).Title+" "+e.Users[0])
		default:
			require.Equal(t, "read", e.Action)
			require.Len(t, e.Users, 1)
			var data struct{ IDs []int64 }
			require.NoError(t, json.Unmarshal(e.Data, &data))
			read[e.Users[0]] = append(read[e.Users[0]], data.IDs...)
		}
	}
	return made, read, resets
}

func execute(t testing.TB, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

func TestNotificationsOfPlainInserts(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	n := db.NewNotifications(openPool(t, url), 0)
	at := position(t, conn).Snapshot()

	execute(t, conn, `INSERT INTO pgbell.notifications (user_id, title) VALUES ('u1', 'least')`)
	execute(t, conn, `INSERT INTO pgbell.notifications (user_id, type, audience, level, title, message, data)
		VALUES ('u"1', 'booking.accepted', 'client', 'success', E'all "of"\nit', 'é {id}', '{"price": 1.50}')`)
	at, events := readAll(t, conn, at)
	require.Len(t, events, 2)
	require.Equal(t, pgbell.Publish, events[0].Op)
	require.Equal(t, []string{"u1"}, events[0].Users)
	least := decodeNotification(t, events[0].Data)
	require.Equal(t, notification{ID: least.ID, Type: "notice", Level: "info", Title: "least", Data: json.RawMessage("null"), CreatedAt: least.CreatedAt}, least)
	require.WithinDuration(t, time.Now(), least.CreatedAt, time.Minute)
	require.Equal(t, []string{`u"1`}, events[1].Users)
	all := decodeNotification(t, events[1].Data)
	require.Equal(t, "all \"of\"\nit", all.Title)
	require.Equal(t, "é {id}", all.Message)
	require.Equal(t, "client", *all.Audience)
	require.Equal(t, `{"price": 1.50}`, string(all.Data))

	// The list has the same bytes.
	page, err := n.List(t.Context(), db.NotificationsQuery{User: `u"1`, Limit: 10})
	require.NoError(t, err)
	require.Equal(t, string(events[1].Data), string(page.Notifications[0]))
	require.EqualValues(t, 1, page.Unread)

	// What is rolled back was never told.
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `INSERT INTO pgbell.notifications (user_id, title) VALUES ('u1', 'never')`)
	require.NoError(t, err)
	require.NoError(t, tx.Rollback(t.Context()))
	at, events = readAll(t, conn, at)
	require.Empty(t, events)

	// Many at once, in order, each once.
	execute(t, conn, `INSERT INTO pgbell.notifications (user_id, title) SELECT 'u' || i % 7, 'n' || i FROM generate_series(1, 1000) AS i`)
	at, events = readAll(t, conn, at)
	made, _, _ := told(t, events)
	require.Len(t, made, 1000)
	for i, m := range made {
		require.Equal(t, fmt.Sprintf("n%d u%d", i+1, (i+1)%7), m)
	}

	// Switched off, rows stay and nobody is told.
	execute(t, conn, `SET pgbell.enabled = off`)
	execute(t, conn, `INSERT INTO pgbell.notifications (user_id, title) VALUES ('off', 'silent'); UPDATE pgbell.notifications SET read_at = now(); DELETE FROM pgbell.notifications; TRUNCATE pgbell.notifications`)
	_, events = readAll(t, conn, at)
	require.Empty(t, events)
}

func TestNotificationBounds(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Database(t))
	for constraint, insert := range map[string]string{
		"user_id_of_1_to_256_bytes":                       `(user_id, title) VALUES ('', 't')`,
		"type_of_letters_digits_dots_and_underscores":     `(user_id, title, type) VALUES ('u', 't', 'a b')`,
		"level_is_info_success_warning_or_error":          `(user_id, title, level) VALUES ('u', 't', 'fatal')`,
		"title_of_1_to_500_characters":                    `(user_id, title) VALUES ('u', repeat('é', 501))`,
		"message_of_at_most_4000_characters":              `(user_id, title, message) VALUES ('u', 't', repeat('é', 4001))`,
		"data_of_at_most_64_kib_and_9000_parts":           `(user_id, title, data) VALUES ('u', 't', (repeat('[', 9001) || repeat(']', 9001))::json)`,
		"audience_of_1_to_256_bytes":                      `(user_id, title, audience) VALUES ('u', 't', '')`,
		"times_are_finite":                                `(user_id, title, created_at) VALUES ('u', 't', 'infinity')`,
		"data_of_at_most_64_kib_and_9000_parts\x00 bytes": `(user_id, title, data) VALUES ('u', 't', to_json(repeat('x', 65536)))`,
	} {
		_, err := conn.Exec(t.Context(), "INSERT INTO pgbell.notifications "+insert)
		name, _, _ := strings.Cut(constraint, "\x00")
		require.ErrorContains(t, err, name)
	}
}

func TestNotify(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn, pool := pgtest.Connect(t, url), openPool(t, url)
	at := position(t, conn).Snapshot()
	made, err := db.Notify(t.Context(), pool, db.Notice{Users: []string{"u1", "u2", "u1"}, Title: "hello", Level: "warning", Type: "invoice.due", Data: []byte(`{"n":1}`)})
	require.NoError(t, err)
	require.Equal(t, 2, made, "each user once")
	at, events := readAll(t, conn, at)
	require.Len(t, events, 2)
	n := decodeNotification(t, events[0].Data)
	require.Equal(t, "invoice.due", n.Type)
	require.Equal(t, "warning", n.Level)
	require.Equal(t, `{"n":1}`, string(n.Data))

	// The same again with a key makes none.
	once := db.Notice{Users: []string{"u1"}, Title: "once", IdempotencyKey: "k"}
	counts := make([]int, 8)
	var g errgroup.Group
	for i := range counts {
		g.Go(func() (err error) { counts[i], err = db.Notify(t.Context(), pool, once); return err })
	}
	require.NoError(t, g.Wait())
	require.Equal(t, []int{1, 1, 1, 1, 1, 1, 1, 1}, counts)
	other := once
	other.Title = "twice"
	_, err = db.Notify(t.Context(), pool, other)
	require.ErrorIs(t, err, db.ErrIdempotencyKey)
	_, err = db.Publish(t.Context(), pool, db.Publication{Type: "n", Action: "a", Users: []string{"u1"}, IdempotencyKey: "k"})
	require.ErrorIs(t, err, db.ErrIdempotencyKey)
	at, events = readAll(t, conn, at)
	require.Len(t, events, 1)

	for name, mistake := range map[string]db.Notice{
		"nobody":       {Title: "t"},
		"too many":     {Title: "t", Users: strings.Split(strings.Repeat("u,", 1000)+"u", ",")},
		"empty user":   {Title: "t", Users: []string{""}},
		"no title":     {Users: []string{"u"}},
		"level":        {Users: []string{"u"}, Title: "t", Level: "loud"},
		"type":         {Users: []string{"u"}, Title: "t", Type: "a b"},
		"long message": {Users: []string{"u"}, Title: "t", Message: strings.Repeat("m", 4001)},
		"long key":     {Users: []string{"u"}, Title: "t", IdempotencyKey: strings.Repeat("k", 601)},
	} {
		_, err := db.Notify(t.Context(), pool, mistake)
		var told *db.PublicationMistake
		require.ErrorAs(t, err, &told, name)
		require.NotContains(t, told.Message, "_", name)
	}
	_, events = readAll(t, conn, at)
	require.Empty(t, events)

	execute(t, conn, "SET pgbell.enabled = off")
	var none *int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT pgbell.notify(ARRAY['u'], 't')").Scan(&none))
	require.Nil(t, none)
}

// TestNotificationGrants: what an application's role needs, and that it is
// enough.
func TestNotificationGrants(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	admin := pgtest.Connect(t, url)
	role := pgtest.NewRole(t, url)
	conn := pgtest.Connect(t, role.URL)
	const insert = "INSERT INTO pgbell.notifications (user_id, title) VALUES ('u', 't')"
	const notify = "SELECT pgbell.notify(ARRAY['u'], 't')"
	for _, sql := range []string{insert, notify} {
		_, err := conn.Exec(t.Context(), sql)
		require.ErrorContains(t, err, "permission denied")
	}
	at := position(t, admin).Snapshot()
	execute(t, admin, fmt.Sprintf(`GRANT USAGE ON SCHEMA pgbell TO %[1]s;
		GRANT INSERT (user_id, type, audience, level, title, message, data) ON pgbell.notifications TO %[1]s;
		GRANT EXECUTE ON FUNCTION pgbell.notify TO %[1]s`, role.Name))
	execute(t, conn, insert)
	execute(t, conn, notify)
	_, events := readAll(t, admin, at)
	require.Len(t, events, 2)
	for _, sql := range []string{
		"SELECT * FROM pgbell.notifications",
		"INSERT INTO pgbell.notifications (user_id, title, read_at) VALUES ('u', 't', now())",
		"UPDATE pgbell.notifications SET read_at = now()",
		"SELECT pgbell.read_notifications('u')",
		"INSERT INTO pgbell.events (body) VALUES ('{}')",
	} {
		_, err := conn.Exec(t.Context(), sql)
		require.ErrorContains(t, err, "permission denied", sql)
	}
}

func TestNotificationsArePaged(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	n := db.NewNotifications(openPool(t, url), 0)
	execute(t, conn, `INSERT INTO pgbell.notifications (user_id, title, read_at)
		SELECT CASE WHEN i % 2 = 0 THEN 'u' ELSE 'other' END, 'n' || i, CASE WHEN i % 3 = 0 THEN now() END FROM generate_series(1, 100) AS i`)
	for _, unread := range []bool{false, true} {
		var titles, want []string
		for i := 100; i > 0; i -= 2 {
			if !unread || i%3 != 0 {
				want = append(want, fmt.Sprintf("n%d", i))
			}
		}
		q := db.NotificationsQuery{User: "u", Limit: 7, Unread: unread}
		for {
			page, err := n.List(t.Context(), q)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page.Notifications), 7)
			require.EqualValues(t, 34, page.Unread)
			for _, object := range page.Notifications {
				titles = append(titles, decodeNotification(t, object).Title)
			}
			if page.Next == 0 {
				break
			}
			require.Len(t, page.Notifications, 7)
			q.Before = page.Next
		}
		require.Equal(t, want, titles)
	}
	page, err := n.List(t.Context(), db.NotificationsQuery{User: "nobody", Limit: 7})
	require.NoError(t, err)
	require.Empty(t, page.Notifications)
	require.Zero(t, page.Unread)

	// What follows the cursor is what comes after the page.
	page, err = n.List(t.Context(), db.NotificationsQuery{User: "u", Limit: 1})
	require.NoError(t, err)
	execute(t, conn, `INSERT INTO pgbell.notifications (user_id, title) VALUES ('u', 'after')`)
	_, events := readAll(t, conn, page.Cursor.Snapshot())
	made, _, _ := told(t, events)
	require.Equal(t, []string{"after u"}, made)
}

func TestNotificationsAreRead(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	n := db.NewNotifications(openPool(t, url), 0)
	execute(t, conn, `INSERT INTO pgbell.notifications (user_id, title) SELECT CASE WHEN i <= 3000 THEN 'u' ELSE 'other' END, 'n' FROM generate_series(1, 3010) AS i`)
	at := position(t, conn).Snapshot()

	unread, err := n.MarkRead(t.Context(), "u", []int64{1, 2, 2, 3005, 99999})
	require.NoError(t, err)
	require.EqualValues(t, 2998, unread)
	unread, err = n.MarkRead(t.Context(), "u", []int64{2, 3})
	require.NoError(t, err)
	require.EqualValues(t, 2997, unread)
	at, events := readAll(t, conn, at)
	_, read, _ := told(t, events)
	require.Equal(t, map[string][]int64{"u": {1, 2, 3}}, read, "each once, none of others")

	// None that was unread: nobody is told.
	unread, err = n.MarkRead(t.Context(), "u", []int64{1})
	require.NoError(t, err)
	require.EqualValues(t, 2997, unread)
	unread, err = n.MarkRead(t.Context(), "u", []int64{})
	require.NoError(t, err)
	require.EqualValues(t, 2997, unread)
	at, events = readAll(t, conn, at)
	require.Empty(t, events)

	// All, in pieces.
	unread, err = n.MarkRead(t.Context(), "u", nil)
	require.NoError(t, err)
	require.Zero(t, unread)
	at, events = readAll(t, conn, at)
	require.Len(t, events, 3)
	_, read, _ = told(t, events)
	require.Len(t, read["u"], 2997)
	require.True(t, slices.IsSorted(read["u"]))
	counts, err := n.Unread(t.Context(), []string{"u", "other", "nobody"})
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"u": 0, "other": 10, "nobody": 0}, counts)

	// By SQL, whatever it does.
	execute(t, conn, `UPDATE pgbell.notifications SET read_at = now() WHERE id = 3001`)
	execute(t, conn, `UPDATE pgbell.notifications SET read_at = NULL WHERE id IN (1, 3001)`)
	execute(t, conn, `UPDATE pgbell.notifications SET title = 'other', read_at = now() WHERE id = 3002`)
	execute(t, conn, `UPDATE pgbell.notifications SET title = title, read_at = read_at`)
	execute(t, conn, `UPDATE pgbell.notifications SET user_id = 'third' WHERE id = 3003`)
	execute(t, conn, `UPDATE pgbell.notifications SET read_at = now() - interval '2 days' WHERE id = 5`)
	execute(t, conn, `DELETE FROM pgbell.notifications WHERE id = 5`) // long read
	execute(t, conn, `DELETE FROM pgbell.notifications WHERE id = 6`)
	execute(t, conn, `DELETE FROM pgbell.notifications WHERE id = 3004`)
	execute(t, conn, `TRUNCATE pgbell.notifications`)
	_, events = readAll(t, conn, at)
	_, read, resets := told(t, events)
	require.Equal(t, map[string][]int64{"other": {3001, 3002}}, read)
	require.Equal(t, []string{"changed other,u", "changed other", "changed other,third", "changed u", "changed other", "truncate "}, resets)
}

// TestReadersDoNotDeadlock: devices of one user mark the same, in any order,
// while notifications come.
func TestReadersDoNotDeadlock(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	n := db.NewNotifications(openPool(t, url), 0)
	at := position(t, conn).Snapshot()
	var g errgroup.Group
	for device := range 4 {
		own := pgtest.Connect(t, url)
		g.Go(func() error {
			for i := range 30 {
				if _, err := own.Exec(t.Context(), `INSERT INTO pgbell.notifications (user_id, title) SELECT 'u', 'n' FROM generate_series(1, 20)`); err != nil {
					return err
				}
				ids := []int64(nil)
				if (device+i)%2 == 0 {
					for id := 600; id > 0; id-- {
						ids = append(ids, int64(id))
					}
				}
				if _, err := n.MarkRead(t.Context(), "u", ids); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	unread, err := n.MarkRead(t.Context(), "u", nil)
	require.NoError(t, err)
	require.Zero(t, unread)
	_, events := readAll(t, conn, at)
	made, read, _ := told(t, events)
	require.Len(t, made, 2400)
	ids := slices.Sorted(slices.Values(read["u"]))
	require.Len(t, slices.Compact(ids), 2400, "each was read once")
	require.Len(t, read["u"], 2400)
}

// TestMakersDoNotWait: transactions that notify one user don't wait for each
// other, nor for one that marks as read.
func TestMakersDoNotWait(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	a, b, c := pgtest.Connect(t, url), pgtest.Connect(t, url), pgtest.Connect(t, url)
	const insert = `INSERT INTO pgbell.notifications (user_id, title) VALUES ('u', 'n')`
	execute(t, c, "SET lock_timeout = '1ms'")
	execute(t, a, insert)
	execute(t, a, "BEGIN")
	execute(t, a, "SELECT pgbell.read_notifications('u')")
	execute(t, b, "BEGIN")
	execute(t, b, insert)
	execute(t, c, insert)
	execute(t, c, "SELECT pgbell.unread_notifications('u')")
	execute(t, b, "COMMIT")
	execute(t, a, "COMMIT")
	var unread int
	require.NoError(t, c.QueryRow(t.Context(), "SELECT pgbell.unread_notifications('u')").Scan(&unread))
	require.Equal(t, 2, unread)
}

func TestNotificationPreferences(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn, pool := pgtest.Connect(t, url), openPool(t, url)
	n := db.NewNotifications(pool, 0)
	insert := func(user, typ string, audience *string) bool {
		tag, err := conn.Exec(t.Context(), `INSERT INTO pgbell.notifications (user_id, title, type, audience) VALUES ($1, 't', $2, $3)`, user, typ, audience)
		require.NoError(t, err)
		return tag.RowsAffected() == 1
	}
	client, provider := "client", "provider"
	require.NoError(t, n.SetPreferences(t.Context(), "u", []db.Preference{
		{"*", "provider", "muted"},
		{"booking.accepted", "*", "in_app"},
		{"booking.updated", "client", "in_app"},
		{"booking.updated", "*", "muted"},
	}))
	for _, c := range []struct {
		typ      string
		audience *string
		made     bool
	}{
		{"other", nil, true},
		{"other", &client, true},
		{"other", &provider, false},
		{"booking.accepted", &provider, true}, // the type counts first
		{"booking.updated", &client, true},
		{"booking.updated", &provider, false},
		{"booking.updated", nil, false},
	} {
		require.Equal(t, c.made, insert("u", c.typ, c.audience), c)
		require.True(t, insert("v", c.typ, c.audience))
	}
	all, err := n.Preferences(t.Context(), "u")
	require.NoError(t, err)
	require.Equal(t, []db.Preference{{"*", "provider", "muted"}, {"booking.accepted", "*", "in_app"}, {"booking.updated", "*", "muted"}, {"booking.updated", "client", "in_app"}}, all)

	// What is muted is not told, and not made later.
	at := position(t, conn).Snapshot()
	require.NoError(t, n.SetPreferences(t.Context(), "u", []db.Preference{{"*", "*", "muted"}}))
	made, err := db.Notify(t.Context(), pool, db.Notice{Users: []string{"u", "v"}, Title: "t"})
	require.NoError(t, err)
	require.Equal(t, 1, made)
	_, events := readAll(t, conn, at)
	require.Len(t, events, 1)
	require.Equal(t, []string{"v"}, events[0].Users)

	// All at once replace one another whole.
	var g errgroup.Group
	for i := range 8 {
		g.Go(func() error {
			typ := fmt.Sprintf("type_%d", i)
			return n.SetPreferences(t.Context(), "u", []db.Preference{{typ, "a", "muted"}, {typ, "b", "muted"}})
		})
	}
	require.NoError(t, g.Wait())
	all, err = n.Preferences(t.Context(), "u")
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, all[0].Type, all[1].Type)
	require.NoError(t, n.SetPreferences(t.Context(), "u", nil))
	all, err = n.Preferences(t.Context(), "u")
	require.NoError(t, err)
	require.Empty(t, all)
}

func TestNotificationsExpire(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	n := db.NewNotifications(openPool(t, url), 0)
	const day = 24 * time.Hour
	execute(t, conn, `INSERT INTO pgbell.notifications (user_id, title, created_at, read_at)
		SELECT 'u', 'old read', now() - interval '200 days', now() - interval '91 days' FROM generate_series(1, 2500)`)
	execute(t, conn, `INSERT INTO pgbell.notifications (user_id, title, created_at, read_at) VALUES
		('u', 'old, lately read', now() - interval '500 days', now() - interval '80 days'),
		('u', 'old, unread', now() - interval '300 days', NULL),
		('v', 'ancient, unread', now() - interval '366 days', NULL)`)
	at := position(t, conn).Snapshot()
	// One that somebody is at is left for another time.
	busy := pgtest.Connect(t, url)
	execute(t, busy, "BEGIN")
	execute(t, busy, "SELECT FROM pgbell.notifications WHERE id = 1 FOR UPDATE")
	var g errgroup.Group
	removed := make([]int64, 3)
	for node := range removed {
		g.Go(func() (err error) { removed[node], err = n.Expire(t.Context(), 90*day, 365*day); return err })
	}
	require.NoError(t, g.Wait())
	require.EqualValues(t, 2500, removed[0]+removed[1]+removed[2])
	execute(t, busy, "ROLLBACK")
	again, err := n.Expire(t.Context(), 90*day, 365*day)
	require.NoError(t, err)
	require.EqualValues(t, 1, again)
	rows, err := conn.Query(t.Context(), "SELECT title FROM pgbell.notifications ORDER BY id")
	require.NoError(t, err)
	left, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, []string{"old, lately read", "old, unread"}, left)
	// Whose count changed is told; the others miss nothing.
	_, events := readAll(t, conn, at)
	_, _, resets := told(t, events)
	require.Equal(t, []string{"changed v"}, resets)
}
