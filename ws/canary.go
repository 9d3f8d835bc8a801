package ws

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/pgbell/pgbell"
)

// canary finds out whether a change really travels from the database to this
// hub: somebody asks, a row is changed, and its event comes by the stream.
type canary struct {
	node string // whose canaries are ours

	mu   sync.Mutex // guards what follows
	last *flight
}

// flight is one canary on its way. Everybody who asks meanwhile waits for it,
// and for a while afterwards it answers without another.
type flight struct {
	number int64
	began  time.Duration      // on the hub's clock
	landed chan time.Duration // gets when; holds one
	done   chan struct{}      // closed when what follows is known
	took   time.Duration
	err    error
}

// canaryAge is how long a flight answers for.
const canaryAge = time.Second

func newCanary() canary { return canary{node: rand.Text()} }

// board returns the flight to wait for, and whether the caller has to fly it.
func (c *canary) board(now time.Duration) (f *flight, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	number := int64(1)
	if f = c.last; f != nil {
		select {
		case <-f.done:
			if now-f.began < canaryAge {
				return f, false
			}
		default:
			return f, false
		}
		number = f.number + 1
	}
	c.last = &flight{number: number, began: now, landed: make(chan time.Duration, 1), done: make(chan struct{})}
	return c.last, true
}

// land notes the arrival of a canary, if it is the one on its way.
func (c *canary) land(e *pgbell.Event, now time.Duration) {
	var data struct {
		Node   string `json:"node"`
		Flight int64  `json:"flight"`
	}
	if json.Unmarshal(e.Data, &data) != nil || data.Node != c.node {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != nil && c.last.number == data.Flight {
		select {
		case c.last.landed <- now:
		default:
		}
	}
}

// Canary has a row changed in the database and waits until its event arrives:
// through trigger, log, bell or round, and listener. It returns how long that
// took, or why it did not within the time. Callers at the same time share one
// flight, and its result serves for a second; so it costs the database at most
// one transaction a second, and none if nobody asks. It needs Options.Canary.
func (h *Hub) Canary(ctx context.Context, within time.Duration) (time.Duration, error) {
	if h.o.Canary == nil {
		return 0, errors.New("there is no canary")
	}
	f, mine := h.canary.board(h.now())
	if mine {
		h.fly(f, within) // to its end: others may wait for it
	}
	select {
	case <-f.done:
		return f.took, f.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

func (h *Hub) fly(f *flight, within time.Duration) {
	defer close(f.done)
	defer func() { h.o.Trace.canaryLanded(h.now()-f.began, f.err != nil) }()
	ctx, cancel := context.WithTimeout(h.ctx, within)
	defer cancel()
	if err := h.o.Canary(ctx, h.canary.node, f.number); err != nil {
		f.err = fmt.Errorf("the canary could not be released: %w", err)
		return
	}
	select {
	case at := <-f.landed:
		f.took = at - f.began
	case <-ctx.Done():
		f.err = fmt.Errorf("the canary did not arrive within %s", within)
	}
}

// ready answers /readyz.
func (h *Handler) ready(w http.ResponseWriter, r *http.Request) {
	answer := struct {
		Status string   `json:"status"`
		Canary *float64 `json:"canaryMs,omitempty"`
	}{Status: "ready"}
	if err := h.hub.Ready(h.o.ReadyWithin); err != nil {
		refuse(w, errUnavailable.because(err.Error()))
		return
	}
	if h.hub.o.Canary != nil {
		took, err := h.hub.Canary(r.Context(), h.o.CanaryWithin)
		if err != nil {
			h.hub.o.Logger.WarnContext(r.Context(), "not ready", "error", err)
			refuse(w, errUnavailable.because("no change of the database reached this server within "+h.o.CanaryWithin.String()))
			return
		}
		ms := float64(took.Microseconds()) / 1000
		answer.Canary = &ms
	}
	writeJSON(w, http.StatusOK, answer)
}
