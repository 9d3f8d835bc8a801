package triggers_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/triggers"
)

// notified runs SQL and returns the notifications that it made, a line each. It
// checks that the log tells the same, each once.
func (d *database) notified(sql string, args ...any) []string {
	d.t.Helper()
	d.events()
	var last int64
	require.NoError(d.t, d.conn.QueryRow(d.t.Context(), "SELECT coalesce(max(id), 0) FROM pgbell.notifications").Scan(&last))
	d.exec(sql, args...)
	const line = `concat(n.user_id, ' ', n.type, ' ', n.audience, ' ', n.level, ': ', n.title, ' | ', n.message, ' ', n.data)`
	collect := func(query string, args ...any) []string {
		rows, err := d.conn.Query(d.t.Context(), query, args...)
		require.NoError(d.t, err)
		all, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(d.t, err)
		return all
	}
	made := collect("SELECT "+line+" FROM pgbell.notifications AS n WHERE n.id > $1 ORDER BY n.id", last)
	told := collect("SELECT "+line+` FROM pgbell.events AS e CROSS JOIN LATERAL json_to_record(e.body -> 'data') AS m (type text, audience text, level text, title text, message text, data json)
		CROSS JOIN LATERAL (SELECT e.body -> 'users' ->> 0 AS user_id, m.*) AS n
		WHERE e.id > $1 AND e.body ->> 'type' = 'pgbell.notification' ORDER BY e.id`, d.read)
	require.Len(d.t, told, len(made))
	for i := range made {
		require.Equal(d.t, made[i], told[i])
	}
	d.events()
	return made
}

