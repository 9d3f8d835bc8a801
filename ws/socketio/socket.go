package socketio

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/pgbell/pgbell/ws/socketio/engineio"
)

// ErrClosed is returned for a socket that takes nothing any more.
var ErrClosed = engineio.ErrClosed

// Reason is why a socket is over: one of those of [engineio.Reason], or one of
// these.
type Reason string

const (
	// ClientDisconnect is a client that left the namespace.
	ClientDisconnect Reason = "client namespace disconnect"
	// ServerDisconnect is a call of [Socket.Disconnect].
	ServerDisconnect Reason = "server namespace disconnect"
	// refused is a socket that was not accepted.
	refused Reason = "refused"
)

// Socket is one client in one namespace. All methods may be called at any time,
// by many at once.
type Socket struct {
	// Data is the application's. It is for those that have an order between
	// them: middleware, OnConnect and handlers.
	Data any

	client    *client
	namespace *Namespace
	auth      json.RawMessage
	ctx       context.Context //nolint:containedctx // ends with the socket
	cancel    context.CancelCauseFunc
	ready     chan struct{} // closed when OnConnect has returned

	rooms []string // kept by the namespace

	mu        sync.Mutex // guards what follows; taken after a namespace's
	id        string
	connected bool
	recovered bool
	over      bool
	tells     bool   // an offset with every event
	offset    string // that the client has, once all that waits is sent
	acks      map[uint64]*pending
	nextAck   uint64
}

func newSocket(c *client, n *Namespace, auth json.RawMessage) *Socket {
	s := &Socket{client: c, namespace: n, auth: auth, ready: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s
}

// ID names the socket to clients; it is no secret. It is known from OnConnect
// on.
func (s *Socket) ID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

// Recovered reports whether the socket goes on from an earlier connection. It
// is known from OnConnect on.
func (s *Socket) Recovered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recovered
}

// Auth is what the client sent to connect, a JSON object. That of a client that
// comes back includes pid and offset.
func (s *Socket) Auth() json.RawMessage { return s.auth }

// Resume is what a client that comes back asks for.
func (s *Socket) Resume() Resume { return resumeOf(s.auth) }

// Handshake is the request that opened the connection. It must not be changed.
func (s *Socket) Handshake() *Handshake { return &s.client.handshake }

// Namespace is where the socket is.
func (s *Socket) Namespace() *Namespace { return s.namespace }

// Transport is how the client is connected now.
func (s *Socket) Transport() engineio.Transport { return s.client.engine.Transport() }

// Context ends with the socket, also with one that was never accepted. Its
// cause tells the reason.
func (s *Socket) Context() context.Context { return s.ctx }

// Emit sends an event. A []byte among the arguments, or anywhere in a
// map[string]any or []any, is sent as binary data; everything else as
// encoding/json has it. The error is [ErrReserved], [ErrArguments] or
// [ErrClosed].
func (s *Socket) Emit(event string, args ...any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.namespace.encode(event, args, s.tells, s.offset)
	if err != nil {
		return err
	}
	if !s.write(p) {
		return ErrClosed
	}
	return nil
}

// Write sends an encoded packet of the socket's namespace. It never blocks, and
// reports false if the socket takes none: any more, or before it is accepted. A
// client keeps what comes before the answer until it is connected, however many
// connections later.
func (s *Socket) Write(p Packet) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.write(p)
}

func (s *Socket) write(p Packet) bool {
	if s.over || !s.connected || !s.client.engine.Send(p.Frames...) {
		return false
	}
	if p.Offset != "" {
		s.offset = p.Offset
	}
	return true
}

// WriteWhenRoom waits until what waits for the client is at most half of what
// may, and writes. It is for replays. The error is [ErrClosed] or the context's.
func (s *Socket) WriteWhenRoom(ctx context.Context, p Packet) error {
	if err := s.client.engine.WaitForRoom(ctx, p.size()); err != nil {
		return err
	}
	if !s.Write(p) {
		return ErrClosed
	}
	return nil
}

// Flush waits until all that was written to the connection has left. It is for
// those who keep a queue of their own. The error is [ErrClosed] or the
// context's.
func (s *Socket) Flush(ctx context.Context) error { return s.client.engine.Flush(ctx) }

// Offset is the last one that the client was told, or will be.
func (s *Socket) Offset() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.offset
}

// Disconnect tells the client to leave the namespace, which it takes as final.
// Its other namespaces stay.
func (s *Socket) Disconnect() {
	if s.leave(ServerDisconnect) {
		text := header{kind: typeDisconnect, namespace: s.namespace.name}.append(nil)
		s.client.engine.Send(engineio.TextMessage(text))
	}
}

// Close ends the connection, with all namespaces, once what waits was sent. The
// client comes back by itself, and may recover.
func (s *Socket) Close() { s.client.engine.Close() }

// Abort ends the connection, with all namespaces, at once.
func (s *Socket) Abort() { s.client.engine.Abort() }

// leave is an end on purpose: nobody expects the socket back.
func (s *Socket) leave(r Reason) bool {
	first := s.end(r)
	if first && s.namespace.onLeave != nil {
		s.namespace.onLeave(s)
	}
	return first
}

// end is the end of the socket; the first caller gets true.
func (s *Socket) end(r Reason) bool {
	c, n := s.client, s.namespace
	c.mu.Lock()
	i := slices.Index(c.sockets, s)
	if i < 0 {
		c.mu.Unlock()
		return false
	}
	c.sockets = slices.Delete(c.sockets, i, i+1)
	if len(c.sockets) == 0 {
		c.empty = time.Now()
	}
	s.mu.Lock()
	s.over = true // before it is removed, so that it joins no room any more
	connected, acks := s.connected, s.acks
	s.acks = nil
	s.mu.Unlock()
	c.mu.Unlock()
	n.remove(s) // after it was added, for that happens with the client locked
	s.cancel(errors.New(string(r)))
	if !connected {
		return true
	}
	n.server.wg.Go(func() {
		<-s.ready
		for _, a := range acks {
			a.answer(nil, ErrClosed)
		}
		n.disconnected(s, r)
	})
	return true
}

// sweep sees to deadlines. It must not block.
func (s *Socket) sweep(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, a := range s.acks {
		if now.After(a.until) {
			delete(s.acks, id)
			s.namespace.server.wg.Go(func() { a.answer(nil, ErrAckTimeout) })
		}
	}
}

// receive handles an event.
func (s *Socket) receive(p incoming, binary [][]byte) {
	s.mu.Lock()
	connected := s.connected
	s.mu.Unlock()
	if !connected {
		return // no client asks before it was answered
	}
	select {
	case <-s.ready:
	case <-s.ctx.Done():
		return
	}
	e := &Event{Name: p.name(), Args: argsOf(p.values[1:], binary), socket: s, id: p.id, wantsAck: p.hasID}
	s.namespace.handle(s, e)
}

func argsOf(values []json.RawMessage, binary [][]byte) Args {
	args := make(Args, len(values))
	for i, v := range values {
		args[i] = Arg{raw: v, binary: binary}
	}
	return args
}
