package triggers_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/embedded"
	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/triggers"
)

// replicated are the tables of publisher and subscriber: a plain one, one with
// partitions, and one whose owners stand in another.
const replicated = `
CREATE TABLE things (id int PRIMARY KEY, owner text, n int);
CREATE TABLE parts (id int PRIMARY KEY, owner text) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE bookings (id int PRIMARY KEY, client_id text, provider_id text);
CREATE TABLE payments (id int PRIMARY KEY, booking_id int REFERENCES bookings, amount int);
CREATE INDEX ON payments (booking_id);`

// subscriber is a database that a subscription writes, not yet enabled, and the
// publisher's.
func subscriber(t *testing.T) (d, publisher *database) {
	t.Helper()
	server := pgtest.Server(t)
	admin := pgtest.Connect(t, server.URL("postgres"))
	run(t, admin, `ALTER SYSTEM SET wal_level = logical`)
	require.NoError(t, server.Restart(t.Context(), embedded.Fast))
	admin = pgtest.Connect(t, server.URL("postgres"))
	run(t, admin, `CREATE DATABASE publisher`)
	run(t, admin, `CREATE DATABASE subscriber`)
	connect := func(name string) *database {
		d := &database{t: t, url: server.URL(name)}
		d.conn = pgtest.Connect(t, d.url)
		d.exec(replicated)
		return d
	}
	publisher, d = connect("publisher"), connect("subscriber")
	m, err := db.NewMigrator(d.url, db.Options{})
	require.NoError(t, err)
	_, err = m.Up(t.Context())
	require.NoError(t, err)

	publisher.exec(`CREATE PUBLICATION p FOR TABLE things, parts, bookings, payments`)
	publisher.exec(`SELECT pg_create_logical_replication_slot('s', 'pgoutput')`) // within one server nobody else may
	d.exec(fmt.Sprintf(`CREATE SUBSCRIPTION s CONNECTION '%s' PUBLICATION p WITH (enabled = false, create_slot = false, slot_name = 's')`, publisher.url))
	t.Cleanup(func() {
		for _, sql := range []string{`ALTER SUBSCRIPTION s DISABLE`, `ALTER SUBSCRIPTION s SET (slot_name = NONE)`, `DROP SUBSCRIPTION s`} {
			_, err := d.conn.Exec(context.Background(), sql)
			require.NoError(t, err, sql)
		}
	})
	return d, publisher
}

// What a subscription applies makes events, as the guide says, and bells ring.
func TestLogicalReplication(t *testing.T) {
	t.Parallel()
	d, publisher := subscriber(t)
	owned := []triggers.Owner{{Audience: "a", Column: "owner"}}
	watches := []triggers.Watch{
		{Table: name("things"), Type: "thing", AllColumns: true, Owners: owned, Actions: []triggers.Action{{Name: "odd", When: "1 / (NEW.n - 13) > 5"}}},
		{Table: name("parts"), Type: "part", AllColumns: true, Owners: owned},
		family,
	}
	d.apply(watches...)
	found, err := triggers.Blind(t.Context(), d.conn, watches)
	require.NoError(t, err)
	var unseen []string
	for _, f := range found {
		require.Equal(t, triggers.BlindSubscription, f.Kind)
		unseen = append(unseen, f.Missed)
		if f.Table != name("bookings") {
			d.exec(f.Remedy)
		}
	}
	require.Equal(t, []string{
		"what subscription s writes to public.bookings moves no owners: its workers fire no triggers for sets of rows, which a table has that others find their owners in",
		"what subscription s writes is not seen: its workers fire only triggers that are ENABLE ALWAYS", // to parts
		"what subscription s writes is not seen: its workers fire only triggers that are ENABLE ALWAYS", // to payments
		"what subscription s writes is not seen: its workers fire only triggers that are ENABLE ALWAYS", // to things
	}, unseen)
	require.True(t, d.plan(watches...).Empty())
	found, err = triggers.Blind(t.Context(), d.conn, watches)
	require.NoError(t, err)
	require.Len(t, found, 1)

	publisher.exec(`INSERT INTO things VALUES (1, 'u', 0); INSERT INTO bookings VALUES (1, 'u1', 'u7')`)
	d.exec(`ALTER DATABASE subscriber SET pgbell.bell = always`)
	hearer := pgtest.Connect(t, d.url)
	run(t, hearer, `LISTEN pgbell`)
	d.exec(`ALTER SUBSCRIPTION s ENABLE`)
	hear := func(n int) (events []pgbell.Event) {
		t.Helper()
		for len(events) < n {
			_, err := hearer.WaitForNotification(t.Context())
			require.NoError(t, err)
			events = append(events, d.events()...)
		}
		return events
	}
	require.Equal(t, []string{`thing insert/created {"id":1} owners {"a":"u"}`}, shorts(hear(1)), "of the first copy")

	publisher.exec(`INSERT INTO things VALUES (2, 'u', 0), (3, 'v', 0)`)
	require.Equal(t, []string{`thing insert/created {"id":2} owners {"a":"u"}`, `thing insert/created {"id":3} owners {"a":"v"}`}, shorts(hear(2)))
	publisher.exec(`UPDATE things SET owner = 'w', n = id WHERE id > 1`)
	events := hear(2)
	require.Equal(t, []string{`thing update/updated {"id":2} owners {"a":"w"} was {"a":"u"}`, `thing update/updated {"id":3} owners {"a":"w"} was {"a":"v"}`}, shorts(events))
	require.JSONEq(t, `{"owner":"u","n":0}`, string(events[0].Old))
	publisher.exec(`UPDATE things SET id = 4 WHERE id = 3`)
	require.Equal(t, []string{`thing delete/deleted {"id":3} owners {"a":"w"}`, `thing insert/created {"id":4} owners {"a":"w"}`}, shorts(hear(2)))
	publisher.exec(`DELETE FROM things WHERE id = 4`)
	require.Equal(t, []string{`thing delete/deleted {"id":4} owners {"a":"w"}`}, shorts(hear(1)))
	publisher.exec(`INSERT INTO parts VALUES (5, 'u'); UPDATE parts SET owner = 'v'; DELETE FROM parts`)
	require.Equal(t, []string{`part insert/created {"id":5} owners {"a":"u"}`, `part update/updated {"id":5} owners {"a":"v"} was {"a":"u"}`, `part delete/deleted {"id":5} owners {"a":"v"}`}, shorts(hear(3)))
	require.Eventually(t, func() bool { return d.count(`SELECT count(*) FROM bookings`) == 1 }, time.Minute, time.Millisecond)
	publisher.exec(`INSERT INTO payments VALUES (10, 1, 5)`)
	require.Equal(t, []string{`payment insert/created {"id":10} owners {"client":"u1","provider":"u7"}`}, shorts(hear(1)))
	publisher.exec(`TRUNCATE things`)
	require.Equal(t, []string{`thing reset truncate`}, shorts(hear(1)))

	// A row too bad to be told is applied all the same.
	publisher.exec(`INSERT INTO things VALUES (7, 'u', 13)`)
	require.Equal(t, pgbell.Reset, hear(1)[0].Op)
	require.Equal(t, 7, d.count(`SELECT id FROM things`))

	// Writes of this side's own are seen as ever.
	require.Equal(t, []string{"delete"}, ops(d.do(`DELETE FROM things`)))
}
