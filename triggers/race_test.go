package triggers_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/triggers"
)

// settle plays a node until no move is left. The server is shared with tests
// whose transactions hold it up.
func (d *database) settle() {
	d.t.Helper()
	require.Eventually(d.t, func() bool {
		d.round()
		var left int
		require.NoError(d.t, d.conn.QueryRow(d.t.Context(), "SELECT count(*) FROM pgbell.owner_moves").Scan(&left))
		return left == 0
	}, time.Minute, 10*time.Millisecond)
}

// round is one call of a node.
func (d *database) round() {
	d.t.Helper()
	_, err := db.Log{}.SettleOwnerMoves(d.t.Context(), d.conn)
	require.NoError(d.t, err)
}

// races are the users of the resets recorded since the last call.
func (d *database) races() []string {
	d.t.Helper()
	var all []string
	for _, e := range d.events() {
		if e.Reason == "owner_race" {
			require.Equal(d.t, "payment reset owner_race", short(e))
			all = append(all, strings.Join(sorted(e.Users), " "))
		}
	}
	return sorted(all)
}

// session is another connection, in a transaction.
func (d *database) session(begin string) *pgx.Conn {
	d.t.Helper()
	conn := pgtest.Connect(d.t, d.url)
	run(d.t, conn, begin)
	return conn
}

func run(t testing.TB, conn *pgx.Conn, sql string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql)
	require.NoError(t, err, "%s", sql)
}

// A payment is written and its booking given away, neither seeing the other:
// whichever comes first and whichever commits first, its owners hear of it, and
// only after both have committed.
func TestOwnerRace(t *testing.T) {
	t.Parallel()
	const move = `UPDATE bookings SET client_id = 'u2' WHERE id = 1`
	for _, reference := range []string{"REFERENCES bookings ON DELETE CASCADE ON UPDATE CASCADE", ""} {
		for title, write := range map[string]string{
			"insert": `INSERT INTO payments VALUES (11, 1, 0)`,
			"update": `UPDATE payments SET amount = 7 WHERE id = 10`,
			"delete": `DELETE FROM payments WHERE id = 10`,
			"into":   `UPDATE payments SET booking_id = 1 WHERE id = 20`,
			"out of": `UPDATE payments SET booking_id = 2 WHERE id = 10`,
		} {
			t.Run(reference+"/"+title, func(t *testing.T) {
				t.Parallel()
				d := newDatabase(t, fmt.Sprintf(familySQL, reference))
				d.apply(family)
				for _, isolation := range []string{"READ COMMITTED", "REPEATABLE READ"} {
					for _, order := range []string{"wmWM", "wmMW", "mwWM", "mwMW", "wmWx", "mwMx", "wmxM", "mwxW"} {
						d.exec(`TRUNCATE bookings, payments; INSERT INTO bookings VALUES (1, 'u1', NULL), (2, 'u3', 'u7'); INSERT INTO payments VALUES (10, 1, 0), (20, 2, 0)`)
						d.settle()
						writer := d.session("BEGIN ISOLATION LEVEL " + isolation + "; SELECT pg_current_xact_id()")
						mover := d.session("BEGIN ISOLATION LEVEL " + isolation + "; SELECT pg_current_xact_id()")
						committed := 0
						for i, step := range order {
							switch step {
							case 'w':
								run(t, writer, write)
							case 'm':
								run(t, mover, move)
							case 'W':
								run(t, writer, "COMMIT")
								committed++
							case 'M':
								run(t, mover, "COMMIT")
								committed++
							case 'x':
								run(t, map[bool]*pgx.Conn{true: writer, false: mover}[strings.Contains(order, "M")], "ROLLBACK")
							}
							if i < len(order)-1 {
								for range 3 {
									d.round()
								}
								require.Empty(t, d.races(), "%s %s: too early, at %d", isolation, order, i)
							}
						}
						d.settle()
						want := []string(nil)
						if committed == 2 {
							want = []string{"u1 u2"}
						}
						require.Equal(t, want, d.races(), "%s %s", isolation, order)
						require.NoError(t, writer.Close(t.Context()))
						require.NoError(t, mover.Close(t.Context()))
					}
				}
			})
		}
	}
}

