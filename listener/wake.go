package listener

import (
	"context"
	"sync"
)

// Wake makes the listener read the log now, instead of when a bell rings or the
// safety interval is over. It may be called at any time, by anybody, and does
// not wait. Calls before the read begins are answered by it together; while
// there is no connection, by the first read of the next one.
func (l *Listener) Wake() { l.waker.ask() }

// waker interrupts sleep.
type waker struct {
	mu    sync.Mutex // guards what follows
	asked bool
	rouse context.CancelFunc // ends the sleep under way, if there is one
}

func (w *waker) ask() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = true
	if w.rouse != nil {
		w.rouse()
	}
}

// sleep notes how to end the sleep that begins. It reports false if there must
// be none, because somebody has asked.
func (w *waker) sleep(rouse context.CancelFunc) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asked {
		return false
	}
	w.rouse = rouse
	return true
}

// wake notes that the sleep is over.
func (w *waker) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rouse = nil
}

// answer notes that a read begins.
func (w *waker) answer() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = false
}
