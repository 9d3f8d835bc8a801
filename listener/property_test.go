package listener_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/listener"
)

// cutter is a log whose reads can be made to break off.
type cutter struct {
	eventLog
	after atomic.Int64 // break off the next read that yields this many + 1
	cuts  atomic.Int64
}

func (c *cutter) Read(ctx context.Context, conn conn, since *pgbell.Snapshot, yield yield) (*pgbell.Snapshot, error) {
	n := int64(0)
	return c.eventLog.Read(ctx, conn, since, func(next *pgbell.Snapshot, e pgbell.Event) error {
		if after := c.after.Load(); after >= 0 && n == after && c.after.CompareAndSwap(after, -1) {
			c.cuts.Add(1)
			_ = conn.PgConn().Conn().Close()
			return context.Canceled
		}
		n++
		return yield(next, e)
	})
}

// writer is one connection of the application.
type writer struct {
	conn *pgx.Conn
	open bool         // in a transaction
	rows map[int]bool // that it has locked
}

// world is a database, writers that change rows in it and a listener that is
// disturbed in every way. The truth is the log itself.
type world struct {
	url     string
	admin   *pgx.Conn
	writers []*writer
	log     *cutter
	rig     *rig
	base    int64 // highest id before this case
}

const rows = 4

// free draws a row that no other writer has locked; changing one that is would
// wait for ever.
func (w *world) free(t *rapid.T, self *writer) int {
	var free []int
	for row := range rows {
		taken := false
		for _, other := range w.writers {
			taken = taken || other != self && other.rows[row]
		}
		if !taken {
			free = append(free, row)
		}
	}
	if len(free) == 0 {
		t.Skip("all rows are locked")
	}
	return rapid.SampledFrom(free).Draw(t, "row")
}

// change updates a row and records it as a trigger does: row first, so that
// the transaction has its id and the row its lock.
func (w *world) change(t *rapid.T) {
	self := rapid.SampledFrom(w.writers).Draw(t, "writer")
	row := w.free(t, self)
	carry, bell, n := true, "auto", 1
	switch rapid.SampledFrom([]string{"ring", "ring", "ring", "empty", "never", "bulk"}).Draw(t, "how") {
	case "empty":
		carry = false
	case "never":
		bell = "never"
	case "bulk":
		n = 3
	}
	run(t, self.conn, fmt.Sprintf("SET pgbell.bell = %s", bell))
	run(t, self.conn, `
		WITH changed AS (UPDATE rows SET v = v + $1 WHERE id = $2 RETURNING v)
		SELECT pgbell.record(
		    (SELECT array_agg(format('{"type":"row","op":"update","key":{"id":%s},"data":{"v":%s}}', $2::int, v - $1 + i) ORDER BY i)
		       FROM changed, generate_series(1, $1) AS i), $3)`, n, row, carry)
	if self.open {
		self.rows[row] = true
	}
}

func (w *world) begin(t *rapid.T) {
	self := rapid.SampledFrom(w.writers).Draw(t, "writer")
	if self.open {
		t.Skip("in a transaction")
	}
	run(t, self.conn, "BEGIN")
	self.open = true
}

func (w *world) end(t *rapid.T) {
	self := rapid.SampledFrom(w.writers).Draw(t, "writer")
	if !self.open {
		t.Skip("not in a transaction")
	}
	self.end(t, rapid.SampledFrom([]string{"COMMIT", "COMMIT", "COMMIT", "ROLLBACK"}).Draw(t, "how"))
}

func (w *writer) end(t tb, how string) {
	run(t, w.conn, how)
	w.open = false
	clear(w.rows)
}

// savepoint records a change that never was.
func (w *world) savepoint(t *rapid.T) {
	self := rapid.SampledFrom(w.writers).Draw(t, "writer")
	if !self.open {
		t.Skip("not in a transaction")
	}
	run(t, self.conn, "SAVEPOINT s")
	record(t, self.conn, body(99, 1))
	run(t, self.conn, "ROLLBACK TO s")
}

func (w *world) kill(t *rapid.T) { w.rig.kill(t, w.admin) }

func (w *world) cut(t *rapid.T) { w.log.after.Store(rapid.Int64Range(0, 4).Draw(t, "after")) }

func (w *world) forge(t *rapid.T) {
	run(t, w.admin, "SELECT pg_notify('pgbell', $1)", rapid.SampledFrom([]string{"", "x"}).Draw(t, "payload"))
}

