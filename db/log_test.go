package db_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/embedded"
	"github.com/pgbell/pgbell/db/pgtest"
)

func position(t require.TestingT, conn *pgx.Conn) pgbell.Cursor {
	cursor, _, err := db.Log{}.Position(context.Background(), conn)
	require.NoError(t, err)
	return cursor
}

// readAll reads on from since.
func readAll(t require.TestingT, conn *pgx.Conn, since *pgbell.Snapshot) (*pgbell.Snapshot, []pgbell.Event) {
	var events []pgbell.Event
	next, err := db.Log{}.Read(context.Background(), conn, since, func(at *pgbell.Snapshot, e pgbell.Event) error {
		require.True(t, at.Sees(e.XID))
		if len(events) > 0 {
			require.Greater(t, e.ID, events[len(events)-1].ID)
		}
		events = append(events, e)
		return nil
	})
	require.NoError(t, err)
	return next, events
}

// insert writes an event that is told by its number.
const insert = `INSERT INTO pgbell.events (body) SELECT json_build_object('type', 't', 'op', 'publish', 'action', n::text) FROM generate_series($1::int, $2::int) AS n`

func actions(events []pgbell.Event) []string {
	all := []string{}
	for _, e := range events {
		all = append(all, e.Action)
	}
	return all
}

func TestReadGivesWhatIsNew(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	writer, reader := pgtest.Connect(t, url), pgtest.Connect(t, url)
	at := position(t, reader).Snapshot()
	at, events := readAll(t, reader, at)
	require.Empty(t, events)

	before := time.Now()
	_, err := writer.Exec(t.Context(), insert, 1, 3)
	require.NoError(t, err)
	at, events = readAll(t, reader, at)
	require.Equal(t, []string{"1", "2", "3"}, actions(events))
	require.WithinDuration(t, before, events[0].At, time.Minute)
	require.NotZero(t, events[0].Size)
	at, events = readAll(t, reader, at)
	require.Empty(t, events)

	// Without a snapshot: everything.
	_, events = readAll(t, reader, nil)
	require.Len(t, events, 3)

	// An error of yield is the read's, and the connection lives on.
	stop := errors.New("enough")
	_, err = db.Log{}.Read(t.Context(), reader, nil, func(*pgbell.Snapshot, pgbell.Event) error { return stop })
	require.ErrorIs(t, err, stop)
	_, events = readAll(t, reader, at)
	require.Empty(t, events)
}

