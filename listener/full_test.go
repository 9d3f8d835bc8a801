package listener_test

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/embedded"
	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/listener"
)

// A session of somebody's hangs in a transaction while others notify, and the
// queue fills up. Nobody's write fails of it, the events come by the safety
// round, and bells ring again when there is room.
//
// The queue holds 8 GB up to PostgreSQL 16, so there the bell is made to take a
// thousandth for half. From 17 on it may be smaller, and is filled to the brim.
func TestFullQueue(t *testing.T) {
	t.Parallel()
	server, url := private(t)
	major, err := strconv.Atoi(strings.FieldsFunc(server.Version(), func(r rune) bool { return r < '0' || r > '9' })[0])
	require.NoError(t, err)
	admin := pgtest.Connect(t, url)
	small := major >= 17
	if small {
		run(t, admin, "ALTER SYSTEM SET max_notify_queue_pages = 64")
		require.NoError(t, server.Restart(t.Context(), embedded.Fast))
		admin = pgtest.Connect(t, url)
	} else {
		run(t, admin, `DO $$ BEGIN
			EXECUTE replace(pg_get_functiondef('pgbell.ring'::regproc), 'pg_notification_queue_usage() > 0.5', 'pg_notification_queue_usage() > 0.0005');
		END $$`)
	}
	writer, hung := pgtest.Connect(t, url), pgtest.Connect(t, url)
	r := listen(t, url, listener.Options{})
	r.reach(t, listener.Asleep)
	written := r.settle(t, writer)
	run(t, hung, "LISTEN other")
	run(t, hung, "BEGIN")

	var used float64
	full := false
	for n := 0; !full; n++ {
		_, err := admin.Exec(t.Context(), "SELECT pg_notify('other', rpad($1, 7999, 'x'))", strconv.Itoa(n))
		if small {
			if full = err != nil; full {
				require.ErrorContains(t, err, "too many notifications in the NOTIFY queue")
			}
			continue
		}
		require.NoError(t, err)
		require.NoError(t, admin.QueryRow(t.Context(), "SELECT pg_notification_queue_usage()").Scan(&used))
		full = used > 0.0005
	}

	heard := r.direct.Load() + r.forged.Load()
	for range 20 {
		written++
		record(t, writer, body(1, written))
	}
	run(t, writer, "BEGIN")
	for range 100 {
		written++
		record(t, writer, body(1, written))
	}
	run(t, writer, "COMMIT")
	r.delivered(t, written)
	require.Equal(t, heard, r.direct.Load()+r.forged.Load(), "no bell rang")
	require.Empty(t, r.lost())
	if small {
		told(t, admin, db.Error)
	}

	run(t, hung, "ROLLBACK")
	r.direct.Store(0)
	for r.direct.Load() == 0 { // each call looks whether the queue is empty by now
		written++
		record(t, writer, body(1, written))
		r.delivered(t, written)
	}
	told(t, admin, db.OK)
}

// told checks that the doctor says how full the queue is.
func told(t *testing.T, conn *pgx.Conn, level db.Level) {
	t.Helper()
	findings, err := db.Checkup(context.Background(), conn, db.CheckupOptions{})
	require.NoError(t, err)
	for _, f := range findings {
		if f.Check == "queue" {
			require.Equal(t, level, f.Level, f.What)
			return
		}
	}
	t.Fatal("the doctor says nothing")
}