// catchUp waits until everything committed is delivered.
func (w *world) catchUp(t *rapid.T) {
	w.rig.delivered(t, len(w.truth(t)))
}

type logged struct {
	id  int64
	xid uint64
}

// truth is what the log holds of this case.
func (w *world) truth(t tb) []logged {
	found, err := w.admin.Query(context.Background(), "SELECT id, xid FROM pgbell.events WHERE id > $1 ORDER BY id", w.base)
	require.NoError(t, err)
	events, err := pgx.CollectRows(found, func(row pgx.CollectableRow) (l logged, err error) {
		return l, row.Scan(&l.id, &l.xid)
	})
	require.NoError(t, err)
	return events
}

// verify compares what was delivered, and each cursor on the way, with the log.
func (w *world) verify(t tb) {
	truth := w.truth(t)
	delivered := w.rig.delivered(t, len(truth))
	require.Len(t, delivered, len(truth), "no event twice, none that was rolled back")
	place := map[int64]int{}
	for i, e := range delivered {
		require.NotContains(t, place, e.ID, "twice")
		place[e.ID] = i
	}
	exact := func(c pgbell.Cursor, n int) {
		parsed, err := pgbell.ParseCursor(c.String())
		require.NoError(t, err)
		for _, l := range truth {
			i, ok := place[l.id]
			require.True(t, ok, "event %d is lost", l.id)
			require.Equal(t, i < n, parsed.Contains(l.id, l.xid),
				"event %d of transaction %d, delivered as number %d, after %d events", l.id, l.xid, i+1, n)
		}
	}
	version := map[string]int{}
	for i, e := range delivered {
		exact(e.Cursor, i+1)
		var data struct{ V int }
		require.NoError(t, json.Unmarshal(e.Data, &data))
		last, ok := version[string(e.Key)]
		require.True(t, !ok || data.V == last+1, "row %s: version %d after %d", e.Key, data.V, last)
		version[string(e.Key)] = data.V
	}
	w.rig.mu.Lock()
	defer w.rig.mu.Unlock()
	for i, c := range w.rig.advances {
		exact(c, w.rig.at[i])
	}
	require.Empty(t, w.rig.gaps)
}

// Whatever writers and connections do, each committed event is delivered once,
// the events of a row in commit order, and the cursor says at every event
// exactly what was delivered.
func TestExactUnderDisturbance(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	admin := pgtest.Connect(t, url)
	run(t, admin, "CREATE TABLE rows AS SELECT id, 0 AS v FROM generate_series(0, $1) AS id", rows-1)
	var writers []*writer
	for range 4 {
		writers = append(writers, &writer{conn: pgtest.Connect(t, url), rows: map[int]bool{}})
	}
	var direct, cuts, downs int64
	rapid.Check(t, func(t *rapid.T) {
		w := &world{url: url, admin: admin, writers: writers, log: &cutter{}}
		w.log.after.Store(-1)
		require.NoError(t, admin.QueryRow(context.Background(), "SELECT coalesce(max(id), 0) FROM pgbell.events").Scan(&w.base))
		interval := rapid.SampledFrom([]time.Duration{5 * time.Millisecond, 50 * time.Millisecond}).Draw(t, "safety interval")
		w.rig = launch(t, url, listener.Options{Log: w.log, SafetyInterval: interval, MaxBackoff: 5 * time.Millisecond})
		defer func() {
			for _, writer := range writers {
				if writer.open {
					writer.end(t, "ROLLBACK")
				}
			}
			require.NoError(t, w.rig.stop())
		}()
		w.rig.ready(t)
		t.Repeat(map[string]func(*rapid.T){
			"change": w.change, "change more": w.change, "change again": w.change,
			"begin": w.begin, "end": w.end, "end more": w.end, "savepoint": w.savepoint,
			"kill": w.kill, "cut": w.cut, "forge": w.forge, "catch up": w.catchUp,
		})
		for _, writer := range writers {
			if writer.open {
				writer.end(t, "COMMIT")
			}
		}
		w.verify(t)
		direct += w.rig.direct.Load()
		cuts += w.log.cuts.Load()
		downs += int64(len(w.rig.downs))
	})
	t.Logf("%d events delivered at once, %d reads cut off, %d connections lost", direct, cuts, downs)
	if !t.Failed() {
		require.Positive(t, direct)
		require.Positive(t, cuts)
		require.Positive(t, downs)
	}
}
