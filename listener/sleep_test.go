package listener_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

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
