package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgbell/pgbell/bench/rig"
)

// wholeUpdate changes every row.
const wholeUpdate = "UPDATE bookings SET price = price + 1, updated_at = clock_timestamp()"

// wholes measures one statement over all rows, on the bare table and on the one
// that pgbell serves, in turn.
func wholes(ctx context.Context, o options, k *keeper, out io.Writer) error {
	var plain, watched *table
	for _, t := range k.tables {
		switch t.name {
		case bare:
			plain = t
		case served:
			watched = t
		}
	}
	if plain == nil || watched == nil {
		return nil
	}
	bells, stop, err := countBells(ctx, watched)
	if err != nil {
		return err
	}
	defer stop()
	var without, with, until []time.Duration
	var rung []int
	disordered := 0
	if err := watched.server.ResetPeak(); err != nil {
		return err
	}
	before, err := watched.server.Peak()
	if err != nil {
		return err
	}
	for round := -1; round < o.whole; round++ { // the first only warms up
		if err := k.freshen(ctx); err != nil {
			return err
		}
		took, err := timed(ctx, plain.admin)
		if err != nil {
			return err
		}
		// The mark that this waits for rings as well, so it comes before.
		if _, err := watched.heard(ctx); err != nil {
			return err
		}
		if err := rest(ctx, asleep); err != nil {
			return err
		}
		if _, err := bells(ctx); err != nil {
			return err
		}
		began := time.Now()
		tookWatched, err := timed(ctx, watched.admin)
		if err != nil {
			return err
		}
		n, err := bells(ctx)
		if err != nil {
			return err
		}
		heard, err := watched.heard(ctx)
		if err != nil {
			return err
		}
		if want := o.rows/100 + 1; len(heard.Written) != want { // the mark is one
			return fmt.Errorf("of the statement over all rows the client heard %d events, want %d", len(heard.Written), want)
		}
		if round < 0 {
			continue
		}
		without, with, until = append(without, took), append(with, tookWatched), append(until, time.Since(began))
		rung = append(rung, n)
		disordered += heard.Disordered
	}
	after, err := watched.server.Peak()
	if err != nil {
		return err
	}
	after = max(after, before) // the kernel counts both roughly
	low, mid, high := rig.Ratios(with, without)
	fmt.Fprintf(out, "\nOne statement of %d rows, %d times; the client owns %d of them:\n\n", o.rows, o.whole, o.rows/100)
	fmt.Fprintln(out, "| bare | pgbell | ratio by round | until the client has all | bells rung by each | events out of order | pgbell's memory before | peak |")
	fmt.Fprintln(out, "|--:|--:|--:|--:|---|--:|--:|--:|")
	fmt.Fprintf(out, "| %s | %s | %.2f (%.2f–%.2f) | %s | %v | %d | %s | %s |\n",
		ms(rig.Median(without)), ms(rig.Median(with)), mid, low, high, ms(rig.Median(until)), rung, disordered, mib(before), mib(after))
	return nil
}

// asleep is how long it takes pgbell at most to find that nothing happens any
// more: who rings is asked of a pgbell that sleeps.
const asleep = 3 * time.Second

func timed(ctx context.Context, conn *pgx.Conn) (time.Duration, error) {
	began := time.Now()
	_, err := conn.Exec(ctx, wholeUpdate)
	return time.Since(began), err
}

// countBells listens as pgbell does. The function that it returns tells how
// many bells rang since it was called last: a query's answer comes after all
// notifications that were committed before it.
func countBells(ctx context.Context, t *table) (count func(context.Context) (int, error), stop func(), err error) {
	config, err := pgx.ParseConfig(t.database.URL)
	if err != nil {
		return nil, nil, err
	}
	n := 0
	config.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) { n++ }
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, nil, err
	}
	if _, err := conn.Exec(ctx, "LISTEN pgbell"); err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context) (int, error) {
		_, err := conn.Exec(ctx, "SELECT 1")
		rung := n
		n = 0
		return rung, err
	}, func() { conn.Close(context.Background()) }, nil
}