func TestNotifications(t *testing.T) {
	t.Parallel()
	for _, many := range []bool{false, true} {
		t.Run(fmt.Sprintf("many=%t", many), func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t, marketplace)
			watches := []triggers.Watch{with(bookings, bookingRules...), with(payments, paymentRules...)}
			d.apply(watches...)
			if many {
				d.edit(partForOneRow, partForOneRow+"        EXIT one;\n")
			}

			require.Empty(t, d.notified(`INSERT INTO bookings (id, client_id) VALUES (1, 'c1')`), "nobody is its provider")
			require.Equal(t, []string{`p1 booking.created provider info: A new request | Booking 2 on 2026-01-02 02:30:00+00. Ring "twice". {"type":"booking","key":{"id":2}}`},
				d.notified(`SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German'; INSERT INTO bookings VALUES (2, 'c1', 'p1', 'PENDING', 7.5, '2026-01-02 03:30+01', 'Ring "twice".'); RESET ALL`))
			require.Empty(t, d.notified(`UPDATE bookings SET price = 8`))
			require.Equal(t, []string{
				`c1 booking.accepted client success: Your booking has been accepted! | Booking 2 is confirmed. {"type":"booking","key":{"id":2}}`,
				`p1 booking.accepted provider info: 8.00 |  {"type":"booking","key":{"id":2}}`,
			}, d.notified(`UPDATE bookings SET status = 'CONFIRMED' WHERE id = 2`))
			require.Empty(t, d.notified(`UPDATE bookings SET status = status, secret = 'x'`), "nothing changed")
			require.Empty(t, d.notified(`BEGIN; UPDATE bookings SET status = 'CONFIRMED' WHERE id = 1; ROLLBACK`))
			require.Empty(t, d.notified(`BEGIN; SAVEPOINT a; UPDATE bookings SET status = 'CONFIRMED' WHERE id = 1; ROLLBACK TO a; COMMIT`))
			require.Empty(t, d.notified(`SET pgbell.enabled = off; UPDATE bookings SET status = 'PENDING'; UPDATE bookings SET status = 'CONFIRMED'; UPDATE bookings SET status = 'PENDING'; RESET ALL`))

			// Whoever owns it after the change is told.
			require.Equal(t, []string{
				`c2 booking.accepted client success: Your booking has been accepted! | Booking 2 is confirmed. {"type":"booking","key":{"id":2}}`,
				`p1 booking.accepted provider info: 8.00 |  {"type":"booking","key":{"id":2}}`,
			}, d.notified(`UPDATE bookings SET status = 'CONFIRMED', client_id = 'c2' WHERE id = 2`))
			// With another key it went and came.
			require.ElementsMatch(t, []string{
				`c2 booking.deleted client warning: Booking 2 is gone |  {"type":"booking","key":{"id":2}}`,
				`p2 booking.created provider info: A new request | Booking 3 on 2026-01-02 02:30:00+00. Ring "twice". {"type":"booking","key":{"id":3}}`,
			}, d.notified(`UPDATE bookings SET id = 3, provider_id = 'p2' WHERE id = 2`))

			// Through the booking.
			const payment = "7b2f9c9e-0000-4000-8000-000000000001"
			require.Empty(t, d.notified(`INSERT INTO payments VALUES ('`+payment+`', 3, 5)`))
			require.Equal(t, []string{`c2 payment.updated client info: A payment changed |  {"type":"payment","key":{"id":"` + payment + `"}}`}, d.notified(`UPDATE payments SET amount = 6`))
			require.Equal(t, []string{`p2 payment.released provider success: It's "paid" | 6.00 {"type":"payment","key":{"id":"` + payment + `"}}`}, d.notified(`UPDATE payments SET status = 'RELEASED'`))
			require.Equal(t, []string{`c4 payment.updated client info: A payment changed |  {"type":"payment","key":{"id":"` + payment + `"}}`}, d.notified(`UPDATE bookings SET client_id = 'c4' WHERE id = 3`),
				"it is updated with its booking, and has another owner")

			// What a user muted is not made.
			d.exec(`INSERT INTO pgbell.notification_preferences VALUES ('c4', 'booking.deleted', '*', 'muted')`)
			require.Empty(t, d.notified(`DELETE FROM bookings WHERE id = 3`))
			d.exec(`DELETE FROM pgbell.notification_preferences; INSERT INTO bookings (id, client_id) VALUES (4, 'c4')`)
			require.Equal(t, []string{
				`c4 booking.deleted client warning: Booking 4 is gone |  {"type":"booking","key":{"id":4}}`,
				`c1 booking.deleted client warning: Booking 1 is gone |  {"type":"booking","key":{"id":1}}`,
			}, d.notified(`DELETE FROM bookings WHERE id = 4; DELETE FROM bookings WHERE id = 1`))
			require.Empty(t, d.notified(`TRUNCATE bookings CASCADE`))
		})
	}
}

// An owner who goes with the parent in a cascade is found, and told.
func TestNotificationsOfACascade(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, marketplace)
	d.apply(with(payments, triggers.Notification{Action: "deleted", To: "client", Title: []triggers.Part{words("of "), value("amount"), words(" gone")}}), bookings)
	d.exec(`INSERT INTO bookings (id, client_id) VALUES (1, 'c1'), (2, 'c2'); INSERT INTO payments (booking_id, amount) VALUES (1, 5), (2, 6), (2, 7)`)
	var lines []string
	for _, line := range d.notified(`DELETE FROM bookings`) {
		lines = append(lines, line[:strings.Index(line, " |")])
	}
	require.ElementsMatch(t, []string{"c1 payment.deleted client info: of 5.00 gone", "c2 payment.deleted client info: of 6.00 gone", "c2 payment.deleted client info: of 7.00 gone"}, lines)
}

