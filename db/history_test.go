package db_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/pgtest"
)

func openPool(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := db.Open(t.Context(), url, db.Options{})
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// resume reads page by page to the end, and checks each page's cursors.
func resume(t require.TestingT, h *db.History, c pgbell.Cursor, limit int) ([]pgbell.Event, pgbell.Cursor) {
	var all []pgbell.Event
	for {
		events, next, err := h.Since(context.Background(), c, limit)
		require.NoError(t, err)
		require.LessOrEqual(t, len(events), limit)
		for i, e := range events {
			require.False(t, c.Contains(e.ID, e.XID), "event %d was delivered before", e.ID)
			require.True(t, e.Cursor.Contains(e.ID, e.XID))
			if i > 0 {
				require.Greater(t, e.ID, events[i-1].ID)
			}
			if i+1 < len(events) {
				require.False(t, e.Cursor.Contains(events[i+1].ID, events[i+1].XID))
			}
		}
		all = append(all, events...)
		// The client may be cut off, and come back with what it was told.
		parsed, err := pgbell.ParseCursor(next.String())
		require.NoError(t, err)
		c = parsed
		if complete := next.String() == pgbell.NewCursor(next.Epoch(), next.Snapshot()).String(); complete {
			return all, next
		}
		require.NotEmpty(t, events)
	}
}

// TestSinceIsExact resumes again and again while many write: some transactions
// commit late, some never. Every event that the first cursor lacked comes once.
func TestSinceIsExact(t *testing.T) {
	t.Parallel()
	const writers, transactions = 6, 30
	url := pgtest.Database(t)
	h := db.NewHistory(openPool(t, url), db.HistoryOptions{PageBytes: 800})
	start := position(t, pgtest.Connect(t, url))
	var g errgroup.Group
	var mu sync.Mutex
	var committed []string
	writing := make(chan struct{})
	for w := range writers {
		conn := pgtest.Connect(t, url)
		g.Go(func() error {
			for i := range transactions {
				tx, err := conn.Begin(t.Context())
				if err != nil {
					return err
				}
				first := (w*transactions + i) * 10
				count := 1 + rand.IntN(4)
				for n := range count {
					if _, err := tx.Exec(t.Context(), insert, first+n, first+n); err != nil {
						return err
					}
				}
				if rand.IntN(5) == 0 {
					if err := tx.Rollback(t.Context()); err != nil {
						return err
					}
					continue
				}
				if err := tx.Commit(t.Context()); err != nil {
					return err
				}
				mu.Lock()
				for n := range count {
					committed = append(committed, fmt.Sprint(first+n))
				}
				mu.Unlock()
			}
			return nil
		})
	}
	go func() { _ = g.Wait(); close(writing) }()
	var got []pgbell.Event
	c := start
	for running := true; running; {
		select {
		case <-writing:
			running = false
		default:
		}
		events, next := resume(t, h, c, 1+rand.IntN(15))
		got, c = append(got, events...), next
	}
	require.NoError(t, g.Wait())
	require.ElementsMatch(t, committed, actions(got))

	// From the start again: the same, each once.
	events, _ := resume(t, h, start, 1000)
	require.ElementsMatch(t, committed, actions(events))
}

// A cursor in the middle: what bells delivered and a read that was cut off
// count as delivered.
func TestSinceSkipsWhatTheCursorContains(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	h := db.NewHistory(openPool(t, url), db.HistoryOptions{})
	conn := pgtest.Connect(t, url)
	c := position(t, conn)
	_, err := conn.Exec(t.Context(), insert, 1, 6)
	require.NoError(t, err)
	events, next, err := h.Since(t.Context(), c, 10)
	require.NoError(t, err)
	require.Equal(t, []string{"1", "2", "3", "4", "5", "6"}, actions(events))

	rung := c.Rung(events[1].ID).Rung(events[3].ID)
	events, _, err = h.Since(t.Context(), rung, 10)
	require.NoError(t, err)
	require.Equal(t, []string{"1", "3", "5", "6"}, actions(events))
	events, _, err = h.Since(t.Context(), events[1].Cursor, 10)
	require.NoError(t, err)
	require.Equal(t, []string{"5", "6"}, actions(events))
	events, again, err := h.Since(t.Context(), next, 10)
	require.NoError(t, err)
	require.Empty(t, events)
	require.Equal(t, next.Epoch(), again.Epoch())
}

func TestSinceIsBounded(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pool := openPool(t, url)
	conn := pgtest.Connect(t, url)
	c := position(t, conn)
	_, err := conn.Exec(t.Context(), `INSERT INTO pgbell.events (body) SELECT json_build_object('type', 't', 'op', 'publish', 'action', n::text, 'data', repeat('x', 3000)) FROM generate_series(1, 10) AS n`)
	require.NoError(t, err)

	h := db.NewHistory(pool, db.HistoryOptions{PageBytes: 5000})
	events, next, err := h.Since(t.Context(), c, 100)
	require.NoError(t, err)
	require.Equal(t, []string{"1", "2"}, actions(events), "a page ends at its bytes, as they are when unpacked")
	require.Equal(t, events[1].Cursor, next)
	all, _ := resume(t, h, c, 100)
	require.Len(t, all, 10)

	gap := func(h *db.History, c pgbell.Cursor, reason string) {
		t.Helper()
		_, _, err := h.Since(t.Context(), c, 100)
		require.ErrorIs(t, err, pgbell.Gap{Reason: reason})
	}
	gap(db.NewHistory(pool, db.HistoryOptions{MaxEvents: 9}), c, pgbell.GapTooMany)
	events, _, err = db.NewHistory(pool, db.HistoryOptions{MaxEvents: 10}).Since(t.Context(), c, 100)
	require.NoError(t, err)
	require.Len(t, events, 10)

	gap(h, pgbell.Cursor{}, pgbell.GapCursor)
	gap(h, pgbell.NewCursor(c.Epoch()+1, c.Snapshot()), pgbell.GapEpoch)
	xmax := c.Snapshot().Xmax + 1_000_000
	gap(h, pgbell.NewCursor(c.Epoch(), &pgbell.Snapshot{Xmin: xmax, Xmax: xmax}), pgbell.GapEpoch)

	_, err = conn.Exec(t.Context(), "UPDATE pgbell.horizon SET xid = pg_snapshot_xmax(pg_current_snapshot())")
	require.NoError(t, err)
	gap(h, c, pgbell.GapRetention)
}

func TestSinceGivesUpInTime(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	h := db.NewHistory(openPool(t, url), db.HistoryOptions{Timeout: time.Second})
	conn := pgtest.Connect(t, url)
	c := position(t, conn)
	_, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE pgbell.events IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)
	_, _, err = h.Since(t.Context(), c, 10)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = conn.Exec(t.Context(), "COMMIT")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, _, err := h.Since(t.Context(), c, 10)
		return err == nil
	}, 30*time.Second, 10*time.Millisecond)
}

