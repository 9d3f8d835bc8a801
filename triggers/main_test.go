package triggers_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/triggers"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// database is a migrated database with the tables that sql makes.
type database struct {
	t    testing.TB
	url  string
	conn *pgx.Conn
	read int64 // the last event returned by events
}

func newDatabase(t testing.TB, sql string) *database {
	t.Helper()
	d := &database{t: t, url: pgtest.Database(t)}
	d.conn = pgtest.Connect(t, d.url)
	d.exec(sql)
	return d
}

func (d *database) exec(sql string, args ...any) {
	d.t.Helper()
	_, err := d.conn.Exec(d.t.Context(), sql, args...)
	require.NoError(d.t, err, "%s", sql)
}

func (d *database) apply(watches ...triggers.Watch) *triggers.Plan {
	d.t.Helper()
	p, err := triggers.Apply(d.t.Context(), d.conn, watches, triggers.ApplyOptions{})
	require.NoError(d.t, err)
	return p
}

func (d *database) plan(watches ...triggers.Watch) *triggers.Plan {
	d.t.Helper()
	p, err := triggers.NewPlan(d.t.Context(), d.conn, watches)
	require.NoError(d.t, err)
	return p
}

// events are those recorded since the last call, in id order.
func (d *database) events() []pgbell.Event {
	d.t.Helper()
	rows, err := d.conn.Query(context.Background(), "SELECT id, xid::text::bigint, at, body::text FROM pgbell.events WHERE id > $1 ORDER BY id", d.read)
	require.NoError(d.t, err)
	defer rows.Close()
	var events []pgbell.Event
	for rows.Next() {
		var id, xid int64
		var at time.Time
		var body string
		require.NoError(d.t, rows.Scan(&id, &xid, &at, &body))
		e, err := pgbell.NewEvent(id, uint64(xid), at, []byte(body))
		require.NoError(d.t, err, "%.500s", body)
		events, d.read = append(events, e), id
	}
	require.NoError(d.t, rows.Err())
	return events
}

// do runs SQL and returns the events that it recorded.
func (d *database) do(sql string, args ...any) []pgbell.Event {
	d.t.Helper()
	d.exec(sql, args...)
	return d.events()
}

func sorted(all []string) []string { slices.Sort(all); return all }
