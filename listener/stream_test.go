package listener_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/listener"
)

// never is a safety interval that plays no part in a test.
const never = time.Hour

func TestDeliversWithoutAQuery(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	r := listen(t, url, listener.Options{SafetyInterval: never})
	n := r.settle(t, conn)
	queries, reads := r.queries.Load(), r.reads.Load()

	record(t, conn, body(1, 1), body(1, 2), body(2, 1))
	events := r.delivered(t, n+3)[n:]

	require.Equal(t, queries, r.queries.Load(), "what a bell carries needs no query")
	require.Equal(t, reads, r.reads.Load())
	require.Equal(t, int64(3), r.direct.Load())
	for i, e := range events {
		require.JSONEq(t, []string{`{"v":1}`, `{"v":2}`, `{"v":1}`}[i], string(e.Data))
		for j, other := range events {
			require.Equal(t, j <= i, e.Cursor.Contains(other.ID, other.XID))
		}
	}
}

func TestIdleListenerAsksOnceAnInterval(t *testing.T) {
	t.Parallel()
	r := listen(t, pgtest.Database(t), listener.Options{SafetyInterval: 10 * time.Millisecond})
	r.read(t)
	queries, reads := r.queries.Load(), r.reads.Load()
	r.until(t, "ten reads", func() bool { return r.reads.Load() >= reads+10 })
	// The counter of queries runs ahead of that of reads by the one under way.
	require.LessOrEqual(t, r.queries.Load()-queries, r.reads.Load()-reads+1)
}

// A read empties the cursor of what bells delivered.
func TestSafetyRoundShortensTheCursor(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	r := listen(t, url, listener.Options{SafetyInterval: 20 * time.Millisecond})
	record(t, conn, body(1, 1), body(1, 2))
	last := r.delivered(t, 2)[1]
	r.read(t)
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.advances[len(r.advances)-1]
	require.Zero(t, at.Bells())
	require.True(t, at.Contains(last.ID, last.XID))
	require.Len(t, r.events, 2, "the read does not deliver it again")
}

func TestLostBell(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	r := listen(t, url, listener.Options{SafetyInterval: 20 * time.Millisecond})
	run(t, conn, "SET pgbell.bell = never")
	record(t, conn, body(1, 1))
	require.Equal(t, []int64{1}, ids(r.delivered(t, 1), 0))
}

// One who never rings changes a row, then one who rings changes it. The bell
// must not overtake.
func TestBellDoesNotOvertakeASilentChange(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	r := listen(t, url, listener.Options{SafetyInterval: never})
	n := r.settle(t, conn)
	run(t, conn, "SET pgbell.bell = never")
	record(t, conn, body(1, 1))
	run(t, conn, "SET pgbell.bell = auto")
	record(t, conn, body(1, 2))
	require.Equal(t, []int64{1, 2}, ids(r.delivered(t, n+2), n))
	require.Zero(t, r.direct.Load())

	record(t, conn, body(1, 3)) // nothing is missing now
	require.Equal(t, []int64{1, 2, 3}, ids(r.delivered(t, n+3), n))
	require.Equal(t, int64(1), r.direct.Load())
}

// A transaction that is in progress holds a low id without being named in the
// snapshot, because none after it has ended. What follows may be a change of
// the same row by a silent writer, so no bell above that id is safe.
func TestUnseenTransactionHoldsALowId(t *testing.T) {
	t.Parallel()
	_, url := private(t) // no other test's transactions
	early, late := pgtest.Connect(t, url), pgtest.Connect(t, url)
	run(t, early, "CREATE TABLE rows (id int)")
	r := listen(t, url, listener.Options{SafetyInterval: 20 * time.Millisecond})
	n := r.settle(t, late)

	run(t, late, "BEGIN")
	run(t, late, "INSERT INTO rows VALUES (1)") // the lower transaction id
	run(t, early, "SET pgbell.bell = never")
	run(t, early, "BEGIN")
	run(t, early, "INSERT INTO rows VALUES (2)")
	record(t, early, body(1, 1)) // event 1, of the higher transaction
	record(t, late, body(2, 1))  // event 2
	run(t, late, "COMMIT")
	require.Equal(t, []int64{2}, ids(r.delivered(t, n+1), n))
	reads := r.reads.Load()
	r.until(t, "ten reads", func() bool { return r.reads.Load() > reads+10 }) // enough for a mark to be taken

	record(t, late, body(3, 1)) // event 3: event 1 may still come
	require.Equal(t, []int64{2, 3}, ids(r.delivered(t, n+2), n))
	require.Zero(t, r.direct.Load(), "event 1 was missing")

	run(t, early, "COMMIT")
	require.Equal(t, []int64{2, 3, 1}, ids(r.delivered(t, n+3), n))
	for total := n + 4; r.direct.Load() == 0; total++ { // a safety round may be first
		record(t, late, body(3, total))
		r.delivered(t, total)
	}
}

// An id that never comes, because its transaction rolled back, holds up bells
// only until a mark has shown that it is dead.
func TestRolledBackId(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	r := listen(t, url, listener.Options{SafetyInterval: never})
	n := r.settle(t, conn)
	run(t, conn, "BEGIN")
	record(t, conn, body(1, 1))
	run(t, conn, "ROLLBACK")
	record(t, conn, body(1, 1))
	require.Equal(t, []int64{2}, ids(r.delivered(t, n+1), n))
	require.Zero(t, r.direct.Load())
	for total := n + 2; r.direct.Load() == 0; total++ {
		record(t, conn, body(1, 2))
		r.delivered(t, total)
	}
}

