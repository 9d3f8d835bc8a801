package listener_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/embedded"
	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/listener"
)

func TestMain(m *testing.M) {
	// The command line is read later and wins.
	if err := flag.Set("rapid.checks", "40"); err != nil {
		panic(err)
	}
	pgtest.Main(m)
}

// patience bounds every wait of a test.
const patience = 30 * time.Second

// tb is what a *testing.T and a *rapid.T have in common.
type tb interface {
	require.TestingT
	Helper()
	Fatalf(format string, args ...any)
}

type eventLog = db.Log

// recorder is a Sink that keeps everything.
type recorder struct {
	mu       sync.Mutex
	events   []pgbell.Event
	batches  []int           // sizes of Deliver
	advances []pgbell.Cursor // of Advance
	at       []int           // number of events before each of them
	gaps     []pgbell.Gap
	downs    []error
	calls    []string
	changed  chan struct{} // closed at the next call
}

func newRecorder() *recorder { return &recorder{changed: make(chan struct{})} }

func (r *recorder) note(call string, f func()) {
	r.mu.Lock()
	f()
	r.calls = append(r.calls, call)
	r.mu.Unlock()
	r.wake()
}

// wake makes those look again who wait for something.
func (r *recorder) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *recorder) Deliver(events []pgbell.Event) {
	r.note("deliver", func() {
		r.events = append(r.events, events...)
		r.batches = append(r.batches, len(events))
	})
}

func (r *recorder) Advance(at pgbell.Cursor) {
	r.note("advance", func() {
		r.advances = append(r.advances, at)
		r.at = append(r.at, len(r.events))
	})
}

func (r *recorder) Gap(gap pgbell.Gap) { r.note("gap", func() { r.gaps = append(r.gaps, gap) }) }
func (r *recorder) Down(err error)     { r.note("down", func() { r.downs = append(r.downs, err) }) }

// until waits until what holds; it is asked under the lock after each call.
func (r *recorder) until(t tb, what string, holds func() bool) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		r.mu.Lock()
		ok, changed := holds(), r.changed
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-timeout.C:
			r.mu.Lock()
			defer r.mu.Unlock()
			t.Fatalf("waited %v for %s; %d events, downs %v", patience, what, len(r.events), r.downs)
		}
	}
}

// delivered waits for n events in all and returns them.
func (r *recorder) delivered(t tb, n int) []pgbell.Event {
	t.Helper()
	r.until(t, fmt.Sprintf("%d events", n), func() bool { return len(r.events) >= n })
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// lost is why connections were lost so far.
func (r *recorder) lost() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.downs)
}

// missed is the gaps so far.
func (r *recorder) missed() []pgbell.Gap {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.gaps)
}

// read waits for a complete read that begins after now.
func (r *recorder) read(t tb) {
	t.Helper()
	r.mu.Lock()
	n := len(r.advances)
	r.mu.Unlock()
	r.until(t, "two reads", func() bool { return len(r.advances) >= n+2 })
}

// rig is a running listener.
type rig struct {
	*recorder
	url      string
	listener *listener.Listener
	queries  atomic.Int64  // sent by the listener's connections, but for looks at who waits
	pid      atomic.Uint32 // backend of the last connection
	direct   atomic.Int64  // events delivered by a bell at once
	forged   atomic.Int64  // bells that carried nothing
	reads    atomic.Int64
	state    atomic.Int64    // a [listener.State]
	turns    [4]atomic.Int64 // how often it was turned to
	disturb  func(sql string)
	done     chan error   // Run's error
	stop     func() error // ends Run and returns its error
}

// TraceQueryStart implements [pgx.QueryTracer].
func (r *rig) TraceQueryStart(ctx context.Context, _ *pgx.Conn, query pgx.TraceQueryStartData) context.Context {
	if !strings.Contains(query.SQL, "pg_locks") {
		r.queries.Add(1)
	}
	if r.disturb != nil {
		r.disturb(query.SQL)
	}
	return ctx
}

// TraceQueryEnd implements [pgx.QueryTracer].
func (r *rig) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (r *rig) connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(r.url)
	if err != nil {
		return nil, err
	}
	config.Tracer = r
	conn, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		r.pid.Store(conn.PgConn().PID())
	}
	return conn, err
}

