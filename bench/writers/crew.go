package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgbell/pgbell/bench/rig"
)

// load is what writers do.
type load struct {
	writers int
	rows    int // that one statement updates
	of      int // rows of the table
	length  time.Duration
}

// leadIn is how long writers write before what they do counts.
const leadIn = 250 * time.Millisecond

// update changes rows in one statement that commits by itself. The clock is
// the database's, read as each row is written, and the same for every variant.
const update = "UPDATE bookings SET price = price + 1, updated_at = clock_timestamp() WHERE id BETWEEN $1 AND $2"

// crew is a variant's writers, each with a connection of its own.
type crew struct {
	table *table
	conns []*pgx.Conn
}

func newCrew(ctx context.Context, t *table, l load) (*crew, error) {
	c := &crew{table: t}
	for range l.writers {
		conn, err := pgx.Connect(ctx, t.database.URL)
		if err != nil {
			c.leave()
			return nil, err
		}
		c.conns = append(c.conns, conn)
	}
	return c, nil
}

func (c *crew) leave() {
	if c == nil {
		return
	}
	var all sync.WaitGroup
	for _, conn := range c.conns {
		all.Go(func() { conn.Close(context.Background()) })
	}
	all.Wait()
}

// turn is what came of one variant's turn. What counts is what was committed,
// or written, after the lead-in and before the end.
type turn struct {
	commits int
	seconds float64
	latency []time.Duration // of each commit, as its writer sees it
	delay   []time.Duration // of each event that was heard, since its row was written
	all     int             // commits that count or not, for they all use the CPU
	cpu     time.Duration   // of Postgres, for all, until all were heard
	hearing time.Duration   // CPU of the listener, likewise
}

func (t turn) rate() float64 { return float64(t.commits) / t.seconds }

// turn has the crew write, and waits until all of it was heard.
func (c *crew) turn(ctx context.Context, r *rig.Rig, l load) (turn, error) {
	if _, err := c.table.heard(ctx); err != nil { // whatever was left
		return turn{}, err
	}
	cpu, err := r.PostgresCPU()
	if err != nil {
		return turn{}, err
	}
	hearing, err := c.table.listenerCPU()
	if err != nil {
		return turn{}, err
	}
	from := time.Now().Add(leadIn)
	to := from.Add(l.length)
	logs := make([]log, len(c.conns))
	g, writing := errgroup.WithContext(ctx)
	for i, conn := range c.conns {
		g.Go(func() error { return logs[i].write(writing, conn, l.share(i), from, to) })
	}
	if err := g.Wait(); err != nil {
		return turn{}, err
	}
	heard, err := c.table.heard(ctx)
	if err != nil {
		return turn{}, err
	}
	t := turn{seconds: l.length.Seconds(), delay: heard.between(from, to)}
	for i := range logs {
		t.commits += len(logs[i].latency)
		t.all += logs[i].all
		t.latency = append(t.latency, logs[i].latency...)
	}
	after, err := r.PostgresCPU()
	if err != nil {
		return turn{}, err
	}
	t.cpu = after - cpu
	after, err = c.table.listenerCPU()
	t.hearing = after - hearing
	return t, err
}

// share chooses the rows of one writer's statements. Single rows are any of the
// table. Blocks of rows are of the writer alone, so that writers do not wait
// for each other.
func (l load) share(writer int) func(*rand.Rand) (first, last int) {
	blocks := l.of / l.rows
	if l.rows == 1 {
		return func(r *rand.Rand) (first, last int) {
			id := 1 + r.IntN(blocks)
			return id, id
		}
	}
	mine := (blocks - writer + l.writers - 1) / l.writers // those that are writer modulo writers
	return func(r *rand.Rand) (first, last int) {
		first = 1 + (writer+l.writers*r.IntN(mine))*l.rows
		return first, first + l.rows - 1
	}
}

// log is what one writer did.
type log struct {
	latency []time.Duration
	all     int
}

func (w *log) write(ctx context.Context, conn *pgx.Conn, next func(*rand.Rand) (first, last int), from, to time.Time) error {
	r := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	w.latency = make([]time.Duration, 0, 1<<14)
	for {
		began := time.Now()
		if began.After(to) {
			return nil
		}
		first, last := next(r)
		if _, err := conn.Exec(ctx, update, first, last); err != nil {
			return err
		}
		ended := time.Now()
		w.all++
		if ended.After(from) && !ended.After(to) {
			w.latency = append(w.latency, ended.Sub(began))
		}
	}
}