func TestForgedBells(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	r := listen(t, url, listener.Options{SafetyInterval: never})
	for _, payload := range []string{"", "x", `{"id":1,"xid":1,"at":1,"mac":"00","body":{"type":"row","op":"reset"}}`} {
		run(t, conn, "SELECT pg_notify('pgbell', $1)", payload)
	}
	r.until(t, "three bells", func() bool { return r.forged.Load() == 3 && len(r.advances) > 1 })
	record(t, conn, body(1, 1))
	require.Equal(t, []int64{1}, ids(r.delivered(t, 1), 0))
	require.Empty(t, r.lost())
}

// A bell that somebody rings again with a genuine payload is one that was
// delivered.
func TestReplayedBell(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn, spy := pgtest.Connect(t, url), pgtest.Connect(t, url)
	r := listen(t, url, listener.Options{SafetyInterval: never})
	run(t, spy, "LISTEN pgbell")
	run(t, conn, "SET pgbell.bell = always")
	record(t, conn, body(1, 1))
	n, err := spy.WaitForNotification(t.Context())
	require.NoError(t, err)
	r.delivered(t, 1)
	for range 3 {
		run(t, conn, "SELECT pg_notify('pgbell', $1)", n.Payload)
	}
	record(t, conn, body(1, 2))
	require.Equal(t, []int64{1, 2}, ids(r.delivered(t, 2), 0))
}

// Many bells that are already there lead to few reads.
func TestQueuedBellsLeadToOneRead(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	gate := newGate()
	r := listen(t, url, listener.Options{SafetyInterval: never, Log: gate})
	release := make(chan struct{})
	gate.hold <- release
	run(t, conn, "NOTIFY pgbell")
	<-gate.waiting
	for i := range 100 {
		run(t, conn, "SELECT pgbell.record(ARRAY[$1::text, $2::text])", body(1, 2*i), body(1, 2*i+1))
	}
	reads := r.reads.Load()
	close(release)
	events := r.delivered(t, 200)
	require.IsIncreasing(t, ids(events, 0))
	require.LessOrEqual(t, r.reads.Load()-reads, int64(20))
}

func TestLargeReadComesInBatches(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	r := listen(t, url, listener.Options{SafetyInterval: never})
	run(t, conn, `SELECT pgbell.record(array_agg(format('{"type":"row","op":"update","key":{"id":%s}}', i))) FROM generate_series(1, 2000) AS i`)
	events := r.delivered(t, 2000)
	require.IsIncreasing(t, ids(events, 0))
	for i, e := range events {
		require.Equal(t, fmt.Sprintf(`{"id":%d}`, i+1), string(e.Key))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.batches {
		require.LessOrEqual(t, n, 256)
	}
}

func TestLargeBodiesComeInSmallerBatches(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	r := listen(t, url, listener.Options{SafetyInterval: never})
	run(t, conn, `SELECT pgbell.record(array_agg(format('{"type":"row","op":"update","key":{"id":%s},"data":{"x":"%s"}}', i, repeat('x', 400000)))) FROM generate_series(1, 12) AS i`)
	r.delivered(t, 12)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.batches {
		require.LessOrEqual(t, n, 3)
	}
}

// With Start the stream begins there, not at the present.
func TestStart(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	start, _, err := eventLog{}.Position(t.Context(), conn)
	require.NoError(t, err)
	record(t, conn, body(1, 1), body(1, 2))
	r := listen(t, url, listener.Options{Start: start.Rung(1), SafetyInterval: never})
	require.Equal(t, []int64{2}, ids(r.delivered(t, 1), 0))

	other := pgbell.NewCursor(start.Epoch()+1, start.Snapshot())
	r = listen(t, url, listener.Options{Start: other, SafetyInterval: never})
	require.Equal(t, []pgbell.Gap{{Reason: pgbell.GapEpoch}}, r.missed())
	r.mu.Lock()
	require.Equal(t, []string{"gap", "advance"}, r.calls)
	require.Equal(t, start.Epoch(), r.advances[0].Epoch())
	r.mu.Unlock()
	record(t, conn, body(1, 3))
	require.Equal(t, []int64{3}, ids(r.delivered(t, 1), 0))

	s := *start.Snapshot()
	s.Xmax += 1 << 20
	ahead := pgbell.NewCursor(start.Epoch(), &s)
	r = listen(t, url, listener.Options{Start: ahead, SafetyInterval: never})
	require.Equal(t, []pgbell.Gap{{Reason: pgbell.GapEpoch}}, r.missed(), "of a future that a crash undid")
}

// gate is a log that lets one read wait for each channel sent to hold, until
// that is closed.
type gate struct {
	eventLog
	hold    chan (<-chan struct{})
	waiting chan struct{}
}

func newGate() *gate {
	return &gate{hold: make(chan (<-chan struct{}), 1), waiting: make(chan struct{}, 1)}
}

func (g *gate) Read(ctx context.Context, conn conn, since *pgbell.Snapshot, yield yield) (*pgbell.Snapshot, error) {
	select {
	case release := <-g.hold:
		g.waiting <- struct{}{}
		<-release
	default:
	}
	return g.eventLog.Read(ctx, conn, since, yield)
}
