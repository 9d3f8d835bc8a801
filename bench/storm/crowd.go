package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pgbell/pgbell/bench/rig"
)

// crowd is the peer that is all clients.
const crowd = "crowd"

// call is what the crowd is asked for.
type call struct {
	Address        string
	Clients, Users int // to connect first
	Dials          int
	Jitter         time.Duration
	Version        int // that the clients are to have in the end
}

// returned is how the crowd came back. Times are since the first dial.
type returned struct {
	Live50, Live99, Live time.Duration // until a client was live for good: the median, p99, all
	Whole                time.Duration // until all clients had what they missed
	Fresh                int           // clients whose stream began anew
	Refused              map[string]int
}

// throng is the clients, in the order of the calls.
type throng struct {
	clients []*client
}

func join(_ context.Context, _ *errgroup.Group, mux *http.ServeMux, _ []string) error {
	t := &throng{}
	mux.HandleFunc("POST /connect", rig.Answer(t.connect))
	mux.HandleFunc("POST /await", rig.Answer(t.await))
	mux.HandleFunc("POST /cut", rig.Answer(t.cut))
	mux.HandleFunc("POST /gone", rig.Answer(t.gone))
	mux.HandleFunc("POST /return", rig.Answer(t.comeBack))
	mux.HandleFunc("POST /verify", rig.Answer(t.verify))
	return nil
}

// connect makes the clients and connects them.
func (t *throng) connect(ctx context.Context, c call) (returned, error) {
	if err := raiseFiles(uint64(c.Clients + spareFiles)); err != nil {
		return returned{}, err
	}
	for i := range c.Clients {
		token, err := rig.PeerToken(fmt.Sprintf("u%d", 1+i%c.Users))
		if err != nil {
			return returned{}, err
		}
		t.clients = append(t.clients, newClient(token))
	}
	return t.comeBack(ctx, c)
}

// cut cuts all links, so that the server sees a reset.
func (t *throng) cut(context.Context, struct{}) (struct{}, error) {
	for _, c := range t.clients {
		c.cut()
	}
	return struct{}{}, nil
}

// gone waits until every client knows that its link is gone.
func (t *throng) gone(ctx context.Context, _ struct{}) (struct{}, error) {
	for _, c := range t.clients {
		select {
		case <-c.ended():
		case <-ctx.Done():
			return struct{}{}, ctx.Err()
		}
	}
	return struct{}{}, nil
}

// await waits until every client has the events up to a version.
func (t *throng) await(ctx context.Context, version int) (returned, error) {
	for i, c := range t.clients {
		if _, err := c.reach(ctx, version); err != nil {
			return returned{}, fmt.Errorf("client %d: %w", i, err)
		}
	}
	return returned{}, nil
}

// patience is how long all clients together may take to have what they missed.
const patience = 2 * time.Minute

// comeBack connects all clients, each with the cursor it has, and waits until
// they are live and have the events up to a version.
func (t *throng) comeBack(ctx context.Context, c call) (returned, error) {
	r := returned{Refused: map[string]int{}}
	var mu sync.Mutex // guards r.Refused
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	g, dialing := errgroup.WithContext(limited)
	slots := make(chan struct{}, c.Dials)
	for _, cl := range t.clients {
		g.Go(func() error {
			if err := pause(dialing, rand.N(c.Jitter+1)); err != nil {
				return err
			}
			for attempt := 0; ; attempt++ {
				slots <- struct{}{}
				err := cl.connect(dialing, c.Address)
				<-slots
				if err == nil {
					err = cl.live(dialing)
				}
				if err == nil {
					_, err = cl.reach(dialing, c.Version)
				}
				var refused refusal
				if !errors.As(err, &refused) {
					return err
				}
				mu.Lock()
				r.Refused[refused.why]++
				mu.Unlock()
				// Full jitter, from a tenth of a second on, as clients do.
				if err := pause(dialing, rand.N(min(100*time.Millisecond<<min(attempt, 6), 5*time.Second))); err != nil {
					return err
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		return returned{}, fmt.Errorf("not all have what they missed after %s; attempts refused: %s: %w",
			time.Since(began).Round(time.Second), list(r.Refused), err)
	}
	live := make([]time.Duration, len(t.clients))
	for i, cl := range t.clients {
		at, err := cl.reach(ctx, c.Version)
		if err != nil {
			return returned{}, fmt.Errorf("client %d: %w", i, err)
		}
		r.Whole = max(r.Whole, at.Sub(began))
		since, recovered := cl.liveSince()
		live[i] = since.Sub(began)
		if !recovered {
			r.Fresh++
		}
	}
	r.Live50, r.Live99, r.Live = rig.Percentile(live, 50), rig.Percentile(live, 99), rig.Percentile(live, 100)
	r.Whole = max(r.Whole, r.Live)
	return r, nil
}

// late is how long we wait for what must not come.
const late = time.Second

// verify checks that every client had every event up to a version, each once
// and in order, and nothing else.
func (t *throng) verify(ctx context.Context, version int) (struct{}, error) {
	if err := pause(ctx, late); err != nil {
		return struct{}{}, err
	}
	for i, c := range t.clients {
		if err := c.verify(version); err != nil {
			return struct{}{}, fmt.Errorf("client %d: %w", i, err)
		}
	}
	return struct{}{}, nil
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
