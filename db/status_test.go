package db_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/triggers"
)

// watchOrders makes a table with n rows and our triggers.
func watchOrders(t *testing.T, conn *pgx.Conn, n int) db.Table {
	t.Helper()
	_, err := conn.Exec(t.Context(), `CREATE TABLE orders (id int PRIMARY KEY, owner text, note text, total numeric)`)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `INSERT INTO orders SELECT i, 'u' || i, 'note', i FROM generate_series(1, $1::int) AS i`, n)
	require.NoError(t, err)
	_, err = triggers.Apply(t.Context(), conn, []triggers.Watch{{
		Table: triggers.Name{Schema: "public", Name: "orders"}, Type: "order", AllColumns: true,
		Owners: []triggers.Owner{{Audience: "buyer", Column: "owner"}},
	}}, triggers.ApplyOptions{})
	require.NoError(t, err)
	return db.Table{Type: "order", Schema: "public", Name: "orders", AllColumns: true, Owners: []db.TableOwner{{Audience: "buyer", Column: "owner"}}}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	exec := func(sql string) {
		t.Helper()
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	// A role with nothing but the view.
	role := pgtest.NewRole(t, url)
	exec("GRANT USAGE ON SCHEMA pgbell TO " + role.Name + "; GRANT SELECT ON pgbell.status TO " + role.Name)
	reader := pgtest.Connect(t, role.URL)
	read := func() db.Status {
		t.Helper()
		s, err := db.ReadStatus(t.Context(), reader)
		require.NoError(t, err)
		return s
	}

	s := read()
	require.Empty(t, s.Tables)
	require.Empty(t, s.Listeners)
	require.Equal(t, "empty", s.Log.State)
	require.Len(t, s.Partitions, 5)
	require.Nil(t, s.Log.FirstEventAt)

	exec("SET track_functions = 'pl'")
	watchOrders(t, conn, 3)
	exec(`UPDATE orders SET total = 0`)
	exec(`SELECT pg_stat_force_next_flush()`)
	s = read()
	require.Len(t, s.Tables, 1)
	table := s.Tables[0]
	require.Equal(t, "public.orders", table.Table)
	require.Equal(t, "enabled", table.Triggers)
	require.InDelta(t, 3, table.EventsPerMinute, 0.01)
	require.WithinDuration(t, time.Now(), *table.LastEventAt, time.Minute)
	require.EqualValues(t, 1, *table.Calls)
	require.Positive(t, *table.MeanMS)
	require.Equal(t, "in use", s.Log.State)
	require.InDelta(t, 3, *s.Log.EventsPerMinute, 0.01)
	require.Positive(t, s.Log.Bytes)
	require.Less(t, s.Queue, 0.1)

	for _, state := range []struct{ sql, want string }{
		{`ALTER TABLE orders DISABLE TRIGGER pgbell_update`, "disabled"},
		{`ALTER TABLE orders ENABLE REPLICA TRIGGER pgbell_update`, "replica"},
		{`ALTER TABLE orders ENABLE ALWAYS TRIGGER pgbell_update`, "enabled"},
		{`ALTER TABLE orders ENABLE ALWAYS TRIGGER pgbell_insert, ENABLE ALWAYS TRIGGER pgbell_delete, ENABLE ALWAYS TRIGGER pgbell_truncate`, "always"},
		{`DROP TRIGGER pgbell_insert ON orders; DROP TRIGGER pgbell_update ON orders; DROP TRIGGER pgbell_delete ON orders; DROP TRIGGER pgbell_truncate ON orders`, "missing"},
	} {
		exec(state.sql)
		require.Equal(t, state.want, read().Tables[0].Triggers, state.sql)
	}

	// More than it looks at: the rate is that of the newest.
	exec(`INSERT INTO pgbell.events (at, body)
	      SELECT clock_timestamp() - (12000 - i) * interval '1 ms', '{"table":"public.orders"}' FROM generate_series(1, 12000) AS i`)
	require.InDelta(t, 60_000, *read().Log.EventsPerMinute, 30_000)
}

// A listener is asleep while it holds the lock, whatever it is called.
func TestStatusOfListeners(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	sleeper, err := db.Connect(t.Context(), url, db.Options{ApplicationName: "something else"})
	require.NoError(t, err)
	defer sleeper.Close(t.Context())
	rounds, err := db.Connect(t.Context(), url, db.Options{ApplicationName: "pgbell listener"})
	require.NoError(t, err)
	defer rounds.Close(t.Context())
	_, err = sleeper.Exec(t.Context(), "SELECT pg_advisory_lock_shared(x'706762656c6c'::bigint)")
	require.NoError(t, err)
	// Neither another lock nor one in another database makes a sleeper.
	_, err = rounds.Exec(t.Context(), "SELECT pg_advisory_lock_shared(1)")
	require.NoError(t, err)
	other := pgtest.Connect(t, pgtest.Database(t))
	_, err = other.Exec(t.Context(), "SELECT pg_advisory_lock_shared(x'706762656c6c'::bigint)")
	require.NoError(t, err)

	s, err := db.ReadStatus(t.Context(), conn)
	require.NoError(t, err)
	states := make(map[string]int)
	for _, l := range s.Listeners {
		require.NotNil(t, l.SilentMS)
		states[l.State]++
	}
	require.Equal(t, map[string]int{"asleep": 1, "on rounds": 1}, states)
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Database(t))
	count := func(sql string) (n int) {
		t.Helper()
		require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&n))
		return n
	}
	table := watchOrders(t, conn, 0)
	_, err := db.Measure(t.Context(), conn, table)
	require.ErrorIs(t, err, db.ErrNothingToMeasure)

	_, err = conn.Exec(t.Context(), `INSERT INTO orders SELECT i, 'u' || i, 'note', i FROM generate_series(1, 50) AS i`)
	require.NoError(t, err)
	events := count(`SELECT count(*) FROM pgbell.events`)
	cost, err := db.Measure(t.Context(), conn, table)
	require.NoError(t, err)
	require.Equal(t, 50, cost.Rows)
	for _, s := range []*db.StatementCost{cost.Insert, cost.Update, cost.Delete} {
		require.NotNil(t, s)
		require.Positive(t, s.Single)
		require.Positive(t, s.Row)
	}
	// It leaves nothing.
	require.Equal(t, events, count(`SELECT count(*) FROM pgbell.events`))
	require.Equal(t, 50, count(`SELECT count(*) FROM orders WHERE note = 'note'`))
	require.Zero(t, count(`SELECT count(*) FROM pg_class WHERE relname LIKE 'pgbell\_%' AND relpersistence = 't'`))

	// Triggers that give up are not measured.
	_, err = conn.Exec(t.Context(), `SET pgbell.enabled = off`)
	require.NoError(t, err)
	_, err = db.Measure(t.Context(), conn, table)
	require.ErrorContains(t, err, "the triggers recorded nothing")
	_, err = conn.Exec(t.Context(), `RESET pgbell.enabled; ALTER TABLE orders RENAME note TO remark`)
	require.NoError(t, err)
	_, err = db.Measure(t.Context(), conn, table)
	require.ErrorContains(t, err, "the trigger does not capture: ")
}
