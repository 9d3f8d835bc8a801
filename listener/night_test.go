package listener_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/listener"
)

// night is a database, writers that stop anywhere and nodes that come, fall
// asleep, hang and die at any moment: the scheduler is rapid. No safety round
// comes to help, so an event whose wake-up is lost stays unheard.
type night struct {
	url      string
	admin    *pgx.Conn
	writers  []*stepper
	sleepers []*sleeper
	start    pgbell.Cursor // before this case
	last     int64         // highest id before this case
	seen     *sights
}

// sights count what all cases together came across.
type sights struct {
	turns                              [4]int64
	silent, rang, held, failed, killed int64
}

// stepper is a writer whose every step is an action of its own, as if the
// scheduler paused it there. The steps are those of pgbell.append.
type stepper struct {
	conn      *pgx.Conn
	open      bool
	savepoint bool
	written   bool // and has not asked yet
	ring      bool // was told to, and has not yet
}

func (s *stepper) begun() { s.open, s.savepoint, s.written, s.ring = true, false, false, false }
func (s *stepper) ended() { s.open, s.savepoint, s.written, s.ring = false, false, false, false }

// sleeper is a node that can be stopped before any of its queries.
type sleeper struct {
	*rig
	mu   sync.Mutex
	at   string        // part of the query
	gate chan struct{} // closed when it may go on; nil: it need not stop
	seen bool          // it did stop
}

// Where a node can be stopped: before it takes the lock and before the mark
// that follows, before it lets go of the lock, before it reads, listens, and
// looks where the log is.
var stops = []string{"pg_try_advisory_lock_shared", "pg_try_advisory_lock_shared", "last_value", "last_value", "pg_advisory_unlock_shared", "FROM pgbell.events", "LISTEN", "system_identifier"}

// pass is called before each query.
func (n *sleeper) pass(sql string) {
	n.mu.Lock()
	gate := n.gate
	if gate == nil || !strings.Contains(sql, n.at) {
		n.mu.Unlock()
		return
	}
	n.seen = true
	n.mu.Unlock()
	<-gate
}

func (n *sleeper) hold(at string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.at, n.gate = at, make(chan struct{})
}

func (n *sleeper) free() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.gate == nil
}

// release lets the node go on; it reports whether it had stopped.
func (n *sleeper) release() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gate != nil {
		close(n.gate)
	}
	seen := n.seen
	n.gate, n.seen = nil, false
	return seen
}

// pick draws one of those that can.
func pick[T any](t *rapid.T, of []T, can func(T) bool) T {
	able := slices.DeleteFunc(slices.Clone(of), func(x T) bool { return !can(x) })
	if len(able) == 0 {
		t.Skip("nobody can")
	}
	return rapid.SampledFrom(able).Draw(t, "who")
}

func (w *night) write(t *rapid.T) {
	s := pick(t, w.writers, func(s *stepper) bool { return !s.written && !s.ring })
	if !s.open {
		run(t, s.conn, "BEGIN")
		s.begun()
	}
	if !s.savepoint && rapid.IntRange(0, 3).Draw(t, "savepoint") == 0 {
		run(t, s.conn, "SAVEPOINT s")
		s.savepoint = true
	}
	run(t, s.conn, "INSERT INTO pgbell.events (body) VALUES ($1::text::json)", body(0, 0))
	s.written = true
}

func (w *night) ask(t *rapid.T) {
	s := pick(t, w.writers, func(s *stepper) bool { return s.written })
	require.NoError(t, s.conn.QueryRow(context.Background(), "SELECT pgbell.must_ring()").Scan(&s.ring))
	s.written = false
	if !s.ring {
		w.seen.silent++
	}
}

func (w *night) ring(t *rapid.T) {
	s := pick(t, w.writers, func(s *stepper) bool { return s.ring })
	run(t, s.conn, "SELECT pgbell.ring(NULL, NULL, NULL, NULL)")
	s.ring = false
	w.seen.rang++
}

func (w *night) commit(t *rapid.T) {
	s := pick(t, w.writers, func(s *stepper) bool { return s.open && !s.written && !s.ring })
	run(t, s.conn, "COMMIT")
	s.ended()
}

// rollback ends a transaction wherever it is, or what it did since its
// savepoint.
func (w *night) rollback(t *rapid.T) {
	s := pick(t, w.writers, func(s *stepper) bool { return s.open })
	s.back(t)
}

func (s *stepper) back(t *rapid.T) {
	if s.savepoint && rapid.Bool().Draw(t, "to the savepoint") {
		run(t, s.conn, "ROLLBACK TO s")
		run(t, s.conn, "RELEASE s")
		s.begun() // what it wrote before has asked
		return
	}
	run(t, s.conn, "ROLLBACK")
	s.ended()
}

