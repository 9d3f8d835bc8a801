package triggers_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/triggers"
)

const counters = `CREATE TABLE things (id int PRIMARY KEY, n int NOT NULL, pad text);
	INSERT INTO things SELECT i, 0, repeat('x', 500) FROM generate_series(1, 3000) AS i`

var counter = triggers.Watch{Table: name("things"), Type: "thing", AllColumns: true}

// applicants are writers that never stop, and take no error.
type applicants struct {
	written atomic.Int64
	stop    context.CancelFunc
	group   errgroup.Group
}

// work has four writers change rows, half of them several in a transaction.
func (d *database) work() *applicants {
	d.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	a := &applicants{stop: cancel}
	for id := range 4 {
		conn := pgtest.Connect(d.t, d.url)
		a.group.Go(func() error {
			for ctx.Err() == nil {
				sql := fmt.Sprintf("UPDATE things SET n = n + 1 WHERE id = %d", id+1)
				if id%2 == 0 {
					sql = fmt.Sprintf("BEGIN; %[1]s; %[1]s; COMMIT", sql)
				}
				// What is begun is finished, so that the count is exact.
				if _, err := conn.Exec(context.WithoutCancel(ctx), sql); err != nil {
					return err
				}
				a.written.Add(int64(1 + (id+1)%2))
			}
			return nil
		})
	}
	return a
}

// more waits for n writes more.
func (a *applicants) more(t *testing.T, n int64) {
	t.Helper()
	until := a.written.Load() + n
	require.Eventually(t, func() bool { return a.written.Load() >= until }, time.Minute, time.Millisecond)
}

// rest stops the writers and checks that each write went through.
func (a *applicants) rest(d *database) {
	d.t.Helper()
	a.stop()
	require.NoError(d.t, a.group.Wait(), "a write failed")
	require.EqualValues(d.t, a.written.Load(), d.count(`SELECT sum(n) FROM things`))
}

// What the guide for DBAs says of taking everything out in one statement: with
// the tables locked first it waits for nobody who waits for it.
func TestSchemaDroppedUnderWriters(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, counters)
	d.apply(counter)
	a := d.work()
	defer a.stop()
	a.more(t, 100)
	// Without the lock it gets nowhere, and gives up before anybody's
	// deadlock_timeout of a second: the writers that it holds up go on.
	_, err := d.conn.Exec(t.Context(), `SET lock_timeout = '300ms'; DROP SCHEMA pgbell CASCADE`)
	if pgErr, failed := errors.AsType[*pgconn.PgError](err); failed {
		require.Equal(t, "55P03", pgErr.Code, "lock_not_available and nothing else")
		a.more(t, 100)
		d.exec(`BEGIN; SET LOCAL lock_timeout = '10s'; LOCK TABLE things; DROP SCHEMA pgbell CASCADE; COMMIT`)
	}
	a.more(t, 100)
	a.rest(d)
	require.Zero(t, d.count(`SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'pgbell%'`))
}

// Without the partition whose turn it is, events go to the one for the rest.
func TestMissingPartitionUnderWriters(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, counters)
	d.apply(counter)
	a := d.work()
	defer a.stop()
	a.more(t, 100)
	d.exec(`DO $$ BEGIN EXECUTE 'DROP TABLE pgbell.events_' || pgbell.slot(); END $$`)
	before := d.count(`SELECT sum(n) FROM things`)
	a.more(t, 100)
	a.rest(d)
	rest := d.count(`SELECT count(*) FROM pgbell.events_rest`)
	require.GreaterOrEqual(t, rest, d.count(`SELECT sum(n) FROM things`)-before)
	require.Len(t, d.whole(t), rest, "and are read from there")
}

