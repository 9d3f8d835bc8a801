package triggers_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/triggers"
)

// whole reads the whole log as a listener does.
func (d *database) whole(t *testing.T) []pgbell.Event {
	t.Helper()
	var all []pgbell.Event
	_, err := db.Log{}.Read(t.Context(), pgtest.Connect(t, d.url), nil, func(_ *pgbell.Snapshot, e pgbell.Event) error {
		all = append(all, e)
		return nil
	})
	require.NoError(t, err)
	return all
}

// Text that has no form in UTF-8 is written, told to nobody, and ends nobody's
// stream.
func TestTextThatIsNotUTF8(t *testing.T) {
	t.Parallel()
	for encoding, good := range map[string]string{"SQL_ASCII": "plain", "WIN1252": `x\xe9`, "EUC_JP": `\xa4\xa2`} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			bad := `\x81`
			if encoding == "EUC_JP" {
				bad = `\xa9\xa1` // a place that no character has
			}
			d := &database{t: t, url: pgtest.DatabaseIn(t, encoding)}
			d.conn = pgtest.Connect(t, d.url)
			d.exec(`CREATE TABLE bookings (id int PRIMARY KEY, client_id text, provider_id text, status text);
				CREATE TABLE payments (id int PRIMARY KEY, booking_id int REFERENCES bookings ON DELETE CASCADE, amount int);
				CREATE INDEX ON payments (booking_id)`)
			d.apply(triggers.Watch{
				Table: name("bookings"), Type: "booking", AllColumns: true, Owners: []triggers.Owner{{Audience: "client", Column: "client_id"}},
				Actions: []triggers.Action{{Name: "odd", When: "NEW.status::int > 1"}},
			}, family)
			d.exec(`SET pgbell.bell = always`)
			for _, step := range []struct {
				sql    string
				events int
				reset  bool
			}{
				{`INSERT INTO bookings VALUES (1, 'u1', E'` + good + `', '1')`, 1, false},
				// A booking that cannot be told may have moved payments: a reset for each.
				{`INSERT INTO bookings VALUES (2, 'u1', E'` + bad + `', '1')`, 2, true},
				{`INSERT INTO bookings VALUES (3, 'u1', E'` + bad + `', '1'), (4, 'u1', 'good', '1')`, 2, true},
				{`UPDATE bookings SET status = E'` + bad + `' WHERE id = 1`, 2, true}, // the action's error quotes it
				{`UPDATE bookings SET status = '1' WHERE id = 1`, 2, true},
				{`INSERT INTO payments VALUES (10, 1, 1), (11, 1, 2)`, 2, false},
				{`UPDATE bookings SET client_id = E'` + bad + `' WHERE id = 1`, 2, true},
				{`UPDATE payments SET amount = 3`, 1, true},
				{`DELETE FROM bookings WHERE id = 1`, 3, true},
				{`DELETE FROM bookings WHERE id = 4`, 1, false},
			} {
				events := d.do(step.sql)
				require.Len(t, events, step.events, step.sql)
				for _, e := range events {
					require.Equal(t, step.reset, e.Op == pgbell.Reset, "%s: %s", step.sql, short(e))
					if step.reset {
						require.Equal(t, "capture_failed", e.Reason)
						require.NotEmpty(t, e.Error)
					}
				}
			}
			for _, e := range d.whole(t) {
				require.NotEqual(t, "unreadable", e.Reason)
			}
			// The notes of moves can be settled, too.
			d.settle()
			_, err := d.conn.Exec(t.Context(), `SELECT pgbell.record(ARRAY[E'{"type":"t","op":"publish","data":"`+bad+`"}'])`)
			require.ErrorContains(t, err, "UTF8", "who calls it by name is told")
		})
	}
}

func (d *database) count(sql string) (n int) {
	d.t.Helper()
	require.NoError(d.t, d.conn.QueryRow(d.t.Context(), sql).Scan(&n))
	return n
}

// A table may hold JSON as deep as the stack allows. An event wraps it once
// more, on a stack that has the trigger on it.
func TestJSONAsDeepAsCanBe(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, `CREATE TABLE things (id int PRIMARY KEY, doc json)`)
	nested := func(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }
	insert := func(depth int) error {
		_, err := d.conn.Exec(t.Context(), `INSERT INTO things VALUES ($1, $2::text::json)`, depth, nested(depth))
		return err
	}
	low, high := 1000, 1_000_000
	for high-low > 1 {
		if middle := (low + high) / 2; insert(middle) == nil {
			low = middle
		} else {
			high = middle
		}
	}
	d.exec(`DELETE FROM things`)
	d.apply(triggers.Watch{Table: name("things"), Type: "thing", AllColumns: true})
	for depth := low; depth > low-64; depth -= 3 {
		require.NoError(t, insert(depth), "%d of %d levels", depth, low)
	}
	require.Equal(t, 22, d.count(`SELECT count(*) FROM pgbell.events`))
	d.exec(`UPDATE things SET id = -id`)
	d.exec(`DELETE FROM things`)
}

// Escapes that a json column may hold and text cannot pass through; whoever
// reads the log in the database reads on.
func TestEscapesThatAreNoText(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, `CREATE TABLE bookings (id int PRIMARY KEY, client_id text, provider_id text, x int);
		CREATE TABLE payments (id int PRIMARY KEY, booking_id int, doc json);
		INSERT INTO bookings VALUES (1, 'u1', NULL, 0), (2, 'u2', NULL, 0)`)
	d.apply(family)
	for i, escape := range []string{`\u0000`, `\ud800`, `\\\udc00`, `\\u0000`, `\"\u0000\u00e9`} {
		value := fmt.Sprintf(`{"table":"x %s","key":{"id":7}}`, escape)
		// Neither sees the other.
		other := d.session(`BEGIN`)
		_, err := other.Exec(t.Context(), `INSERT INTO payments VALUES ($1, 1, $2)`, 10+i, value)
		require.NoError(t, err)
		d.exec(`UPDATE bookings SET client_id = client_id || 'x' WHERE id = 1`)
		run(t, other, `COMMIT`)
		d.settle()

		all := d.whole(t)
		require.Equal(t, "owner_race", all[len(all)-1].Reason, escape)
		inserted := slices.ContainsFunc(all, func(e pgbell.Event) bool {
			return e.Op == pgbell.Insert && strings.Contains(string(e.Data), value)
		})
		require.True(t, inserted, escape)
	}
	require.Equal(t, 1, d.count(`SELECT count(*) FROM pgbell.status WHERE part = 'table' AND name = 'public.payments' AND last_event_at IS NOT NULL`))
	found, err := db.RowEvents(t.Context(), d.conn, "public.payments", []string{"id"}, []string{"10"}, 10)
	require.NoError(t, err)
	require.NotEmpty(t, found)
}
