package engineio

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// conn is a WebSocket of a socket. gorilla reads its frames. Everything that is
// written, control frames included, goes through one writer, a goroutine that
// exists only while there is something to write.
//
// The connection is over when both directions are: the reading one at a close
// frame or an error, the writing one after the last frame or an error. The
// socket's mutex guards all fields but the first three.
type conn struct {
	socket *Socket
	ws     *websocket.Conn
	net    net.Conn

	probed  bool      // the client asked whether it can move here
	probeBy time.Time // when a probe is given up

	urgent  []Frame   // goes before the socket's queue; at most a few
	pong    Frame     // the answer to the last ping of WebSocket
	bye     Frame     // the last frame, once the connection is to end
	shutBy  time.Time // when a connection that ends is dropped; zero: it does not
	writing bool
	began   time.Time // when the present write began; zero: none
	read    bool      // the reading direction is over
	written bool      // the writing direction is over
}

// writeBatch is how many bytes at most leave in one write, give or take a
// frame, and maxBatch how many frames.
const (
	writeBatch = 64 << 10
	maxBatch   = 256
)

// wake starts the writer if it does not run.
func (c *conn) wake() {
	if c.writing || c.written {
		return
	}
	c.writing = true
	c.socket.server.wg.Go(c.write)
}

// push queues a frame before the socket's own.
func (c *conn) push(f Frame) {
	if c.bye == nil && c.shutBy.IsZero() {
		c.urgent = append(c.urgent, f)
		c.wake()
	}
}

// shut ends the connection after what waits.
func (c *conn) shut(code uint16) {
	if !c.shutBy.IsZero() {
		return
	}
	c.bye = closeFrame(code)
	c.shutBy = time.Now().Add(c.socket.server.o.CloseTimeout)
	c.wake()
}

// abort drops the connection without ceremony.
func (c *conn) abort() {
	if secure, ok := c.net.(*tls.Conn); ok {
		_ = secure.NetConn().Close() // without the alert, which could block
		return
	}
	_ = c.net.Close()
}

// sweep sees to the connection's deadlines.
func (c *conn) sweep(now time.Time) {
	switch {
	case !c.began.IsZero() && now.Sub(c.began) > c.socket.server.o.WriteTimeout,
		!c.shutBy.IsZero() && now.After(c.shutBy):
		c.abort()
	case !c.probeBy.IsZero() && now.After(c.probeBy):
		c.shut(closeUpgrade)
	}
}

// half ends a direction. The connection is over with the second.
func (c *conn) half(direction *bool) {
	if *direction {
		return
	}
	*direction = true
	if !c.read || !c.written {
		return
	}
	c.abort()
	s := c.socket
	if s.conn == c {
		s.endLocked(TransportClose)
		s.finish()
		return
	}
	if s.probe == c {
		s.probe = nil
	}
}

// messages keeps buffers for incoming messages.
var messages = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// keptMessage is how large a buffer may be that is kept.
const keptMessage = 64 << 10

// next handles one frame and leaves the rest to a goroutine of its own: an idle
// connection then keeps the small stack of one that only ever waited.
func (c *conn) next() {
	kind, r, err := c.ws.NextReader()
	if err == nil {
		message := messages.Get().(*bytes.Buffer)
		message.Reset()
		if _, err = message.ReadFrom(r); err == nil {
			c.message(kind, message.Bytes())
		}
		if message.Cap() <= keptMessage {
			messages.Put(message)
		}
	}
	if err == nil {
		c.socket.server.wg.Go(c.next)
		return
	}
	c.failed(err)
}

// failed ends the reading direction.
func (c *conn) failed(err error) {
	s := c.socket
	var closed *websocket.CloseError
	var network net.Error
	broken := errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) || websocket.IsCloseError(err, websocket.CloseAbnormalClosure)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case broken:
		if s.conn == c {
			s.drop()
			s.endLocked(TransportError)
		}
		c.lost()
	case errors.As(err, &closed):
		if s.conn == c {
			s.drop()
			s.endLocked(TransportClose)
		}
		c.shut(websocket.CloseNormalClosure)
	default: // the client broke the protocol, or its message is too large
		if errors.Is(err, websocket.ErrReadLimit) {
			c.shut(websocket.CloseMessageTooBig)
		}
		if s.conn == c {
			s.failLocked(ParseError)
		}
		c.shut(websocket.CloseProtocolError)
		s.mu.Unlock()
		c.discard()
		s.mu.Lock()
	}
	c.half(&c.read)
}

// lost ends the connection without a word, for nobody is there to hear it.
func (c *conn) lost() {
	c.bye = nil
	if c.shutBy.IsZero() {
		c.shutBy = time.Now()
	}
	if !c.writing {
		c.half(&c.written)
	}
	c.abort()
}

// discard reads on until the other side has closed: closing a socket with
// unread input resets it, and the close frame could be lost with it.
func (c *conn) discard() {
	var b [512]byte
	for {
		if _, err := c.net.Read(b[:]); err != nil {
			return
		}
	}
}

// message handles a message of the WebSocket.
func (c *conn) message(kind int, data []byte) {
	s := c.socket
	if !s.allow() {
		return
	}
	p, err := packet{kind: typeMessage, binary: true, data: data}, error(nil)
	if kind == websocket.TextMessage {
		if !utf8.Valid(data) { // gorilla does not check
			err = errPayload
		} else {
			p, err = decodeText(data)
		}
	}
	s.mu.Lock()
	inUse := s.conn == c
	s.mu.Unlock()
	switch {
	case err != nil && inUse:
		s.Fail(ParseError)
	case err != nil:
		c.giveUp()
	case inUse:
		c.take(p)
	default:
		c.takeProbe(p)
	}
}

// take handles a packet of the WebSocket in use.
func (c *conn) take(p packet) {
	s := c.socket
	switch p.kind {
	case typeMessage:
		s.deliver(p.data, p.binary)
	case typePong:
		s.ponged()
	case typeClose:
		s.close(TransportClose)
	case typeNoop:
	default:
		s.Fail(ParseError)
	}
}

// pinged answers a ping of WebSocket. Of several that wait for an answer only
// the last gets one, as RFC 6455 section 5.5.3 allows.
func (c *conn) pinged(data string) error {
	if !c.socket.allow() {
		return nil
	}
	b := make([]byte, maxHeader, maxHeader+len(data))
	pong := seal(append(b, data...), opPong)
	c.socket.mu.Lock()
	defer c.socket.mu.Unlock()
	if c.shutBy.IsZero() {
		c.pong = pong
		c.wake()
	}
	return nil
}
