package socketio

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/pgbell/pgbell/ws/socketio/engineio"
)

// client is one connection, with its sockets in several namespaces. It is the
// receiver of the connection.
type client struct {
	server    *Server
	engine    *engineio.Socket
	handshake Handshake

	mu      sync.Mutex // guards what follows; taken before a namespace's
	sockets []*Socket  // that connect or are connected
	asked   bool       // a CONNECT came
	empty   time.Time  // since when there are no sockets; zero: there are
	closed  bool
	partial *partial // the packet whose binary data is coming; only the reader changes it
}

// partial is a packet of which binary data is missing.
type partial struct {
	packet incoming
	binary [][]byte
	bytes  int
	since  time.Time
}

func (s *Server) accept(engine *engineio.Socket, r *http.Request) engineio.Receiver {
	return &client{server: s, engine: engine, handshake: s.o.Handshake(r), empty: time.Now()}
}

// malformed ends the connection of a client that broke the protocol.
func (c *client) malformed() {
	c.server.o.Trace.malformed()
	c.engine.Fail(engineio.ParseError)
}

// Receive implements [engineio.Receiver].
func (c *client) Receive(data []byte, binary bool) {
	if binary {
		c.attach(data)
		return
	}
	p, err := decode(data)
	if err != nil || c.partial != nil || p.attachments > c.server.o.MaxAttachments || len(data) > c.server.o.MaxPacket {
		c.malformed()
		return
	}
	if p.attachments > 0 {
		c.setPartial(&partial{packet: p, bytes: len(data), since: time.Now()})
		return
	}
	c.handle(p, nil)
}

// attach takes a piece of binary data.
func (c *client) attach(data []byte) {
	w := c.partial
	if w == nil || w.bytes+len(data) > c.server.o.MaxPacket {
		c.malformed()
		return
	}
	w.binary = append(w.binary, slices.Clone(data))
	w.bytes += len(data)
	if len(w.binary) == w.packet.attachments {
		c.setPartial(nil)
		c.handle(w.packet, w.binary)
	}
}

func (c *client) setPartial(w *partial) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.partial = w
}

// handle handles a whole packet.
func (c *client) handle(p incoming, binary [][]byte) {
	if p.kind == typeConnect {
		c.connect(p)
		return
	}
	c.mu.Lock()
	asked, s := c.asked, c.find(p.namespace)
	c.mu.Unlock()
	if !asked {
		c.malformed()
		return
	}
	if s == nil {
		return // it crossed our disconnect
	}
	switch p.kind {
	case typeDisconnect:
		s.leave(ClientDisconnect)
	case typeEvent:
		s.receive(p, binary)
	case typeAck:
		s.acknowledged(p, binary)
	}
}

// find returns the socket in a namespace, or nil. The caller holds the mutex.
func (c *client) find(namespace string) *Socket {
	for _, s := range c.sockets {
		if s.namespace.name == namespace {
			return s
		}
	}
	return nil
}

// list is all sockets.
func (c *client) list() []*Socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.sockets)
}

// Sweep implements [engineio.Receiver].
func (c *client) Sweep(now time.Time) {
	timeout := c.server.o.ConnectTimeout
	// The sweep is everybody's: a client that is busy just now can wait for the
	// next, and others do not wait for it.
	if !c.mu.TryLock() {
		return
	}
	idle := !c.closed && !c.empty.IsZero() && now.Sub(c.empty) > timeout
	late := !c.closed && (idle && !c.asked || c.partial != nil && now.Sub(c.partial.since) > timeout)
	for _, s := range c.sockets {
		s.sweep(now)
	}
	c.mu.Unlock()
	switch {
	case late:
		c.malformed()
	case idle:
		c.engine.Close()
	}
}

// Closed implements [engineio.Receiver].
func (c *client) Closed(r engineio.Reason) {
	c.mu.Lock()
	c.closed, c.partial = true, nil
	c.mu.Unlock()
	for _, s := range c.list() {
		s.end(Reason(r))
	}
}
