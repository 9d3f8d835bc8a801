package triggers_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/triggers"
)

func TestMistakes(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, marketplace+`
CREATE VIEW a_view AS SELECT * FROM bookings;
CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY LIST (id);
CREATE TABLE part PARTITION OF parts DEFAULT;
CREATE TABLE keyless (id int, n int NOT NULL, UNIQUE (id));
CREATE TABLE "Mixed" (id int PRIMARY KEY);
CREATE TABLE pair (a int, b int, PRIMARY KEY (a, b));
CREATE TABLE taken (id int PRIMARY KEY);
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER pgbell_insert AFTER INSERT ON taken EXECUTE FUNCTION f()`)
	with := func(w triggers.Watch, f func(*triggers.Watch)) triggers.Watch { f(&w); return w }
	for want, w := range map[string]triggers.Watch{
		`public.bookngs: no table "public.bookngs"; did you mean "public.bookings"?`:                      {Table: name("bookngs"), Type: "x", AllColumns: true},
		`public.mixed: no table "public.mixed"; did you mean "public.Mixed"?`:                             {Table: name("mixed"), Type: "x", AllColumns: true},
		`public.a_view: is a view; watch the tables under it`:                                             {Table: name("a_view"), Type: "x", AllColumns: true},
		`public.part: is a partition; watch public.parts`:                                                 {Table: name("part"), Type: "x", AllColumns: true},
		`pg_catalog.pg_class: belongs to the system and cannot be watched`:                                {Table: triggers.Name{Schema: "pg_catalog", Name: "pg_class"}, Type: "x", AllColumns: true},
		`pgbell.events: belongs to the system and cannot be watched`:                                      {Table: triggers.Name{Schema: "pgbell", Name: "events"}, Type: "x", AllColumns: true},
		`public.keyless: has no primary key; name NOT NULL columns with a unique index as its key`:        {Table: name("keyless"), Type: "x", AllColumns: true},
		`public.keyless: key: column "id" may be NULL; it must be NOT NULL`:                               {Table: name("keyless"), Type: "x", AllColumns: true, Key: []string{"id"}},
		`public.keyless: key: no unique index covers (n), so it may name several rows`:                    {Table: name("keyless"), Type: "x", AllColumns: true, Key: []string{"n"}},
		`public.taken: has a trigger pgbell_insert that is not ours; rename it`:                           {Table: name("taken"), Type: "x", AllColumns: true},
		`public.bookings: type "user" is reserved, its rooms are those of users or roles; choose another`: with(bookings, func(w *triggers.Watch) { w.Type = "user" }),
		`public.bookings: type is missing`:                                                                with(bookings, func(w *triggers.Watch) { w.Type = "" }),
		`public.bookings: columns: no column "pirce"; did you mean "price"?`:                              with(bookings, func(w *triggers.Watch) { w.Columns = []string{"pirce"} }),
		`public.bookings: columns: name the columns that may be seen, or "*" for all`:                     with(bookings, func(w *triggers.Watch) { w.Columns = nil }),
		`public.bookings: columns: column "id" is named twice`:                                            with(bookings, func(w *triggers.Watch) { w.Columns = []string{"id", "id"} }),
		`public.bookings: only providr: no owner has this audience; did you mean "provider"?`:             with(bookings, func(w *triggers.Watch) { w.Only = map[string][]string{"providr": {"provider_note"}} }),
		`public.bookings: only provider: column "id" is part of the key, which every audience sees`:       with(bookings, func(w *triggers.Watch) { w.Only = map[string][]string{"provider": {"id"}} }),
		`public.bookings: owner client: no column "clientid"; did you mean "client_id"?`: with(bookings, func(w *triggers.Watch) {
			w.Owners = []triggers.Owner{{Audience: "client", Column: "clientid"}}
			w.Only = nil
		}),
		`public.bookings: owner client: the audience is named twice`:                                                                                                       with(bookings, func(w *triggers.Watch) { w.Owners = append(w.Owners, w.Owners[0]) }),
		`public.payments: owner client: no table "public.booking"; did you mean "public.bookings"?`:                                                                        via("booking_id", "booking", "client_id"),
		`public.payments: owner client: table public.bookings has no column "client"; did you mean "client_id"?`:                                                           via("booking_id", "bookings", "client"),
		`public.payments: owner client: table public.a_view is a view; watch the tables under it`:                                                                          via("booking_id", "a_view", "client_id"),
		`public.payments: owner client: column "amount" has no foreign key to public.pair, which has no primary key of one column either`:                                  via("amount", "pair", "a"),
		`public.bookings: action a: column reference "status" is ambiguous, at character 1 of status = 'PENDING'`:                                                          action("status = 'PENDING'"),
		`public.bookings: action a: column new.stat does not exist, at character 1 of NEW.stat = 'PENDING'; hint: Perhaps you meant to reference the column "new.status".`: action("NEW.stat = 'PENDING'"),
		`public.bookings: action a: an action must be type boolean, not type text, at character 1 of NEW.client_id`:                                                        action("NEW.client_id"),
		`public.bookings: action a: invalid input value for enum public.status: "X", at character 14 of NEW.status = 'X'`:                                                  action("NEW.status = 'X'"),
		`public.bookings: action a: aggregate functions are not allowed in WHERE, at character 1 of count(*) > 1`:                                                          action("count(*) > 1"),
		`public.bookings: action a: syntax error at or near ";", at character 5 of true; DROP TABLE bookings`:                                                              action("true; DROP TABLE bookings"),
		`public.bookings: action a: parameters such as $1 have no value in a trigger`:                                                                                      action("NEW.client_id = $1"),
		`public.bookings: action a has no expression`:                                                                                                                      action(" "),
	} {
		_, err := triggers.NewPlan(t.Context(), d.conn, []triggers.Watch{w})
		require.EqualError(t, err, want)
		_, err = triggers.Apply(t.Context(), d.conn, []triggers.Watch{w}, triggers.ApplyOptions{})
		require.EqualError(t, err, want)
	}

	// All of them at once, and nothing was made.
	_, err := triggers.NewPlan(t.Context(), d.conn, []triggers.Watch{bookings, action("NEW.stat"), {Table: name("gone"), Type: "booking"}})
	require.EqualError(t, err, "public.bookings: is watched twice\npublic.gone: type \"booking\" is already that of public.bookings\npublic.gone: no table \"public.gone\"")
	var n int
	require.NoError(t, d.conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_proc WHERE pronamespace = 'pgbell'::regnamespace AND proname LIKE '%.%'`).Scan(&n))
	require.Zero(t, n)

	empty := pgtest.Connect(t, pgtest.Empty(t))
	_, err = triggers.NewPlan(t.Context(), empty, []triggers.Watch{bookings})
	require.EqualError(t, err, "schema pgbell is missing or too old: run pgbell migrate up")
}

func action(when string) triggers.Watch {
	w := bookings
	w.Actions = []triggers.Action{{Name: "a", When: when}}
	return w
}

func via(column, table, owner string) triggers.Watch {
	w := payments
	w.Owners = []triggers.Owner{{Audience: "client", Via: &triggers.Via{Column: column, Table: name(table), Owner: owner}}}
	return w
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, `CREATE TABLE bookings (id int PRIMARY KEY, client_id text, provider_id text);
		CREATE TABLE payments (id int PRIMARY KEY, booking_id int); CREATE TABLE kids () INHERITS (payments)`)
	require.Equal(t, []string{
		`writes to public.kids, a child of public.payments by inheritance, are not seen; watch it too`,
		`public.payments has no index that begins with "booking_id": a change of owner in public.bookings scans the whole table`,
	}, d.plan(family).Warnings)
}

// Whatever somebody does to our objects shows, and applying repairs just that.
func TestDrift(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, marketplace)
	require.Len(t, d.plan(bookings, payments).Changes, 10)
	require.Len(t, d.apply(bookings, payments).Changes, 10)
	require.True(t, d.apply(bookings, payments).Empty())

	type found struct {
		object string
		kind   triggers.Kind
		why    string
	}
	for sql, want := range map[string]found{
		`DROP TRIGGER pgbell_update ON bookings`:             {"trigger pgbell_update on public.bookings", triggers.Create, "it is missing"},
		`ALTER TABLE bookings DISABLE TRIGGER pgbell_update`: {"trigger pgbell_update on public.bookings", triggers.Enable, "somebody disabled it"},
		`ALTER TABLE bookings DISABLE TRIGGER USER; ALTER TABLE bookings ENABLE ALWAYS TRIGGER pgbell_update; ALTER TABLE bookings ENABLE TRIGGER pgbell_insert; ALTER TABLE bookings ENABLE TRIGGER pgbell_delete`: {"trigger pgbell_truncate on public.bookings", triggers.Enable, "somebody disabled it"},
		`COMMENT ON TRIGGER pgbell_update ON bookings IS NULL`: {"trigger pgbell_update on public.bookings", triggers.Replace, "its comment differs"},
		`CREATE OR REPLACE TRIGGER pgbell_update AFTER UPDATE ON bookings REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pgbell."public.bookings"()`:                       {"trigger pgbell_update on public.bookings", triggers.Replace, "somebody changed it"},
		`CREATE OR REPLACE TRIGGER pgbell_update AFTER UPDATE ON bookings REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pgbell."public.payments"()`: {"trigger pgbell_update on public.bookings", triggers.Replace, "it calls pgbell.public.payments"},
		`ALTER FUNCTION pgbell."public.bookings"() SECURITY INVOKER`:                                                         {"function pgbell.public.bookings", triggers.Replace, "somebody changed its privileges, language or security"},
		`GRANT EXECUTE ON FUNCTION pgbell."public.bookings"() TO PUBLIC`:                                                     {"function pgbell.public.bookings", triggers.Replace, "somebody changed its privileges, language or security"},
		`ALTER FUNCTION pgbell."public.bookings"() SET work_mem = '1MB'`:                                                     {"function pgbell.public.bookings", triggers.Replace, "somebody changed it or its comment"},
		`COMMENT ON FUNCTION pgbell."public.bookings"() IS NULL`:                                                             {"function pgbell.public.bookings", triggers.Replace, "somebody changed it or its comment"},
		`CREATE OR REPLACE FUNCTION pgbell."public.bookings"() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`: {"function pgbell.public.bookings", triggers.Replace, "somebody changed it or its comment"},
		`ALTER TABLE bookings ALTER COLUMN price TYPE numeric`:                                                               {"function pgbell.public.bookings", triggers.Replace, "the watch, the table or this version of pgbell is not the one it was made from"},
		`CREATE TRIGGER again AFTER INSERT ON payments FOR EACH STATEMENT EXECUTE FUNCTION pgbell."public.payments"()`:       {"trigger again on public.payments", triggers.Drop, "no watch needs it any more"},
		`CREATE FUNCTION pgbell."public.old"() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`:                 {"function pgbell.public.old", triggers.Drop, "no watch needs it any more"},
	} {
		d.exec(sql)
		changes, err := triggers.Verify(t.Context(), d.conn, []triggers.Watch{bookings, payments})
		require.NoError(t, err)
		require.Len(t, changes, 1, sql)
		require.Equal(t, want, found{changes[0].Object, changes[0].Kind, changes[0].Why}, sql)
		require.Len(t, d.apply(bookings, payments).Changes, 1, sql)
		require.True(t, d.plan(bookings, payments).Empty(), sql)
	}

	// A renamed table is another table, whose function goes with the name.
	d.exec(`ALTER TABLE payments RENAME TO fees`)
	_, err := triggers.NewPlan(t.Context(), d.conn, []triggers.Watch{bookings, payments})
	require.ErrorContains(t, err, `no table "public.payments"`)
	fees := payments
	fees.Table = name("fees")
	require.Len(t, d.apply(bookings, fees).Changes, 7, "two functions, four triggers, one function dropped")
	require.True(t, d.plan(bookings, fees).Empty())

	status, err := triggers.Status(t.Context(), d.conn, []triggers.Watch{bookings, payments})
	require.NoError(t, err)
	require.Len(t, status, 2)
	require.True(t, status[0].Installed && status[0].Enabled)
	require.ErrorContains(t, status[1].Err, "no table")

	// Watches that are gone take their objects along; the parent of one that
	// stays keeps what it needs.
	d.apply(fees)
	require.True(t, d.plan(fees).Empty())
	d.exec(`INSERT INTO bookings (id, client_id) VALUES (1, 'u')`)
	require.Empty(t, d.events())
	removed, err := triggers.Remove(t.Context(), d.conn, triggers.ApplyOptions{})
	require.NoError(t, err)
	require.NotEmpty(t, removed.Changes)
	var n int
	require.NoError(t, d.conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgrelid IN ('bookings'::regclass, 'fees'::regclass)`).Scan(&n))
	require.Zero(t, n)
	removed, err = triggers.Remove(t.Context(), d.conn, triggers.ApplyOptions{})
	require.NoError(t, err)
	require.True(t, removed.Empty())
}

// A locked table is waited for politely, then named.
func TestLockedTable(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, marketplace)
	other := pgtest.Connect(t, d.url)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := other.Exec(ctx, `BEGIN; INSERT INTO bookings (client_id) VALUES ('u')`)
	require.NoError(t, err)
	o := triggers.ApplyOptions{LockTimeout: 20 * time.Millisecond, Attempts: 2, Pause: time.Millisecond}
	_, err = triggers.Apply(ctx, d.conn, []triggers.Watch{bookings}, o)
	require.ErrorContains(t, err, "create trigger pgbell_insert on public.bookings: table public.bookings is locked by another session")
	require.ErrorContains(t, err, "gave up after 2 attempts, nothing was changed")
	require.Len(t, d.plan(bookings).Changes, 5)

	o.Attempts = 1000
	done := make(chan error, 1)
	go func() {
		_, err := triggers.Apply(ctx, d.conn, []triggers.Watch{bookings}, o)
		done <- err
	}()
	_, err = other.Exec(ctx, `COMMIT`)
	require.NoError(t, err)
	require.NoError(t, <-done)
	require.True(t, d.plan(bookings).Empty())
}
