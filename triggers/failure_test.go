package triggers_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/triggers"
)

// Whatever happens to what the trigger reads, the write goes on and clients
// are told to fetch again.
func TestWritesNeverFail(t *testing.T) {
	t.Parallel()
	for title, damage := range map[string]struct{ sql, code string }{
		"dropped column":   {`ALTER TABLE things DROP COLUMN n`, ""},
		"renamed column":   {`ALTER TABLE things RENAME COLUMN n TO m`, ""},
		"renamed key":      {`ALTER TABLE things RENAME COLUMN id TO m`, ""},
		"changed type":     {`ALTER TABLE things ALTER COLUMN n TYPE text USING 'x'`, ""},
		"failing action":   {`UPDATE things SET n = 0`, ""},
		"failing assert":   {`CREATE OR REPLACE FUNCTION half(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN ASSERT false, 'no'; RETURN 1; END $$`, "P0004"},
		"missing function": {`DROP FUNCTION half(int)`, "42883"},
		"missing parent":   {`DROP TABLE parents CASCADE`, "42P01"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t, `CREATE FUNCTION half(int) RETURNS int LANGUAGE sql AS 'SELECT $1 / 2';
				CREATE TABLE parents (id int PRIMARY KEY, owner text);
				CREATE TABLE things (id int PRIMARY KEY, parent int REFERENCES parents, n int, a int)`)
			d.apply(triggers.Watch{
				Table: name("things"), Type: "thing", AllColumns: true,
				Owners:  []triggers.Owner{{Audience: "a", Via: &triggers.Via{Column: "parent", Table: name("parents"), Owner: "owner"}}},
				Actions: []triggers.Action{{Name: "odd", When: "public.half(1) / NEW.n > 1"}},
			})
			d.exec(`INSERT INTO parents VALUES (1, 'u')`)
			require.Len(t, d.do(`INSERT INTO things VALUES (1, 1, 1), (2, 1, 1)`), 2)
			require.Len(t, d.do(`UPDATE things SET a = 1`), 2, "plans are cached")
			d.exec(damage.sql)
			d.events()
			events := d.do(`UPDATE things SET a = 2`)
			require.Len(t, events, 1)
			require.Equal(t, pgbell.Reset, events[0].Op)
			require.Equal(t, "capture_failed", events[0].Reason)
			require.Contains(t, events[0].Error, damage.code)
			require.Equal(t, "thing", events[0].Type)
			var n int
			require.NoError(t, d.conn.QueryRow(t.Context(), `SELECT count(*) FROM things WHERE a = 2`).Scan(&n))
			require.Equal(t, 2, n)
		})
	}
}

// What was NOT NULL when the function was made need not stay so: no write
// fails, and the event tells what stands there.
func TestNotNullNoMore(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, marketplace)
	d.apply(bookings)
	d.do(`INSERT INTO bookings (id, client_id) VALUES (1, 'u1')`)
	d.exec(`ALTER TABLE bookings ALTER status DROP NOT NULL, ALTER client_id DROP NOT NULL`)
	for _, many := range []bool{false, true} {
		if many {
			d.edit(partForOneRow, partForOneRow+"        EXIT one;\n")
		}
		d.do(`UPDATE bookings SET status = NULL`)
		require.Equal(t, `{"status":null}`, string(d.do(`UPDATE bookings SET status = 'PENDING'`)[0].Old))
		require.Equal(t, []string{`booking insert/created {"id":2} owners {}`}, shorts(d.do(`INSERT INTO bookings (id) VALUES (2)`)))
		require.Equal(t, []string{`booking delete/deleted {"id":2} owners {}`}, shorts(d.do(`DELETE FROM bookings WHERE id = 2`)))
	}
	d.apply(bookings)
	d.exec(`ALTER TABLE bookings DROP CONSTRAINT bookings_pkey CASCADE, ALTER id DROP IDENTITY, ALTER id DROP NOT NULL`)
	d.do(`DELETE FROM bookings`)
	require.Equal(t, []string{`booking insert/created {"id":null} owners {}`}, shorts(d.do(`INSERT INTO bookings (client_id) VALUES (NULL)`)))
	require.Len(t, d.do(`UPDATE bookings SET price = 1`), 2, "that went and that came: nobody can tell that it is the same")
	require.Equal(t, []string{`booking delete/deleted {"id":null} owners {}`}, shorts(d.do(`DELETE FROM bookings`)))
}

