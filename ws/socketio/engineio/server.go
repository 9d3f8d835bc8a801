package engineio

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Receiver is what a [Socket] reports to. Its methods may send on the socket
// and close it.
type Receiver interface {
	// Receive handles one message. The socket has one call at a time, in the
	// order in which the client sent; the next waits, and so does the client.
	// The bytes are valid until it returns. Text is valid UTF-8.
	Receive(data []byte, binary bool)
	// Sweep is called again and again, every second by default, to see to
	// deadlines. It must not block. It may be called during Receive, and once
	// more after Closed.
	Sweep(now time.Time)
	// Closed is the last call but for that, and comes once, after Receive has
	// returned.
	Closed(reason Reason)
}

// Server serves Engine.IO at whatever path it is mounted.
type Server struct {
	o        Options
	accept   func(*Socket, *http.Request) Receiver
	upgrader websocket.Upgrader
	wg       sync.WaitGroup // sockets, and goroutines on their behalf

	mu       sync.Mutex // guards what follows; taken after a socket's own
	sockets  map[string]*Socket
	places   int // of sockets, those that are being opened included
	draining bool
	empty    chan struct{} // closed when draining and no socket is left
}

// NewServer makes a server. accept is called for each new socket and must not
// block; what it sends comes right after the handshake. It must not keep the
// request. [Server.Run] must run for deadlines to be kept.
func NewServer(accept func(*Socket, *http.Request) Receiver, o Options) *Server {
	s := &Server{o: o.withDefaults(), accept: accept, sockets: make(map[string]*Socket)}
	s.upgrader = newUpgrader(s)
	return s
}

// Run keeps the deadlines of all sockets until ctx ends. It then drops every
// socket and returns nil once all are gone. A server runs once.
func (s *Server) Run(ctx context.Context) error {
	tick := time.NewTicker(s.o.sweepInterval())
	defer tick.Stop()
	var sockets []*Socket
	for {
		select {
		case <-tick.C:
			sockets = s.all(sockets[:0])
			now := time.Now()
			for _, socket := range sockets {
				socket.sweep(now)
			}
			clear(sockets)
		case <-ctx.Done():
			s.stop()
			for _, socket := range s.all(nil) {
				socket.abort(Shutdown)
			}
			s.wg.Wait()
			return nil
		}
	}
}

// Drain ends the server's work in order: no socket is opened any more, and
// each client gets what waits for it and is closed. It returns when all are
// gone, or with an error when ctx ends before; then the end of [Server.Run]
// drops the rest.
func (s *Server) Drain(ctx context.Context) error {
	empty := s.stop()
	for _, socket := range s.all(nil) {
		socket.close(Shutdown)
	}
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("drain: %d sockets left: %w", s.Len(), context.Cause(ctx))
	}
}

// stop refuses new sockets from now on.
func (s *Server) stop() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.draining {
		s.draining, s.empty = true, make(chan struct{})
		if s.places == 0 {
			close(s.empty)
		}
	}
	return s.empty
}

// Len is how many sockets there are, those that open or close included.
func (s *Server) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.places
}

// all appends every socket to list.
func (s *Server) all(list []*Socket) []*Socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, socket := range s.sockets {
		list = append(list, socket)
	}
	return list
}

// find returns the socket with an ID, or nil.
func (s *Server) find(id string) *Socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sockets[id]
}

// reserve takes a place for a socket, or says why there is none.
func (s *Server) reserve() *Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.draining:
		return errStopping
	case s.places >= s.o.MaxSockets:
		return errFull
	}
	s.places++
	s.wg.Add(1)
	return nil
}

// publish makes a socket known, unless the server has begun to stop.
func (s *Server) publish(socket *Socket) *Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return errStopping
	}
	s.sockets[socket.id] = socket
	return nil
}

// vacate gives a place back. The ID is that of the socket that had it, if it
// was published.
func (s *Server) vacate(id string) {
	s.mu.Lock()
	delete(s.sockets, id)
	s.places--
	if s.draining && s.places == 0 {
		close(s.empty)
	}
	s.mu.Unlock()
	s.wg.Done()
}

// newSocket makes a socket that greets.
func (s *Server) newSocket(upgrades []Transport, release func()) *Socket {
	socket := &Socket{server: s, id: rand.Text(), opened: time.Now(), admitted: release}
	socket.pingAt = socket.opened.Add(s.o.PingInterval)
	socket.enqueue(s.greeting(socket.id, upgrades))
	return socket
}
