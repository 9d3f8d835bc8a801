// Command hostile measures what clients cost that mean ill, or are broken, and
// what somebody feels who is served beside them.
//
//	go run ./bench/hostile
//
// The server is pgbell as it comes, with its default limits, and another one in
// each round; all that is hostile
// comes from one other process, this one. For each kind of attack the latency of
// a well-behaved client is measured without it and with it, round by round: the
// time from the trigger to the client, one event at a time. The attackers share
// the machine's cores with the server, so part of what it costs is their own
// work.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pgbell/pgbell/bench/rig"
)

// options of a run.
type options struct {
	clients, rounds, events int
	pause                   time.Duration
	only                    string
}

func main() {
	var o options
	flag.IntVar(&o.clients, "clients", 500, "hostile clients at once; a tenth of that for floods and for those that do not read")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds of each attack")
	flag.IntVar(&o.events, "events", 100, "events in a round, without the attack and with it")
	flag.DurationVar(&o.pause, "pause", 10*time.Millisecond, "mean pause between events")
	flag.StringVar(&o.only, "only", "", "attacks whose name or door contains this")
	rig.Main(func(ctx context.Context) error {
		flag.Parse()
		return bench(ctx, o)
	}, nil)
}

func bench(ctx context.Context, o options) (err error) {
	r, err := rig.New(ctx, rig.Options{})
	if err != nil {
		return err
	}
	defer func() {
		if closed := r.Close(); err == nil {
			err = closed
		}
	}()
	d, err := r.Marketplace(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%s; %d rounds of %d events\n\n", r.Versions(), o.rounds, o.events)
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	fmt.Fprintln(t, "| attack | door | clients | held | ended | memory before | peak | more each | without p50 | p99 | with p50 | p99 | ratio of p50 by round |")
	fmt.Fprintln(t, "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, a := range attacks {
		if !strings.Contains(a.name+" "+a.door, o.only) {
			continue
		}
		f, err := a.measure(ctx, r, d, o)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", a.name, a.door, err)
		}
		low, mid, high := f.with.Ratios(f.without)
		fmt.Fprintf(t, "| %s | %s | %d | %d | %d | %.1f MiB | %.1f MiB | %.1f KiB | %s | %s | %s | %s | %.2f (%.2f–%.2f) |\n", a.name, a.door, f.clients, f.held, f.ended,
			float64(f.before)/(1<<20), float64(f.peak)/(1<<20), float64(f.peak-f.before)/float64(f.clients)/(1<<10), ms(f.without.Percentile(50)), ms(f.without.Percentile(99)), ms(f.with.Percentile(50)), ms(f.with.Percentile(99)), mid, low, high)
	}
	return t.Flush()
}

// figures are what one attack came to.
type figures struct {
	clients       int
	held          int64 // connections that were open at the end of a round, at most
	ended         int64 // those that the server ended or refused, over all rounds
	before, peak  int64 // the server's resident memory, in the round in which it grew most
	without, with rig.Rounds
}

// measure runs the rounds of an attack.
func (a *attack) measure(ctx context.Context, r *rig.Rig, d *rig.Database, o options) (figures, error) {
	f := figures{clients: max(1, o.clients/max(1, a.share))}
	for range o.rounds {
		if err := a.round(ctx, r, d, o, &f); err != nil {
			return f, err
		}
	}
	return f, nil
}

// round measures with a server of its own, so that nothing is left of the round
// before.
func (a *attack) round(ctx context.Context, r *rig.Rig, d *rig.Database, o options, f *figures) (err error) {
	server, err := d.Serve(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Kill()) }()
	good, err := newGuest(ctx, r, d, server)
	if err != nil {
		return err
	}
	defer good.close(ctx)
	if a.feed {
		stop := good.feed(ctx)
		defer func() { err = errors.Join(err, stop()) }()
	}
	if _, err := good.measure(ctx, o.events, o.pause); err != nil { // warms up
		return err
	}
	without, err := good.measure(ctx, o.events, o.pause)
	if err != nil {
		return err
	}
	before, err := server.Resident(ctx)
	if err != nil {
		return err
	}
	if err := server.ResetPeak(); err != nil {
		return err
	}
	crowd, err := a.begin(ctx, r, server, f.clients)
	if err != nil {
		return err
	}
	with, err := good.measure(ctx, o.events, o.pause)
	f.held = max(f.held, crowd.held.Load())
	f.ended += crowd.ended.Load()
	crowd.leave()
	if err != nil {
		return fmt.Errorf("the good client suffers: %w", err)
	}
	peak, err := server.Peak()
	if err != nil {
		return err
	}
	if f.peak == 0 || peak-before > f.peak-f.before {
		f.before, f.peak = before, peak
	}
	f.without, f.with = append(f.without, without), append(f.with, with)
	return nil
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000) }