func logReader(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := db.Connect(t.Context(), url, db.Options{LogReader: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
	return conn
}

// session is one connection of the model, with what it has written so far.
type session struct {
	conn    *pgx.Conn
	inTx    bool
	pending [][]string // what each savepoint level holds; [0] is the transaction's
}

// TestReadIsExact steps transactions at random and reads between the steps.
// After each read, everything committed has been read exactly once.
func TestReadIsExact(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	reader := logReader(t, url)
	sessions := make([]*session, 4)
	for i := range sessions {
		sessions[i] = &session{conn: pgtest.Connect(t, url)}
	}
	number := 0
	rapid.Check(t, func(rt *rapid.T) {
		exec := func(s *session, sql string, args ...any) {
			_, err := s.conn.Exec(context.Background(), sql, args...)
			require.NoError(rt, err, sql)
		}
		for _, s := range sessions {
			if s.inTx { // left by a failed run
				exec(s, "ROLLBACK")
			}
			s.inTx, s.pending = false, nil
		}
		at := position(rt, reader).Snapshot()
		unread := map[string]bool{} // committed, not read yet
		read := func() {
			var events []pgbell.Event
			at, events = readAll(rt, reader, at)
			for _, a := range actions(events) {
				require.True(rt, unread[a], "event %s is read twice, or was never committed", a)
				delete(unread, a)
			}
			require.Empty(rt, unread, "committed, but not read")
		}
		steps := rapid.SliceOfN(rapid.IntRange(0, len(sessions)*8-1), 1, 40).Draw(rt, "steps")
		for _, step := range steps {
			s := sessions[step%len(sessions)]
			last := len(s.pending) - 1
			switch action := step / len(sessions); {
			case action == 0:
				read()
			case action <= 3: // write one, or three
				n := 1 + 2*(action/3)
				exec(s, insert, number+1, number+n)
				for range n {
					number++
					if s.inTx {
						s.pending[last] = append(s.pending[last], fmt.Sprint(number))
					} else {
						unread[fmt.Sprint(number)] = true
					}
				}
			case !s.inTx:
				exec(s, "BEGIN")
				s.inTx, s.pending = true, [][]string{nil}
			case action == 4:
				exec(s, fmt.Sprintf("SAVEPOINT s%d", last))
				s.pending = append(s.pending, nil)
			case action == 5 && last > 0:
				exec(s, fmt.Sprintf("ROLLBACK TO SAVEPOINT s%d; RELEASE SAVEPOINT s%d", last-1, last-1))
				s.pending = s.pending[:last]
			case action == 6:
				exec(s, "COMMIT")
				for _, level := range s.pending {
					for _, n := range level {
						unread[n] = true
					}
				}
				s.inTx, s.pending = false, nil
			case action == 7:
				exec(s, "ROLLBACK")
				s.inTx, s.pending = false, nil
			}
		}
		for _, s := range sessions {
			if s.inTx {
				exec(s, "COMMIT")
				for _, level := range s.pending {
					for _, n := range level {
						unread[n] = true
					}
				}
				s.inTx, s.pending = false, nil
			}
		}
		read()
	})
}

// TestReadWhileManyWrite writes with real concurrency: some transactions commit
// late, some never.
func TestReadWhileManyWrite(t *testing.T) {
	t.Parallel()
	const writers, transactions = 8, 40
	url := pgtest.Database(t)
	reader := pgtest.Connect(t, url)
	at := position(t, reader).Snapshot()
	var writing atomic.Int32
	var g errgroup.Group
	committed := make([][]int, writers)
	for w := range writers {
		writing.Add(1)
		conn := pgtest.Connect(t, url)
		g.Go(func() error {
			defer writing.Add(-1)
			for i := range transactions {
				first := (w*transactions + i) * 10
				tx, err := conn.Begin(t.Context())
				if err != nil {
					return err
				}
				count := 1 + rand.IntN(5)
				for n := range count {
					if _, err := tx.Exec(t.Context(), insert, first+n, first+n); err != nil {
						return err
					}
				}
				if rand.IntN(4) == 0 {
					if err := tx.Rollback(t.Context()); err != nil {
						return err
					}
					continue
				}
				if err := tx.Commit(t.Context()); err != nil {
					return err
				}
				for n := range count {
					committed[w] = append(committed[w], first+n)
				}
			}
			return nil
		})
	}
	var got []string
	for more := true; more; {
		more = writing.Load() > 0
		var events []pgbell.Event
		at, events = readAll(t, reader, at)
		got = append(got, actions(events)...)
	}
	require.NoError(t, g.Wait())
	var want []string
	for _, w := range committed {
		for _, n := range w {
			want = append(want, fmt.Sprint(n))
		}
	}
	require.ElementsMatch(t, want, got)
}

// plan is a node of EXPLAIN's.
type plan struct {
	Node     string `json:"Node Type"`
	Relation string `json:"Relation Name"`
	Plans    []plan
}

// scanned are the partitions that a plan reads whole.
func (p plan) scanned() (found []string) {
	if p.Node == "Seq Scan" && strings.HasPrefix(p.Relation, "events_") {
		found = append(found, p.Relation)
	}
	for _, child := range p.Plans {
		found = append(found, child.scanned()...)
	}
	return found
}

// TestReadUsesTheIndex looks at the plan over a log that grew large while
// nobody told the planner.
func TestReadUsesTheIndex(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]db.Options{
		"any connection": {}, // each read is planned for what it asks
		"log reader":     {LogReader: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := db.Connect(t.Context(), pgtest.Database(t), opts)
			require.NoError(t, err)
			defer conn.Close(context.Background())
			run := func(sql string) {
				_, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
				require.NoError(t, err)
			}
			run("VACUUM ANALYZE pgbell.events_0, pgbell.events_1, pgbell.events_2, pgbell.events_3, pgbell.events_rest")
			if opts.LogReader {
				run("PREPARE r(text, text[]) AS " + db.ReadQuery)
				run("EXECUTE r('7', '{5,6}')") // keeps the plan
			}
			run("INSERT INTO pgbell.events (slot, body) SELECT n % 5, '{}' FROM generate_series(1, 40000) AS n")
			at := position(t, conn).Snapshot()
			if !opts.LogReader {
				run("PREPARE r(text, text[]) AS " + db.ReadQuery)
			}
			var text string
			require.NoError(t, conn.QueryRow(t.Context(),
				fmt.Sprintf("EXPLAIN (FORMAT json) EXECUTE r('%d', '{%d,%d}')", at.Xmax, at.Xmax-2, at.Xmax-1), pgx.QueryExecModeSimpleProtocol).Scan(&text))
			var plans []struct{ Plan plan }
			require.NoError(t, json.Unmarshal([]byte(text), &plans))
			require.Contains(t, text, "events_3")
			require.Empty(t, plans[0].Plan.scanned(), text)
		})
	}
}