// A statement that is cancelled at any moment, or runs out of time, has either
// happened with its event or not at all; and the question whether somebody
// sleeps leaves no lock.
func TestCancelledAtAnyMoment(t *testing.T) {
	t.Parallel()
	for title, sql := range map[string]string{
		"one row":   `UPDATE things SET n = n + 1 WHERE id = 1`,
		"many rows": `UPDATE things SET n = n + 1`, // of more than a megabyte: written piece by piece
		"an error":  `UPDATE things SET n = n + 1, pad = NULL WHERE id < 3`,
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t, counters)
			w := counter
			w.Actions = []triggers.Action{{Name: "odd", When: "1 / length(coalesce(NEW.pad, '')) > 5"}}
			d.apply(w)
			d.exec(`SET pgbell.bell = always`)
			other := pgtest.Connect(t, d.url)
			run(t, other, `LISTEN pgbell`)
			pid := d.conn.PgConn().PID()
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			rnd := rand.New(rand.NewPCG(seed, 0))

			took := time.Duration(0)
			var done, cancelled int
			for i := 0; done < 20 || cancelled < 40; i++ {
				require.Less(t, i, 3000, "%d done, %d cancelled", done, cancelled)
				moment := time.Duration(rnd.Float64() * 1.5 * float64(took))
				inside := rnd.IntN(3) == 0
				byTimeout := !inside && rnd.IntN(4) == 0
				if inside {
					d.exec(`BEGIN; UPDATE things SET n = n + 1 WHERE id = 5; SAVEPOINT s`)
				}
				if byTimeout {
					d.exec(fmt.Sprintf(`SET statement_timeout = '%dms'`, max(1, moment.Milliseconds())))
				}
				ended := make(chan error, 1)
				var lasted time.Duration
				go func() {
					began := time.Now()
					_, err := d.conn.Exec(context.Background(), sql)
					lasted = time.Since(began)
					ended <- err
				}()
				if !byTimeout && took > 0 {
					time.Sleep(moment) // the moment, drawn at random
					run(t, other, fmt.Sprintf(`SELECT pg_cancel_backend(%d)`, pid))
				}
				err := <-ended
				if inside && err != nil {
					d.exec(`ROLLBACK TO s`)
				}
				for calm := 0; byTimeout && calm < 2; { // it concerns this, too; and a late alarm, the next
					if _, err := d.conn.Exec(context.Background(), `RESET statement_timeout`); err != nil {
						require.ErrorContains(t, err, "57014")
					} else {
						calm++
					}
				}
				if inside {
					d.exec(`COMMIT`)
				}
				if err == nil {
					done++
					took = lasted
				} else {
					cancelled++
					var pgErr *pgconn.PgError
					require.ErrorAs(t, err, &pgErr)
					require.Equal(t, "57014", pgErr.Code, "query_canceled, and no other error")
				}
				d.balanced(title == "an error")
			}
			require.Zero(t, d.count(`SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`))
		})
	}
}

// balanced checks that each committed change of things has its event, and that
// no event is of anything else. Where capturing fails there is one a statement,
// so two for the two rows that it changed.
func (d *database) balanced(resets bool) {
	d.t.Helper()
	var changes, events int
	require.NoError(d.t, d.conn.QueryRow(d.t.Context(), `SELECT sum(n) FROM things`).Scan(&changes))
	sql := `SELECT count(*) FROM pgbell.events`
	if resets {
		sql = `SELECT count(*) + count(*) FILTER (WHERE body ->> 'op' = 'reset') FROM pgbell.events`
	}
	require.NoError(d.t, d.conn.QueryRow(d.t.Context(), sql).Scan(&events))
	require.Equal(d.t, changes, events)
}

// Rows of any size can be written. What is told of them is bounded.
func TestHugeRows(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, `CREATE TABLE things (id int PRIMARY KEY, pad text); ALTER TABLE things ALTER pad SET STORAGE EXTERNAL`)
	d.apply(counter)
	d.exec(`SET statement_timeout = 0`)
	d.exec(`INSERT INTO things VALUES (1, repeat('x', 20000000))`)
	d.exec(`INSERT INTO things VALUES (2, repeat('x', 140000000))`)
	all := d.whole(t)
	require.Len(t, all, 2)
	require.Equal(t, pgbell.Insert, all[0].Op)
	require.Greater(t, all[0].Size, 20000000)
	require.Equal(t, pgbell.Reset, all[1].Op)
	require.Regexp(t, `^P0001: the event has \d+ bytes, more than 128 MiB$`, all[1].Error)
	require.Equal(t, 2, d.count(`SELECT count(*) FROM things`))
}
