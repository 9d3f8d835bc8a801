package db_test

import (
	"context"
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
	written atomic.Int64 // changes committed
	nodes   []*pgx.Conn
	begins  []*pgbell.Snapshot // of each turn
	last    *pgbell.Snapshot   // of the reader that follows
	read    int64              // events that it got
}

// write changes a row again and again. A write that had to wait for a lock for
// longer than a second fails.
func (r *ring) write(ctx context.Context, conn *pgx.Conn, id int) error {
	if _, err := conn.Exec(ctx, "SET lock_timeout = '1s'"); err != nil {
		return err
	}
	for ctx.Err() == nil {
		// What is begun is finished, so that the count is exact.
		if _, err := conn.Exec(context.WithoutCancel(ctx), "UPDATE things SET n = n + 1 WHERE id = $1", id); err != nil {
			return fmt.Errorf("write of row %d: %w", id, err)
		}
		r.written.Add(1)
	}
	return nil
}

// turn lets writers write for a while, follows them, and begins the next turn.
func (r *ring) turn() {
	r.t.Helper()
	enough := r.written.Load() + 300
	require.Eventually(r.t, func() bool { return r.written.Load() >= enough }, time.Minute, time.Millisecond, "writers stand still")
	r.follow()
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
}

func (r *ring) follow() {
	r.t.Helper()
	snapshot, events := readAll(r.t, r.admin, r.last)
	r.last, r.read = snapshot, r.read+int64(len(events))
}

// rotate has every node try at once, again while nobody could.
func (r *ring) rotate() (emptied int) {
	r.t.Helper()
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

// TestRetentionUnderLoad lets many turns pass under writers that never stop,
// with three nodes, then with none, then with one. It has a server to itself,
// see TestRotate.
func TestRetentionUnderLoad(t *testing.T) {
	t.Parallel()
	url := pgtest.Server(t).URL("postgres")
	_, err := newMigrator(t, url).Up(t.Context())
	require.NoError(t, err)
	r := &ring{t: t, admin: pgtest.Connect(t, url)}
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
	var largest int64
	for n := range turns {
		r.turn()
		require.LessOrEqual(t, r.rotate(), 1, "the nodes agree on whose turn it is")
		if n == 3 {
			largest = r.bytes()
		}
		if n < 3 {
			continue
		}
		// Each turn has about as many events: 300, and those of the time that
		// the test itself took.
		require.Less(t, r.bytes(), 4*largest, "turn %d", n)
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
	require.Greater(t, grown, bounded)

	// With one again: within a round the log is as small as before.
	r.nodes = r.nodes[:1]
	for range 5 {
		r.turn()
		require.Equal(t, 1, r.rotate())
	}
	require.Less(t, r.bytes(), grown)
	require.Less(t, r.bytes(), 4*largest)

	stop()
	require.NoError(t, writers.Wait(), "a write failed")
	r.follow()
	require.Equal(t, r.written.Load(), r.read, "who follows gets each event once")
	t.Logf("%d events in %d turns; the log has %d bytes after turn 3, %d after turn %d with nodes, %d after 8 turns without, %d in the end",
		r.written.Load(), len(r.begins), largest, bounded, turns, grown, r.bytes())
}
