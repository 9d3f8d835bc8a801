package oracle

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// tally is what the writers did.
type tally struct {
	changes     atomic.Int64 // rows changed by committed statements
	committed   atomic.Int64 // transactions
	rolledBack  atomic.Int64 // on purpose
	failed      atomic.Int64 // deadlocks, violated keys, lock timeouts
	interrupted atomic.Int64 // by a lost connection; committed or not

	mu     sync.Mutex
	shapes map[Shape]int // of committed transactions
	errors map[string]int
}

func newTally() *tally { return &tally{shapes: make(map[Shape]int), errors: make(map[string]int)} }

func (t *tally) count(shapes []Shape) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range shapes {
		t.shapes[s]++
	}
}

func (t *tally) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		t.errors[pg.Code+" "+pg.ConstraintName]++
	}
}

func (t *tally) byShape() map[Shape]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.shapes)
}

// writer is one session of the application. It knows nothing of pgbell.
type writer struct {
	url   string
	plan  *planner
	next  func(*planner) transaction
	tally *tally
	conn  *pgx.Conn
}

// run executes the next n transactions of the plan. It ends early, without
// error, when ctx ends.
func (w *writer) run(ctx context.Context, n int) error {
	for range n {
		t := w.next(w.plan)
		if ctx.Err() != nil {
			continue // the plan goes on where it would be without the fault
		}
		if err := w.connected(ctx); err != nil {
			if ctx.Err() != nil {
				continue
			}
			return err
		}
		w.execute(ctx, t)
	}
	return nil
}

// patience bounds whatever must work in the end.
const patience = 60 * time.Second

// connected opens a connection if there is none, and waits for Postgres if that
// is down.
func (w *writer) connected(ctx context.Context) error {
	if w.conn != nil && !w.conn.IsClosed() {
		return nil
	}
	conn, err := dial(ctx, w.url+"&application_name=writer")
	w.conn = conn
	return err
}

// dial connects to a Postgres that may be down for a while.
func dial(ctx context.Context, url string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	config.RuntimeParams["lock_timeout"] = "3s"
	deadline := time.Now().Add(patience)
	for {
		conn, err := pgx.ConnectConfig(ctx, config)
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return conn, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// execute runs one transaction. Whether it succeeds is not the oracle's
// concern: what happened stands in the database.
func (w *writer) execute(ctx context.Context, t transaction) {
	changes, err := w.send(ctx, t)
	switch {
	case err == nil && t.end == "ROLLBACK":
		w.tally.rolledBack.Add(1)
	case err == nil:
		w.tally.committed.Add(1)
		w.tally.changes.Add(changes)
		w.tally.count(t.shapes)
	case w.conn.IsClosed():
		w.tally.interrupted.Add(1)
	default:
		w.tally.failed.Add(1)
		w.tally.fail(err)
		if w.conn.PgConn().TxStatus() != 'I' {
			_, _ = w.batch(ctx, "ROLLBACK") // a lost connection is noticed next time
		}
	}
}

// send returns how many rows the statements changed.
func (w *writer) send(ctx context.Context, t transaction) (int64, error) {
	switch {
	case t.end == "":
		return w.batch(ctx, t.statements[0])
	case t.pause == 0:
		return w.batch(ctx, "BEGIN;\n"+join(t.statements)+";\n"+t.end)
	}
	half := len(t.statements) / 2
	first, err := w.batch(ctx, "BEGIN;\n"+join(t.statements[:half]))
	if err != nil {
		return 0, err
	}
	pause := time.NewTimer(t.pause)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
	}
	second, err := w.batch(ctx, join(t.statements[half:])+";\n"+t.end)
	return first + second, err
}

func (w *writer) batch(ctx context.Context, sql string) (int64, error) {
	// A statement that is given up might still take effect, any time later.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	results, err := w.conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		return 0, err
	}
	var changes int64
	for _, r := range results {
		changes += r.CommandTag.RowsAffected()
	}
	return changes, nil
}

func (w *writer) close(ctx context.Context) {
	if w.conn != nil {
		_ = w.conn.Close(ctx)
	}
}