// A statement large enough to be written piece by piece, then failing, leaves
// one reset and nothing else; one that does not fail rings once.
func TestLargeStatements(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, `CREATE TABLE things (id int PRIMARY KEY, n int, pad text)`)
	w := triggers.Watch{Table: name("things"), Type: "thing", AllColumns: true, Actions: []triggers.Action{{Name: "odd", When: "1 / NEW.n > 5"}}}
	d.apply(w)
	d.exec("SET pgbell.bell = always")
	listener := pgtest.Connect(t, d.url)
	_, err := listener.Exec(t.Context(), "LISTEN pgbell")
	require.NoError(t, err)
	bell := func() string {
		n, err := listener.WaitForNotification(t.Context())
		require.NoError(t, err)
		return n.Payload
	}

	require.Len(t, d.do(`INSERT INTO things SELECT n, 1, repeat('x', 300) FROM generate_series(1, 20000) AS n`), 20000)
	require.Empty(t, bell())
	require.Len(t, d.do(`UPDATE things SET n = 2 WHERE id = 1`), 1)
	require.Contains(t, bell(), `"op":"update"`, "so the large statement rang once")
	events := d.do(`UPDATE things SET n = CASE WHEN id = 19999 THEN 0 ELSE 3 END`)
	require.Len(t, events, 1)
	require.Equal(t, pgbell.Reset, events[0].Op)
	require.Contains(t, bell(), `"op":"reset"`)

	events = d.do(`UPDATE things SET pad = repeat('y', 3000000), n = 1 WHERE id = 1`)
	require.Len(t, events, 1)
	require.Greater(t, events[0].Size, 3000000)
	require.Empty(t, bell(), "too large to ring with")
	for size := 7300; size < 7800; size += 50 {
		d.do(`UPDATE things SET pad = repeat('z', $1), n = n + 1 WHERE id = 1`, size)
		bell()
	}
	// A row of which none fits: each body is a piece.
	require.Len(t, d.do(`UPDATE things SET pad = repeat('y', 1500000), n = 1 WHERE id < 4`), 3)
	require.Empty(t, bell())
}

// A subtransaction of the trigger that only reads takes no transaction id, or
// a transaction of many statements would overflow the cache of those. It runs
// alone: other tests take ids too.
func TestNoSubtransactionIDs(t *testing.T) {
	d := newDatabase(t, `CREATE TABLE things (id int PRIMARY KEY, n int, owner text DEFAULT 'u')`)
	d.apply(triggers.Watch{
		Table: name("things"), Type: "thing", AllColumns: true, Owners: []triggers.Owner{{Audience: "a", Column: "owner"}},
		Notifications: []triggers.Notification{{Action: "updated", To: "a", Title: []triggers.Part{words("t")}}},
	})
	d.exec(`INSERT INTO things SELECT n, 1 FROM generate_series(1, 100) AS n`)
	id := func() (xid int64) {
		require.NoError(t, d.conn.QueryRow(t.Context(), `SELECT pg_current_xact_id()::text::bigint`).Scan(&xid))
		return xid
	}
	d.exec(`BEGIN`)
	first := id()
	for range 200 {
		d.exec(`UPDATE things SET n = n + 1 WHERE id = 7`)
	}
	d.exec(`COMMIT`)
	require.Less(t, id()-first, int64(20), "200 statements; the rest is the server's own work")
}

// Roles that write need nothing from us.
func TestWriterWithoutGrants(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, marketplace)
	d.apply(bookings, payments)
	role := "writer_" + strings.ToLower(strings.NewReplacer("/", "_").Replace(t.Name()))
	d.exec(`DROP ROLE IF EXISTS ` + role + `; CREATE ROLE ` + role + `; GRANT SELECT, INSERT, UPDATE, DELETE ON bookings, payments TO ` + role)
	t.Cleanup(func() { _, _ = d.conn.Exec(t.Context(), "RESET ROLE") })
	d.exec(`SET ROLE ` + role)
	d.exec(`INSERT INTO bookings (id, client_id) VALUES (1, 'u1'); INSERT INTO payments (booking_id) VALUES (1); UPDATE bookings SET client_id = 'u2'; DELETE FROM bookings`)
	_, err := d.conn.Exec(t.Context(), `SELECT pgbell.record(ARRAY['{}'])`)
	require.ErrorContains(t, err, "permission denied for schema pgbell")
	d.exec(`RESET ROLE`)
	require.Equal(t, []string{"delete", "delete", "insert", "insert", "update", "update"}, ops(d.events()))
	d.exec(`DROP OWNED BY ` + role + `; DROP ROLE ` + role)
}

// Tables wider than functions take arguments.
func TestWideTable(t *testing.T) {
	t.Parallel()
	var columns []string
	for i := range 300 {
		columns = append(columns, "c"+strings.Repeat("x", i%7)+string(rune('a'+i%26))+strings.Repeat("y", i/26)+" int")
	}
	d := newDatabase(t, `CREATE TABLE wide (id int PRIMARY KEY, `+strings.Join(columns, ", ")+`)`)
	w := triggers.Watch{Table: name("wide"), Type: "wide", AllColumns: true}
	d.apply(w)
	require.Len(t, d.do(`INSERT INTO wide VALUES (1)`), 1)
	events := d.do(`UPDATE wide SET ca = 5`)
	require.Len(t, events, 1)
	require.Equal(t, `{"ca":null}`, string(events[0].Old))
	require.Len(t, d.do(`DELETE FROM wide`), 1)
}
