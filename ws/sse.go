package ws

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pgbell/pgbell"
)

// eventStreamProtocol is server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html): the name,
// the data and the cursor of an envelope are event, data and id.
type eventStreamProtocol struct{}

func (eventStreamProtocol) update(e *pgbell.Event, v view, cursor string) []byte {
	b := appendHead(make([]byte, 0, e.Size+256+len(cursor)), eventName(e, v), cursor)
	return endMessage(appendData(b, e, v), len(b))
}

func (eventStreamProtocol) signal(event string, data any, _ json.RawMessage, cursor string) []byte {
	b := appendHead(make([]byte, 0, 256), event, cursor)
	return endMessage(append(b, plainJSON(data)...), len(b))
}

// goodbye is an event of its own, for there is no close code, with the time to
// come back if the reason has one.
func (eventStreamProtocol) goodbye(code int, reason string) []byte {
	var b []byte
	if wait, ok := strings.CutPrefix(reason, retryHint); ok {
		b = append(append(append(b, "retry: "...), wait...), '\n')
	}
	b = appendHead(b, "close", "")
	return endMessage(append(b, plainJSON(closeData{code, reason})...), len(b))
}

// retryHint begins the reason of a [CloseGoingAway].
const retryHint = "retry-after-ms="

// closeData is the data of close.
type closeData struct {
	Code   int    `json:"code"`
	Reason string `json:"reason"`
}

func appendHead(b []byte, event, cursor string) []byte {
	b = append(append(append(b, "event: "...), event...), '\n') // a word
	if cursor != "" {
		b = append(append(append(b, "id: "...), cursor...), '\n')
	}
	return append(b, "data: "...)
}

// endMessage ends a message whose data begin at head. They are one line:
// outside of strings JSON may be broken anywhere, and within them it cannot be.
func endMessage(b []byte, head int) []byte {
	data := validText(b[head:])
	for i, c := range data {
		if c == '\n' || c == '\r' {
			data[i] = ' '
		}
	}
	b = append(b[:head:head], data...)
	return append(b, '\n', '\n')
}

// keepalive is a comment.
var keepalive = []byte(":\n\n")

// firstRetry is what a stream begins with: after how many milliseconds to come
// back when it is cut.
const firstRetry = 2000

// eventStream is a session's server-sent events. The handler's goroutine
// writes; it lives as long as the request does.
type eventStream struct {
	session
	w     http.ResponseWriter
	out   *http.ResponseController
	woken chan struct{}
	wrote atomic.Int64 // hub time of the last write

	guard   sync.Mutex // guards what follows
	aborted bool
	over    bool // the request is; w must not be touched any more
}

var errAborted = errors.New("the connection was dropped")

func newEventStream(h *Hub, w http.ResponseWriter, address string) *eventStream {
	p := &eventStream{w: w, out: http.NewResponseController(w), woken: make(chan struct{}, 1)}
	p.session = newSession(h, eventStreamProtocol{}, p, TransportEvents, address)
	p.wrote.Store(int64(h.now()))
	return p
}

// wake implements peer.
func (p *eventStream) wake() {
	select {
	case p.woken <- struct{}{}:
	default:
	}
}

// sweep implements peer. Nobody answers a comment; but a write that meets no
// reader fails in the end, and proxies close what is silent.
func (p *eventStream) sweep() {
	now := p.hub.now()
	if now-time.Duration(p.wrote.Load()) < p.hub.o.PingInterval {
		return
	}
	p.wrote.Store(int64(now))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.push(keepalive)
}

// abort implements peer.
func (p *eventStream) abort() {
	p.guard.Lock()
	defer p.guard.Unlock()
	p.aborted = true
	if !p.over {
		_ = p.out.SetWriteDeadline(time.Unix(1, 0)) // ends a write that hangs
	}
	p.wake()
}

// begin sends the head of the stream.
func (p *eventStream) begin() error {
	eventStreamHeader(p.w.Header())
	p.w.WriteHeader(http.StatusOK)
	return p.write([][]byte{[]byte("retry: " + strconv.Itoa(firstRetry) + "\n\n")})
}

func eventStreamHeader(header http.Header) {
	header.Set("Content-Type", "text/event-stream; charset=utf-8")
	header.Set("Cache-Control", "no-store, no-transform")
	header.Set("X-Accel-Buffering", "no") // nginx would wait for more
}

// run writes what waits until the session or the request ends.
func (p *eventStream) run(ctx context.Context) {
	b := batches.Get().(*batch)
	defer batches.Put(b)
	for {
		select {
		case <-p.woken:
		case <-ctx.Done():
			return
		}
		for sent := 0; ; {
			frames, size, last := p.next(b.frames[:0], sent)
			sent = size
			if last {
				return
			}
			if len(frames) == 0 {
				break
			}
			err := p.write(frames)
			n := len(frames)
			clear(b.frames[:n])
			if err != nil {
				return
			}
			p.hub.o.Trace.written(n, sent)
		}
	}
}

// write sends frames within WriteTimeout.
func (p *eventStream) write(frames [][]byte) error {
	if err := p.deadline(); err != nil {
		return err
	}
	for _, f := range frames {
		if _, err := p.w.Write(f); err != nil {
			return err
		}
	}
	p.wrote.Store(int64(p.hub.now()))
	return p.out.Flush()
}

func (p *eventStream) deadline() error {
	p.guard.Lock()
	defer p.guard.Unlock()
	if p.aborted {
		return errAborted
	}
	return p.out.SetWriteDeadline(time.Now().Add(p.hub.o.WriteTimeout))
}

// finish is called when the handler returns.
func (p *eventStream) finish() {
	p.guard.Lock()
	p.over = true
	p.guard.Unlock()
	p.lost()
	p.hub.finish(&p.session)
}

// refuseStream tells of an error to an EventSource, which gives up on whatever
// is no stream: with one that says when to come back, or by 204 if there is no
// use in coming back.
func refuseStream(w http.ResponseWriter, err *Error) {
	if !err.Retryable {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	eventStreamHeader(w.Header())
	w.WriteHeader(http.StatusOK)
	wait := 5000 + rand.N(5000)
	proto := eventStreamProtocol{}
	_, _ = w.Write([]byte("retry: " + strconv.Itoa(wait) + "\n\n"))
	_, _ = w.Write(proto.signal("error", err, nil, ""))
	code := err.Close
	if code == 0 {
		code = websocket.CloseTryAgainLater
	}
	_, _ = w.Write(proto.goodbye(code, err.Code))
}
