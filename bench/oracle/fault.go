package oracle

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pgbell/pgbell/db/embedded"
)

// faultPlan breaks things while a round lasts. Which, and how far apart,
// follows from the seed.
type faultPlan struct {
	w          *world
	clients, r *rand.Rand // of the two goroutines
	count      map[Fault]*atomic.Int64
	active     atomic.Int64 // faults at work that concern everybody
	last       atomic.Int64 // when the last of these ended, Unix nanoseconds
}

// The mean times between two faults.
const (
	clientPause = 80 * time.Millisecond
	serverPause = 1200 * time.Millisecond
)

func newFaultPlan(w *world) *faultPlan {
	p := &faultPlan{
		w:       w,
		clients: rand.New(rand.NewPCG(w.config.Seed, 1<<40)),
		r:       rand.New(rand.NewPCG(w.config.Seed, 1<<41)),
		count:   make(map[Fault]*atomic.Int64),
	}
	for _, f := range Faults {
		p.count[f] = new(atomic.Int64)
	}
	return p
}

// calm reports whether none of the faults that concern everybody is at work or
// was within the last second.
func (p *faultPlan) calm() bool {
	return p.active.Load() == 0 && time.Now().UnixNano()-p.last.Load() > int64(time.Second)
}

// run breaks things until ctx ends; then everything is whole again.
func (p *faultPlan) run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { p.disturbClients(ctx) })
	err := p.disturbServers(ctx)
	wg.Wait()
	for _, c := range p.w.clients {
		c.link.heal()
	}
	for _, n := range p.w.nodes {
		n.link.heal()
	}
	return err
}

// wait sleeps for about mean, or reports that ctx has ended.
func wait(ctx context.Context, r *rand.Rand, mean time.Duration) bool {
	timer := time.NewTimer(min(time.Duration(r.ExpFloat64()*float64(mean)), 4*mean))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// among are the chosen faults of a list.
func (p *faultPlan) among(of ...Fault) []Fault {
	return slices.DeleteFunc(of, func(f Fault) bool { return !p.w.config.has(f) })
}

func (p *faultPlan) disturbClients(ctx context.Context) {
	faults := p.among(CutClient, CutClient, CutClient, StallClient, SlowClient)
	if len(faults) == 0 {
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for wait(ctx, p.clients, clientPause) {
		r := p.clients
		f, c := faults[r.IntN(len(faults))], p.w.clients[r.IntN(len(p.w.clients))]
		bytes, reset := somewhere(r), r.IntN(2) == 0
		pause, rate := time.Duration(50+r.IntN(1500))*time.Millisecond, 1000+r.IntN(20_000)
		p.count[f].Add(1)
		switch f {
		case CutClient:
			c.link.cutAfter(bytes, reset)
		case StallClient:
			wg.Go(func() { during(ctx, pause, c.link.hold()) })
		case SlowClient:
			wg.Go(func() { during(ctx, 4*pause, c.link.slow(rate)) })
		}
	}
}

// during waits, no longer than ctx lasts, and calls end.
func during(ctx context.Context, pause time.Duration, end func()) {
	defer end()
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (p *faultPlan) disturbServers(ctx context.Context) error {
	faults := slices.Repeat(p.among(
		KillServer, KillServer, StopServer, FreezeServer,
		CutDatabase, CutDatabase, CutDatabase, StallDatabase, EndBackend, EndBackend,
		RestartFast), 8)
	// A crash of Postgres resets every client, and what a reset stands for is
	// not compared event by event. So crashes are rare.
	faults = append(faults, p.among(RestartAtOnce, CrashPostgres, CrashBackend, KillEverything)...)
	if len(faults) == 0 {
		return nil
	}
	for wait(ctx, p.r, serverPause) {
		f := faults[p.r.IntN(len(faults))]
		p.count[f].Add(1)
		p.active.Add(1)
		err := p.apply(ctx, f)
		p.last.Store(time.Now().UnixNano())
		p.active.Add(-1)
		if err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
	}
	return nil
}

// apply does one fault and what ends it. The draws are the same whatever
// happens.
func (p *faultPlan) apply(ctx context.Context, f Fault) error {
	r := p.r
	n := p.w.nodes[r.IntN(len(p.w.nodes))]
	pause := time.Duration(20+r.IntN(900)) * time.Millisecond
	bytes, reset := somewhere(r), r.IntN(2) == 0
	switch f {
	case KillServer:
		n.signal(syscall.SIGKILL, true)
	case StopServer:
		n.signal(syscall.SIGTERM, true)
	case FreezeServer:
		n.signal(syscall.SIGSTOP, false)
		during(ctx, 2*pause, func() { n.signal(syscall.SIGCONT, false) })
	case CutDatabase:
		n.link.cutAfter(bytes, reset)
	case StallDatabase:
		during(ctx, 4*pause, n.link.hold())
	case EndBackend:
		return p.w.kill(ctx, "pgbell%", func(pid int) (string, error) {
			return fmt.Sprintf("SELECT pg_terminate_backend(%d)", pid), nil
		})
	case RestartFast:
		return p.restartFast()
	case RestartAtOnce:
		return p.restart(embedded.Immediate)
	case CrashPostgres:
		return p.restart(embedded.Crash)
	case CrashBackend:
		return p.w.kill(ctx, "writer", func(pid int) (string, error) {
			return "", syscall.Kill(pid, syscall.SIGKILL)
		})
	case KillEverything:
		for _, n := range p.w.nodes {
			n.signal(syscall.SIGKILL, true)
		}
		return p.restart(embedded.Crash)
	}
	return nil
}

func (p *faultPlan) restart(mode embedded.Mode) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return p.w.postgres.Restart(ctx, mode)
}

// restartFast restarts in order if that is possible in time, and else as
// somebody would who has lost patience.
func (p *faultPlan) restartFast() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience/3)
	defer cancel()
	err := p.w.postgres.Restart(ctx, embedded.Fast)
	if err == nil || ctx.Err() == nil {
		return err
	}
	fmt.Fprintf(p.w.config.Log, "postgres does not stop: %v\n", err)
	p.count[RestartAtOnce].Add(1)
	return p.restart(embedded.Crash)
}

// quietCrash crashes Postgres while nobody writes.
func (p *faultPlan) quietCrash(ctx context.Context) error {
	p.count[QuietCrash].Add(1)
	conn, err := dial(ctx, p.w.postgres.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for range 40 {
		if _, err := conn.Exec(ctx, "BEGIN; UPDATE market.orders SET price = price + 1 WHERE id = 1; SELECT pg_current_xact_id(); ROLLBACK"); err != nil {
			return err
		}
	}
	during(ctx, safetyRound, func() {})
	return p.restart(embedded.Crash)
}

// safetyRound is within how long pgbell reads the log though no bell rings.
const safetyRound = 1200 * time.Millisecond

// crashed reports whether Postgres crashed so far.
func (p *faultPlan) crashed() bool {
	return slices.ContainsFunc([]Fault{RestartAtOnce, CrashPostgres, CrashBackend, KillEverything, QuietCrash},
		func(f Fault) bool { return p.count[f] != nil && p.count[f].Load() > 0 })
}