// Whatever a row holds, the write goes on, and the notification is cut to what
// fits.
func TestNotificationsFit(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, `CREATE TABLE things (id text PRIMARY KEY, owner text, a text, n int)`)
	thing := triggers.Watch{Table: name("things"), Type: "thing", AllColumns: true, Owners: []triggers.Owner{{Audience: "a", Column: "owner"}}}
	thing.Notifications = []triggers.Notification{{Action: "created", To: "a", Title: []triggers.Part{value("a")}, Message: []triggers.Part{value("a"), value("a")}}}
	d.apply(thing)
	type row struct{ id, owner, a string }
	for title, c := range map[string]struct {
		row  row
		want []string
	}{
		"empty":       {row{"1", "u", ""}, []string{`u thing.created a info: thing.created |  {"type":"thing","key":{"id":"1"}}`}},
		"cut":         {row{"2", "u", strings.Repeat("é", 5000)}, []string{`u thing.created a info: ` + strings.Repeat("é", 500) + ` | ` + strings.Repeat("é", 4000) + ` {"type":"thing","key":{"id":"2"}}`}},
		"odd":         {row{`"\'`, `u"\'`, "a\n\"\\' \u2028%s{id}"}, []string{"u\"\\' thing.created a info: a\n\"\\' \u2028%s{id} | a\n\"\\' \u2028%s{id}a\n\"\\' \u2028%s{id} {\"type\":\"thing\",\"key\":{\"id\":\"\\\"\\\\'\"}}"}},
		"no id":       {row{"3", "", "a"}, nil},
		"long id":     {row{"4", strings.Repeat("u", 257), "a"}, nil},
		"longest id":  {row{"5", strings.Repeat("u", 256), "a"}, []string{strings.Repeat("u", 256) + ` thing.created a info: a | aa {"type":"thing","key":{"id":"5"}}`}},
		"long key":    {row{strings.Repeat("k", 20000), "u", "a"}, []string{`u thing.created a info: a | aa `}},
		"deep key":    {row{strings.Repeat("[", 9001), "u", "a"}, []string{`u thing.created a info: a | aa `}},
		"hidden text": {row{"6", "u", "\x01\x1f\x7f"}, []string{"u thing.created a info: \x01\x1f\x7f | \x01\x1f\x7f\x01\x1f\x7f {\"type\":\"thing\",\"key\":{\"id\":\"6\"}}"}},
	} {
		require.Equal(t, c.want, append([]string(nil), d.notified(`INSERT INTO things VALUES ($1, $2, $3)`, c.row.id, c.row.owner, c.row.a)...), title)
	}
	// The same by the queries, all at once.
	d.exec(`CREATE TABLE copy AS TABLE things; DELETE FROM things`)
	require.Len(t, d.notified(`INSERT INTO things SELECT * FROM copy ORDER BY ctid`), 7)
	require.Empty(t, d.notified(`INSERT INTO things VALUES ('n', NULL, NULL)`))
	require.Equal(t, []string{`u thing.created a info: thing.created |  {"type":"thing","key":{"id":"o"}}`}, d.notified(`INSERT INTO things VALUES ('o', 'u', NULL)`))

	// A rule that can no longer be followed takes the statement's events with it.
	d.exec(`ALTER TABLE things RENAME COLUMN a TO b`)
	require.Empty(t, d.notified(`INSERT INTO things VALUES ('p', 'u', 'x')`))
	require.Equal(t, []string{"thing reset capture_failed"}, []string{strings.Join(strings.Fields(short(d.do(`INSERT INTO things VALUES ('q', 'u', 'x')`)[0]))[:3], " ")})
}

