package ws

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/pgbell/pgbell"
)

// joining is a session's way to the live stream:
//
//	                 ┌─ no cursor ───────────────────────────────┐
//	wait until live ─┼─ too old or foreign ─ reset ──────────────┼─▶ live
//	      ▲          ├─ in the window ────── replay ─────────────┤
//	      └──────────┴─ older ───────────── History, then again ─┘
//
// Whoever has a cursor waits until this node has caught up with it, also if a
// reset follows: otherwise the live stream would repeat what the client had.
//
// A replay reads the window in small steps without holding the stream, and
// waits while the client's queue is half full. Only its last step, in which
// nothing is left to replay, happens under the stream's lock: there the session
// becomes live, so that the next event finds it and none before is missed.
type joining struct {
	cursor  pgbell.Cursor   // what the client has; zero: nothing
	gap     string          // why it cannot resume, if so
	id      json.RawMessage // of the request to answer; the session's mutex guards it
	began   time.Duration
	told    bool   // authenticated was sent; the session's mutex guards it
	reads   uint64 // the stream's reads when cursor was obtained; 0: not looked yet
	history int    // events read from History
	sent    int    // events sent
}

// anew stands before the cursor of a client that is not to go on from there: it
// gets a reset. No cursor begins with it.
const anew = "-"

func newJoining(cursor string, id json.RawMessage, now time.Duration) *joining {
	j := &joining{id: id, began: now}
	had, fresh := strings.CutPrefix(cursor, anew)
	var err error
	if j.cursor, err = pgbell.ParseCursor(had); err != nil || fresh {
		j.gap = pgbell.GapCursor
	}
	return j
}

// replayStep is how many events a replay takes from the window at a time.
const replayStep = 64

// enter brings a session to the live stream, or has it wait for the stream.
func (h *Hub) enter(s *session, j *joining) {
	for {
		st := &h.stream
		st.lock()
		if !st.live {
			h.wait(s, j)
			st.unlock()
			return
		}
		foreign := !j.cursor.IsZero() && j.cursor.Epoch() != st.at.Epoch()
		if foreign && j.gap == "" {
			j.gap = pgbell.GapEpoch
		}
		if foreign || j.cursor.IsZero() {
			h.goLive(s, j)
			st.unlock()
			return
		}
		if j.reads == 0 {
			j.reads = st.reads
		}
		if !st.caughtUp(j) {
			h.wait(s, j)
			st.unlock()
			if h.o.Wake != nil {
				h.o.Wake()
			}
			return
		}
		if j.gap != "" {
			h.goLive(s, j)
			st.unlock()
			return
		}
		if st.window.serves(j.cursor) {
			from := st.window.floor
			st.unlock()
			if !h.replay(s, j, from) {
				return
			}
			continue
		}
		st.unlock()
		if !h.readHistory(s, j) {
			return
		}
	}
}

// caughtUp reports whether this node has delivered everything that the
// session's cursor contains. Otherwise the live stream would repeat some of it.
// A cursor from another node may be ahead of this one, but it is older than
// now: the second read from here begins after now and so sees all of it.
func (st *stream) caughtUp(j *joining) bool {
	return st.reads >= j.reads+2 || st.at.Covers(j.cursor, st.window.xid)
}

// wait keeps the session for the next complete read. The caller holds the
// stream.
func (h *Hub) wait(s *session, j *joining) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.joining == j {
		h.stream.waiting[s] = j
	}
}

// goLive makes the session live from the stream's present position on. The
// caller holds the stream and knows that nothing is left to replay.
func (h *Hub) goLive(s *session, j *joining) {
	st := &h.stream
	s.mu.Lock()
	if s.joining != j {
		s.mu.Unlock()
		return
	}
	if !j.told {
		at := st.cursor()
		if j.gap != "" {
			// Only the reset moves the client's cursor. If the connection is cut
			// between the two, it comes back with the old one and is told again.
			at = j.cursor.String()
		}
		s.push(s.proto.signal("authenticated", s.welcome(false), j.id, at))
	}
	if j.gap != "" {
		s.push(s.proto.signal("reset", resetData{Reason: j.gap}, nil, st.cursor()))
	}
	if s.closing {
		s.mu.Unlock()
		return
	}
	s.joining, s.live, s.pos, s.told = nil, true, st.seq, st.seq
	if s.arrived != nil {
		s.arrived()
	}
	rooms := tokenRooms(s.identity)
	s.mu.Unlock()
	for _, room := range rooms {
		h.rooms.join(s, room, 0)
	}
	h.o.Trace.joined(j.told && j.gap == "", j.sent, h.now()-j.began)
}

// resumed answers authenticated: what follows continues the client's cursor.
func (s *session) resumed(j *joining) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.joining != j {
		return false
	}
	if !j.told {
		j.told = true
		s.push(s.proto.signal("authenticated", s.welcome(true), j.id, j.cursor.String()))
	}
	return !s.closing
}

