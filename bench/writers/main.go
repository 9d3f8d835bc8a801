// Command writers measures what it costs to have one's changes told: writers
// update rows as fast as they can, on a bare table, on one that pgbell watches,
// and on tables with the triggers that people write themselves.
//
//	go run ./bench/writers
//
// Each variant has a database of its own with the same table in it, all in one
// Postgres. Within a round each variant has its turn, in an order that moves on
// from round to round, so that whatever else happens on the machine happens to
// all of them, and the ratio to the bare table is taken round by round.
//
// Two more figures come at the end: one statement that changes every row, and
// what pgbell asks of a database in which nothing happens.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pgbell/pgbell/bench/rig"
)

// options are the flags.
type options struct {
	writers    []int // connections that write
	statements []int // rows that a statement updates
	rounds     int
	length     time.Duration // of a turn
	variants   []variant
	rows       int    // of the table
	sync       string // synchronous_commit
	whole      int    // how often the statement over all rows is measured
	idle       time.Duration
}

func main() {
	o := options{writers: []int{1, 16, 64}, statements: []int{1, 1000}, variants: variants}
	flag.Func("writers", "connections that write, such as 1,16,64 (the default)", numbers(&o.writers))
	flag.Func("statements", "rows that one statement updates, such as 1,1000 (the default)", numbers(&o.statements))
	flag.IntVar(&o.rounds, "rounds", 5, "turns of each variant")
	seconds := flag.Float64("seconds", 2.5, "length of a turn")
	flag.Func("variants", "what to measure, of "+names(variants)+" (the default) and "+names(further), func(text string) (err error) {
		o.variants, err = choose(text)
		return err
	})
	flag.IntVar(&o.rows, "rows", 100_000, "rows of the table")
	flag.StringVar(&o.sync, "sync", "on", "synchronous_commit")
	flag.IntVar(&o.whole, "whole", 3, "how often to measure one statement over all rows; 0 is not")
	flag.DurationVar(&o.idle, "idle", 20*time.Second, "how long to count what an idle pgbell asks; 0 is not")
	rig.Main(func(ctx context.Context) error {
		flag.Parse()
		o.length = time.Duration(*seconds * float64(time.Second))
		return bench(ctx, o, os.Stdout, os.Stderr)
	}, map[string]rig.Peer{ear: listen})
}

// numbers reads a list of positive numbers.
func numbers(into *[]int) func(string) error {
	return func(text string) error {
		*into = nil
		for part := range strings.SplitSeq(text, ",") {
			n, err := strconv.Atoi(part)
			if err != nil || n < 1 {
				return fmt.Errorf("%q is not a positive number", part)
			}
			*into = append(*into, n)
		}
		return nil
	}
}

// settings are those of a server that somebody has set up, and keep whatever
// comes now and then out of the turns: vacuum and checkpoints come between.
func (o options) settings() map[string]string {
	return map[string]string{
		"autovacuum":         "off",
		"checkpoint_timeout": "30min",
		"max_connections":    "500",
		"max_wal_size":       "4GB",
		"shared_buffers":     "256MB",
		"synchronous_commit": o.sync,
		"timezone":           "UTC",
	}
}

func bench(ctx context.Context, o options, out, progress io.Writer) (err error) {
	if most := slices.Max(o.writers) * slices.Max(o.statements); o.rows < most {
		return fmt.Errorf("%d rows are too few for writers that each update rows of their own; want %d", o.rows, most)
	}
	began := time.Now()
	r, err := rig.New(ctx, rig.Options{Settings: o.settings()})
	if err != nil {
		return err
	}
	defer func() {
		if closed := r.Close(); err == nil {
			err = closed
		}
	}()
	tables := make([]*table, 0, len(o.variants))
	defer func() {
		for _, t := range tables {
			t.close()
		}
	}()
	for _, v := range o.variants {
		t, err := newTable(ctx, r, v, o.rows)
		if err != nil {
			return fmt.Errorf("prepare %s: %w", v.name, err)
		}
		tables = append(tables, t)
	}
	fmt.Fprintf(out, "%s. synchronous_commit = %s, %s. A table of %d rows; %d rounds, each variant %s in each. CPU is processor time.\n",
		r.Versions(), o.sync, "shared_buffers = 256MB, max_wal_size = 4GB, no autovacuum and no checkpoint within a turn", o.rows, o.rounds, o.length)

	k := &keeper{rig: r, tables: tables}
	for _, rows := range o.statements {
		var lines []line
		for _, writers := range o.writers {
			fmt.Fprintf(progress, "%s: %d writers, %d rows a statement\n", time.Since(began).Round(time.Second), writers, rows)
			results, err := measure(ctx, o, k, load{writers: writers, rows: rows, of: o.rows, length: o.length})
			if err != nil {
				return err
			}
			lines = append(lines, summarize(writers, o.variants, results)...)
		}
		report(out, rows, lines)
	}
	if k.strays > 0 {
		fmt.Fprintf(out, "\n%d checkpoints fell into the rounds; some figures are too low for that.\n", k.strays)
	}
	if o.whole > 0 {
		fmt.Fprintf(progress, "%s: all rows\n", time.Since(began).Round(time.Second))
		if err := wholes(ctx, o, k, out); err != nil {
			return err
		}
	}
	if o.idle > 0 {
		fmt.Fprintf(progress, "%s: idle\n", time.Since(began).Round(time.Second))
		if err := idle(ctx, tables, o.idle, out); err != nil {
			return err
		}
	}
	fmt.Fprintf(progress, "%s: done\n", time.Since(began).Round(time.Second))
	return nil
}

// measure takes all rounds of one load. The first index of the result is the
// variant's.
func measure(ctx context.Context, o options, k *keeper, l load) ([][]turn, error) {
	crews := make([]*crew, len(k.tables))
	defer func() {
		for _, c := range crews {
			c.leave()
		}
	}()
	for i, t := range k.tables {
		var err error
		if crews[i], err = newCrew(ctx, t, l); err != nil {
			return nil, err
		}
	}
	if err := k.freshen(ctx); err != nil {
		return nil, err
	}
	results := make([][]turn, len(k.tables))
	for round := -1; round < o.rounds; round++ { // the first only warms up
		if err := k.between(ctx); err != nil {
			return nil, err
		}
		for i := range k.tables {
			at := (i + round + 1) % len(k.tables)
			took := l
			if round < 0 {
				took.length = min(l.length, time.Second)
			}
			done, err := crews[at].turn(ctx, k.rig, took)
			if err != nil {
				return nil, fmt.Errorf("%s with %d writers: %w", k.tables[at].name, l.writers, err)
			}
			if err := k.tables[at].vacuum(ctx); err != nil {
				return nil, err
			}
			if round >= 0 {
				results[at] = append(results[at], done)
			}
		}
	}
	return results, k.between(ctx)
}