// A statement of many rows makes each notification once, piece by piece, rings
// once, and leaves none if it fails at the end.
func TestNotificationsOfManyRows(t *testing.T) {
	t.Parallel()
	const rows = 10_000
	d := newDatabase(t, `CREATE TABLE things (id int PRIMARY KEY, owner text, n int, pad text); INSERT INTO things SELECT n, CASE WHEN n % 10 > 0 THEN 'u' || n % 7 END, 1, repeat('x', 300) FROM generate_series(1, 10000) AS n`)
	thing := triggers.Watch{
		Table: name("things"), Type: "thing", AllColumns: true, Owners: []triggers.Owner{{Audience: "a", Column: "owner"}},
		Actions:       []triggers.Action{{Name: "grew", When: "NEW.n > OLD.n AND 1 / NEW.n >= 0"}},
		Notifications: []triggers.Notification{{Action: "grew", To: "a", Title: []triggers.Part{words("thing "), value("id")}, Message: []triggers.Part{value("pad")}}},
	}
	d.apply(thing)
	d.exec("SET pgbell.bell = always")
	listener := pgtest.Connect(t, d.url)
	run(t, listener, "LISTEN pgbell")
	bells := func() (payloads []string) {
		d.exec("NOTIFY pgbell, 'last'")
		for {
			n, err := listener.WaitForNotification(t.Context())
			require.NoError(t, err)
			if n.Payload == "last" {
				return payloads
			}
			payloads = append(payloads, n.Payload)
		}
	}

	made := d.notified(`UPDATE things SET n = 2`)
	require.Len(t, made, rows*9/10)
	seen := make(map[string]bool)
	for _, line := range made {
		seen[line] = true
	}
	require.Len(t, seen, rows*9/10)
	require.True(t, seen[`u1 thing.grew a info: thing 1 | `+strings.Repeat("x", 300)+` {"type":"thing","key":{"id":1}}`])
	require.Equal(t, []string{""}, bells())

	d.exec(`UPDATE things SET n = -1`)
	bells()
	require.Empty(t, d.notified(`UPDATE things SET n = CASE id WHEN 9999 THEN 0 ELSE 5 END`), "one divides by zero, so none is captured")
	require.Len(t, bells(), 1)
}

// A partitioned table's rows come one by one.
func TestNotificationsOfPartitions(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, partitioned)
	d.apply(with(parts,
		triggers.Notification{Action: "grew", To: "a", Title: []triggers.Part{words("thing "), value("id"), words(" of "), value("part")}},
		triggers.Notification{Action: "deleted", To: "a", Title: []triggers.Part{words("gone: "), value("n")}}))
	require.Empty(t, d.notified(`INSERT INTO things VALUES (1, 'a', 'u', 1), (2, 'b', NULL, 1), (3, 'b', 'v', 1)`))
	require.Equal(t, []string{
		`u thing.grew a info: thing 1 of a |  {"type":"thing","key":{"id":1,"part":"a"}}`,
		`v thing.grew a info: thing 3 of b |  {"type":"thing","key":{"id":3,"part":"b"}}`,
	}, d.notified(`UPDATE things SET n = 2`))
	require.Equal(t, []string{`v thing.grew a info: thing 3 of b |  {"type":"thing","key":{"id":3,"part":"b"}}`}, d.notified(`UPDATE things_b1 SET n = 3 WHERE id = 3`))
	require.Equal(t, []string{`u thing.deleted a info: gone: 2 |  {"type":"thing","key":{"id":1,"part":"a"}}`}, d.notified(`UPDATE things SET part = 'b', owner = 'x' WHERE id = 1`),
		"it went from one partition and came to another")
	require.Equal(t, []string{`w thing.grew a info: thing 3 of b |  {"type":"thing","key":{"id":3,"part":"b"}}`}, d.notified(`UPDATE things SET owner = 'w', n = 9 WHERE id = 3`))

	d.exec(`DELETE FROM things; INSERT INTO things SELECT n, 'b', 'u', n FROM generate_series(1, 500) AS n`)
	d.exec("SET pgbell.bell = always")
	listener := pgtest.Connect(t, d.url)
	run(t, listener, "LISTEN pgbell")
	require.Len(t, d.notified(`UPDATE things SET n = n + 1`), 500)
	d.exec(`NOTIFY pgbell, 'last'`)
	for _, want := range []string{"", "last"} {
		n, err := listener.WaitForNotification(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, n.Payload)
	}
}

