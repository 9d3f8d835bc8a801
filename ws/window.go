package ws

import (
	"sort"
	"sync/atomic"
	"time"

	"github.com/pgbell/pgbell"
)

// window is the recent events in the order of delivery, indexed by room, so
// that a session that resumes looks only at what may concern it. The stream's
// mutex guards it.
//
//	       start                                             now
//	  ───────┼──────────●────●──●────────●──●────●────────────┤
//	forgotten│          events, each with its cursor
//
// Everything that is not in start is in the window, so a cursor that covers
// start can be served from it.
type window struct {
	maxBytes int64
	maxAge   time.Duration

	start   pgbell.Cursor // zero: nothing can be served
	aligned bool          // start is the cursor of a complete read
	floor   uint64        // seq of the last event forgotten
	entries []*entry
	marks   int // entries that have a mark
	byRoom  map[string][]*entry
	byID    map[int64]*entry
	bytes   atomic.Int64
}

func newWindow(maxBytes int64, maxAge time.Duration) window {
	return window{maxBytes: maxBytes, maxAge: maxAge, byRoom: make(map[string][]*entry), byID: make(map[int64]*entry)}
}

// append adds the next event and forgets what no longer fits.
func (w *window) append(en *entry) {
	en.enter(&w.bytes)
	w.entries = append(w.entries, en)
	w.byID[en.event.ID] = en
	for _, room := range en.rooms {
		w.byRoom[room] = append(w.byRoom[room], en)
	}
	w.trim(en.arrived)
}

// mark notes the cursor of a complete read.
func (w *window) mark(at pgbell.Cursor) {
	if n := len(w.entries); n > 0 {
		if last := w.entries[n-1]; last.mark.IsZero() && !w.start.IsZero() {
			last.mark = at
			w.marks++
			return
		}
	}
	// An older start is covered by more cursors, so it stays while it is good.
	if w.start.IsZero() || len(w.entries) == 0 && !w.aligned {
		for len(w.entries) > 0 { // delivered before anybody knew from where
			w.forget()
		}
		w.start, w.aligned = at, true
	}
}

// trim forgets what is too old or too much. It then goes on to the next mark,
// because the cursor of a complete read is covered by more cursors than one in
// the middle.
func (w *window) trim(now time.Duration) {
	for len(w.entries) > 0 && (w.bytes.Load() > w.maxBytes || now-w.entries[0].arrived > w.maxAge) {
		w.forget()
	}
	for !w.aligned && w.marks > 0 {
		w.forget()
	}
}

func (w *window) forget() {
	en := w.entries[0]
	w.entries[0] = nil
	w.entries = w.entries[1:]
	for _, room := range en.rooms {
		trail := w.byRoom[room]
		trail[0] = nil
		if trail = trail[1:]; len(trail) == 0 {
			delete(w.byRoom, room)
		} else {
			w.byRoom[room] = trail
		}
	}
	delete(w.byID, en.event.ID)
	en.exit()
	w.floor = en.seq
	w.aligned = !en.mark.IsZero()
	switch {
	case w.start.IsZero():
	case w.aligned:
		w.start = en.mark
	default:
		w.start = en.event.Cursor
	}
	if w.aligned {
		w.marks--
	}
}

// clear forgets everything, because the stream has a hole.
func (w *window) clear() {
	for len(w.entries) > 0 {
		w.forget()
	}
	w.start, w.aligned = pgbell.Cursor{}, false
}

// serves reports whether everything that c lacks is in the window.
func (w *window) serves(c pgbell.Cursor) bool {
	return !w.start.IsZero() && c.Covers(w.start, w.xid)
}

// xid is the transaction that wrote an event of the window.
func (w *window) xid(id int64) (uint64, bool) {
	en, known := w.byID[id]
	if !known {
		return 0, false
	}
	return en.event.XID, true
}

// after appends to batch up to limit entries of any of the rooms above seq, in
// order. It reports false if some of them are forgotten.
func (w *window) after(batch []*entry, rooms []string, seq uint64, limit int) ([]*entry, bool) {
	if seq < w.floor {
		return batch, false
	}
	trails := make([][]*entry, 0, len(rooms))
	for _, room := range rooms {
		trail := w.byRoom[room]
		first := sort.Search(len(trail), func(i int) bool { return trail[i].seq > seq })
		if first < len(trail) {
			trails = append(trails, trail[first:])
		}
	}
	for len(batch) < limit {
		var next *entry
		for _, trail := range trails {
			if len(trail) > 0 && (next == nil || trail[0].seq < next.seq) {
				next = trail[0]
			}
		}
		if next == nil {
			break
		}
		for i, trail := range trails {
			if len(trail) > 0 && trail[0] == next {
				trails[i] = trail[1:]
			}
		}
		batch = append(batch, next)
	}
	return batch, true
}