// A role that may read the log needs nothing else.
func TestSinceWithoutPrivileges(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	admin := pgtest.Connect(t, url)
	role := pgtest.NewRole(t, url)
	_, err := admin.Exec(t.Context(), "GRANT USAGE ON SCHEMA pgbell TO "+role.Name+"; GRANT SELECT ON ALL TABLES IN SCHEMA pgbell TO "+role.Name+"; GRANT EXECUTE ON FUNCTION pgbell.life_id TO "+role.Name)
	require.NoError(t, err)
	c := position(t, admin)
	_, err = admin.Exec(t.Context(), insert, 1, 2)
	require.NoError(t, err)
	events, _, err := db.NewHistory(openPool(t, role.URL), db.HistoryOptions{}).Since(t.Context(), c, 10)
	require.NoError(t, err)
	require.Len(t, events, 2)
	_, err = db.Log{}.Recent(t.Context(), pgtest.Connect(t, role.URL), db.RecentOptions{})
	require.NoError(t, err)
}

// scans adds up what the scans of a plan found.
func scans(p map[string]any, found map[string]float64) map[string]float64 {
	if relation, ok := p["Relation Name"].(string); ok && strings.HasPrefix(relation, "events_") {
		found[p["Node Type"].(string)] += (p["Actual Rows"].(float64) + number(p["Rows Removed by Filter"])) * p["Actual Loops"].(float64)
	}
	for _, child := range slice(p["Plans"]) {
		scans(child.(map[string]any), found)
	}
	return found
}

func number(v any) float64 { n, _ := v.(float64); return n }
func slice(v any) []any    { s, _ := v.([]any); return s }

