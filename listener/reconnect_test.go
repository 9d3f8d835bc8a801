package listener_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/embedded"
	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/listener"
)

func TestTerminatedBackend(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	r := listen(t, url, listener.Options{SafetyInterval: never})
	for i := 1; i <= 5; i++ {
		r.kill(t, conn)
		record(t, conn, body(1, i))
		r.delivered(t, i)
		r.until(t, "life after the loss", func() bool { return len(r.downs) == i && r.calls[len(r.calls)-1] == "advance" })
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Equal(t, []int64{1, 2, 3, 4, 5}, ids(r.events, 0))
	require.ErrorContains(t, r.downs[0], "terminating connection")
	var life []string
	for _, call := range r.calls {
		if call == "down" || call == "advance" {
			life = append(life, call)
		}
	}
	require.NotContains(t, strings.Join(life, " "), "down down", "once for each time that it was live")
}

// The peer is gone and no packet says so.
func TestHalfOpen(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	proxy, through := throughProxy(t, url)
	r := listen(t, through, listener.Options{SafetyInterval: 50 * time.Millisecond, ReadTimeout: 500 * time.Millisecond})
	record(t, conn, body(1, 1))
	r.delivered(t, 1)
	proxy.freeze()
	began := time.Now()
	record(t, conn, body(1, 2))
	r.until(t, "down", func() bool { return len(r.downs) == 1 })
	require.Less(t, time.Since(began), 5*time.Second)
	require.Equal(t, []int64{1, 2}, ids(r.delivered(t, 2), 0))
	require.ErrorContains(t, r.lost()[0], "silent")
}

// The connection breaks after any number of bytes: in the greeting, in LISTEN,
// in a bell, in a read.
func TestCutAtAnyByte(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	proxy, through := throughProxy(t, url)
	log := &cutter{}
	log.after.Store(-1)
	w := &world{admin: conn, log: log}
	w.rig = listen(t, through, listener.Options{SafetyInterval: 5 * time.Millisecond, Log: log, MaxBackoff: 2 * time.Millisecond})
	version := 0
	for range 40 {
		proxy.limit(rand.Int64N(6000))
		proxy.cut()
		for range 5 {
			version++
			record(t, conn, body(1, version))
		}
		proxy.limit(-1)
		w.rig.delivered(t, version)
	}
	w.verify(t)
}

func TestRestart(t *testing.T) {
	t.Parallel()
	server, url := private(t)
	r := listen(t, url, listener.Options{SafetyInterval: never})
	n := 0
	write := func() {
		n++
		conn, err := pgx.Connect(t.Context(), url)
		require.NoError(t, err)
		defer conn.Close(context.Background())
		record(t, conn, body(1, n))
	}
	write()
	require.NoError(t, server.Restart(t.Context(), embedded.Fast))
	write()
	r.delivered(t, n)
	r.until(t, "life", func() bool { return len(r.downs) == 1 && r.calls[len(r.calls)-1] != "down" })
	require.Empty(t, r.missed())

	// A crash ends the epoch: the stream goes on from there, and says so.
	for i, mode := range []embedded.Mode{embedded.Immediate, embedded.Crash} {
		require.NoError(t, server.Restart(t.Context(), mode))
		r.until(t, "a gap, and life after it", func() bool { return len(r.gaps) == i+1 && r.calls[len(r.calls)-1] == "advance" })
		write()
		r.delivered(t, n)
	}
	require.Equal(t, []pgbell.Gap{{Reason: pgbell.GapEpoch}, {Reason: pgbell.GapEpoch}}, r.missed())
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Len(t, r.events, n)
	require.IsIncreasing(t, ids(r.events, 0)) // a crash leaves ids unused
}

// A database that takes its time with the first answer is no dead one.
func TestPatientWhileCatchingUp(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	gate := newGate()
	release := make(chan struct{})
	gate.hold <- release
	r := launch(t, url, listener.Options{SafetyInterval: never, ReadTimeout: time.Millisecond, Log: gate})
	defer func() { require.NoError(t, r.stop()) }()
	<-gate.waiting
	time.AfterFunc(50*time.Millisecond, func() { close(release) })
	r.ready(t)
	require.Empty(t, r.lost())
}

func TestRetention(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	start, _, err := eventLog{}.Position(t.Context(), conn)
	require.NoError(t, err)
	record(t, conn, body(1, 1))
	run(t, conn, "TRUNCATE pgbell.events")
	run(t, conn, `UPDATE pgbell.horizon
	                 SET xid = pg_snapshot_xmax(pg_current_snapshot()),
	                     running = ARRAY(SELECT pg_snapshot_xip(pg_current_snapshot()))`)

	r := listen(t, url, listener.Options{Start: start, SafetyInterval: never})
	record(t, conn, body(1, 2))
	events := r.delivered(t, 1)
	require.Equal(t, []int64{2}, ids(events, 0))
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Equal(t, []pgbell.Gap{{Reason: pgbell.GapRetention}}, r.gaps)
	require.Equal(t, "gap", r.calls[0])
	require.Equal(t, "advance", r.calls[1])
	require.Empty(t, r.downs, "a gap is no lost connection")
}

// brokenLog has a gap wherever it is read.
type brokenLog struct {
	eventLog
	reads atomic.Int64
}

func (l *brokenLog) Read(context.Context, conn, *pgbell.Snapshot, yield) (*pgbell.Snapshot, error) {
	l.reads.Add(1)
	return nil, pgbell.Gap{Reason: pgbell.GapRetention}
}

func TestEndlessGapBacksOff(t *testing.T) {
	t.Parallel()
	log := &brokenLog{}
	var connections atomic.Int64
	url := pgtest.Database(t)
	enough := make(chan struct{})
	r := launch(t, url, listener.Options{Log: log, Connect: func(ctx context.Context) (*pgx.Conn, error) {
		if connections.Add(1) == 4 {
			close(enough)
			<-ctx.Done() // no more
			return nil, ctx.Err()
		}
		return db.Connect(ctx, url, db.Options{})
	}})
	<-enough
	require.NoError(t, r.stop())
	require.Equal(t, int64(3*2), log.reads.Load(), "one more try after a gap, then the backoff")
	require.Len(t, r.gaps, 3)
	require.Empty(t, r.downs, "it was never live")
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	database := conn.Config().Database
	run(t, conn, "CREATE ROLE "+database+"_nobody LOGIN PASSWORD 'x'")
	t.Cleanup(func() { run(t, conn, "DROP ROLE "+database+"_nobody") })

	for name, c := range map[string]struct {
		url  string
		edit func(*pgx.ConnConfig)
		want string
	}{
		"not migrated": {pgtest.Empty(t), func(*pgx.ConnConfig) {}, "pgbell"},
		"no privilege": {url, func(c *pgx.ConnConfig) { c.User, c.Password = database+"_nobody", "x" }, "permission denied"},
		"no database":  {url, func(c *pgx.ConnConfig) { c.Database = "no_such_thing" }, "no_such_thing"},
		"no role":      {url, func(c *pgx.ConnConfig) { c.User = "no_such_role" }, "no_such_role"},
	} {
		r := launch(t, c.url, listener.Options{Connect: func(ctx context.Context) (*pgx.Conn, error) {
			config, err := pgx.ParseConfig(c.url)
			if err != nil {
				return nil, err
			}
			c.edit(config)
			return pgx.ConnectConfig(ctx, config)
		}})
		select {
		case <-r.listener.Ready():
			t.Errorf("%s: live", name)
		case <-time.After(patience):
			t.Errorf("%s: does not give up", name)
		case err := <-r.done:
			require.ErrorContains(t, err, c.want, name)
		}
		require.Empty(t, r.calls, name)
	}
}

// Once live, the listener outlasts mistakes too: somebody rotates a password.
func TestMistakeLater(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	var broken atomic.Bool
	refused := make(chan struct{}, 1)
	r := listen(t, url, listener.Options{SafetyInterval: never, Connect: func(ctx context.Context) (*pgx.Conn, error) {
		if broken.Load() {
			select {
			case refused <- struct{}{}:
			default:
			}
			return nil, &pgconn.PgError{Code: "28P01", Message: "password authentication failed"}
		}
		return db.Connect(ctx, url, db.Options{ApplicationName: "listener_test"})
	}})
	broken.Store(true)
	run(t, conn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'listener_test' AND datname = current_database()")
	<-refused
	record(t, conn, body(1, 1))
	broken.Store(false)
	require.Equal(t, []int64{1}, ids(r.delivered(t, 1), 0))
	require.Len(t, r.lost(), 1)
}