// What only looks like a race resets nobody.
func TestNoOwnerRace(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, fmt.Sprintf(familySQL, "REFERENCES bookings"))
	d.apply(family)
	d.exec(`INSERT INTO bookings VALUES (1, 'u1', NULL), (2, 'u3', 'u7'); INSERT INTO payments VALUES (10, 1, 0), (20, 2, 0)`)
	d.settle()
	none := func(title string) { t.Helper(); d.settle(); require.Empty(t, d.races(), title) }

	d.exec(`BEGIN; UPDATE bookings SET client_id = 'u2' WHERE id = 1; INSERT INTO payments VALUES (11, 1, 0); COMMIT`)
	none("in one transaction")
	d.exec(`UPDATE bookings SET client_id = 'u4' WHERE id = 1; UPDATE payments SET amount = 1`)
	none("one after the other")

	writer, mover := d.session("BEGIN"), d.session("BEGIN")
	run(t, writer, `INSERT INTO payments VALUES (12, 2, 0), (13, NULL, 0)`)
	run(t, mover, `UPDATE bookings SET client_id = 'u5' WHERE id = 1`)
	run(t, mover, "COMMIT")
	run(t, writer, "COMMIT")
	none("another booking")

	run(t, mover, "BEGIN; SELECT pg_current_xact_id()")
	run(t, writer, `BEGIN; INSERT INTO payments VALUES (14, 1, 0); COMMIT`)
	run(t, mover, `UPDATE bookings SET client_id = 'u6' WHERE id = 1; COMMIT`)
	none("the mover saw it")

	run(t, mover, "BEGIN; UPDATE bookings SET client_id = 'u8' WHERE id = 1")
	run(t, writer, `BEGIN; SELECT pg_current_xact_id()`)
	run(t, mover, `COMMIT`)
	run(t, writer, `INSERT INTO payments VALUES (15, 1, 0); COMMIT`)
	none("the writer saw it")

	d.exec(`UPDATE bookings SET x = 1`)
	var notes int
	require.NoError(t, d.conn.QueryRow(t.Context(), `SELECT count(*) FROM pgbell.owner_moves`).Scan(&notes))
	require.Zero(t, notes, "no owner moved")
	_, err := d.conn.Exec(t.Context(), `BEGIN; UPDATE bookings SET client_id = 'u9'; SELECT pgbell.settle_owner_moves()`)
	require.ErrorContains(t, err, "a transaction of its own")
	d.exec("ROLLBACK")
}

// The rarer ways to miss each other.
func TestOtherOwnerRaces(t *testing.T) {
	t.Parallel()
	for title, c := range map[string]struct {
		reference     string
		writer, mover string
		want          []string
	}{
		"parent comes":      {"", `INSERT INTO payments VALUES (11, 3, 0)`, `INSERT INTO bookings VALUES (3, 'u5', 'u6')`, []string{"u5 u6"}},
		"parent goes":       {"", `INSERT INTO payments VALUES (11, 2, 0)`, `DELETE FROM bookings WHERE id = 2`, []string{"u3 u7"}},
		"twice":             {"", `INSERT INTO payments VALUES (11, 1, 0)`, `UPDATE bookings SET client_id = 'u2' WHERE id = 1; UPDATE bookings SET client_id = 'u3' WHERE id = 1`, []string{"u1 u2", "u2 u3"}},
		"subtransaction":    {"REFERENCES bookings", `SAVEPOINT a; INSERT INTO payments VALUES (11, 1, 0)`, `SAVEPOINT a; UPDATE bookings SET client_id = 'u2' WHERE id = 1`, []string{"u1 u2"}},
		"writer fails":      {"REFERENCES bookings", `SET LOCAL pgbell.test = fail; INSERT INTO payments VALUES (11, 1, 0)`, `UPDATE bookings SET client_id = 'u2' WHERE id = 1`, []string{"u1 u2"}},
		"mover fails":       {"REFERENCES bookings", `INSERT INTO payments VALUES (11, 1, 0)`, `SET LOCAL pgbell.test = fail; UPDATE bookings SET client_id = 'u2' WHERE id = 1`, []string{""}},
		"more than a few":   {"REFERENCES bookings", `INSERT INTO payments VALUES (1099, 1099, 0)`, `UPDATE bookings SET client_id = 'v' || id WHERE id > 99`, []string{""}},
		"more than a while": {"REFERENCES bookings", `INSERT INTO payments VALUES (11, 1, 0); INSERT INTO payments SELECT n, 2, n FROM generate_series(100, 20000) AS n`, `UPDATE bookings SET client_id = 'u2' WHERE id = 1`, []string{"u1 u2"}},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t, fmt.Sprintf(familySQL, c.reference))
			w := family
			w.Actions = []triggers.Action{{Name: "odd", When: "CASE WHEN current_setting('pgbell.test', true) = 'fail' THEN 1 / (NEW.id - NEW.id) > 0 ELSE false END"}}
			d.apply(w)
			d.exec(`INSERT INTO bookings VALUES (1, 'u1', NULL), (2, 'u3', 'u7'); INSERT INTO payments VALUES (10, 1, 0);
				INSERT INTO bookings SELECT n, 'u' || n, NULL FROM generate_series(100, 1200) AS n`)
			d.settle()
			writer, mover := d.session("BEGIN"), d.session("BEGIN")
			run(t, writer, c.writer)
			run(t, mover, c.mover+"; COMMIT")
			for range 3 {
				d.round()
			}
			require.Empty(t, d.races(), "too early")
			run(t, writer, "COMMIT")
			d.settle()
			require.Equal(t, c.want, d.races())
		})
	}
}

