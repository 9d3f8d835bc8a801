package oracle

import (
	"math"
	"sync"
	"time"
)

// histogram counts durations in steps of 5 per cent.
type histogram struct {
	mu    sync.Mutex
	n     int
	steps [512]int
}

const (
	step  = 1.05
	least = time.Microsecond
)

func (h *histogram) add(d time.Duration) {
	i := int(math.Log(float64(max(d, least))/float64(least)) / math.Log(step))
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n++
	h.steps[min(i, len(h.steps)-1)]++
}

// quantile is the upper end of the step that holds it.
func (h *histogram) quantile(q float64) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	rank := int(math.Ceil(q * float64(h.n)))
	for i, n := range &h.steps {
		if rank -= n; rank <= 0 && h.n > 0 {
			return time.Duration(float64(least) * math.Pow(step, float64(i+1)))
		}
	}
	return 0
}

func (h *histogram) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n
}
