package socketio

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"

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
		c.sockets = append(c.sockets, s)
	}
	c.mu.Unlock()
	switch {
	case twice:
		c.malformed()
	case n == nil:
		c.refuse(p.namespace, errNamespace)
	case s != nil:
		c.server.wg.Go(s.connect)
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

// connect asks middleware and recoverer, and answers.
func (s *Socket) connect() {
	defer close(s.ready)
	n := s.namespace
	ctx, cancel := context.WithTimeout(s.ctx, n.server.o.ConnectTimeout)
	defer cancel()
	session, err := n.admit(ctx, s)
	if err != nil {
		refusal := errMiddleware
		_ = errors.As(err, &refusal)
		if s.end(refused) {
			s.client.refuse(n.name, refusal)
		}
		return
	}
	if session.ID == "" {
		session.ID = rand.Text()
	}
	if s.establish(session) && n.onConnect != nil {
		n.onConnect(s)
	}
}

// admit asks whether the socket may connect, and as whom.
func (n *Namespace) admit(ctx context.Context, s *Socket) (Session, error) {
	for _, check := range n.middleware {
		if err := check(ctx, s); err != nil {
			return Session{}, err
		}
	}
	if n.recoverer == nil {
		return Session{}, nil
	}
	return n.recoverer.Restore(ctx, s, resumeOf(s.auth))
}

// resumeOf reads what a client that comes back adds to its auth. One that has
// no offset has nothing to go on from, and asks for nothing.
func resumeOf(auth json.RawMessage) Resume {
	var asked struct {
		PID    *string `json:"pid"`
		Offset *string `json:"offset"`
	}
	if json.Unmarshal(auth, &asked) != nil || asked.PID == nil || asked.Offset == nil {
		return Resume{}
	}
	return Resume{PID: *asked.PID, Offset: *asked.Offset}
}

// establish answers that the socket is connected and opens it to events. It
// reports false if the socket is over already.
func (s *Socket) establish(session Session) bool {
	c, n := s.client, s.namespace
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
	s.id, s.recovered, s.connected = session.ID, session.Recovered, true
	if s.offset == "" {
		s.offset = session.Offset
	}
	c.engine.Send(frame)
	s.mu.Unlock()
	before := n.add(s)
	c.mu.Unlock()
	if before != nil {
		// The same client, whose old connection is not known to be broken yet.
		before.client.engine.Fail(engineio.TransportError)
	}
	n.server.o.Trace.connected(n.name, session.Recovered)
	return true
}