// launch starts a listener on url; opts may leave anything open. Each of
// disturb is called before each of its queries.
func launch(t tb, url string, opts listener.Options, disturb ...func(sql string)) *rig {
	t.Helper()
	r := &rig{recorder: newRecorder(), url: url}
	for _, d := range disturb {
		r.disturb = d
	}
	if opts.Connect == nil {
		opts.Connect = r.connect
	}
	if opts.Log == nil {
		opts.Log = eventLog{}
	}
	opts.Sink = r
	opts.MinBackoff = cmp.Or(opts.MinBackoff, time.Millisecond)
	opts.MaxBackoff = cmp.Or(opts.MaxBackoff, 50*time.Millisecond)
	opts.RoundsAbove = cmp.Or(opts.RoundsAbove, 1e6) // rounds are for those who ask for them
	opts.Trace = &listener.Trace{
		Bell: func(carried, direct bool) { // before the Sink gets the event
			if direct {
				r.direct.Add(1)
			}
			if !carried {
				r.forged.Add(1)
			}
		},
		Read: func(time.Duration, int) { r.reads.Add(1) },
		State: func(state listener.State) {
			r.turns[state].Add(1)
			r.state.Store(int64(state))
			r.wake()
		},
	}
	r.listener = listener.New(opts)
	ctx, cancel := context.WithCancel(context.Background())
	r.done = make(chan error, 1)
	go func() { r.done <- r.listener.Run(ctx) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-r.done:
			return err
		case <-time.After(patience):
			return errors.New("Run does not return")
		}
	})
	return r
}

// listen starts a listener, waits until it is live and stops it with the test.
func listen(t *testing.T, url string, opts listener.Options) *rig {
	t.Helper()
	r := launch(t, url, opts)
	t.Cleanup(func() { require.NoError(t, r.stop()) })
	r.ready(t)
	return r
}

func (r *rig) ready(t tb) {
	t.Helper()
	select {
	case <-r.listener.Ready():
	case <-time.After(patience):
		t.Fatalf("not live after %v", patience)
	}
}

// kill terminates the listener's backend, as a DBA would.
func (r *rig) kill(t tb, admin *pgx.Conn) {
	t.Helper()
	_, err := admin.Exec(context.Background(), "SELECT pg_terminate_backend($1)", int32(r.pid.Load()))
	require.NoError(t, err)
}

// settle records events until one was delivered at once, and returns how many.
// From then on no id is missing, so each bell delivers what it carries. It may
// take a few, because transactions of other tests count as in progress.
func (r *rig) settle(t tb, conn *pgx.Conn) int {
	t.Helper()
	for n := 1; ; n++ {
		record(t, conn, body(0, n))
		if r.delivered(t, n); r.direct.Swap(0) > 0 {
			return n
		}
	}
}

// private is a server for this test alone, with schema pgbell.
func private(t *testing.T) (server *embedded.Server, url string) {
	t.Helper()
	server = pgtest.Server(t)
	url = server.URL("postgres")
	migrator, err := db.NewMigrator(url, db.Options{})
	require.NoError(t, err)
	_, err = migrator.Up(t.Context())
	require.NoError(t, err)
	return server, url
}

// body is the event of version v of a row.
func body(row, v int) string {
	return fmt.Sprintf(`{"type":"row","op":"update","key":{"id":%d},"data":{"v":%d}}`, row, v)
}

// record writes events, one transaction each unless conn is in one, and rings
// with the event.
func record(t tb, conn *pgx.Conn, bodies ...string) {
	t.Helper()
	for _, b := range bodies {
		run(t, conn, "SELECT pgbell.record(ARRAY[$1::text])", b)
	}
}

func run(t tb, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := conn.Exec(ctx, sql, args...)
	require.NoError(t, err, sql)
}

// ids of events after the first skip, less skip.
func ids(events []pgbell.Event, skip int) []int64 {
	var ids []int64
	for _, e := range events[skip:] {
		ids = append(ids, e.ID-int64(skip))
	}
	return ids
}

// The types in the signature of [listener.Log].
type (
	conn  = *pgx.Conn
	yield = func(*pgbell.Snapshot, pgbell.Event) error
)