// explain runs a query with literals in the place of its parameters, as a plan
// for these values sees them, and returns what its scans of the log looked at.
func explain(t *testing.T, conn *pgx.Conn, query string, args ...string) map[string]float64 {
	t.Helper()
	for i, arg := range slices.Backward(args) {
		query = strings.ReplaceAll(query, fmt.Sprintf("$%d", i+1), arg)
	}
	var text []byte
	require.NoError(t, conn.QueryRow(t.Context(), "EXPLAIN (ANALYZE, FORMAT json) "+query, pgx.QueryExecModeSimpleProtocol).Scan(&text))
	var plans []struct{ Plan map[string]any }
	require.NoError(t, json.Unmarshal(text, &plans))
	found := scans(plans[0].Plan, map[string]float64{})
	require.NotContains(t, found, "Seq Scan", "%s", text)
	return found
}

// TestHistoryUsesTheIndex looks at what is read of a large log, grown while
// nobody told the planner.
func TestHistoryUsesTheIndex(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	_, err := conn.Exec(t.Context(), `
		DO $$ BEGIN
			FOR i IN 1..2000 LOOP
				INSERT INTO pgbell.events (slot, body) SELECT n % 5, json_build_object('type', 't', 'op', 'publish', 'data', repeat('x', 200)) FROM generate_series(1, 50) AS n;
				COMMIT;
			END LOOP;
		END $$`)
	require.NoError(t, err)
	c := position(t, conn).Snapshot()
	sum := func(found map[string]float64) (n float64) {
		for _, rows := range found {
			n += rows
		}
		return n
	}
	// Nothing missed; some; and all of it, which is cut off at the bound. Other
	// databases of the cluster take transaction ids, too.
	looked := func(most int, query string, args ...string) {
		t.Helper()
		n := sum(explain(t, conn, query, args...))
		require.LessOrEqual(t, n, float64(most))
		t.Logf("%d of 100000 entries looked at", int(n))
	}
	text := func(xid uint64) string { return fmt.Sprintf("'%d'", xid) }
	looked(0, db.MissedQuery, text(c.Xmax), "'{}'", "20001")
	looked(5000, db.MissedQuery, text(c.Xmax-100), "'{}'", "20001")
	looked(20001+5, db.MissedQuery, "'1'", "'{}'", "20001")
	var xips []string
	for i := range uint64(100) {
		xips = append(xips, fmt.Sprint(c.Xmax-200+i))
	}
	open := "'{" + strings.Join(xips, ",") + "}'"
	looked(5000, db.MissedQuery, text(c.Xmax), open, "20001")
	looked(5000, db.BodiesQuery, "'{1,2,3}'", open)
	looked(1001+5, db.RecentQuery, "1000", "1000000", "300")

	// The most that a forged cursor can ask for.
	forged := &pgbell.Snapshot{Xmin: 3, Xmax: c.Xmax}
	for x := forged.Xmin; x < forged.Xmax; x++ {
		forged.Xip = append(forged.Xip, x)
	}
	h := db.NewHistory(openPool(t, url), db.HistoryOptions{})
	began := time.Now()
	_, _, err = h.Since(t.Context(), pgbell.NewCursor(position(t, conn).Epoch(), forged), 1000)
	t.Logf("a forged cursor with %d transactions took %v: %v", len(forged.Xip), time.Since(began), err)
	began = time.Now()
	_, _, err = h.Since(t.Context(), pgbell.NewCursor(position(t, conn).Epoch(), &pgbell.Snapshot{Xmin: 1, Xmax: 1}), 1000)
	require.ErrorIs(t, err, pgbell.Gap{Reason: pgbell.GapTooMany})
	t.Logf("one that claims to be the oldest took %v", time.Since(began))
	began = time.Now()
	events, _, err := h.Since(t.Context(), pgbell.NewCursor(position(t, conn).Epoch(), &pgbell.Snapshot{Xmin: c.Xmax - 200, Xmax: c.Xmax - 200}), 1000)
	require.NoError(t, err)
	require.Len(t, events, 1000)
	t.Logf("a page of 1000 out of 10000 took %v", time.Since(began))
}

