package db_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/triggers"
)

// moveTurns makes the turns of the ring ours to begin: the sequence says how
// many were skipped, and every writer reads it with its next event.
const moveTurns = `
CREATE SEQUENCE turns MINVALUE 0 START 0;
CREATE OR REPLACE FUNCTION pgbell.slot(at timestamptz DEFAULT clock_timestamp()) RETURNS smallint
LANGUAGE sql STABLE PARALLEL SAFE
RETURN ((floor(extract(epoch FROM at) / 43200)::bigint + (SELECT last_value FROM public.turns)) % 4)::smallint;
CREATE TABLE things (id int PRIMARY KEY, n int NOT NULL, pad text);
INSERT INTO things SELECT i, 0, repeat('x', 200) FROM generate_series(0, 3) AS i;`

// ring is an event log whose turns pass quickly, under writers that never stop.
type ring struct {
	t       *testing.T
	admin   *pgx.Conn
	permits chan struct{} // a change each, so that a slow machine has no more to read
	written atomic.Int64  // changes committed
	nodes   []*pgx.Conn
	begins  []*pgbell.Snapshot // of each turn but the first
	counts  []int64            // changes committed by then
	last    *pgbell.Snapshot   // of the reader that follows
	read    int64              // events that it got
}

// write changes a row again and again. A write that had to wait for a lock for
// longer than a second fails.
func (r *ring) write(ctx context.Context, conn *pgx.Conn, id int) error {
	if _, err := conn.Exec(ctx, "SET lock_timeout = '1s'"); err != nil {
		return err
	}
	for {
		select {
		case <-r.permits:
		case <-ctx.Done():
			return nil
		}
		// What is begun is finished, so that the count is exact.
		if _, err := conn.Exec(context.WithoutCancel(ctx), "UPDATE things SET n = n + 1 WHERE id = $1", id); err != nil {
			return fmt.Errorf("write of row %d: %w", id, err)
		}
		r.written.Add(1)
	}
}

