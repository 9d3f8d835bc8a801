package ws

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/pgbell/pgbell"
)

// Where a watch has a debounce, a session gets of each row's updates within a
// window only the latest:
//
//	changes    1   2 3        4          5
//	           │   └─┴────────┐          │
//	window     ├──────────────┼──────────┼───…
//	sent       1              3 (of 2)   …
//
// The first is sent at once and opens the window. What follows is held back,
// and at the window's end the last of it is sent, with how many it stands for,
// and opens the next. Whatever is no update (the row is deleted, or comes to
// somebody or leaves them) is sent at once, and what is held back of the row is
// part of it.
//
// A cursor must not contain what is held back, or a session that is cut off
// would never get it. So while a session has something held back, its cursors
// are the stream's from before the first of it, and the events that it was sent
// since, one by one. Once nothing is held back they are the stream's again.

// heldBack is what a session was sent and not sent of rows within their
// windows. The session's mutex guards it.
type heldBack struct {
	rows    map[string]*heldRow
	waiting int      // rows of which something is held back
	events  int      // that are held back
	bytes   int      // of them
	sent    []change // since the first that is held back, in no order
	last    *entry   // that the session considered
}

// heldRow is a row in its window.
type heldRow struct {
	window  time.Duration
	due     time.Duration // the window's end, on the hub's clock
	held    []change      // what is held back, in order
	before  pgbell.Cursor // the stream's, before the first of it
	last    *entry        // the last of it
	view    view
	earlier json.RawMessage // old values, by those before the last
	bytes   int
}

// change is an event by its place in the stream and its id.
type change struct {
	seq uint64
	id  int64
}

// What one session may have in windows. Over it, what is held back is sent at
// once: fewer changes are merged, and nothing else is different.
const (
	maxHeldRows   = 512
	maxHeldEvents = 256 // with those sent since: a cursor names each
	maxHeldBytes  = 256 << 10
)

// debounces reports whether an event of the entry may be held back, or may have
// to go with what is.
func (s *session) debounces(en *entry) bool { return s.held != nil || en.window > 0 && !s.whole }

// offerHeld is the part of offer for sessions that debounce. The caller holds
// the mutex.
func (s *session) offerHeld(en *entry, v view) {
	if s.held == nil {
		s.held = &heldBack{rows: make(map[string]*heldRow)}
	}
	h := s.held
	h.last = en
	if v.op == "" {
		return
	}
	if v.op == pgbell.Reset {
		// What the client fetches on it is newer than what is held back.
		s.release()
	}
	if s.held == nil {
		return // it was too slow for that
	}
	row := h.rows[en.row]
	if en.window == 0 || en.row == "" {
		row = nil
	}
	if row != nil && v.op == pgbell.Update && en.arrived < row.due {
		s.hold(row, en, v)
		if h.events+len(h.sent) > maxHeldEvents || h.bytes > maxHeldBytes {
			s.release()
		}
		return
	}
	changes := []change{{en.seq, en.event.ID}}
	if row != nil {
		if len(row.held) > 0 && v.op == pgbell.Update {
			v.earlier = row.view.mergeOld(&row.last.event, row.earlier)
		}
		changes = append(s.unhold(row), changes...)
	}
	v.merged = len(changes)
	s.sendHeld(en, v, changes)
	switch {
	case s.held == nil: // it was too slow for that
	case en.window == 0 || en.row == "":
	case v.op == pgbell.Delete || v.op == pgbell.Left:
		delete(h.rows, en.row)
	default:
		s.open(en, en.arrived)
	}
}

// hold keeps an update back.
func (s *session) hold(row *heldRow, en *entry, v view) {
	h := s.held
	if len(row.held) == 0 {
		h.waiting++
		row.before = en.before
	} else {
		row.earlier = row.view.mergeOld(&row.last.event, row.earlier)
	}
	row.held = append(row.held, change{en.seq, en.event.ID})
	row.last, row.view = en, v
	h.events++
	h.bytes -= row.bytes
	row.bytes = en.event.Size + len(row.earlier)
	h.bytes += row.bytes
}

// unhold takes what is held back of a row.
func (s *session) unhold(row *heldRow) []change {
	if len(row.held) == 0 {
		return nil
	}
	h := s.held
	changes := row.held
	h.waiting--
	h.events -= len(changes)
	h.bytes -= row.bytes
	row.held, row.last, row.earlier, row.before, row.bytes = nil, nil, nil, pgbell.Cursor{}, 0
	return changes
}

// sendHeld sends an event that stands for changes, of which the last is its
// own.
func (s *session) sendHeld(en *entry, v view, changes []change) {
	h := s.held
	cursor := h.last.event.Cursor
	if first := h.first(); first != nil {
		h.sent = append(h.sent, changes...)
		h.sent = slices.DeleteFunc(h.sent, func(c change) bool { return c.seq < first.held[0].seq })
		cursor = first.before
		for _, c := range h.sent {
			cursor = cursor.With(c.id)
		}
	} else {
		h.sent = nil
		if v.merged < 2 && h.last == en {
			s.push(en.frame(s.proto, v)) // as for everybody
			return
		}
	}
	if v.merged > 1 {
		s.hub.o.Trace.merged(v.merged)
	}
	s.push(s.proto.update(&en.event, v, cursor.String()))
}

// first is the row of which the oldest event is held back; nil if none is.
func (h *heldBack) first() (first *heldRow) {
	if h.waiting == 0 {
		return nil
	}
	for _, row := range h.rows {
		if len(row.held) > 0 && (first == nil || row.held[0].seq < first.held[0].seq) {
			first = row
		}
	}
	return first
}

// flush sends what is held back of a row.
func (s *session) flush(row *heldRow) {
	if len(row.held) == 0 {
		return
	}
	en, v := row.last, row.view
	v.earlier = row.earlier
	changes := s.unhold(row)
	v.merged = len(changes)
	s.sendHeld(en, v, changes)
}

// release sends all that is held back, the oldest first.
func (s *session) release() {
	for s.held != nil && !s.closing {
		row := s.held.first()
		if row == nil {
			return
		}
		s.flush(row)
	}
}

// open opens a row's window, or the next one.
func (s *session) open(en *entry, now time.Duration) {
	h := s.held
	row := h.rows[en.row]
	if row == nil {
		if len(h.rows) >= maxHeldRows {
			return
		}
		row = &heldRow{}
		h.rows[en.row] = row
	}
	row.window, row.due = en.window, now+en.window
	s.hub.windows.add(deadline{row.due, s, en.row})
}

// windowEnds sends what is held back of a row whose window has ended.
func (s *session) windowEnds(d deadline, now time.Duration, wall time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil || s.held.rows[d.row] == nil || s.held.rows[d.row].due > d.due {
		return
	}
	if !wall.Before(s.identity.ExpiresAt) {
		return // it comes back with its cursor
	}
	row := s.held.rows[d.row]
	en := row.last
	if en == nil {
		delete(s.held.rows, d.row)
		if len(s.held.rows) == 0 {
			s.held = nil // nothing is held back either
		}
		return
	}
	s.flush(row)
	if s.held != nil {
		s.open(en, now)
	}
}