// replay sends the events of the window above seq that the session's cursor
// lacks, and makes the session live. It reports whether the session is still on
// its way, because the window has moved past it.
func (h *Hub) replay(s *session, j *joining, seq uint64) bool {
	if !s.resumed(j) {
		return false
	}
	r := replayer{hub: h, session: s, joining: j, cursor: j.cursor}
	st := &h.stream
	batch := make([]*entry, 0, replayStep)
	for {
		s.mu.Lock()
		rooms := append(tokenRooms(s.identity), everyone)
		s.mu.Unlock()
		st.lock()
		var whole bool
		batch, whole = st.window.after(batch[:0], rooms, seq, replayStep)
		if !whole || !st.live {
			// What was sent is in the cursor: from there it goes on, now or when
			// the stream does.
			j.cursor, j.reads = r.cursor, 0
			if !st.live {
				h.wait(s, j)
			}
			again := st.live
			st.unlock()
			return again
		}
		if len(batch) == 0 {
			h.goLive(s, j)
			st.unlock()
			return false
		}
		st.unlock()
		s.countMissed(j, batch)
		for _, en := range batch {
			if !r.send(en) {
				return false
			}
			seq = en.seq
		}
	}
}

// replayer names what one replay has delivered. In this node's order of
// delivery an event's own cursor says it, once that contains all of the
// client's. Up to there, when the client comes from a node with another order,
// it is the client's cursor and the event's in one.
type replayer struct {
	hub     *Hub
	session *session
	joining *joining
	cursor  pgbell.Cursor    // what the client has by now
	exact   bool             // the entries' own cursors say it
	looked  int              // how often that was found out
	read    *pgbell.Snapshot // with which it was last
}

// maxResumeCursor is the longest cursor, in characters, that a replay sends.
const maxResumeCursor = 8 << 10

// maxLooked is how many reads of the stream one replay compares with the
// client's cursor. Those of one that was not forged are few: what was read
// before the client had its cursor is in it.
const maxLooked = 64

// send sends an event of the window, if the client lacks it and may see it.
func (r *replayer) send(en *entry) bool {
	e := &en.event
	if r.joining.cursor.Contains(e.ID, e.XID) {
		return true
	}
	if read := e.Cursor.Snapshot(); !r.exact && read != r.read && r.looked < maxLooked {
		r.read = read
		r.looked++
		r.hub.stream.lock()
		r.exact = e.Cursor.Covers(r.joining.cursor, r.hub.stream.window.xid)
		r.hub.stream.unlock()
	}
	if r.exact {
		r.cursor = e.Cursor
		return r.session.replay(r.joining, e, en.frame)
	}
	r.cursor = r.joining.cursor.Union(e.Cursor)
	text := r.cursor.String()
	if len(text) > maxResumeCursor {
		return r.tooMany()
	}
	return r.session.replay(r.joining, e, func(p protocol, v view) []byte { return p.update(e, en.counted(v), text) })
}

// tooMany gives up naming what was delivered.
func (r *replayer) tooMany() bool {
	r.hub.stream.lock()
	defer r.hub.stream.unlock()
	r.joining.gap = pgbell.GapTooMany
	r.hub.goLive(r.session, r.joining)
	return false
}

// replay queues an event that the session missed, if it may see it, waiting
// for room in the queue. It reports false when the joining is over.
func (s *session) replay(j *joining, e *pgbell.Event, encode func(protocol, view) []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := viewOf(e, s.identity.UserID, addresses(e, s.identity))
	if v.op == "" || s.joining != j {
		return s.joining == j
	}
	frame := encode(s.proto, v)
	for s.bytes > 0 && s.bytes+len(frame) > s.hub.o.QueueBytes/2 && !s.closing {
		if s.space == nil {
			s.space = make(chan struct{})
		}
		space := s.space
		s.mu.Unlock()
		<-space
		s.mu.Lock()
	}
	if s.joining != j || !time.Now().Before(s.identity.ExpiresAt) {
		return false
	}
	j.sent++
	s.push(frame)
	return true
}

// historyPage is how many events are read from History at a time.
const historyPage = 1000

// readHistory sends what the session's cursor lacks from History, and moves the
// cursor. It reports whether the session is still on its way.
func (h *Hub) readHistory(s *session, j *joining) bool {
	if h.o.History == nil {
		j.gap = pgbell.GapRetention
		return true
	}
	if j.history >= h.o.HistoryEvents {
		j.gap = pgbell.GapTooMany
		return true
	}
	limit := min(historyPage, h.o.HistoryEvents-j.history)
	events, next, err := h.since(j.cursor, limit)
	var gap pgbell.Gap
	switch {
	case errors.As(err, &gap):
		j.gap = gap.Reason
		return true
	case err != nil:
		h.o.Logger.Warn("history cannot be read", "error", err)
		s.fail(errUnavailable, nil)
		return false
	case !s.resumed(j):
		return false
	}
	j.history += max(len(events), 1)
	unread := s.countHistory(events)
	for i := range events {
		e := &events[i]
		text := e.Cursor.String()
		if !s.replay(j, e, func(p protocol, v view) []byte { v.unread = unread; return p.update(e, v, text) }) {
			return false
		}
	}
	j.cursor, j.reads = next, 0
	if len(events) == limit {
		return h.readHistory(s, j)
	}
	return true
}

// since reads one page of History.
func (h *Hub) since(c pgbell.Cursor, limit int) ([]pgbell.Event, pgbell.Cursor, error) {
	ctx, cancel := context.WithTimeout(h.ctx, h.o.RequestTimeout)
	defer cancel()
	select {
	case h.readers <- struct{}{}:
		defer func() { <-h.readers }()
	case <-ctx.Done():
		return nil, pgbell.Cursor{}, context.Cause(ctx)
	}
	began := time.Now()
	events, next, err := h.o.History.Since(ctx, c, limit)
	var gap pgbell.Gap
	h.o.Trace.history(len(events), time.Since(began), err != nil && !errors.As(err, &gap))
	return events, next, err
}
