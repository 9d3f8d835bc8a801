package oracle

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgbell/pgbell"
)

// view is what one user should have been told in a round.
type view struct {
	sights map[int64]*sight
	resets map[string][]*fact // by type
}

// verified is what a verification saw.
type verified struct {
	events     int           // in the log
	expected   int           // deliveries, over all clients
	excepted   int           // of these, those that resets stand for
	settled    time.Duration // how long it took until owners' moves were
	violations []string
}

// verify waits until what the log says has arrived, and compares.
func (w *world) verify(ctx context.Context) (done verified, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	conn, err := dial(ctx, w.postgres.URL("postgres"))
	if err != nil {
		return done, err
	}
	defer conn.Close(ctx)
	began := time.Now()
	if err := w.settled(ctx, conn); err != nil {
		return done, err
	}
	done.settled = time.Since(began)
	if err := w.mark(ctx, conn); err != nil {
		return done, err
	}
	log, err := w.readLog(ctx, conn)
	if err != nil {
		return done, err
	}
	byID := make(map[int64]*fact, len(log))
	for i := range log {
		byID[log[i].id] = &log[i]
		if b := &log[i].body; b.Error != "" && !excusable(b.Error) {
			done.violations = append(done.violations, fmt.Sprintf("event %d: a change of %s was not captured: %s", log[i].id, b.Table, b.Error))
		}
	}
	now, err := readTables(ctx, conn)
	if err != nil {
		return done, err
	}
	views := map[string]*view{}
	for _, c := range w.clients {
		if views[c.user] == nil {
			views[c.user] = see(log, c.user, c.roles)
		}
	}
	done.events = len(log)
	found := make([][]string, len(w.clients))
	excepted := make([]int, len(w.clients))
	var wg sync.WaitGroup
	for i, c := range w.clients {
		wg.Go(func() {
			found[i], excepted[i] = c.check(ctx, w.config.Patience, byID, views[c.user], now, w.faults.crashed())
		})
	}
	wg.Wait()
	for i, c := range w.clients {
		done.violations = append(done.violations, found[i]...)
		done.expected += len(views[c.user].sights)
		done.excepted += excepted[i]
	}
	for _, n := range w.nodes {
		if text := n.log.String(); strings.Contains(text, "panic:") || strings.Contains(text, "DATA RACE") {
			done.violations = append(done.violations, n.name+" has crashed:\n"+text)
		}
	}
	return done, nil
}

// excusable reports whether a change may go uncaptured for this reason, so that
// clients are told to fetch: a trigger that reads a table which another session
// is about to truncate can be part of a deadlock.
func excusable(reason string) bool {
	return strings.HasPrefix(reason, "40P01") || strings.HasPrefix(reason, "55P03")
}

