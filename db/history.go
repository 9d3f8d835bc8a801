package db

import (
	"cmp"
	"context"
	_ "embed" // the queries
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgbell/pgbell"
)

var (
	//go:embed queries/missed.sql
	queryMissed string
	//go:embed queries/bodies.sql
	queryBodies string
	//go:embed queries/recent.sql
	queryRecent string
)

// HistoryOptions bound what one resume may cost.
type HistoryOptions struct {
	// MaxEvents is how many events, of everybody, may have been recorded since
	// the cursor's last complete read. Default: 20,000.
	MaxEvents int
	// PageBytes ends a page once its bodies have so many bytes; one event may
	// be larger. Default: 4 MiB.
	PageBytes int
	// Timeout bounds one page. Default: 5 seconds.
	Timeout time.Duration
}

// History reads what a cursor lacks from the log, for cursors that are too old
// for a node's memory.
type History struct {
	pool *pgxpool.Pool
	opts HistoryOptions
}

// NewHistory reads over connections of pool, one a call.
func NewHistory(pool *pgxpool.Pool, opts HistoryOptions) *History {
	opts.MaxEvents = cmp.Or(opts.MaxEvents, 20_000)
	opts.PageBytes = cmp.Or(opts.PageBytes, 4<<20)
	opts.Timeout = cmp.Or(opts.Timeout, 5*time.Second)
	return &History{pool: pool, opts: opts}
}

// Since returns the events that c does not contain and that are visible now, in
// id order, each with the cursor of a session that had c and got the events up
// to it. With at most limit events it is a page; the cursor returned is where
// the next one goes on. It is that of a complete read if the page was the last.
//
// Each page has a snapshot of its own. That is exact all the same: the cursor
// says of the former page's snapshot up to which id it was delivered. And it
// keeps the order of a row's changes: one that a later snapshot adds has
// committed after all that the former saw.
//
// The error is a [pgbell.Gap] if what c lacks cannot be told: c is of another
// epoch or ahead of the database (GapEpoch), retention has removed some of it
// (GapRetention), or there is too much (GapTooMany). A forged cursor costs no
// more than any other: at most MaxEvents entries of an index are looked at.
func (h *History) Since(ctx context.Context, c pgbell.Cursor, limit int) ([]pgbell.Event, pgbell.Cursor, error) {
	if c.IsZero() {
		return nil, pgbell.Cursor{}, pgbell.Gap{Reason: pgbell.GapCursor}
	}
	ctx, cancel := context.WithTimeout(ctx, h.opts.Timeout)
	defer cancel()
	var events []pgbell.Event
	var next pgbell.Cursor
	err := h.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) (err error) {
		events, next, err = h.page(ctx, conn.Conn(), c, limit)
		return err
	})
	if err != nil {
		return nil, pgbell.Cursor{}, fmt.Errorf("read what a cursor lacks: %w", err)
	}
	return events, next, nil
}

func (h *History) page(ctx context.Context, conn *pgx.Conn, c pgbell.Cursor, limit int) ([]pgbell.Event, pgbell.Cursor, error) {
	present, _, err := Log{}.Position(ctx, conn)
	if err != nil {
		return nil, pgbell.Cursor{}, err
	}
	if c.Epoch() != present.Epoch() || c.Snapshot().Xmax > present.Snapshot().Xmax {
		return nil, pgbell.Cursor{}, pgbell.Gap{Reason: pgbell.GapEpoch}
	}
	m, err := h.missed(ctx, conn, c.Snapshot())
	if err != nil {
		return nil, pgbell.Cursor{}, err
	}
	ids, xids, last := m.page(c, limit, h.opts.PageBytes)
	events, err := bodies(ctx, conn, ids, xids)
	if err != nil {
		return nil, pgbell.Cursor{}, err
	}
	next := c
	for i := range events {
		next = next.Reached(m.snapshot, events[i].ID)
		events[i].Cursor = next
	}
	if last {
		next = pgbell.NewCursor(c.Epoch(), m.snapshot)
	}
	return events, next, nil
}

// missed is what may be missing, in id order, without bodies.
type missed struct {
	snapshot *pgbell.Snapshot
	ids      []int64
	xids     []int64
	sizes    []int32
}