// permit lets writers make n changes, or fewer if ctx ends.
func (r *ring) permit(ctx context.Context, n int) {
	for range n {
		select {
		case r.permits <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}

// turn lets writers write, follows them, and begins the next turn while they
// go on.
func (r *ring) turn() {
	r.t.Helper()
	ctx, cancel := context.WithTimeoutCause(r.t.Context(), time.Minute, errors.New("writers stand still"))
	defer cancel()
	r.permit(ctx, 300)
	require.NoError(r.t, context.Cause(ctx))
	r.follow()
	defer r.busy()()
	_, err := r.admin.Exec(r.t.Context(), "SELECT nextval('turns')")
	require.NoError(r.t, err)
	var next string
	require.NoError(r.t, r.admin.QueryRow(r.t.Context(), "SELECT pg_current_xact_id()::text").Scan(&next))
	// Who began to write in the turn before has its event there. A snapshot
	// does not name all of those; a transaction id is above them.
	require.Eventually(r.t, func() (ended bool) {
		require.NoError(r.t, r.admin.QueryRow(r.t.Context(), "SELECT pg_snapshot_xmin(pg_current_snapshot()) > $1::text::xid8", next).Scan(&ended))
		return ended
	}, time.Minute, time.Millisecond)
	r.begins = append(r.begins, position(r.t, r.admin).Snapshot())
	r.counts = append(r.counts, r.written.Load())
}

// busy has writers write until what it returns is called.
func (r *ring) busy() (rest func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.permit(ctx, 1000) }()
	return func() { cancel(); <-done }
}

func (r *ring) follow() {
	r.t.Helper()
	snapshot, events := readAll(r.t, r.admin, r.last)
	r.last, r.read = snapshot, r.read+int64(len(events))
}

// rotate has every node try at once, again while nobody could.
func (r *ring) rotate() (emptied int) {
	r.t.Helper()
	defer r.busy()()
	for range 100 {
		var did atomic.Int64
		var busy atomic.Bool
		var g errgroup.Group
		for _, node := range r.nodes {
			g.Go(func() error {
				done, err := db.Log{}.Rotate(r.t.Context(), node, time.Time{})
				did.Add(int64(len(done.Emptied)))
				if len(done.Busy) > 0 {
					busy.Store(true)
				}
				return err
			})
		}
		require.NoError(r.t, g.Wait())
		if emptied = int(did.Load()); emptied > 0 || !busy.Load() {
			return emptied
		}
	}
	r.t.Fatal("retention never gets its lock")
	return 0
}

func (r *ring) bytes() (n int64) {
	r.t.Helper()
	require.NoError(r.t, r.admin.QueryRow(r.t.Context(), "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'pgbell.events'::regclass").Scan(&n))
	return n
}

// small checks that the log is not larger than twice what the changes since the
// begin of a turn take, and a megabyte for the pages that are not full. Each
// change takes each bytes.
func (r *ring) small(since int, each float64) {
	r.t.Helper()
	bytes := r.bytes() // first: meanwhile more is written
	most := 2*each*float64(r.written.Load()-r.counts[since]) + 1<<20
	require.Less(r.t, float64(bytes), most, "%d changes since the begin of the turn", r.written.Load()-r.counts[since])
}

// TestRetentionUnderLoad lets many turns pass under writers that never stop,
// with three nodes, then with none, then with one. It has a server to itself,
// see TestRotate.
func TestRetentionUnderLoad(t *testing.T) {
	t.Parallel()
	url := pgtest.Server(t).URL("postgres")
	_, err := newMigrator(t, url).Up(t.Context())
	require.NoError(t, err)
	r := &ring{t: t, permits: make(chan struct{}), admin: pgtest.Connect(t, url)}
	_, err = r.admin.Exec(t.Context(), moveTurns)
	require.NoError(t, err)
	_, err = triggers.Apply(t.Context(), r.admin, []triggers.Watch{{Table: triggers.Name{Schema: "public", Name: "things"}, Type: "thing", AllColumns: true}}, triggers.ApplyOptions{})
	require.NoError(t, err)
	r.last = position(t, r.admin).Snapshot()

	ctx, stop := context.WithCancel(t.Context())
	var writers errgroup.Group
	defer func() { stop(); _ = writers.Wait() }()
	for id := range 4 {
		conn := pgtest.Connect(t, url)
		writers.Go(func() error { return r.write(ctx, conn, id) })
	}

	// With three nodes. An event is there in its own turn and the two after it,
	// and in no other.
	for range 3 {
		r.nodes = append(r.nodes, pgtest.Connect(t, url))
	}
	const turns = 24
	var each float64 // bytes of a change in the log
	for n := range turns {
		r.turn()
		require.LessOrEqual(t, r.rotate(), 1, "the nodes agree on whose turn it is")
		if n < 3 {
			each = float64(r.bytes()) / float64(r.counts[n])
			continue
		}
		r.small(n-2, each)
		kept := r.begins[n-2]
		_, events := readAll(t, r.admin, kept)
		require.NotEmpty(t, events, "who was away for two turns gets what it missed")
		_, err := db.Log{}.Read(t.Context(), r.admin, r.begins[n-3], func(*pgbell.Snapshot, pgbell.Event) error { return nil })
		require.ErrorIs(t, err, pgbell.Gap{Reason: pgbell.GapRetention}, "who was away for longer hears of it")
	}
	bounded := r.bytes()

	// With none: the ring goes round twice and grows, and nobody loses anything.
	begin := r.last
	before := r.read
	for range 8 {
		r.turn()
	}
	_, events := readAll(t, r.admin, begin)
	require.GreaterOrEqual(t, int64(len(events)), r.read-before)
	grown := r.bytes()
	require.Greater(t, grown, int64(each*float64(r.read-before)/2), "nothing was emptied")

	// With one again: within a round the log is as small as before.
	r.nodes = r.nodes[:1]
	for range 5 {
		r.turn()
		require.Equal(t, 1, r.rotate())
	}
	r.small(len(r.counts)-3, each)

	stop()
	require.NoError(t, writers.Wait(), "a write failed")
	r.follow()
	require.Equal(t, r.written.Load(), r.read, "who follows gets each event once")
	t.Logf("%d events of %.0f bytes in %d turns; the log has %d bytes after %d turns with nodes, %d after 8 without, %d in the end",
		r.written.Load(), each, len(r.begins), bounded, turns, grown, r.bytes())
}
