package ws

import "sync"

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
