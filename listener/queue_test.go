package listener_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/listener"
)

// Where commits take long, the bell keeps writers below any limit: whoever
// rings holds a lock meanwhile. That they wait for it is reason enough for
// rounds.
func TestWritersThatWaitEndTheSleep(t *testing.T) {
	t.Parallel()
	_, url := private(t)
	admin := pgtest.Connect(t, url)
	// A commit waits for a standby that there is none of, until it is cancelled.
	run(t, admin, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
	run(t, admin, "ALTER DATABASE postgres SET synchronous_commit = local")
	run(t, admin, "SELECT pg_reload_conf()")
	admin = pgtest.Connect(t, url)

	r := listen(t, url, listener.Options{SafetyInterval: never, RoundsAbove: 10_000})
	r.reach(t, listener.Asleep)

	var ended atomic.Bool
	var writers errgroup.Group
	for range 6 {
		conn := pgtest.Connect(t, url)
		run(t, conn, "SET synchronous_commit = on")
		writers.Go(func() error {
			for !ended.Load() {
				if _, err := conn.Exec(context.Background(), "SELECT pgbell.record(ARRAY[$1::text])", body(0, 0)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	written := make(chan error, 1)
	go func() { written <- writers.Wait() }()

	deadline := time.Now().Add(patience)
	for {
		run(t, admin, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
		if !ended.Load() {
			require.True(t, time.Now().Before(deadline), "never on rounds")
			ended.Store(r.state.Load() == int64(listener.Rounds))
			continue
		}
		select {
		case err := <-written:
			require.NoError(t, err)
			r.reach(t, listener.Asleep)
			return
		default:
		}
	}
}
