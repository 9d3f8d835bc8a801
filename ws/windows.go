package ws

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// deadline is the end of a row's window in one session.
type deadline struct {
	due     time.Duration
	session *session
	row     string
}

// deadlines is a heap of them.
type deadlines struct{ all []deadline }

func (d *deadlines) Len() int           { return len(d.all) }
func (d *deadlines) Less(i, j int) bool { return d.all[i].due < d.all[j].due }
func (d *deadlines) Swap(i, j int)      { d.all[i], d.all[j] = d.all[j], d.all[i] }
func (d *deadlines) Push(x any)         { d.all = append(d.all, x.(deadline)) }
func (d *deadlines) Pop() any {
	last := len(d.all) - 1
	x := d.all[last]
	d.all[last] = deadline{}
	d.all = d.all[:last]
	return x
}

// windows are all that are open, whosever.
type windows struct {
	sooner chan struct{} // the first has changed; holds one

	mu   sync.Mutex // guards what follows; nothing is locked under it
	open deadlines
}

func newWindows() windows { return windows{sooner: make(chan struct{}, 1)} }

func (w *windows) add(d deadline) {
	w.mu.Lock()
	heap.Push(&w.open, d)
	first := w.open.all[0] == d
	w.mu.Unlock()
	if first {
		select {
		case w.sooner <- struct{}{}:
		default:
		}
	}
}

// ended takes a window that has ended, or says when the first will: in how
// long; negative if there is none.
func (w *windows) ended(now time.Duration) (d deadline, found bool, next time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open.Len() == 0 {
		return deadline{}, false, -1
	}
	if wait := w.open.all[0].due - now; wait > 0 {
		return deadline{}, false, wait
	}
	return heap.Pop(&w.open).(deadline), true, 0
}

// endWindows ends those whose time has come, and says in how long the next
// will; negative if there is none.
func (h *Hub) endWindows() time.Duration {
	for {
		now := h.now()
		d, found, next := h.windows.ended(now)
		if !found {
			return next
		}
		d.session.windowEnds(d, now, time.Now())
	}
}

// watchWindows ends windows until ctx does.
func (h *Hub) watchWindows(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		next := h.endWindows()
		if next < 0 {
			next = time.Hour
		}
		timer.Reset(next)
		select {
		case <-timer.C:
		case <-h.windows.sooner:
		case <-ctx.Done():
			return
		}
	}
}
