package listener

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff spaces attempts with full jitter: each wait is random between zero
// and a bound that doubles from min to max. Many nodes that lost the same
// database so come back spread out.
type backoff struct {
	min, max time.Duration
	bound    time.Duration // of the next wait; zero means min
}

// reset makes the next wait a short one. It is called on health, which is a
// completed read: a connection that is accepted and then fails is no health.
func (b *backoff) reset() { b.bound = 0 }

// wait sleeps, or returns early when ctx ends.
func (b *backoff) wait(ctx context.Context) {
	b.bound = min(max(b.bound, b.min), b.max)
	timer := time.NewTimer(rand.N(b.bound + 1))
	defer timer.Stop()
	b.bound *= 2
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
