package engineio

import (
	"bufio"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// closeUpgrade is the close code of a WebSocket to which no socket moved.
const closeUpgrade = 1000

// newUpgrader makes what turns requests into WebSockets. Origins are checked
// before, with all other requests.
func newUpgrader(s *Server) websocket.Upgrader {
	return websocket.Upgrader{
		ReadBufferSize:  256,      // what one idle connection keeps
		WriteBufferPool: noPool{}, // gorilla writes nothing but the handshake
		CheckOrigin:     func(*http.Request) bool { return true },
		Error: func(w http.ResponseWriter, _ *http.Request, _ int, _ error) {
			s.refuse(w, errBadRequest)
		},
	}
}

// use makes the WebSocket the transport of a new socket.
func (s *Socket) use(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn, c.socket = c, s
	c.wake()
	if s.ended {
		c.shut(s.reason.closeCode())
	}
	s.server.wg.Go(c.next)
}

// serveUpgrade takes a WebSocket to which a polling client wants to move.
func (s *Server) serveUpgrade(w http.ResponseWriter, r *http.Request, socket *Socket) {
	c := s.newConn(w, r)
	if c == nil {
		return
	}
	c.socket = socket
	c.probeBy = time.Now().Add(s.o.UpgradeTimeout)
	socket.mu.Lock()
	defer socket.mu.Unlock()
	if socket.ended || socket.conn != nil || socket.probe != nil {
		_ = c.net.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = c.net.Write(closeFrame(closeUpgrade)) // into an empty buffer
		c.abort()
		return
	}
	socket.probe = c
	s.wg.Go(c.next)
}

// takeProbe handles a packet of a WebSocket that is not in use.
func (c *conn) takeProbe(p packet) {
	s := c.socket
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.probe != c || s.ended:
	case p.kind == typePing && string(p.data) == "probe" && !c.probed:
		c.probed = true
		c.push(frameProbed)
		if s.poll != nil && !s.poll.patient {
			s.answerNoop()
		}
	case p.kind == typeUpgrade && c.probed && s.posting:
		s.abortLocked(ParseError) // its order would be lost
	case p.kind == typeUpgrade && c.probed:
		c.move()
	default:
		c.shut(websocket.CloseProtocolError)
	}
}

// move brings the WebSocket into use.
func (c *conn) move() {
	s := c.socket
	if s.poll != nil {
		s.poll.refusal = errBadRequest
		close(s.poll.ready)
		s.poll = nil
	}
	s.conn, s.probe, s.prior = c, nil, nil
	c.probeBy = time.Time{}
	s.server.o.Trace.upgraded()
	if len(s.queue) > 0 {
		c.wake()
	}
}

// giveUp ends a WebSocket that is not in use.
func (c *conn) giveUp() {
	c.socket.mu.Lock()
	defer c.socket.mu.Unlock()
	c.shut(websocket.CloseProtocolError)
}

// newConn turns a request into a WebSocket. If that fails it has answered, and
// returns nil.
func (s *Server) newConn(w http.ResponseWriter, r *http.Request) *conn {
	grabber := &hijacker{ResponseWriter: w}
	ws, err := s.upgrader.Upgrade(grabber, r, nil)
	if err != nil {
		return nil
	}
	grabber.conn.muted = true
	c := &conn{ws: ws, net: grabber.conn.Conn}
	ws.SetReadLimit(s.o.MaxPayload)
	ws.SetPingHandler(c.pinged)
	ws.SetPongHandler(func(string) error { return nil })
	ws.SetCloseHandler(func(int, string) error { return nil })
	return c
}

// noPool has no buffers to give.
type noPool struct{}

func (noPool) Get() any { return nil }
func (noPool) Put(any)  {}

// mute is the connection under gorilla's: once muted it swallows what gorilla
// writes of its own accord. The answers to protocol errors are the socket's.
type mute struct {
	net.Conn
	muted bool
}

func (m *mute) Write(b []byte) (int, error) {
	if m.muted {
		return len(b), nil
	}
	return m.Conn.Write(b)
}

// hijacker puts a mute under the connection that gorilla takes over.
type hijacker struct {
	http.ResponseWriter
	conn *mute
}

// Hijack implements [http.Hijacker].
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	raw, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.conn = &mute{Conn: raw}
	return h.conn, rw, nil
}
