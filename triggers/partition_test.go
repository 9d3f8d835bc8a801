package triggers_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/triggers"
)

const partitioned = `
CREATE TABLE things (id int, part text, owner text, n int, hidden int, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
CREATE TABLE things_a PARTITION OF things FOR VALUES IN ('a');
CREATE TABLE things_b PARTITION OF things FOR VALUES IN ('b') PARTITION BY RANGE (id);
CREATE TABLE things_b1 PARTITION OF things_b FOR VALUES FROM (0) TO (1000);
CREATE TABLE later (n int, gone int, hidden int, owner text, part text NOT NULL, id int NOT NULL);
ALTER TABLE later DROP COLUMN gone;
`

var parts = triggers.Watch{
	Table: name("things"), Type: "thing", Columns: []string{"id", "part", "owner", "n"},
	Owners:  []triggers.Owner{{Audience: "a", Column: "owner"}},
	Actions: []triggers.Action{{Name: "grew", When: "NEW.n > OLD.n"}},
}

// A partitioned table is seen through the parent and straight in a partition,
// also in one that was attached later and has its columns in another order.
func TestPartitions(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, partitioned)
	d.apply(parts)
	require.True(t, d.plan(parts).Empty())

	require.Equal(t, []string{`thing insert/created {"id":1,"part":"a"} owners {"a":"u"}`, `thing insert/created {"id":2,"part":"b"} owners {}`},
		shorts(d.do(`INSERT INTO things VALUES (1, 'a', 'u', 1), (2, 'b', NULL, 1)`)))
	require.Equal(t, []string{`thing insert/created {"id":3,"part":"b"} owners {"a":"v"}`}, shorts(d.do(`INSERT INTO things_b1 VALUES (3, 'b', 'v', 1)`)))
	events := d.do(`UPDATE things_a SET n = 2`)
	require.Equal(t, []string{`thing update/grew {"id":1,"part":"a"} owners {"a":"u"}`}, shorts(events))
	require.JSONEq(t, `{"id":1,"part":"a","owner":"u","n":2}`, string(events[0].Data))
	require.JSONEq(t, `{"n":1}`, string(events[0].Old))
	require.Equal(t, "public.things", events[0].Table)
	require.Empty(t, d.do(`UPDATE things SET hidden = 1`))
	require.Equal(t, []string{`thing update/updated {"id":1,"part":"a"} owners {"a":"w"} was {"a":"u"}`}, shorts(d.do(`UPDATE things SET owner = 'w' WHERE id = 1`)))

	// A row that moves to another partition goes and comes, in this order.
	require.Equal(t, []string{`thing delete/deleted {"id":1,"part":"a"} owners {"a":"w"}`, `thing insert/created {"id":1,"part":"b"} owners {"a":"x"}`},
		shorts(d.do(`UPDATE things SET part = 'b', owner = 'x' WHERE id = 1`)))
	d.exec(`CREATE TABLE things_b2 PARTITION OF things_b FOR VALUES FROM (1000) TO (2000)`)
	require.Equal(t, []string{`thing delete/deleted {"id":1,"part":"b"} owners {"a":"x"}`, `thing insert/created {"id":1001,"part":"b"} owners {"a":"x"}`},
		shorts(d.do(`UPDATE things SET id = 1001 WHERE id = 1`)))
	require.Len(t, d.do(`INSERT INTO things VALUES (1001, 'b') ON CONFLICT (id, part) DO UPDATE SET n = 7`), 1)
	require.Equal(t, []string{"delete", "delete", "delete"}, ops(d.do(`DELETE FROM things`)))

	d.exec(`ALTER TABLE things ATTACH PARTITION later FOR VALUES IN ('c')`)
	events = d.do(`INSERT INTO later (id, part, owner, n) VALUES (9, 'c', 'u', 5)`)
	require.Equal(t, []string{`thing insert/created {"id":9,"part":"c"} owners {"a":"u"}`}, shorts(events))
	require.Equal(t, `{"id":9,"part":"c","owner":"u","n":5}`, string(events[0].Data))
	require.Equal(t, []string{`thing update/grew {"id":9,"part":"c"} owners {"a":"u"}`}, shorts(d.do(`UPDATE things SET n = 6`)))
	require.Equal(t, []string{`thing delete/deleted {"id":9,"part":"c"} owners {"a":"u"}`}, shorts(d.do(`DELETE FROM later`)))

	// Postgres gives a partition the triggers for its rows, but not the one for
	// TRUNCATE.
	objects := func() (all []string) {
		for _, c := range d.plan(parts).Changes {
			all = append(all, string(c.Kind)+" "+c.Object+": "+c.Why)
		}
		return all
	}
	missing := []string{"create trigger pgbell_truncate on public.later: it is missing", "create trigger pgbell_truncate on public.things_b2: it is missing"}
	require.Equal(t, missing, objects())
	status, err := triggers.Status(t.Context(), d.conn, []triggers.Watch{parts})
	require.NoError(t, err)
	require.Len(t, status[0].Drift, 2)
	found, err := triggers.Blind(t.Context(), d.conn, []triggers.Watch{parts})
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Len(t, d.apply(parts).Changes, 2)
	require.Empty(t, objects())
	for _, table := range []string{"later", "things_b1", "things_b"} {
		events := d.do(`TRUNCATE ` + table)
		require.NotEmpty(t, events, table)
		for _, e := range events {
			require.Equal(t, "thing reset truncate", short(e))
		}
	}
	require.NotEmpty(t, d.do(`TRUNCATE things`))

	d.exec(`ALTER TABLE things_a DISABLE TRIGGER pgbell_insert`)
	require.Equal(t, []string{"enable trigger pgbell_insert on public.things_a: somebody disabled it"}, objects())
	d.apply(parts)
	require.Empty(t, objects())

	// What is detached is watched no longer, and keeps no working trigger.
	d.exec(`ALTER TABLE things DETACH PARTITION later`)
	require.Empty(t, d.do(`INSERT INTO later (id, part) VALUES (1, 'c')`))
	require.Equal(t, []string{"drop trigger pgbell_truncate on public.later: no watch needs it any more"}, objects())
	d.apply(parts)
	_, err = triggers.Remove(t.Context(), d.conn, triggers.ApplyOptions{})
	require.NoError(t, err)
	var left int
	require.NoError(t, d.conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'pgbell%'`).Scan(&left))
	require.Zero(t, left)
}

// A statement that writes many rows of a partitioned table rings once, and
// none of its writes can fail.
func TestPartitionsRingOnce(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, partitioned)
	d.apply(parts)
	d.exec("SET pgbell.bell = always")
	listener := pgtest.Connect(t, d.url)
	run(t, listener, "LISTEN pgbell")
	require.Len(t, d.do(`INSERT INTO things SELECT n, 'b', 'u', n FROM generate_series(1, 500) AS n`), 500)
	d.exec(`NOTIFY pgbell, 'last'`)
	for _, want := range []string{"", "last"} {
		n, err := listener.WaitForNotification(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, n.Payload)
	}
	d.exec(`ALTER TABLE things RENAME COLUMN n TO m`)
	events := d.do(`UPDATE things SET m = 0 WHERE id = 1`)
	require.Len(t, events, 1)
	require.Equal(t, pgbell.Reset, events[0].Op)
}

// Owners of a partition's rows may stand in a plain table.
func TestPartitionsWithParent(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, `
CREATE TABLE bookings (id int PRIMARY KEY, client_id text, provider_id text);
CREATE TABLE payments (id int PRIMARY KEY, booking_id int REFERENCES bookings ON DELETE CASCADE ON UPDATE CASCADE, amount int) PARTITION BY HASH (id);
CREATE TABLE payments_0 PARTITION OF payments FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE payments_1 PARTITION OF payments FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE INDEX ON payments (booking_id)`)
	d.apply(family)
	d.exec(`INSERT INTO bookings VALUES (1, 'u1', 'u7'), (2, 'u2', NULL)`)
	have := make(replica)
	for _, sql := range []string{
		`INSERT INTO payments SELECT n, 1 + n % 2 FROM generate_series(1, 6) AS n`,
		`UPDATE bookings SET client_id = 'u3' WHERE id = 1`,
		`UPDATE payments SET booking_id = 1 WHERE id = 1`,
		`UPDATE payments SET booking_id = NULL WHERE id = 2`,
		`UPDATE bookings SET id = 3 WHERE id = 2`,
		`DELETE FROM bookings WHERE id = 3`,
		`UPDATE payments SET amount = 5`,
		`UPDATE payments SET id = id + 10`,
		`DELETE FROM bookings`,
	} {
		have.apply(t, d.do(sql))
		require.Equal(t, d.truth(), have.clean(), sql)
	}
}

// What fires no trigger is found.
func TestBlind(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, marketplace+`CREATE TABLE kids () INHERITS (bookings)`)
	blind := func() (all []string) {
		found, err := triggers.Blind(t.Context(), d.conn, []triggers.Watch{bookings})
		require.NoError(t, err)
		for _, f := range found {
			all = append(all, f.Table.String()+" "+string(f.Kind)+": "+f.Missed+"; "+f.Remedy)
		}
		return all
	}
	require.Len(t, blind(), 6, "nothing is installed")
	d.apply(bookings)
	child := "public.bookings inheritance_child: writes to public.kids, a child of public.bookings by inheritance, are not seen; watch public.kids too, with a type of its own"
	require.Equal(t, []string{child}, blind())
	require.Empty(t, d.do(`INSERT INTO kids (id, client_id) VALUES (7, 'u')`))
	require.Empty(t, d.do(`SET session_replication_role = replica; INSERT INTO bookings (id, client_id) VALUES (1, 'u'); RESET session_replication_role`))

	d.exec(`ALTER TABLE bookings DISABLE TRIGGER pgbell_delete`)
	require.Contains(t, blind(), "public.bookings trigger: trigger pgbell_delete on public.bookings is disabled; ALTER TABLE public.bookings ENABLE TRIGGER pgbell_delete;")
	d.apply(bookings)

	var database string
	require.NoError(t, d.conn.QueryRow(t.Context(), `SELECT quote_ident(current_database())`).Scan(&database))
	role, _ := strings.CutPrefix(t.Name(), "Test")
	role = "replica_" + strings.ToLower(role)
	d.exec(`DROP ROLE IF EXISTS ` + role + `; CREATE ROLE ` + role)
	d.exec(`ALTER ROLE ` + role + ` IN DATABASE ` + database + ` SET session_replication_role = replica; ALTER DATABASE ` + database + ` SET pgbell.enabled = off`)
	require.Equal(t, []string{
		child,
		". switched_off: what everybody writes is not recorded: pgbell.enabled is off; ALTER DATABASE " + database + " RESET pgbell.enabled;",
		". replica_role: what role " + role + " writes is not seen: session_replication_role is replica; ALTER ROLE " + role + " IN DATABASE " + database + " RESET session_replication_role;",
	}, blind())
	d.exec(`ALTER ROLE ` + role + ` IN DATABASE ` + database + ` RESET ALL; ALTER DATABASE ` + database + ` RESET ALL; DROP ROLE ` + role)

	// A subscription's workers are replicas that know no statements. Triggers
	// for each row that are ENABLE ALWAYS fire for them, and stay so.
	d.exec(`CREATE SUBSCRIPTION s_` + role + ` CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false);
		INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate) SELECT oid, 'bookings'::regclass, 'r' FROM pg_subscription WHERE subname = 's_` + role + `'`)
	require.Contains(t, strings.Join(blind(), "\n"), "public.bookings subscription: what subscription s_"+role+" writes is not seen: its workers fire only triggers for each row that are ENABLE ALWAYS; "+
		"pgbell triggers apply; then ALTER TABLE public.bookings ENABLE ALWAYS TRIGGER pgbell_delete; ALTER TABLE public.bookings ENABLE ALWAYS TRIGGER pgbell_insert;")
	require.Len(t, d.apply(bookings).Changes, 4, "the function, and the triggers for rows")
	require.Contains(t, strings.Join(blind(), "\n"), " fire only triggers that are ENABLE ALWAYS; ALTER TABLE public.bookings ENABLE ALWAYS TRIGGER pgbell_delete;")
	for _, event := range []string{"insert", "update", "delete", "truncate"} {
		d.exec(`ALTER TABLE bookings ENABLE ALWAYS TRIGGER pgbell_` + event)
	}
	require.Equal(t, []string{child}, blind())
	require.True(t, d.plan(bookings).Empty(), "that is no drift")
	d.exec(`COMMENT ON TRIGGER pgbell_insert ON bookings IS NULL`)
	d.apply(bookings)
	require.Len(t, d.do(`SET session_replication_role = replica; INSERT INTO bookings (id, client_id) VALUES (2, 'u'); RESET session_replication_role`), 1)
	d.exec(`ALTER SUBSCRIPTION s_` + role + ` SET (slot_name = NONE)`)
	d.exec(`DROP SUBSCRIPTION s_` + role)
}

// Ways of writing that reach the table by another name.
func TestIndirectWrites(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, `
CREATE TABLE users (id text PRIMARY KEY);
CREATE UNLOGGED TABLE things (id int PRIMARY KEY, owner text REFERENCES users ON UPDATE CASCADE ON DELETE CASCADE, n int);
CREATE VIEW shown AS SELECT id, owner, n FROM things;
CREATE VIEW ruled AS SELECT id FROM things;
CREATE RULE r AS ON INSERT TO ruled DO INSTEAD INSERT INTO things VALUES (NEW.id, 'u', 0);
INSERT INTO users VALUES ('u')`)
	d.apply(triggers.Watch{Table: name("things"), Type: "thing", Owners: []triggers.Owner{{Audience: "a", Column: "owner"}}, AllColumns: true})
	require.Equal(t, []string{`thing insert/created {"id":1} owners {"a":"u"}`}, shorts(d.do(`INSERT INTO shown VALUES (1, 'u', 1)`)))
	require.Equal(t, []string{`thing update/updated {"id":1} owners {"a":"u"}`}, shorts(d.do(`UPDATE shown SET n = 2`)))
	require.Equal(t, []string{`thing insert/created {"id":2} owners {"a":"u"}`}, shorts(d.do(`INSERT INTO ruled VALUES (2)`)))
	require.ElementsMatch(t, []string{`thing update/updated {"id":1} owners {"a":"v"} was {"a":"u"}`, `thing update/updated {"id":2} owners {"a":"v"} was {"a":"u"}`},
		shorts(d.do(`UPDATE users SET id = 'v'`)))
	require.Equal(t, []string{"delete", "delete"}, ops(d.do(`DELETE FROM users`)))

	d.exec(`CREATE TEMP TABLE short_lived (id int PRIMARY KEY); CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
		CREATE FOREIGN TABLE far (id int) SERVER files OPTIONS (filename '/dev/null')`)
	_, err := triggers.NewPlan(t.Context(), d.conn, []triggers.Watch{{Table: name("far"), Type: "far", AllColumns: true}})
	require.EqualError(t, err, "public.far: is a foreign table, whose changes made elsewhere no trigger sees; watch it where it is")
}
