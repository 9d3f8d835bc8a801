package engineio

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// poll is a request that waits for packets.
type poll struct {
	frames  []Frame  // set before ready is closed
	refusal *Refusal // instead of frames
	ready   chan struct{}
	// patient is a request that came while the client was moving to WebSocket.
	// It may have overtaken the packet that completes the move, for the two go
	// by different connections. So it waits a little for that.
	patient bool
	// repeats says that frames are those of the answer before, which did not
	// arrive.
	repeats bool
	// tag is what the client put into the request to keep it out of caches: as
	// good as a name, for it is never the same. From is where it came from.
	tag, from string
}

// again reports whether p is the request q once more. A browser sends one again
// by itself, on another connection, when the connection breaks on which no
// answer had come. Only on another: then a client whose tags are no names, such
// as seconds of the clock, has nothing repeated that arrived.
func (p *poll) again(q *poll) bool {
	return q != nil && p.tag != "" && p.tag == q.tag && p.from != q.from
}

// maxTag bounds what is kept of a request.
const maxTag = 64

// patience is how long such a request waits.
const patience = 100 * time.Millisecond

// servePoll answers with all that waits, as soon as there is something.
func (s *Server) servePoll(w http.ResponseWriter, r *http.Request, socket *Socket) {
	p, refusal := socket.startPoll(r)
	if refusal != nil {
		s.refuse(w, refusal)
		return
	}
	if !p.wait(r.Context(), socket) {
		socket.abort(TransportError)
		return
	}
	if p.refusal != nil {
		s.refuse(w, p.refusal)
		return
	}
	size := sizeOf(p.frames)
	if !s.writePayload(w, appendPayload(make([]byte, 0, size), p.frames)) {
		socket.abort(TransportError)
	}
	if !p.repeats {
		socket.mu.Lock()
		socket.sent(size)
		socket.mu.Unlock()
	}
	s.o.Trace.written(len(p.frames), size)
}

// wait waits for the answer and reports whether the client is still there.
func (p *poll) wait(ctx context.Context, s *Socket) bool {
	if p.patient {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-p.ready:
			return true
		case <-timer.C:
			s.patienceEnds(p)
		case <-ctx.Done():
			return false
		}
	}
	select {
	case <-p.ready:
		return true
	case <-ctx.Done():
		return false
	}
}

// patienceEnds has a request answered that need not wait for a move any more.
func (s *Socket) patienceEnds(p *poll) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.patient = false
	if s.poll == p && s.probe != nil && s.probe.probed {
		s.answerNoop()
	}
}

// writePayload answers with a payload and reports whether that worked.
func (s *Server) writePayload(w http.ResponseWriter, payload []byte) bool {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(payload)))
	control := http.NewResponseController(w)
	// A server in tests may have no deadlines to set.
	_ = control.SetWriteDeadline(time.Now().Add(s.o.WriteTimeout))
	if _, err := w.Write(payload); err != nil {
		return false
	}
	if err := control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return false
	}
	_ = control.SetWriteDeadline(time.Time{})
	return true
}

// startPoll makes the request the one that waits.
func (s *Socket) startPoll(r *http.Request) (*poll, *Refusal) {
	p := &poll{ready: make(chan struct{}), tag: strings.Clone(r.URL.Query().Get("t")), from: r.RemoteAddr}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.finished:
		return nil, errUnknownID
	case s.conn != nil:
		return nil, errBadRequest
	case s.poll != nil:
		s.failLocked(ParseError)
		return nil, errBadRequest
	case !s.beat(time.Now()):
		s.abortLocked(PingTimeout)
		return nil, errUnknownID
	}
	prior := s.prior
	s.prior = nil
	if p.again(prior) {
		p.frames, p.repeats = prior.frames, true
		close(p.ready)
		s.prior = p
		return p, nil
	}
	p.patient = s.probe != nil
	s.poll = p
	if s.ended || len(s.queue) > 0 {
		s.answer()
	}
	return p, nil
}

// answer gives the waiting request all that waits, and the end if this is it.
// The caller holds the mutex.
func (s *Socket) answer() {
	if s.ended {
		s.enqueue(s.goodbye)
	}
	s.poll.frames = s.queue
	s.queue = nil
	close(s.poll.ready)
	if s.poll.tag != "" && len(s.poll.tag) <= maxTag {
		s.prior = s.poll
	}
	s.poll = nil
	if s.ended {
		s.finish()
	}
}

// answerNoop frees the waiting request, so that the client can leave polling.
func (s *Socket) answerNoop() {
	s.enqueue(frameNoop)
	s.answer()
}

// servePost takes packets.
func (s *Server) servePost(w http.ResponseWriter, r *http.Request, socket *Socket) {
	if refusal := socket.startPost(); refusal != nil {
		s.refuse(w, refusal)
		return
	}
	refusal := s.takePayload(w, r, socket)
	// Before the answer, for the client's next request may follow that at once.
	socket.mu.Lock()
	socket.posting = false
	socket.mu.Unlock()
	if refusal != nil {
		s.refuse(w, refusal)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html")
	h.Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, "ok")
}

// startPost makes the request the one that is read.
func (s *Socket) startPost() *Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return errUnknownID
	case s.conn != nil:
		return errBadRequest
	case s.posting:
		s.failLocked(ParseError)
		return errBadRequest
	case !s.beat(time.Now()):
		s.abortLocked(PingTimeout)
		return errUnknownID
	}
	s.posting = true
	return nil
}

func (s *Server) takePayload(w http.ResponseWriter, r *http.Request, socket *Socket) *Refusal {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && kind == "application/octet-stream" {
		socket.Fail(ParseError)
		return errBadRequest
	}
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.o.MaxPayload))
	if err != nil {
		// Something of the stream is missing, so it cannot go on.
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			socket.Fail(ParseError)
			return errTooLarge
		}
		socket.Fail(TransportError)
		return errBadRequest
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	for p, err := range packets(payload) {
		if err != nil || !socket.takePolled(p) {
			socket.Fail(ParseError)
			return errBadRequest
		}
		if p.kind == typeClose {
			break
		}
	}
	return nil
}

// takePolled handles a packet that came by polling, and reports whether it is
// one that may.
func (s *Socket) takePolled(p packet) bool {
	if !s.allow() {
		return false
	}
	switch p.kind {
	case typeMessage:
		s.deliver(p.data, p.binary)
	case typePong:
		s.ponged()
	case typeClose:
		s.leave()
	case typeNoop:
	default:
		return false
	}
	return true
}
