package ws

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/pgbell/pgbell"
)

// pollProtocol is JSON envelopes for one answer. A frame says what it is, and
// tells its cursor apart from its text:
//
//	kind  length of the cursor  cursor  text
type pollProtocol struct{}

// The kinds of frames.
const (
	pollEvent  = 'e' // text is an envelope
	pollCursor = 'c' // the cursor alone counts
	pollEnd    = 'x' // text is the reason of the close
)

func pollFrame(kind byte, cursor string, size int) []byte {
	b := append(make([]byte, 0, 4+len(cursor)+size), kind)
	b = binary.AppendUvarint(b, uint64(len(cursor)))
	return append(b, cursor...)
}

func (pollProtocol) update(e *pgbell.Event, v view, cursor string) []byte {
	b := pollFrame(pollEvent, cursor, e.Size+256+len(cursor))
	head := len(b) // which is no text
	b = appendEnvelope(b, e, v, cursor)
	return append(b[:head:head], validText(b[head:])...)
}

// signal keeps what concerns whoever holds the rows. Of the rest, what is an
// error follows as the reason of the close.
func (pollProtocol) signal(event string, data any, id json.RawMessage, cursor string) []byte {
	if event != "reset" {
		return pollFrame(pollCursor, cursor, 0)
	}
	return appendSignal(pollFrame(pollEvent, cursor, 256), event, data, id, cursor)
}

func (pollProtocol) goodbye(_ int, reason string) []byte {
	return append(pollFrame(pollEnd, "", len(reason)), reason...)
}

// splitPollFrame takes a frame apart.
func splitPollFrame(b []byte) (kind byte, cursor string, text []byte) {
	n, head := binary.Uvarint(b[1:])
	rest := b[1+head:]
	return b[0], string(rest[:n]), rest[n:]
}

// The bounds of one answer.
const (
	pollEvents = 1000
	pollBytes  = 1 << 20
	pollWait   = 60 * time.Second
)

// poll is a session that lasts for one answer.
type poll struct {
	session
	woken chan struct{}

	limit  int
	events [][]byte
	bytes  int
	cursor string // where the client stands after events
	more   bool   // there is more than the answer takes
	ended  string // why the session is over, if it is: the code of an error
}

func newPoll(h *Hub, address string, limit int) *poll {
	p := &poll{woken: make(chan struct{}, 1), limit: limit}
	p.session = newSession(h, pollProtocol{}, p, TransportPoll, address)
	p.arrived = p.wake
	p.whole = true
	return p
}

// wake, sweep and abort implement peer.
func (p *poll) wake() {
	select {
	case p.woken <- struct{}{}:
	default:
	}
}

func (p *poll) sweep() {}

func (p *poll) abort() { p.end(CloseGoingAway, errDraining.Code, true) }

// full reports whether the answer takes no more.
func (p *poll) full() bool { return len(p.events) >= p.limit || p.bytes >= pollBytes }

// take adds a frame to the answer. It reports false if that is full.
func (p *poll) take(frame []byte) bool {
	kind, cursor, text := splitPollFrame(frame)
	switch kind {
	case pollEnd:
		p.ended = string(text)
		return true
	case pollEvent:
		if p.full() {
			p.more = true
			return false
		}
		p.events = append(p.events, text)
		p.bytes += len(text)
	}
	if cursor != "" {
		p.cursor = cursor
	}
	return true
}

// ask gets the answer and ends the session. It reports false if the client is
// gone.
func (p *poll) ask(ctx context.Context, wait time.Duration) bool {
	defer func() {
		p.lost()
		p.hub.finish(&p.session)
	}()
	there := p.collect(ctx, wait)
	p.settle()
	return there
}

// collect waits for what there is to tell: for the session to be live, as long
// as a request may take, and then for a first event. It reports false if the
// client is gone.
func (p *poll) collect(ctx context.Context, wait time.Duration) bool {
	began := time.Now()
	timer := time.NewTimer(p.hub.o.RequestTimeout)
	defer timer.Stop()
	b := batches.Get().(*batch)
	defer batches.Put(b)
	waiting := false // for events
	for {
		live := p.isLive() // before what waits is taken: all that was missed is there then
		for sent := 0; ; {
			frames, size, _ := p.next(b.frames[:0], sent)
			sent = size
			for _, f := range frames {
				if !p.take(f) {
					clear(frames)
					return true
				}
			}
			clear(frames)
			if len(frames) == 0 {
				break
			}
		}
		if p.ended != "" || p.full() || live && (len(p.events) > 0 || wait == 0) {
			return true
		}
		if live && !waiting {
			waiting = true
			timer.Reset(max(wait-time.Since(began), 0))
		}
		select {
		case <-p.woken:
		case <-timer.C:
			if !waiting {
				p.ended = errUnavailable.Code // not live in time
			}
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// settle takes what came last and moves the cursor on over what was not for it.
func (p *poll) settle() {
	st := &p.hub.stream
	st.lock()
	p.mu.Lock()
	for _, f := range p.frames {
		if p.more || !p.take(f) {
			break
		}
	}
	if p.live && !p.more && p.ended == "" && st.live && st.settled == st.seq {
		p.cursor = st.cursor()
	}
	p.mu.Unlock()
	st.unlock()
}

func (s *session) isLive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live
}
