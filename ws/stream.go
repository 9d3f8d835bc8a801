package ws

import (
	"sync"
	"time"

	"github.com/pgbell/pgbell"
)

// stream is where the hub stands: its position, whether it is live, and the
// window behind it. Sessions join the stream under its lock, which stands still
// for no longer than one of them takes.
//
// Lock order: gate, mu, a room shard's, a session's, an entry's.
type stream struct {
	// gate lets one joiner at a time compete for mu with whoever delivers, so
	// that a storm of joiners costs the stream no more than a few do.
	gate sync.Mutex

	mu      sync.Mutex // guards what follows
	seq     uint64     // of the last event
	at      pgbell.Cursor
	text    string // at encoded, once somebody asked
	live    bool   // at is known and the connection stands
	reads   uint64 // complete reads so far
	settled uint64 // seq of the last event that is in the queues
	waiting map[*session]*joining
	window  window
}

// lock is for everybody but the one who delivers.
func (st *stream) lock() {
	st.gate.Lock()
	st.mu.Lock()
}

func (st *stream) unlock() {
	st.mu.Unlock()
	st.gate.Unlock()
}

// cursor is at in its encoded form. The caller holds mu.
func (st *stream) cursor() string {
	if st.text == "" {
		st.text = st.at.String()
	}
	return st.text
}

func (st *stream) move(at pgbell.Cursor) { st.at, st.text = at, "" }

// append makes en the last event.
func (st *stream) append(en *entry) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.seq++
	en.seq = st.seq
	if en.window > 0 {
		en.before = st.at
	}
	st.move(en.event.Cursor)
	st.window.append(en)
}

// settle says that the event is in the queues of all who were live.
func (st *stream) settle(en *entry) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.settled = en.seq
}

// advance notes a complete read. It returns who waited for it, and whether the
// stream was not live before.
func (st *stream) advance(at pgbell.Cursor) (waiting map[*session]*joining, woke bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.at.Epoch() != at.Epoch() {
		st.window.clear()
	}
	st.move(at)
	st.window.mark(at)
	st.reads++
	woke, st.live = !st.live, true
	waiting, st.waiting = st.waiting, make(map[*session]*joining)
	return waiting, woke
}

// lag is the position that idle clients are brought to, and those who are
// behind half of the window are to be told.
type lag struct {
	settled, half uint64
	cursor        string
}

// lag reports false while there is nobody to be told.
func (st *stream) lag(now time.Duration) (lag, bool) {
	st.lock()
	defer st.unlock()
	st.window.trim(now)
	if !st.live || st.settled != st.seq {
		return lag{}, false // an event is on its way; next time
	}
	return lag{st.settled, st.window.floor + (st.seq-st.window.floor)/2, st.cursor()}, true
}
