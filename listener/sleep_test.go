package listener_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/listener"
)

// press commits until the listener is on rounds.
func press(t tb, r *rig, conn *pgx.Conn) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for r.state.Load() != int64(listener.Rounds) {
		require.True(t, time.Now().Before(deadline), "never on rounds")
		record(t, conn, body(0, 0))
	}
}

// reach waits until the listener is in a state.
func (r *rig) reach(t tb, state listener.State) {
	t.Helper()
	r.until(t, state.String(), func() bool { return r.state.Load() == int64(state) })
}

func count(t *testing.T, conn *pgx.Conn, sql string) (n int) {
	t.Helper()
	require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&n))
	return n
}

// sleepers counts those who hold the lock.
const sleepers = `
	SELECT count(*) FROM pg_locks
	 WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted AND classid = 28775 AND objid = 1650814060
	   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

// The lock that the listener holds is the one that writers ask for, and the
// states follow the load.
func TestStates(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	r := listen(t, url, listener.Options{SafetyInterval: never, RoundsAbove: 100})
	r.reach(t, listener.Asleep)
	require.Equal(t, 1, count(t, conn, sleepers))
	var ring bool
	ask := func() bool {
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT pgbell.must_ring()").Scan(&ring))
		return ring
	}
	require.True(t, ask(), "somebody sleeps")

	press(t, r, conn)
	require.Equal(t, 0, count(t, conn, sleepers))
	require.False(t, ask(), "nobody sleeps")
	run(t, conn, "SET pgbell.bell = always")
	require.True(t, ask())
	run(t, conn, "SET pgbell.bell = Never")
	require.False(t, ask())
	run(t, conn, "RESET pgbell.bell")

	r.reach(t, listener.Asleep)
	require.True(t, ask())
	run(t, conn, "SET pgbell.bell = never")
	require.False(t, ask())
	require.NoError(t, r.stop())
	run(t, conn, "RESET pgbell.bell")
	// The backend lets go of the lock when it sees that we have left.
	require.Eventually(t, func() bool { return count(t, conn, sleepers) == 0 }, patience, time.Millisecond)
	require.False(t, ask(), "no node is up")
}

// Who begins before we sleep and ends after may not have rung.
func TestNoWakeUpIsLostWhileLyingDown(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn, other := pgtest.Connect(t, url), pgtest.Connect(t, url)
	r := listen(t, url, listener.Options{SafetyInterval: never, RoundsAbove: 100})
	r.reach(t, listener.Asleep)
	press(t, r, conn)
	var before int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM pgbell.events").Scan(&before))
	run(t, conn, "BEGIN")
	record(t, conn, body(1, 1)) // rings nobody
	r.reach(t, listener.Settling)
	record(t, other, body(2, 1)) // rings
	r.delivered(t, before+1)
	require.Equal(t, int64(listener.Settling), r.state.Load(), "somebody may still commit without a bell")
	run(t, conn, "COMMIT")
	r.delivered(t, before+2)
	r.reach(t, listener.Asleep)
}

// A question that is cancelled at any point leaves no lock behind.
func TestCancelledQuestion(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	asker, admin := pgtest.Connect(t, url), pgtest.Connect(t, url)
	for i := range 100 {
		asked := make(chan error, 1)
		go func() {
			_, err := asker.Exec(context.Background(), "SELECT count(pgbell.must_ring()) FROM generate_series(1, 100000000)")
			asked <- err
		}()
		for {
			// It may not have begun: then there is nothing to cancel.
			run(t, admin, "SELECT pg_cancel_backend($1)", int32(asker.PgConn().PID()))
			select {
			case err := <-asked:
				require.ErrorContains(t, err, "57014", "round %d", i)
			case <-time.After(time.Millisecond):
				continue
			}
			break
		}
		var locks int
		require.NoError(t, admin.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = $1", int32(asker.PgConn().PID())).Scan(&locks))
		require.Zero(t, locks)
	}
}

// stepper is a writer whose every step is an action of its own, as if the
// scheduler paused it there.
type stepper struct {
	conn  *pgx.Conn
	open  bool
	asked bool // whether the last event's question was asked
	ring  bool // and its answer
}

// night is a database with writers that stop anywhere and nodes that fall
// asleep and die at any moment. No safety round comes to help.
type night struct {
	url     string
	admin   *pgx.Conn
	writers []*stepper
	nodes   []*rig
	last    int64 // highest id before this case
	jitter  atomic.Int64
}

// disturb delays the steps by which a node lies down and gets up.
func (w *night) disturb(sql string) {
	if strings.Contains(sql, "advisory") || strings.Contains(sql, "last_value") {
		time.Sleep(time.Duration(w.jitter.Add(7919)%3) * time.Millisecond)
	}
}

func (w *night) node(t tb, limit float64) *rig {
	r := launch(t, w.url, listener.Options{
		SafetyInterval: never, RoundsAbove: limit, RoundInterval: time.Millisecond, MaxBackoff: 5 * time.Millisecond,
	}, w.disturb)
	return r
}

func (w *night) pick(t *rapid.T, ok func(*stepper) bool) *stepper {
	var able []*stepper
	for _, s := range w.writers {
		if ok(s) {
			able = append(able, s)
		}
	}
	if len(able) == 0 {
		t.Skip("nobody can")
	}
	return rapid.SampledFrom(able).Draw(t, "writer")
}

func (w *night) write(t *rapid.T) {
	s := w.pick(t, func(s *stepper) bool { return s.asked })
	if !s.open {
		run(t, s.conn, "BEGIN")
		s.open = true
	}
	run(t, s.conn, "INSERT INTO pgbell.events (body) VALUES ($1::text::json)", body(0, 0))
	s.asked = false
}

func (w *night) ask(t *rapid.T) {
	s := w.pick(t, func(s *stepper) bool { return !s.asked })
	require.NoError(t, s.conn.QueryRow(context.Background(), "SELECT pgbell.must_ring()").Scan(&s.ring))
	if s.ring {
		run(t, s.conn, "SELECT pgbell.ring(NULL, NULL, NULL, NULL)")
	}
	s.asked = true
}

func (w *night) commit(t *rapid.T) {
	s := w.pick(t, func(s *stepper) bool { return s.open && s.asked })
	run(t, s.conn, "COMMIT")
	s.open = false
}

// cancel ends a transaction wherever it is.
func (w *night) cancel(t *rapid.T) {
	s := w.pick(t, func(s *stepper) bool { return s.open })
	run(t, s.conn, "ROLLBACK")
	s.open, s.asked = false, true
}

// press drives nodes to rounds: more commits than they like to sleep by.
func (w *night) press(t *rapid.T) {
	for range rapid.IntRange(1, 30).Draw(t, "commits") {
		record(t, w.admin, body(0, 0))
	}
}

func (w *night) kill(t *rapid.T) { rapid.SampledFrom(w.nodes).Draw(t, "node").kill(t, w.admin) }

// arrive waits until every node has what is committed.
func (w *night) arrive(t tb) {
	found, err := w.admin.Query(context.Background(), "SELECT id FROM pgbell.events WHERE id > $1", w.last)
	require.NoError(t, err)
	ids, err := pgx.CollectRows(found, pgx.RowTo[int64])
	require.NoError(t, err)
	for i, n := range w.nodes {
		n.until(t, fmt.Sprintf("all %d events at node %d", len(ids), i), func() bool { return len(n.events) >= len(ids) })
	}
}

func TestNoWakeUpIsLost(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	admin := pgtest.Connect(t, url)
	writers := make([]*stepper, 3)
	for i := range writers {
		writers[i] = &stepper{conn: pgtest.Connect(t, url), asked: true}
	}
	var turns [4]int64
	rapid.Check(t, func(t *rapid.T) {
		w := &night{url: url, admin: admin, writers: writers}
		require.NoError(t, admin.QueryRow(context.Background(), "SELECT coalesce(max(id), 0) FROM pgbell.events").Scan(&w.last))
		for range 2 {
			w.nodes = append(w.nodes, w.node(t, rapid.SampledFrom([]float64{15, 50, 500}).Draw(t, "rounds above")))
		}
		defer func() {
			for _, s := range writers {
				if s.open {
					run(t, s.conn, "ROLLBACK")
					s.open, s.asked = false, true
				}
			}
			for _, n := range w.nodes {
				require.NoError(t, n.stop())
				for state := range turns {
					turns[state] += n.turns[state].Load()
				}
			}
		}()
		for _, n := range w.nodes {
			n.ready(t)
		}
		t.Repeat(map[string]func(*rapid.T){
			"write": w.write, "write again": w.write, "ask": w.ask, "ask again": w.ask,
			"commit": w.commit, "cancel": w.cancel, "press": w.press, "kill": w.kill,
			"arrive": func(t *rapid.T) { w.arrive(t) },
		})
		for _, s := range writers {
			if s.open && !s.asked {
				run(t, s.conn, "ROLLBACK")
				s.open, s.asked = false, true
			}
			if s.open {
				run(t, s.conn, "COMMIT")
				s.open = false
			}
		}
		w.arrive(t)
	})
	t.Logf("%d times on rounds, %d settling, %d asleep", turns[listener.Rounds], turns[listener.Settling], turns[listener.Asleep])
	if !t.Failed() {
		for _, n := range turns[listener.Rounds:] {
			require.Positive(t, n)
		}
	}
}
