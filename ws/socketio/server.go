package socketio

import (
	"context"
	"net/http"
	"sync"

	"github.com/pgbell/pgbell/ws/socketio/engineio"
)

// Server serves Socket.IO at whatever path it is mounted; clients ask for
// /socket.io/ by default.
type Server struct {
	o      Options
	engine *engineio.Server
	wg     sync.WaitGroup // sockets that connect or disconnect

	mu         sync.RWMutex // guards what follows
	namespaces map[string]*Namespace
}

// NewServer makes a server without namespaces. [Server.Run] must run for
// deadlines to be kept.
func NewServer(o Options) *Server {
	s := &Server{o: o.withDefaults(), namespaces: make(map[string]*Namespace)}
	s.engine = engineio.NewServer(s.accept, s.o.Engine)
	return s
}

// Of returns a namespace, which exists from then on. Clients that name none
// mean "/". The handlers of a namespace are set before clients come.
func (s *Server) Of(name string) *Namespace {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.namespaces[name]
	if n == nil {
		n = newNamespace(s, name)
		s.namespaces[name] = n
	}
	return n
}

func (s *Server) find(name string) *Namespace {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.namespaces[name]
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.engine.ServeHTTP(w, r) }

// Run keeps all deadlines until ctx ends. It then drops every connection and
// returns nil once all are gone and their handlers have returned. A server runs
// once.
func (s *Server) Run(ctx context.Context) error {
	err := s.engine.Run(ctx)
	s.wg.Wait()
	return err
}

// Drain ends the server's work in order: no connection is accepted any more,
// and each client gets what waits for it and is closed, so that it comes back,
// to another server or later. It returns when all are gone, or with an error
// when ctx ends before; then the end of [Server.Run] drops the rest.
func (s *Server) Drain(ctx context.Context) error { return s.engine.Drain(ctx) }

// Connections is how many there are.
func (s *Server) Connections() int { return s.engine.Len() }