func (h *History) missed(ctx context.Context, conn *pgx.Conn, since *pgbell.Snapshot) (*missed, error) {
	var (
		m        missed
		snapshot string
		lost     bool
	)
	xmax, xip := strconv.FormatUint(since.Xmax, 10), make([]string, len(since.Xip))
	for i, x := range since.Xip {
		xip[i] = strconv.FormatUint(x, 10)
	}
	// Planned for these values: how much of the log they leave is the question.
	err := conn.QueryRow(ctx, queryMissed, pgx.QueryExecModeExec, xmax, xip, h.opts.MaxEvents+1).
		Scan(&snapshot, &lost, &m.ids, &m.xids, &m.sizes)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, errors.New("table pgbell.horizon is empty")
	case err != nil:
		return nil, err
	case lost:
		return nil, pgbell.Gap{Reason: pgbell.GapRetention}
	case len(m.ids) > h.opts.MaxEvents:
		return nil, pgbell.Gap{Reason: pgbell.GapTooMany}
	}
	m.snapshot, err = pgbell.ParseSnapshot(snapshot)
	return &m, err
}

// page is the first events that c lacks, and whether they are all.
func (m *missed) page(c pgbell.Cursor, limit, maxBytes int) (ids []int64, xids []string, last bool) {
	bytes := 0
	for i, id := range m.ids {
		if c.Contains(id, uint64(m.xids[i])) {
			continue
		}
		if len(ids) >= limit || bytes >= maxBytes {
			return ids, xids, false
		}
		bytes += int(m.sizes[i])
		ids, xids = append(ids, id), append(xids, strconv.FormatInt(m.xids[i], 10))
	}
	return ids, xids, true
}

// bodies reads events that were visible a moment ago. The log only grows, so
// they still are, unless retention came in between.
func bodies(ctx context.Context, conn *pgx.Conn, ids []int64, xids []string) ([]pgbell.Event, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	slices.Sort(xids)
	rows, err := conn.Query(ctx, queryBodies, pgx.QueryExecModeExec, ids, slices.Compact(xids))
	if err != nil {
		return nil, err
	}
	events := make([]pgbell.Event, 0, len(ids))
	var (
		id, at int64
		xid    uint64
		body   []byte
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &xid, &at, &body}, func() error {
		events = append(events, decode(id, xid, time.UnixMicro(at), body))
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(events) < len(ids) {
		return nil, pgbell.Gap{Reason: pgbell.GapRetention}
	}
	return events, nil
}

// RecentOptions bound what [Log.Recent] goes back over.
type RecentOptions struct {
	// Events, at most. Default: 100,000.
	Events int
	// Bytes of their bodies, at most. Default: 64 MiB.
	Bytes int64
	// Age of the oldest. Default: 5 minutes.
	Age time.Duration
}

// Recent is a cursor in the past from which a listener may start, to fill the
// memory of a node that comes up: all that the log holds from there on is at
// most what opts allow. It is not one that somebody was given, but contains
// exactly the transactions below one that it chooses, without those that are
// still running. So whoever reads from it misses nothing that it lacks.
//
// Where nothing was recorded lately it lies as far back as nothing was.
func (Log) Recent(ctx context.Context, conn *pgx.Conn, opts RecentOptions) (pgbell.Cursor, error) {
	opts.Events = cmp.Or(opts.Events, 100_000)
	opts.Bytes = cmp.Or(opts.Bytes, 64<<20)
	opts.Age = cmp.Or(opts.Age, 5*time.Minute)
	present, _, err := Log{}.Position(ctx, conn)
	if err != nil {
		return pgbell.Cursor{}, err
	}
	var text string
	err = conn.QueryRow(ctx, queryRecent, pgx.QueryExecModeExec, opts.Events, opts.Bytes, opts.Age.Seconds()).Scan(&text)
	if err != nil {
		return pgbell.Cursor{}, fmt.Errorf("find a recent position in the log: %w", err)
	}
	start, err := pgbell.ParseSnapshot(text)
	if err != nil {
		return pgbell.Cursor{}, fmt.Errorf("find a recent position in the log: %w", err)
	}
	return pgbell.NewCursor(present.Epoch(), start), nil
}
