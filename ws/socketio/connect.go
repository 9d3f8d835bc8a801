package socketio

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/pgbell/pgbell/ws/socketio/engineio"
)

// Refusal is why a client may not connect to a namespace. The client gets it as
// connect_error and does not try again by itself.
type Refusal struct {
	// Message is for the client's author.
	Message string `json:"message"`
	// Data is whatever else the client should know, as JSON. Default: nothing.
	Data any `json:"data,omitempty"`
}

// Error implements error.
func (r *Refusal) Error() string { return r.Message }

var (
	errNamespace  = &Refusal{Message: "Invalid namespace"}
	errNamespaces = &Refusal{Message: "Too many namespaces"}
	// What else middleware returns is none of the client's business.
	errMiddleware = &Refusal{Message: "Connection refused"}
)

// connect answers a client that asks for a namespace.
func (c *client) connect(p incoming) {
	n := c.server.find(p.namespace)
	c.mu.Lock()
	c.asked = true
	twice := c.find(p.namespace) != nil
	full := len(c.sockets) >= c.server.o.MaxNamespaces
	var s *Socket
	if n != nil && !twice && !full && !c.closed {
		s = newSocket(c, n, p.auth)
		c.sockets, c.empty = append(c.sockets, s), time.Time{}
	}
	c.mu.Unlock()
	switch {
	case twice:
		c.malformed()
	case n == nil:
		c.refuse(p.namespace, errNamespace)
	case s != nil:
		s.connect()
	default:
		c.refuse(p.namespace, errNamespaces)
	}
}

// refuse tells that a namespace is not open.
func (c *client) refuse(namespace string, r *Refusal) {
	c.server.o.Trace.refused(r.Message)
	frame, err := header{kind: typeConnectError, namespace: namespace}.object(r)
	if err != nil { // Data that is no JSON
		frame, err = header{kind: typeConnectError, namespace: namespace}.object(&Refusal{Message: r.Message})
	}
	if err == nil {
		c.engine.Send(frame)
	}
}

// connect asks middleware, and then whoever decides.
func (s *Socket) connect() {
	n := s.namespace
	if n.admit != nil && len(n.middleware) == 0 {
		n.admit(s)
		return
	}
	n.server.wg.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, n.server.o.ConnectTimeout)
		defer cancel()
		for _, check := range n.middleware {
			if err := check(ctx, s); err != nil {
				s.Refuse(err)
				return
			}
		}
		if n.admit == nil {
			s.Accept(Session{})
			return
		}
		n.admit(s)
	})
}

// Refuse tells the client that it may not connect, which it takes as final. A
// [*Refusal] is told to it; of another error it learns nothing. A socket that
// was accepted is not refused any more.
func (s *Socket) Refuse(err error) {
	s.mu.Lock()
	connected := s.connected
	s.mu.Unlock()
	if connected {
		return
	}
	refusal := errMiddleware
	_ = errors.As(err, &refusal)
	if s.end(refused) {
		s.client.refuse(s.namespace.name, refusal)
	}
}

// Accept answers that the socket is connected, calls OnConnect and opens the
// socket to events, both ways. It reports false if the socket is over, or was
// accepted before.
func (s *Socket) Accept(session Session) bool {
	c, n := s.client, s.namespace
	if session.ID == "" {
		session.ID = rand.Text()
	}
	frame, err := header{kind: typeConnect, namespace: n.name}.object(struct {
		ID  string `json:"sid"`
		PID string `json:"pid,omitempty"`
	}{session.ID, session.PID})
	if err != nil {
		return false // cannot be: there is nothing that JSON lacks
	}
	c.mu.Lock()
	if c.closed || !slices.Contains(c.sockets, s) {
		c.mu.Unlock()
		return false
	}
	s.mu.Lock()
	if s.connected {
		s.mu.Unlock()
		c.mu.Unlock()
		return false
	}
	s.id, s.recovered, s.connected = session.ID, session.Recovered, true
	s.tells, s.offset = session.PID != "", session.Offset
	c.engine.Send(frame)
	s.mu.Unlock()
	before := n.add(s)
	c.mu.Unlock()
	if before != nil {
		// The same client, whose old connection is not known to be broken yet.
		before.client.engine.Fail(engineio.TransportError)
	}
	n.server.o.Trace.connected(n.name, session.Recovered)
	if n.onConnect != nil {
		n.onConnect(s)
	}
	close(s.ready)
	return true
}
