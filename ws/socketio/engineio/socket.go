package engineio

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// ErrClosed is returned for a socket that takes no message any more.
var ErrClosed = errors.New("socket is closed")

// Socket is one client's connection. All methods may be called at any time, by
// many at once.
type Socket struct {
	server   *Server
	id       string
	opened   time.Time
	admitted func() // takes back what Admit counted
	receiver Receiver
	base64   bool // the client takes no binary frames

	mu        sync.Mutex // guards what follows
	queue     []Frame
	bytes     int           // of queue, and of what is being written
	space     chan struct{} // closed when there is room again; nil if nobody waits
	packets   *rate.Limiter
	receiving bool // the receiver has a message
	posting   bool // a request of the client is being read

	poll  *poll // the request that waits
	prior *poll // the one answered last, if it can be told when it comes again
	conn  *conn // the WebSocket in use; nil: polling
	probe *conn // the WebSocket that may come into use

	pingAt time.Time // when the next ping is due, or was
	pinged bool      // the ping was sent and not answered

	ended    bool // nothing is accepted any more
	reported bool // the receiver was told, or will be
	finished bool // forgotten by the server
	reason   Reason
	goodbye  Frame     // polling: what ends the last answer
	closeBy  time.Time // when a closing socket is dropped
}

// ID names the socket. It is secret: who has it can take part.
func (s *Socket) ID() string { return s.id }

// Transport is how the client is connected now.
func (s *Socket) Transport() Transport {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.transport()
}

func (s *Socket) transport() Transport {
	if s.conn != nil {
		return WebSocket
	}
	return Polling
}

// Send queues frames, with nothing of others between them. It never blocks. It
// reports false if the socket takes none any more; a socket whose queue is
// over its bound is cut and takes none.
func (s *Socket) Send(frames ...Frame) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.send(frames)
}

func (s *Socket) send(frames []Frame) bool {
	if s.ended {
		return false
	}
	size := sizeOf(frames)
	if s.bytes > 0 && s.bytes+size > s.server.o.QueueBytes {
		s.drop()
		s.endLocked(SlowClient)
		return false
	}
	for _, f := range frames {
		s.enqueue(f)
	}
	s.wake()
	return true
}

func (s *Socket) enqueue(f Frame) {
	s.queue = append(s.queue, f)
	s.bytes += len(f)
}

func sizeOf(frames []Frame) (n int) {
	for _, f := range frames {
		n += len(f)
	}
	return n
}

// WaitForRoom waits until size more bytes leave the queue at most half full, or
// the queue is empty. It is for those who have much to send and can wait, such
// as a replay. The error is [ErrClosed] or the context's.
func (s *Socket) WaitForRoom(ctx context.Context, size int) error {
	return s.waitUntil(ctx, func() bool { return s.bytes == 0 || s.bytes+size <= s.server.o.QueueBytes/2 })
}

// Flush waits until all that was sent has left: by WebSocket it was written, by
// polling it was the answer to a request. It is for those who keep a queue of
// their own. The error is [ErrClosed] or the context's.
func (s *Socket) Flush(ctx context.Context) error {
	return s.waitUntil(ctx, func() bool { return s.bytes == 0 })
}

// waitUntil waits for something that comes true when frames leave. It is asked
// with the mutex held.
func (s *Socket) waitUntil(ctx context.Context, happened func() bool) error {
	for {
		s.mu.Lock()
		if s.ended {
			s.mu.Unlock()
			return ErrClosed
		}
		if happened() {
			s.mu.Unlock()
			return nil
		}
		if s.space == nil {
			s.space = make(chan struct{})
		}
		space := s.space
		s.mu.Unlock()
		select {
		case <-space:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// wake has the transport take what waits. The caller holds the mutex.
func (s *Socket) wake() {
	switch {
	case s.conn != nil:
		s.conn.wake()
	case s.poll != nil && len(s.queue) > 0:
		s.answer()
	}
}

// sent gives back the room that size bytes took.
func (s *Socket) sent(size int) {
	s.bytes -= size
	s.signalSpace()
}

func (s *Socket) signalSpace() {
	if s.space != nil {
		close(s.space)
		s.space = nil
	}
}

// drop forgets what waits.
func (s *Socket) drop() {
	s.bytes -= sizeOf(s.queue)
	s.queue = nil
}

// deliver hands a message to the receiver.
func (s *Socket) deliver(data []byte, binary bool) {
	s.mu.Lock()
	if s.ended || s.receiving {
		s.mu.Unlock()
		return
	}
	s.receiving = true
	s.server.wg.Add(1)
	s.mu.Unlock()
	defer s.server.wg.Done()

	s.server.o.Trace.received(len(data))
	s.receiver.Receive(data, binary)

	s.mu.Lock()
	s.receiving = false
	report := s.ended && !s.reported
	if report {
		s.reported = true
	}
	s.mu.Unlock()
	if report {
		s.receiver.Closed(s.reason)
	}
}

// ponged takes the answer to a ping. An answer to none changes nothing.
func (s *Socket) ponged() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pinged {
		s.pinged, s.pingAt = false, time.Now().Add(s.server.o.PingInterval)
	}
}

// allow reports whether the client may send another packet now, and cuts it if
// not.
func (s *Socket) allow() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.packets == nil {
		limit := s.server.o.PacketRate
		s.packets = rate.NewLimiter(rate.Limit(limit), max(1, int(limit)))
	}
	if !s.packets.Allow() {
		s.drop()
		s.endLocked(RateLimited)
		return false
	}
	return true
}

// beat sends the ping if it is due and reports whether the client is still
// thought to be there. The caller holds the mutex.
func (s *Socket) beat(now time.Time) bool {
	timeout := s.server.o.PingTimeout
	switch {
	case s.ended || now.Before(s.pingAt):
	case s.pinged:
		return now.Before(s.pingAt.Add(timeout))
	default:
		if now.Sub(s.pingAt) > timeout/2 {
			s.pingAt = now // it is this server that was late
		}
		s.pinged = true
		s.send([]Frame{framePing})
	}
	return true
}

// sweep sees to the socket's deadlines.
func (s *Socket) sweep(now time.Time) {
	s.mu.Lock()
	switch {
	case s.ended && now.After(s.closeBy):
		s.abortLocked(s.reason)
	case !s.beat(now):
		s.abortLocked(PingTimeout)
	}
	for _, c := range [...]*conn{s.conn, s.probe} {
		if c != nil {
			c.sweep(now)
		}
	}
	s.mu.Unlock()
	s.receiver.Sweep(now)
}