// settled waits until nothing is left to find out about rows that changed while
// their owner did. That is the work of pgbell, and of nobody else here.
func (w *world) settled(ctx context.Context, conn *pgx.Conn) error {
	for {
		var done bool
		err := conn.QueryRow(ctx, "SELECT NOT EXISTS (SELECT FROM pgbell.owner_moves)").Scan(&done)
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for owners' moves to be settled: %w", context.Cause(ctx))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// mark gives each user, and so the watcher, a last event.
func (w *world) mark(ctx context.Context, conn *pgx.Conn) error {
	for i, user := range names[:w.config.Users] {
		_, err := conn.Exec(ctx, fmt.Sprintf(`INSERT INTO market."Stock Levels" AS s VALUES ('mark', %d, '%s', 0, 't~%s~-~mark') ON CONFLICT ("Shop", "Sku") DO UPDATE SET qty = s.qty + 1`, i, user, user))
		if err != nil {
			return fmt.Errorf("mark the end of a round: %w", err)
		}
	}
	return nil
}

// readLog is every event since the last round. Nobody writes now, so the ids
// that follow are higher than any that are seen.
func (w *world) readLog(ctx context.Context, conn *pgx.Conn) ([]fact, error) {
	found, err := conn.Query(ctx, "SELECT id, xid::text::bigint, body::text FROM pgbell.events WHERE xid >= $1::text::xid8 AND id > $2 ORDER BY id", w.lastXID, w.lastID)
	if err != nil {
		return nil, err
	}
	log, err := pgx.CollectRows(found, func(r pgx.CollectableRow) (f fact, err error) {
		var text string
		if err := r.Scan(&f.id, &f.xid, &text); err != nil {
			return f, err
		}
		return f, json.Unmarshal([]byte(text), &f.body)
	})
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	if len(log) > 0 {
		w.lastID = log[len(log)-1].id
	}
	return log, conn.QueryRow(ctx, "SELECT pg_snapshot_xmin(pg_current_snapshot())::text").Scan(&w.lastXID)
}

// total is how many events the log holds: it must be as many as were read.
func (w *world) total(ctx context.Context) (n int, err error) {
	conn, err := dial(ctx, w.postgres.URL("postgres"))
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, "SELECT count(*) FROM pgbell.events").Scan(&n)
	return n, err
}

func see(log []fact, user string, roles []string) *view {
	v := &view{sights: make(map[int64]*sight), resets: make(map[string][]*fact)}
	for i := range log {
		f := &log[i]
		if f.body.Op == "reset" {
			if f.body.Users != nil && !slices.Contains(f.body.Users, user) {
				continue
			}
			v.resets[f.body.Type] = append(v.resets[f.body.Type], f)
		} else if s := f.body.see(user, roles); s != nil {
			v.sights[f.id] = s
		}
	}
	return v
}

// ledger is what one client should have received in a round, against what it
// has.
type ledger struct {
	log      map[int64]*fact
	want     *view
	seen     map[int64][]byte
	pending  map[int64]struct{}
	taken    int // of the client's messages
	gaps     int // of the client's gaps
	stands   []stretch
	excepted int // events that resets stand for
	twice    []int64
	disorder []string
}

func newLedger(log map[int64]*fact, want *view) *ledger {
	l := &ledger{log: log, want: want, seen: make(map[int64][]byte, len(want.sights)), pending: make(map[int64]struct{}, len(want.sights))}
	for id := range want.sights {
		l.pending[id] = struct{}{}
	}
	return l
}

// take enters what has come. The caller holds the client's mutex.
func (l *ledger) take(c *client) {
	for _, m := range c.received[l.taken:] {
		if l.seen[m.id] != nil {
			l.twice = append(l.twice, m.id)
		}
		l.seen[m.id] = m.raw
		delete(l.pending, m.id)
		if f := l.log[m.id]; f != nil && !f.body.byParent() {
			row := f.body.Type + string(f.body.Key)
			if last := c.order[row]; last >= m.id {
				l.disorder = append(l.disorder, fmt.Sprintf("event %d of %s came after event %d", m.id, row, last))
			}
			c.order[row] = m.id
		}
	}
	l.taken = len(c.received)
	for ; l.gaps < len(c.gaps) && c.gaps[l.gaps].to != ""; l.gaps++ {
		if s, err := c.gaps[l.gaps].stretch(); err == nil {
			l.stands = append(l.stands, s)
			for id := range l.pending {
				if s.holds(l.log[id]) {
					delete(l.pending, id)
					l.excepted++
				}
			}
		}
	}
}

// resets is how many resets of each type are missing; negative if too many came.
// Of those that another reset stands for, any number may have come: where that
// one carries no cursor, it is only known to end before the next message.
func (l *ledger) resets(c *client) map[string]int {
	wrong := map[string]int{}
	for typ, all := range l.want.resets {
		least := 0
		for _, f := range all {
			if !slices.ContainsFunc(l.stands, func(s stretch) bool { return s.holds(f) }) {
				least++
			}
		}
		wrong[typ] = max(least-c.resets[typ], 0) - max(c.resets[typ]-len(all), 0)
	}
	for typ, n := range c.resets {
		if l.want.resets[typ] == nil {
			wrong[typ] = -n
		}
	}
	maps.DeleteFunc(wrong, func(_ string, n int) bool { return n == 0 })
	return wrong
}

// maxTold is how many violations are told of one client in a round.
const maxTold = 15

// check waits until the client has what it should have, and compares. Crashed
// says that Postgres did: with a crash its epoch ends, and each cursor with it.
func (c *client) check(ctx context.Context, patience time.Duration, log map[int64]*fact, want *view, now tables, crashed bool) (violations []string, excepted int) {
	say := func(format string, args ...any) {
		violations = append(violations, c.name+": "+fmt.Sprintf(format, args...))
	}
	l := newLedger(log, want)
	err := c.until(ctx, patience, func() bool {
		l.take(c)
		return len(l.twice)+len(l.disorder)+len(c.wrong) > 0 || len(l.pending)+len(l.resets(c))+len(c.fetching) == 0
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	l.take(c)
	for _, what := range l.disorder {
		say("%s", what)
	}
	for _, id := range l.twice {
		say("event %d was received twice", id)
	}
	for _, what := range c.wrong {
		say("%s", what)
	}
	if err != nil {
		say("%d of %d events were never received, rows of %d types are still being fetched; live %t, cursor %s", len(l.pending), len(want.sights), len(c.fetching), c.live, c.cursor)
		say("lost are %v; received were %d to %d", slices.Sorted(maps.Keys(l.pending)), slices.Min(append(slices.Collect(maps.Keys(l.seen)), 1<<62)), slices.Max(append(slices.Collect(maps.Keys(l.seen)), 0)))
		for _, id := range slices.Sorted(maps.Keys(l.pending))[:min(len(l.pending), 5)] {
			text, _ := json.Marshal(log[id].body)
			say("lost event %d of transaction %d, seen as %s: %s", id, log[id].xid, want.sights[id].op, text)
		}
		for typ, n := range l.resets(c) {
			say("%d resets of %s are missing", n, typ)
		}
	}
	for id, raw := range l.seen {
		if what := l.compare(id, raw); what != "" {
			say("event %d: %s", id, what)
		}
	}
	for _, g := range c.gaps {
		if g.reason == pgbell.GapCursor && !g.forgiven || g.reason == pgbell.GapEpoch && !crashed {
			say("was reset with the reason %q, for which there is none", g.reason)
		}
	}
	if err == nil && len(violations) == 0 {
		for typ, rows := range c.replica {
			if c.stale[typ] {
				continue
			}
			for _, what := range now.diverges(typ, rows, c.user, len(c.roles) > 0) {
				say("%s", what)
			}
		}
	}
	if len(violations) > 0 {
		if n := len(violations) - maxTold; n > 0 {
			violations = append(violations[:maxTold:maxTold], fmt.Sprintf("%s: and %d more", c.name, n))
		}
		violations = append(violations, c.name+": its connections:\n\t"+strings.Join(c.journal, "\n\t"))
	}
	c.received = slices.Clone(c.received[l.taken:])
	c.gaps = slices.DeleteFunc(c.gaps, func(g gap) bool { return g.to != "" })
	c.wrong, c.resets = nil, map[string]int{}
	return violations, l.excepted
}

// compare says what is wrong with a message that came; empty for nothing.
func (l *ledger) compare(id int64, raw []byte) string {
	s, f := l.want.sights[id], l.log[id]
	switch {
	case f == nil:
		return fmt.Sprintf("it is of an earlier round, or of none: %s", raw)
	case s == nil:
		text, _ := json.Marshal(f.body)
		return fmt.Sprintf("it is none of this user's: got %s of %s", raw, text)
	}
	return f.body.compare(raw, s)
}