// Whatever two sessions do at the same time, in the end everybody holds the
// truth who follows the events and fetches again at a reset.
func TestReplicaOfConcurrentSessions(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, fmt.Sprintf(familySQL, ""))
	d.apply(family)
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	d.exec(`INSERT INTO bookings SELECT n, 'u' || n % 3, NULL FROM generate_series(0, 2) AS n`)
	d.settle()
	have := make(replica)
	sessions := []*pgx.Conn{d.session("SET lock_timeout = '3ms'"), d.session("SET lock_timeout = '3ms'"), d.session("SET lock_timeout = '3ms'")}
	statement := func() string {
		booking, payment, user := rnd.IntN(3), rnd.IntN(6), rnd.IntN(3)
		return []string{
			fmt.Sprintf("INSERT INTO payments VALUES (%d, %d, 0) ON CONFLICT (id) DO UPDATE SET booking_id = excluded.booking_id", payment, booking),
			fmt.Sprintf("UPDATE payments SET amount = amount + 1 WHERE id = %d", payment),
			fmt.Sprintf("DELETE FROM payments WHERE id = %d", payment),
			fmt.Sprintf("UPDATE bookings SET client_id = 'u%d' WHERE id = %d", user, booking),
			fmt.Sprintf("DELETE FROM bookings WHERE id = %d", booking),
			fmt.Sprintf("INSERT INTO bookings VALUES (%d, 'u%d') ON CONFLICT (id) DO NOTHING", booking, user),
		}[rnd.IntN(6)]
	}
	for range 40 {
		var history []string
		open := make([]bool, len(sessions))
		for step := range 20 {
			i := rnd.IntN(len(sessions))
			sql := statement()
			switch {
			case !open[i]:
				sql, open[i] = "BEGIN; "+sql, true
			case rnd.IntN(4) == 0 || step > 15:
				sql, open[i] = []string{"COMMIT", "COMMIT", "ROLLBACK"}[rnd.IntN(3)], false
			}
			history = append(history, fmt.Sprint(i, ": ", sql))
			if _, err := sessions[i].Exec(t.Context(), sql); err != nil { // it would have waited for another
				run(t, sessions[i], "ROLLBACK")
				history, open[i] = append(history, err.Error()), false
			}
		}
		for i, s := range sessions {
			if open[i] {
				run(t, s, "COMMIT")
			}
		}
		var stale []string
		d.settle()
		for _, e := range d.events() {
			if e.Op == pgbell.Reset {
				stale = append(stale, e.Users...)
				continue
			}
			have.follow(e)
		}
		truth := d.truth()
		for _, u := range stale {
			have[u] = truth[u]
		}
		require.Equal(t, truth.clean(), have.clean(), "stale %v after\n%s", slices.Compact(sorted(stale)), strings.Join(history, "\n"))
	}
}
