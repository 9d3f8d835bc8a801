package ws

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// counter counts by name.
type counter struct {
	mu sync.Mutex
	of map[string]int
}

// acquire counts one more unless that is over limit.
func (c *counter) acquire(name string, limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of[name] >= limit {
		return false
	}
	if c.of == nil {
		c.of = make(map[string]int)
	}
	c.of[name]++
	return true
}

// release takes back what acquire counted. The empty name is nobody's.
func (c *counter) release(name string) {
	if name == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of[name]--; c.of[name] <= 0 {
		delete(c.of, name)
	}
}

// names is how many are counted.
func (c *counter) names() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.of)
}

// Rate bounds how often something may happen. The zero Rate is no bound.
type Rate struct {
	// PerSecond is how many in the long run.
	PerSecond float64
	// Burst is how many at once. Default: ten seconds' worth, at least one.
	Burst int
}

// maxThrottled bounds how many names a throttle remembers, in each of its two
// generations. One takes some 200 bytes.
const maxThrottled = 32 << 10

// throttle is a rate by name, in bounded memory. When the young generation is
// full, or a minute old, the old one is forgotten: whoever was quiet since
// begins anew. Somebody with more addresses than it remembers is not bounded by
// it; nobody with few addresses gets out of it by them.
type throttle struct {
	limit rate.Limit
	burst int
	aging time.Duration

	mu         sync.Mutex // guards what follows
	young, old map[string]*rate.Limiter
	since      time.Time // when young began
}

// newThrottle returns nil, which bounds nothing, for the zero Rate.
func newThrottle(r Rate) *throttle {
	if r.PerSecond <= 0 {
		return nil
	}
	if r.Burst <= 0 {
		r.Burst = max(1, int(10*r.PerSecond))
	}
	t := &throttle{limit: rate.Limit(r.PerSecond), burst: r.Burst, young: make(map[string]*rate.Limiter)}
	// By then a bucket is full again, so nothing is lost by forgetting it.
	t.aging = max(time.Minute, time.Duration(float64(r.Burst)/r.PerSecond*float64(time.Second)))
	return t
}

// allow reports whether it may happen once more, and counts it.
func (t *throttle) allow(name string) bool {
	if t == nil {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.of(name).Allow()
}

// left reports whether it might happen once more.
func (t *throttle) left(name string) bool {
	if t == nil {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	name = throttleName(name)
	l := t.young[name]
	if l == nil {
		l = t.old[name]
	}
	return l == nil || l.Tokens() >= 1
}

// of is the bucket of a name. The caller holds the mutex.
func (t *throttle) of(name string) *rate.Limiter {
	name = throttleName(name)
	if l := t.young[name]; l != nil {
		return l
	}
	now := time.Now()
	if len(t.young) >= maxThrottled || now.Sub(t.since) > t.aging {
		t.young, t.old, t.since = make(map[string]*rate.Limiter), t.young, now
	}
	l := t.old[name]
	if l == nil {
		l = rate.NewLimiter(t.limit, t.burst)
	}
	t.young[name] = l
	return l
}

// throttleName takes the addresses that one customer of a provider has for one:
// with IPv6 a /64 is the least that anybody is given.
func throttleName(name string) string {
	a, err := netip.ParseAddr(name)
	if err != nil || !a.Is6() || a.Is4In6() {
		return name
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return name
	}
	return p.String()
}
