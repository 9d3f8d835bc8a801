package ws

import (
	"encoding/json"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/ws/auth"
)

// session is one client of the hub, whatever protocol it speaks: who it is,
// where it stands in the stream, and what waits to be sent to it.
//
//	new ──token──▶ joining ──caught up──▶ live ──▶ closing ──▶ finished
//	 └───────────────┴───────────────any error──────▲
type session struct {
	hub    *Hub
	proto  protocol
	peer   peer
	id     string
	opened time.Duration // on the hub's clock
	// transport is the door that the session came through, for whoever counts.
	transport string
	address   string // the client's
	// arrived is called when the session becomes live, under its mutex: it must
	// not block and must not call the session. Nil for peers that only send
	// what they are given.
	arrived func()
	// whole asks for every change, where others get only the latest of a row
	// within a while.
	whole bool

	// requests limits the client's messages. Only the reader uses it and the
	// next field.
	requests *rate.Limiter
	resume   string // the cursor of a client that authenticates without one

	mu       sync.Mutex // guards what follows; see rooms for the lock order
	identity auth.Identity
	counted  string    // the user under whom the session is counted
	finished bool      // the hub has let go of it
	joining  *joining  // set while the session is on its way to the live stream
	live     bool      // events are offered to it
	pos      uint64    // seq of the last event considered
	told     uint64    // seq up to which the client has a cursor
	rooms    []string  // kept by rooms
	held     *heldBack // nil while no row is in its window
	queue
}

// queue is what waits to be sent. The session's mutex guards it.
type queue struct {
	frames  [][]byte
	bytes   int           // of frames, and of those being written
	writing bool          // the peer was woken and has not come to an end
	closing bool          // nothing is taken any more
	code    int           // the close code, if closing
	reason  string        // what the client is told with it
	space   chan struct{} // closed when there is room again; nil if nobody waits
}

// writeBatch is how many bytes at most leave in one write, give or take a
// frame, and maxBatch how many frames.
const (
	writeBatch = 64 << 10
	maxBatch   = 256
)

// push queues a frame, or cuts a session that has too much waiting. The caller
// holds the mutex.
func (s *session) push(frame []byte) {
	if s.closing {
		return
	}
	if s.bytes > 0 && s.bytes+len(frame) > s.hub.o.QueueBytes {
		s.hub.o.Trace.slow()
		s.hub.failures.note(errTooSlow, s.transport, s.identity.UserID)
		s.endLocked(errTooSlow.Close, errTooSlow.Code, false)
		return
	}
	s.frames = append(s.frames, frame)
	s.bytes += len(frame)
	if !s.writing {
		s.writing = true
		s.peer.wake()
	}
}

// next gives back the size bytes that the peer has sent and takes the frames
// for its next write. None means that the peer is done; last, that it is done
// for good.
func (s *session) next(batch net.Buffers, sent int) (_ net.Buffers, size int, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes -= sent
	s.signalSpace()
	n := 0
	for n < len(s.frames) && n < maxBatch && size < writeBatch {
		batch = append(batch, s.frames[n])
		size += len(s.frames[n])
		s.frames[n] = nil
		n++
	}
	if n == len(s.frames) {
		s.frames = nil // an idle session keeps no buffer
	} else {
		s.frames = s.frames[n:]
	}
	if n == 0 && !s.closing {
		s.writing = false
	}
	return batch, size, n == 0 && s.closing
}

func (s *session) signalSpace() {
	if s.space != nil && (s.closing || s.bytes <= s.hub.o.QueueBytes/2) {
		close(s.space)
		s.space = nil
	}
}

// end closes the session with a last frame. With flush, what waits is sent
// before it; otherwise it is dropped.
func (s *session) end(code int, reason string, flush bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(code, reason, flush)
}

func (s *session) endLocked(code int, reason string, flush bool) {
	if s.closing {
		return
	}
	if !flush {
		s.drop()
	}
	goodbye := s.proto.goodbye(code, reason)
	s.frames = append(s.frames, goodbye)
	s.bytes += len(goodbye)
	if !s.writing {
		s.writing = true
		s.peer.wake()
	}
	s.shut(code, reason)
}

func (s *session) shut(code int, reason string) {
	s.closing, s.live, s.joining, s.held, s.code, s.reason = true, false, nil, nil, code, reason
	s.signalSpace()
}

func (s *session) drop() {
	for _, f := range s.frames {
		s.bytes -= len(f)
	}
	s.frames = nil
}

func (s *session) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// lost closes the session without a word, because nobody is there to hear it.
// It reports whether the peer is not writing and never will again.
func (s *session) lost() (idle bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop()
	if !s.closing {
		s.shut(1006, "")
	}
	idle = !s.writing
	s.writing = true
	return idle
}

// tell sends everything that is not an event.
func (s *session) tell(event string, data any, id json.RawMessage) {
	frame := s.proto.signal(event, data, id, "")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.push(frame)
}

// fail tells of an error, and closes the session if the error does.
func (s *session) fail(err *Error, id json.RawMessage) {
	s.hub.failed(err, s.transport, s.user())
	s.tell("error", err, id)
	if err.Close != 0 {
		s.end(err.Close, err.Code, true)
	}
}

// refuse tells of a token that was refused and closes the session.
func (s *session) refuse(err *Error, id json.RawMessage) {
	s.hub.authFailed(err, s.transport, s.user())
	s.tell("auth_error", err, id)
	s.end(err.Close, err.Code, true)
}

// user is who the session belongs to; empty before anybody knows.
func (s *session) user() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.identity.UserID
}

// memo keeps the views of one user, without and with a watching role, so that
// they are found once for all the user's sessions.
type memo struct {
	user  string
	known [2]bool
	views [2]view
}

func (m *memo) view(e *pgbell.Event, watcher bool) view {
	i := 0
	if watcher {
		i = 1
	}
	if !m.known[i] {
		m.known[i], m.views[i] = true, viewOf(e, m.user, watcher)
	}
	return m.views[i]
}

// offer gives the session an event that found it in a room: the room of the
// user m.user, or of a role if that is empty. It decides by the identity that
// the session has now, whatever room it was found in, and considers an event
// once. It reports whether the session gets it.
func (s *session) offer(en *entry, m *memo, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.live || s.pos >= en.seq || !now.Before(s.identity.ExpiresAt) {
		return false
	}
	if m.user != "" && m.user != s.identity.UserID {
		return false
	}
	s.pos = en.seq
	v := m.view(&en.event, addresses(&en.event, s.identity))
	if s.debounces(en) {
		s.offerHeld(en, v)
		return v.op != ""
	}
	if v.op == "" {
		return false
	}
	s.told = en.seq
	s.push(en.frame(s.proto, v))
	return true
}

// allow reports whether the client may send another message now.
func (s *session) allow() bool {
	if s.requests == nil {
		s.requests = rate.NewLimiter(rate.Limit(s.hub.o.MessageRate), s.hub.o.MessageBurst)
	}
	return s.requests.Allow()
}

// sweep sees to the session's deadlines.
func (s *session) sweep(now time.Duration, wall time.Time) {
	s.mu.Lock()
	stranger := s.identity.UserID == ""
	expires := s.identity.ExpiresAt
	closing := s.closing
	s.mu.Unlock()
	switch {
	case closing:
	case stranger && now-s.opened > s.hub.o.AuthTimeout:
		s.refuse(errAuthTimeout, nil)
	case !stranger && !wall.Before(expires):
		s.refuse(errTokenExpired, nil)
	}
	s.peer.sweep()
}