// TestRecentGoesAsFarBackAsItMay reads from the cursor and compares with what
// was allowed.
func TestRecentGoesAsFarBackAsItMay(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	recent := func(opts db.RecentOptions) pgbell.Cursor {
		t.Helper()
		c, err := db.Log{}.Recent(t.Context(), conn, opts)
		require.NoError(t, err)
		return c
	}
	since := func(c pgbell.Cursor) []string {
		t.Helper()
		_, events := readAll(t, conn, c.Snapshot())
		for _, e := range events {
			require.False(t, c.Contains(e.ID, e.XID))
		}
		return actions(events)
	}
	empty := position(t, conn)
	require.Empty(t, since(recent(db.RecentOptions{})))
	require.True(t, empty.Covers(recent(db.RecentOptions{}), nil), "any cursor of an empty log is served")

	for i := range 10 { // transactions of one and of two
		_, err := conn.Exec(t.Context(), insert, i*10, i*10+i%2)
		require.NoError(t, err)
	}
	require.Len(t, since(recent(db.RecentOptions{})), 15)
	require.True(t, empty.Covers(recent(db.RecentOptions{}), nil))
	require.Equal(t, []string{"80", "90", "91"}, since(recent(db.RecentOptions{Events: 4})), "never a part of a transaction")
	require.Equal(t, []string{"70", "71", "80", "90", "91"}, since(recent(db.RecentOptions{Events: 5})))
	require.Empty(t, since(recent(db.RecentOptions{Events: 1})))
	require.Equal(t, []string{"90", "91"}, since(recent(db.RecentOptions{Bytes: 120})))

	// What is old is left out, unless a transaction wrote something young too.
	_, err := conn.Exec(t.Context(), "UPDATE pgbell.events SET at = at - interval '1 hour' WHERE body ->> 'action' < '60'")
	require.NoError(t, err)
	require.Equal(t, []string{"60", "70", "71", "80", "90", "91"}, since(recent(db.RecentOptions{})))
	_, err = conn.Exec(t.Context(), "UPDATE pgbell.events SET at = at + interval '2 hours' WHERE body ->> 'action' IN ('31')")
	require.NoError(t, err)
	require.Equal(t, []string{"30", "31", "40", "50", "51", "60", "70", "71", "80", "90", "91"}, since(recent(db.RecentOptions{})))
	_, err = conn.Exec(t.Context(), "UPDATE pgbell.events SET at = at - interval '1 day'")
	require.NoError(t, err)
	require.Empty(t, since(recent(db.RecentOptions{})))
	require.Len(t, since(recent(db.RecentOptions{Age: 48 * time.Hour})), 15)

	// Not behind what retention removed.
	_, err = conn.Exec(t.Context(), `UPDATE pgbell.horizon
		SET xid     = (SELECT max(xid) FROM pgbell.events WHERE body ->> 'action' < '60'),
		    running = ARRAY(SELECT pg_snapshot_xip(pg_current_snapshot()))`)
	require.NoError(t, err)
	require.Equal(t, []string{"50", "51", "60", "70", "71", "80", "90", "91"}, since(recent(db.RecentOptions{Age: 48 * time.Hour})))
}

// A transaction that is open all the while holds nobody's cursor back. It has a
// server to itself: transactions of other databases would count, too.
func TestRecentUnderALongTransaction(t *testing.T) {
	t.Parallel()
	url := pgtest.Server(t).URL("postgres")
	_, err := newMigrator(t, url).Up(t.Context())
	require.NoError(t, err)
	conn, long := pgtest.Connect(t, url), pgtest.Connect(t, url)
	_, err = long.Exec(t.Context(), "BEGIN; "+strings.NewReplacer("$1", "1", "$2", "1").Replace(insert))
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), insert, 2, 2)
	require.NoError(t, err)
	given := position(t, conn)
	_, err = conn.Exec(t.Context(), insert, 3, 3)
	require.NoError(t, err)
	start, err := db.Log{}.Recent(t.Context(), conn, db.RecentOptions{Events: 1})
	require.NoError(t, err)
	require.True(t, given.Covers(start, nil), "%s does not cover %s", given.Snapshot(), start.Snapshot())
	_, err = long.Exec(t.Context(), "COMMIT")
	require.NoError(t, err)
	_, events := readAll(t, conn, start.Snapshot())
	require.Equal(t, []string{"1", "3"}, actions(events))
	require.True(t, slices.IsSortedFunc(events, func(a, b pgbell.Event) int { return int(a.ID - b.ID) }))
}