// A rule is a part of the function's definition.
func TestRulesArePlanned(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, marketplace)
	d.apply(bookings)
	without, err := triggers.SQL(t.Context(), d.conn, []triggers.Watch{bookings})
	require.NoError(t, err)
	require.NotContains(t, without, "record_notifications")
	ruled := with(bookings, bookingRules...)
	changes, err := triggers.Verify(t.Context(), d.conn, []triggers.Watch{ruled})
	require.NoError(t, err)
	require.Len(t, changes, 1)
	require.Equal(t, "function pgbell.public.bookings", changes[0].Object)
	require.Equal(t, triggers.Replace, changes[0].Kind)
	d.apply(ruled)
	require.True(t, d.plan(ruled).Empty())
	other := with(bookings, bookingRules[1:]...)
	require.Len(t, d.plan(other).Changes, 1)
	require.Len(t, d.apply(bookings).Changes, 1)
	require.Empty(t, d.notified(`INSERT INTO bookings (id, client_id, provider_id) VALUES (1, 'c1', 'p1')`))
	d.apply(ruled)
	require.Len(t, d.notified(`INSERT INTO bookings (id, client_id, provider_id) VALUES (2, 'c1', 'p1')`), 1)
	_, err = triggers.Remove(t.Context(), d.conn, triggers.ApplyOptions{})
	require.NoError(t, err)
	require.Empty(t, d.notified(`INSERT INTO bookings (id, client_id, provider_id) VALUES (3, 'c1', 'p1')`))
	var kept int
	require.NoError(t, d.conn.QueryRow(t.Context(), "SELECT count(*) FROM pgbell.notifications").Scan(&kept))
	require.Equal(t, 1, kept, "what users were told is theirs")
}

func TestRuleMistakes(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, marketplace)
	rule := triggers.Notification{Action: "accepted", To: "client", Title: []triggers.Part{words("t")}}
	edit := func(f func(*triggers.Notification)) []triggers.Notification {
		r := rule
		f(&r)
		return []triggers.Notification{r}
	}
	say := func(parts ...triggers.Part) []triggers.Notification {
		return edit(func(n *triggers.Notification) { n.Message = parts })
	}
	for want, rules := range map[string][]triggers.Notification{
		`to client: there are two; one event makes one for an audience`:                                {rule, rule},
		`notification on booking.acepted to client: no action has this name; did you mean "accepted"?`: edit(func(n *triggers.Notification) { n.Action = "acepted" }),
		`to cleint: no owner has this audience; did you mean "client"?`:                                edit(func(n *triggers.Notification) { n.To = "cleint" }),
		`level "sucess" is none of info, success, warning and error; did you mean "success"?`:          edit(func(n *triggers.Notification) { n.Level = "sucess" }),
		`the title is missing`:                                                                                edit(func(n *triggers.Notification) { n.Title = nil }),
		`title has 501 characters, at most 500 are kept`:                                                      edit(func(n *triggers.Notification) { n.Title = []triggers.Part{words(strings.Repeat("é", 501))} }),
		`message has 4001 characters, at most 4000 are kept`:                                                  say(words(strings.Repeat("é", 2000)), value("id"), words(strings.Repeat("é", 2001))),
		`message says column "provider_note", which client does not see`:                                      say(value("provider_note")),
		`message says column "secret", which client does not see`:                                             say(value("secret")),
		`message says column "pirce", which client cannot see, for the table has none; did you mean "price"?`: say(value("pirce")),
	} {
		_, err := triggers.NewPlan(t.Context(), d.conn, []triggers.Watch{with(bookings, rules...)})
		require.ErrorContains(t, err, "public.bookings: notification on booking.")
		require.ErrorContains(t, err, want)
	}
	narrow := with(bookings, edit(func(n *triggers.Notification) { n.Action = "status_changed" })...)
	narrow.Columns = []string{"id", "client_id"}
	_, err := triggers.NewPlan(t.Context(), d.conn, []triggers.Watch{narrow})
	require.ErrorContains(t, err, `this never happens, for no column "status" is among those that every audience sees`)
	narrow = with(bookings, triggers.Notification{Action: "accepted", To: "provider", Title: []triggers.Part{value("id"), value("provider_note")}})
	narrow.Columns = []string{"status"}
	_, err = triggers.NewPlan(t.Context(), d.conn, []triggers.Watch{narrow})
	require.NoError(t, err, "everybody sees the key, and the provider a column more")
}
