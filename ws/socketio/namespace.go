package socketio

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// ErrRooms is returned if a socket is in too many rooms.
var ErrRooms = errors.New("too many rooms")

// Namespace is a part of a server, with its own handlers, sockets and rooms.
// What handles clients is set before they come, and not changed later.
type Namespace struct {
	server *Server
	name   string

	middleware   []func(context.Context, *Socket) error
	handlers     map[string]func(*Socket, *Event)
	other        func(*Socket, *Event)
	admit        func(*Socket)
	onConnect    func(*Socket)
	onDisconnect func(*Socket, Reason)
	onLeave      func(*Socket)

	mu      sync.RWMutex // guards what follows, and the rooms of all sockets
	sockets map[string]*Socket
	rooms   map[string]map[*Socket]struct{}
}

func newNamespace(s *Server, name string) *Namespace {
	return &Namespace{
		server: s, name: name,
		handlers: make(map[string]func(*Socket, *Event)),
		sockets:  make(map[string]*Socket), rooms: make(map[string]map[*Socket]struct{}),
	}
}

// Name is the namespace's name, "/" or longer.
func (n *Namespace) Name() string { return n.name }

// Use adds a check that every client passes before it is accepted, also one
// that recovers. The context ends with the client or after ConnectTimeout. A
// [*Refusal] is told to the client; of another error it learns nothing.
func (n *Namespace) Use(check func(context.Context, *Socket) error) {
	n.middleware = append(n.middleware, check)
}

// Admit sets what decides about each client that passed the middleware. It is
// called on the connection's reader, or on the middleware's goroutine, and must
// not block; then or later it calls [Socket.Accept] or [Socket.Refuse]. What it
// holds for the socket it gives up when [Socket.Context] ends.
// Default: every client is accepted as a new one.
func (n *Namespace) Admit(f func(*Socket)) { n.admit = f }

// OnConnect sets what is called for each accepted socket, before any of its
// events is handled.
func (n *Namespace) OnConnect(f func(*Socket)) { n.onConnect = f }

// OnDisconnect sets what is called when an accepted socket is over, once, after
// OnConnect has returned. A handler of the socket may still run.
func (n *Namespace) OnDisconnect(f func(*Socket, Reason)) { n.onDisconnect = f }

// OnLeave sets what is called, before OnDisconnect, for a socket that ended on
// purpose: its client left, or [Socket.Disconnect] was called. Its pid must not
// restore anything any more. Nothing more of the connection is handled until it
// returns, so it must not block.
func (n *Namespace) OnLeave(f func(*Socket)) { n.onLeave = f }

// On sets the handler of an event. A number's name is its JSON.
func (n *Namespace) On(event string, f func(*Socket, *Event)) { n.handlers[event] = f }

// OnOther sets the handler of events that have none. Default: they are ignored.
func (n *Namespace) OnOther(f func(*Socket, *Event)) { n.other = f }

func (n *Namespace) handle(s *Socket, e *Event) {
	f := n.handlers[e.Name]
	if f == nil {
		f = n.other
	}
	if f != nil {
		f(s, e)
	}
}

// disconnected tells of the end of a socket that was accepted.
func (n *Namespace) disconnected(s *Socket, r Reason) {
	if n.onDisconnect != nil {
		n.onDisconnect(s, r)
	}
	n.server.o.Trace.disconnected(n.name, r)
}

// add makes a socket known and returns the one that had its ID, if any.
func (n *Namespace) add(s *Socket) *Socket {
	n.mu.Lock()
	defer n.mu.Unlock()
	before := n.sockets[s.id]
	n.sockets[s.id] = s
	return before
}

// remove forgets a socket.
func (n *Namespace) remove(s *Socket) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if id := s.ID(); n.sockets[id] == s {
		delete(n.sockets, id)
	}
	for _, room := range s.rooms {
		n.leave(s, room)
	}
	s.rooms = nil
}

func (n *Namespace) leave(s *Socket, room string) {
	delete(n.rooms[room], s)
	if len(n.rooms[room]) == 0 {
		delete(n.rooms, room)
	}
}

// Join puts the socket into a room, which exists while somebody is in it. The
// error is [ErrRooms] or [ErrClosed].
func (s *Socket) Join(room string) error {
	n := s.namespace
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case s.isOver():
		return ErrClosed
	case slices.Contains(s.rooms, room):
		return nil
	case len(s.rooms) >= n.server.o.MaxRooms:
		return ErrRooms
	}
	s.rooms = append(s.rooms, room)
	if n.rooms[room] == nil {
		n.rooms[room] = make(map[*Socket]struct{})
	}
	n.rooms[room][s] = struct{}{}
	return nil
}

// Leave takes the socket out of a room.
func (s *Socket) Leave(room string) {
	n := s.namespace
	n.mu.Lock()
	defer n.mu.Unlock()
	if i := slices.Index(s.rooms, room); i >= 0 {
		s.rooms = slices.Delete(s.rooms, i, i+1)
		n.leave(s, room)
	}
}

// Rooms are the rooms that the socket is in, in the order in which it came.
func (s *Socket) Rooms() []string {
	s.namespace.mu.RLock()
	defer s.namespace.mu.RUnlock()
	return slices.Clone(s.rooms)
}

func (s *Socket) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}