// cancel has a transaction's statement cancelled between two of its steps.
func (w *night) cancel(t *rapid.T) {
	s := pick(t, w.writers, func(s *stepper) bool { return s.open })
	failed := make(chan error, 1)
	go func() {
		_, err := s.conn.Exec(context.Background(), "SELECT pg_sleep(3600)")
		failed <- err
	}()
	require.ErrorContains(t, w.end(t, "pg_cancel_backend", s.conn, failed), "57014")
	s.back(t)
}

// terminate ends a writer's connection between two of its steps.
func (w *night) terminate(t *rapid.T) {
	s := pick(t, w.writers, func(*stepper) bool { return true })
	run(t, w.admin, "SELECT pg_terminate_backend($1)", int32(s.conn.PgConn().PID()))
	s.again(t, w.url)
}

// again connects anew.
func (s *stepper) again(t tb, url string) {
	_ = s.conn.Close(context.Background())
	var err error
	s.conn, err = pgx.Connect(context.Background(), url)
	require.NoError(t, err)
	s.ended()
}

// end has a backend cancelled or terminated until what it does has ended. The
// signal may come before the statement has begun.
func (w *night) end(t tb, how string, conn *pgx.Conn, ended chan error) error {
	for {
		run(t, w.admin, "SELECT "+how+"($1)", int32(conn.PgConn().PID()))
		select {
		case err := <-ended:
			return err
		case <-time.After(time.Millisecond):
		}
	}
}

// rush has all writers that are idle write at once, in one go, while some are
// cancelled and some terminated in the midst of it. What became of it is known
// to the log alone.
func (w *night) rush(t *rapid.T) {
	sql := fmt.Sprintf("BEGIN; SELECT pgbell.record(ARRAY['%[1]s']); SELECT pgbell.record(ARRAY['%[1]s']); COMMIT", body(0, 0))
	var running []func()
	for i, s := range w.writers {
		if s.open {
			continue
		}
		signal := rapid.SampledFrom([]string{"", "pg_cancel_backend", "pg_cancel_backend", "pg_terminate_backend"}).Draw(t, fmt.Sprintf("signal %d", i))
		moment := time.Duration(rapid.IntRange(0, 1500).Draw(t, fmt.Sprintf("after µs %d", i))) * time.Microsecond
		ended := make(chan error, 1)
		go func() {
			_, err := s.conn.PgConn().Exec(context.Background(), sql).ReadAll()
			ended <- err
		}()
		running = append(running, func() {
			var err error
			if signal == "" {
				err = <-ended
			} else {
				time.Sleep(moment) // the moment, drawn by the scheduler
				run(t, w.admin, "SELECT "+signal+"($1)", int32(s.conn.PgConn().PID()))
				err = <-ended
			}
			pgErr, refused := errors.AsType[*pgconn.PgError](err)
			switch {
			case signal == "pg_terminate_backend":
				s.again(t, w.url)
			case refused:
				require.Equal(t, "57014", pgErr.Code)
				run(t, s.conn, "ROLLBACK")
			default:
				require.NoError(t, err)
			}
			if err != nil {
				w.seen.failed++
			}
		})
	}
	for _, finish := range running {
		finish()
	}
}

// press drives nodes to rounds: more commits than they like to sleep by.
func (w *night) press(t *rapid.T) {
	for range rapid.IntRange(1, 15).Draw(t, "commits") {
		record(t, w.admin, body(0, 0))
	}
}

// join starts a node. It knows what was delivered before this case.
func (w *night) join(t *rapid.T) {
	if len(w.sleepers) == 4 {
		t.Skip("enough")
	}
	n := new(sleeper)
	limit := rapid.SampledFrom([]float64{15, 50, 500}).Draw(t, "rounds above")
	n.rig = launch(t, w.url, listener.Options{
		Start: w.start, SafetyInterval: never, RoundsAbove: limit, RoundInterval: time.Millisecond, MaxBackoff: 5 * time.Millisecond,
		ConnectTimeout: never, ReadTimeout: never, CatchUpTimeout: never, // it may hang as long as it likes
	}, n.pass)
	w.sleepers = append(w.sleepers, n)
}

// leave stops a node as a deployment would.
func (w *night) leave(t *rapid.T) {
	n := pick(t, w.sleepers, func(*sleeper) bool { return true })
	w.sleepers = slices.DeleteFunc(w.sleepers, func(other *sleeper) bool { return other == n })
	w.stop(t, n)
}

func (w *night) stop(t tb, n *sleeper) {
	w.release1(n)
	require.NoError(t, n.stop())
	for state := range w.seen.turns {
		w.seen.turns[state] += n.turns[state].Load()
	}
}