func TestReadTurnsWhatItCannotDecodeIntoAReset(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Database(t))
	at := position(t, conn).Snapshot()
	_, err := conn.Exec(t.Context(), `INSERT INTO pgbell.events (body) VALUES ('{"op": "insert"}'), ('[]')`)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), insert, 1, 1)
	require.NoError(t, err)
	_, events := readAll(t, conn, at)
	require.Len(t, events, 3)
	for _, e := range events[:2] {
		require.Equal(t, pgbell.Reset, e.Op)
		require.Empty(t, e.Type)
		require.NotEmpty(t, e.Error)
	}
	require.Equal(t, "1", events[2].Action)
}

func TestEpoch(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	first := position(t, conn)
	require.Equal(t, first.Epoch(), position(t, pgtest.Connect(t, url)).Epoch())
	require.NotEqual(t, first.Epoch(), position(t, pgtest.Connect(t, pgtest.Database(t))).Epoch(), "another database, copied from the same template")

	m := newMigrator(t, url)
	_, err := m.Down(t.Context())
	require.NoError(t, err)
	_, err = m.Up(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, first.Epoch(), position(t, conn).Epoch(), "another installation")
}

// After a crash Postgres gives out again the transaction ids that it had not
// written down. After an orderly restart it does not.
func TestCrashEndsTheEpoch(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t)
	url := server.URL("postgres")
	_, err := newMigrator(t, url).Up(t.Context())
	require.NoError(t, err)
	first := position(t, pgtest.Connect(t, url)).Epoch()
	require.NoError(t, server.Restart(t.Context(), embedded.Fast))
	require.Equal(t, first, position(t, pgtest.Connect(t, url)).Epoch())
	require.NoError(t, server.Restart(t.Context(), embedded.Crash))
	second := position(t, pgtest.Connect(t, url)).Epoch()
	require.NotEqual(t, first, second)
	require.Equal(t, second, position(t, pgtest.Connect(t, url)).Epoch())
}

// The server's role needs no more than SELECT, and one function.
func TestReadWithoutPrivileges(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	admin := pgtest.Connect(t, url)
	role := pgtest.NewRole(t, url)
	conn := pgtest.Connect(t, role.URL)
	_, _, err := db.Log{}.Position(t.Context(), conn)
	require.ErrorContains(t, err, "permission denied")
	_, err = admin.Exec(t.Context(), "GRANT USAGE ON SCHEMA pgbell TO "+role.Name+"; GRANT SELECT ON ALL TABLES IN SCHEMA pgbell TO "+role.Name+"; GRANT EXECUTE ON FUNCTION pgbell.life_id TO "+role.Name)
	require.NoError(t, err)
	at := position(t, conn).Snapshot()
	_, err = admin.Exec(t.Context(), insert, 1, 1)
	require.NoError(t, err)
	_, events := readAll(t, conn, at)
	require.Len(t, events, 1)
	require.NoError(t, newMigrator(t, role.URL).Check(t.Context()))
}

func BenchmarkReadNothingNew(b *testing.B) {
	url := pgtest.Database(b)
	for name, conn := range map[string]*pgx.Conn{"any": pgtest.Connect(b, url), "logReader": logReader(b, url)} {
		b.Run(name, func(b *testing.B) {
			at := position(b, conn).Snapshot()
			for b.Loop() {
				next, err := db.Log{}.Read(b.Context(), conn, at, nil)
				require.NoError(b, err)
				at = next
			}
		})
	}
}
