package db_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/embedded"
	"github.com/pgbell/pgbell/db/pgtest"
)

// turn is for how long each partition of the ring takes the events.
const turn = db.Retention / 2

// inTurn writes an event as if it was written n turns ago, and returns the
// time of the writing.
func inTurn(t *testing.T, conn *pgx.Conn, n int) time.Time {
	t.Helper()
	at := time.Now().Add(-time.Duration(n) * turn)
	_, err := conn.Exec(t.Context(), `INSERT INTO pgbell.events (at, slot, body) VALUES ($1, pgbell.slot($1), '{"type": "t", "op": "publish"}')`, at)
	require.NoError(t, err)
	return at
}

// TestRotate has a server to itself: what a snapshot holds depends on every
// transaction of a cluster, also in other databases.
func TestRotate(t *testing.T) {
	t.Parallel()
	server, err := embedded.Start(t.Context(), embedded.Options{Settings: map[string]string{"fsync": "off", "autovacuum": "off"}})
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Stop(context.Background())) }()
	for name, test := range map[string]func(*testing.T, string){
		"keeps_the_retention_time": rotateKeepsTheRetentionTime,
		"goes_round":               rotateGoesRound,
		"under_a_long_transaction": rotateUnderALongTransaction,
		"on_one_node_at_a_time":    rotateOnOneNodeAtATime,
		"strays":                   rotateStrays,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pgtest.Connect(t, server.URL("postgres")).Exec(t.Context(), "CREATE DATABASE "+name)
			require.NoError(t, err)
			_, err = newMigrator(t, server.URL(name)).Up(t.Context())
			require.NoError(t, err)
			test(t, server.URL(name))
		})
	}
}

func rotate(t *testing.T, conn *pgx.Conn) db.Rotation {
	t.Helper()
	done, err := db.Log{}.Rotate(t.Context(), conn, time.Time{})
	require.NoError(t, err)
	return done
}

func rotateKeepsTheRetentionTime(t *testing.T, url string) {
	conn := pgtest.Connect(t, url)
	require.Empty(t, rotate(t, conn))
	start := position(t, conn).Snapshot()
	oldest := inTurn(t, conn, 3)
	afterOldest := position(t, conn).Snapshot()
	for n := 2; n >= 0; n-- {
		inTurn(t, conn, n)
	}
	end := position(t, conn).Snapshot()

	done := rotate(t, conn)
	require.Len(t, done.Emptied, 1)
	require.Regexp(t, `^pgbell\.events_[0-3]$`, done.Emptied[0])
	require.Positive(t, done.Bytes)
	require.Empty(t, done.Busy)
	require.Empty(t, rotate(t, conn), "nothing more is due")

	_, events := readAll(t, conn, nil)
	require.Len(t, events, 3)
	for _, e := range events {
		require.Greater(t, e.At, oldest)
	}
	// Who had the removed event goes on; who had not hears of it.
	_, events = readAll(t, conn, afterOldest)
	require.Len(t, events, 3)
	_, events = readAll(t, conn, end)
	require.Empty(t, events)
	_, err := db.Log{}.Read(t.Context(), conn, start, func(*pgbell.Snapshot, pgbell.Event) error {
		t.Error("an event is yielded beside a gap")
		return nil
	})
	var gap pgbell.Gap
	require.ErrorAs(t, err, &gap)
	require.Equal(t, pgbell.GapRetention, gap.Reason)
	_, events = readAll(t, conn, end)
	require.Empty(t, events, "the connection is usable after a gap")
}

func rotateGoesRound(t *testing.T, url string) {
	conn := pgtest.Connect(t, url)
	start := time.Now()
	seen := map[string]int{}
	for n := range 9 {
		now := start.Add(time.Duration(n) * turn)
		_, err := conn.Exec(t.Context(), `INSERT INTO pgbell.events (at, slot, body) VALUES ($1, pgbell.slot($1), '{"type": "t", "op": "publish"}')`, now)
		require.NoError(t, err)
		done, err := db.Log{}.Rotate(t.Context(), conn, now)
		require.NoError(t, err)
		for _, partition := range done.Emptied {
			seen[partition]++
		}
		_, events := readAll(t, conn, nil)
		require.Len(t, events, min(n+1, 3))
	}
	require.Equal(t, map[string]int{"pgbell.events_0": 1, "pgbell.events_1": 1, "pgbell.events_2": 1, "pgbell.events_3": 1}, withOnes(seen))
}

// withOnes says which partitions had their turn, whatever how often.
func withOnes(seen map[string]int) map[string]int {
	for partition := range seen {
		seen[partition] = min(1, seen[partition])
	}
	return seen
}

// A transaction that runs for days has lost nothing that others wrote, and the
// listener that waits for it goes on.
func rotateUnderALongTransaction(t *testing.T, url string) {
	conn, long := pgtest.Connect(t, url), pgtest.Connect(t, url)
	tx, err := long.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SELECT pg_current_xact_id()")
	require.NoError(t, err)
	inTurn(t, conn, 3)
	since := position(t, conn).Snapshot()
	require.NotEmpty(t, since.Xip)
	require.Len(t, rotate(t, conn).Emptied, 1)

	since, events := readAll(t, conn, since)
	require.Empty(t, events)
	_, err = tx.Exec(t.Context(), insert, 1, 1)
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	_, events = readAll(t, conn, since)
	require.Equal(t, []string{"1"}, actions(events))

	// Had it written there before it ended, what it wrote would be lost to it.
	tx, err = long.Begin(t.Context())
	require.NoError(t, err)
	inTurn(t, long, 3)
	inTurn(t, conn, 0)
	since = position(t, conn).Snapshot()
	done := rotate(t, conn)
	require.Empty(t, done.Emptied)
	require.Len(t, done.Busy, 1)
	require.NoError(t, tx.Commit(t.Context()))
	require.Len(t, rotate(t, conn).Emptied, 1)
	_, err = db.Log{}.Read(t.Context(), conn, since, nil)
	require.ErrorIs(t, err, pgbell.Gap{Reason: pgbell.GapRetention})
}

func rotateOnOneNodeAtATime(t *testing.T, url string) {
	conn, other := pgtest.Connect(t, url), pgtest.Connect(t, url)
	inTurn(t, conn, 3)
	tx, err := other.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SELECT pg_advisory_xact_lock($1)", db.LockRetention)
	require.NoError(t, err)
	require.Empty(t, rotate(t, conn))
	require.NoError(t, tx.Rollback(t.Context()))
	require.Len(t, rotate(t, conn).Emptied, 1)
}

// A partition is missing: nothing fails, and the strays go when all are old.
func rotateStrays(t *testing.T, url string) {
	conn := pgtest.Connect(t, url)
	_, err := conn.Exec(t.Context(), "DROP TABLE pgbell.events_0, pgbell.events_1, pgbell.events_2, pgbell.events_3")
	require.NoError(t, err)
	for n := 6; n >= 3; n-- {
		inTurn(t, conn, n)
	}
	inTurn(t, conn, 0)
	require.Empty(t, rotate(t, conn), "one is young")
	done, err := db.Log{}.Rotate(t.Context(), conn, time.Now().Add(db.Retention+time.Minute))
	require.NoError(t, err)
	require.Equal(t, []string{"pgbell.events_rest"}, done.Emptied)
	_, events := readAll(t, conn, nil)
	require.Empty(t, events)

	_, err = conn.Exec(t.Context(), "DROP TABLE pgbell.events_rest")
	require.NoError(t, err)
	require.Empty(t, rotate(t, conn))
}