// kill ends a node's connection, wherever it is.
func (w *night) kill(t *rapid.T) {
	pick(t, w.sleepers, func(*sleeper) bool { return true }).kill(t, w.admin)
	w.seen.killed++
}

// hold stops a node when it comes to one of its queries.
func (w *night) hold(t *rapid.T) {
	pick(t, w.sleepers, (*sleeper).free).hold(rapid.SampledFrom(stops).Draw(t, "before"))
}

func (w *night) release(t *rapid.T) {
	w.release1(pick(t, w.sleepers, func(n *sleeper) bool { return !n.free() }))
}

func (w *night) release1(n *sleeper) {
	if n.release() {
		w.seen.held++
	}
}

// lull waits until a node has lain down, or wants to and is held.
func (w *night) lull(t *rapid.T) {
	n := pick(t, w.sleepers, func(*sleeper) bool { return true })
	n.until(t, "sleep", func() bool {
		state := listener.State(n.state.Load())
		return state == listener.Settling || state == listener.Asleep || !n.free()
	})
}

// arrive waits until every node has what is committed, and nothing else.
func (w *night) arrive(t tb) {
	for _, n := range w.sleepers {
		w.release1(n)
	}
	found, err := w.admin.Query(context.Background(), "SELECT id FROM pgbell.events WHERE id > $1 ORDER BY id", w.last)
	require.NoError(t, err)
	committed, err := pgx.CollectRows(found, pgx.RowTo[int64])
	require.NoError(t, err)
	for i, n := range w.sleepers {
		got := []int64{}
		for _, e := range n.delivered(t, len(committed)) {
			got = append(got, e.ID)
		}
		slices.Sort(got)
		require.Equal(t, committed, got, "node %d", i)
	}
}

func TestNoWakeUpIsLost(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	admin := pgtest.Connect(t, url)
	writers := make([]*stepper, 3)
	for i := range writers {
		writers[i] = &stepper{conn: pgtest.Connect(t, url)}
	}
	t.Cleanup(func() { // those of the last case
		for _, s := range writers {
			_ = s.conn.Close(context.Background())
		}
	})
	var seen sights
	rapid.Check(t, func(t *rapid.T) {
		w := &night{url: url, admin: admin, writers: writers, seen: &seen}
		require.NoError(t, admin.QueryRow(context.Background(), "SELECT coalesce(max(id), 0) FROM pgbell.events").Scan(&w.last))
		var err error
		w.start, _, err = eventLog{}.Position(context.Background(), admin)
		require.NoError(t, err)
		for range rapid.IntRange(1, 2).Draw(t, "nodes") {
			w.join(t)
		}
		defer func() {
			for _, s := range writers {
				if s.open {
					run(t, s.conn, "ROLLBACK")
					s.ended()
				}
			}
			for _, n := range w.sleepers {
				w.stop(t, n)
			}
		}()
		for _, n := range w.sleepers {
			n.ready(t)
		}
		t.Repeat(map[string]func(*rapid.T){
			"write": w.write, "write again": w.write, "ask": w.ask, "ask again": w.ask, "ring": w.ring, "commit": w.commit, "commit again": w.commit,
			"roll back": w.rollback, "cancel": w.cancel, "terminate": w.terminate, "rush": w.rush, "press": w.press,
			"join": w.join, "leave": w.leave, "kill": w.kill, "hold": w.hold, "hold again": w.hold, "release": w.release, "lull": w.lull, "lull again": w.lull,
			"arrive": func(t *rapid.T) { w.arrive(t) },
		})
		for _, s := range writers {
			if s.open {
				run(t, s.conn, map[bool]string{true: "ROLLBACK", false: "COMMIT"}[s.written || s.ring])
				s.ended()
			}
		}
		if len(w.sleepers) == 0 {
			w.join(t)
		}
		w.arrive(t)
		// Nobody who asked was left with the lock.
		for _, s := range slices.Concat(writers, []*stepper{{conn: admin}}) {
			var locks int
			require.NoError(t, s.conn.QueryRow(context.Background(), "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()").Scan(&locks))
			require.Zero(t, locks)
		}
	})
	t.Logf("nodes %d times on rounds, %d settling, %d asleep, %d held, %d killed; writers %d times silent, %d ringing, %d in a rush failed",
		seen.turns[listener.Rounds], seen.turns[listener.Settling], seen.turns[listener.Asleep], seen.held, seen.killed, seen.silent, seen.rang, seen.failed)
	if !t.Failed() {
		for _, n := range append(seen.turns[listener.Rounds:], seen.held, seen.killed, seen.silent, seen.rang, seen.failed) {
			require.Positive(t, n)
		}
	}
}
