package ws

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// conn is a session's WebSocket. gorilla reads its frames; everything that is
// written, control frames included, goes through the session's queue, so that
// frames never interleave and a stuck client holds up nobody but its own
// writer. The writer is a goroutine that exists only while there is something
// to write.
//
// A connection is over when both directions are: the reading one at a close
// frame or an error, the writing one after the last frame or an error.
type conn struct {
	session
	ws      *websocket.Conn
	net     net.Conn
	release func() // gives back the connection's place

	heard   atomic.Int64 // hub time of the last frame received
	started atomic.Int64 // hub time at which the present write began; 0: none
	goodbye atomic.Int64 // hub time at which the last frame was written; 0: not yet
	halves  atomic.Int32 // directions that are over
	pinged  int64        // hub time of the last ping; only the sweeper uses it
}

// mute is the connection under gorilla's: once muted it swallows what gorilla
// writes of its own accord. The answers to protocol errors are the session's.
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

// attach makes the WebSocket the session's peer.
func (c *conn) attach(ws *websocket.Conn, raw net.Conn) {
	c.ws, c.net = ws, raw
	c.heard.Store(int64(c.hub.now()))
	ws.SetReadLimit(c.hub.o.MaxMessage)
	ws.SetPingHandler(func(data string) error {
		c.heard.Store(int64(c.hub.now()))
		if c.isClosing() {
			return nil
		}
		if !c.allow() {
			c.fail(errRateLimited, nil)
			return nil
		}
		c.control(websocket.PongMessage, data)
		return nil
	})
	ws.SetPongHandler(func(string) error {
		c.heard.Store(int64(c.hub.now()))
		return nil
	})
	ws.SetCloseHandler(func(int, string) error { return nil })
}

// control queues a control frame.
func (c *conn) control(opcode byte, data string) {
	frame := sealFrame(append(newFrame(len(data)), data...), opcode)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.push(frame)
}

// messages keeps buffers for incoming messages.
var messages = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// read handles one message and leaves the next to a goroutine of its own: an
// idle connection then keeps the small stack of one that only ever waited.
func (c *conn) read() {
	kind, r, err := c.ws.NextReader()
	if err == nil {
		message := messages.Get().(*bytes.Buffer)
		message.Reset()
		if _, err = message.ReadFrom(r); err == nil {
			c.heard.Store(int64(c.hub.now()))
			c.message(kind, message.Bytes())
		}
		messages.Put(message)
	}
	if err == nil {
		go c.read()
		return
	}
	c.readFailed(err)
}

func (c *conn) message(kind int, message []byte) {
	switch {
	case c.isClosing():
	case kind != websocket.TextMessage:
		c.fail(errBinary, nil)
	case !utf8.Valid(message): // gorilla does not check
		c.fail(errNotUTF8, nil)
	default:
		c.handle(message)
	}
}

// readFailed ends the reading direction.
func (c *conn) readFailed(err error) {
	var closed *websocket.CloseError
	var network net.Error
	switch {
	case errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure:
		c.end(closed.Code, "", false)
	case errors.Is(err, websocket.ErrReadLimit):
		c.fail(errMessageTooLarge, nil)
		c.discard()
	case closed == nil && !errors.As(err, &network) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe):
		c.fail(errProtocol, nil)
		c.discard()
	default:
		if c.lost() {
			c.half()
		}
		c.abort()
	}
	c.half()
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

// half ends one direction.
func (c *conn) half() {
	if c.halves.Add(1) < 2 {
		return
	}
	c.abort()
	c.release()
	c.hub.finish(&c.session)
}

// wake implements peer.
func (c *conn) wake() { go c.write() }

// batches keeps the lists of frames that are being written.
var batches = sync.Pool{New: func() any { return &batch{} }}

type batch struct {
	frames [maxBatch][]byte
	joined []byte // the frames in one piece, where the connection takes no list
}

// write sends what waits, batch by batch, and ends.
func (c *conn) write() {
	b := batches.Get().(*batch)
	sent, last := 0, false
	for !last {
		var frames net.Buffers
		frames, sent, last = c.next(b.frames[:0], sent)
		if len(frames) == 0 {
			break
		}
		n := len(frames)
		c.started.Store(int64(c.hub.now()))
		err := c.writeFrames(b, frames)
		c.started.Store(0)
		clear(b.frames[:n])
		if err != nil {
			c.lost()
			c.abort()
			c.half()
			return
		}
		c.hub.o.Trace.written(n, sent)
	}
	batches.Put(b)
	if last {
		c.goodbye.Store(int64(c.hub.now()))
		c.half()
	}
}

// writeFrames is one system call on a plain socket and one record with TLS.
func (c *conn) writeFrames(b *batch, frames net.Buffers) error {
	switch c.net.(type) {
	case *net.TCPConn, *net.UnixConn:
		_, err := frames.WriteTo(c.net)
		return err
	}
	if len(frames) == 1 {
		_, err := c.net.Write(frames[0])
		return err
	}
	b.joined = b.joined[:0]
	for _, f := range frames {
		b.joined = append(b.joined, f...)
	}
	_, err := c.net.Write(b.joined)
	if cap(b.joined) > 2*writeBatch {
		b.joined = nil
	}
	return err
}

// sweep implements peer.
func (c *conn) sweep() {
	now, o := int64(c.hub.now()), &c.hub.o
	if began := c.started.Load(); began != 0 && now-began > int64(o.WriteTimeout) {
		c.abort()
		return
	}
	if said := c.goodbye.Load(); said != 0 {
		if now-said > int64(o.CloseTimeout) {
			c.abort()
		}
		return
	}
	heard := c.heard.Load()
	switch silence := time.Duration(now - heard); {
	case silence > o.PingInterval+o.PongTimeout:
		c.abort()
	case silence > o.PingInterval && c.pinged <= heard:
		c.pinged = now
		c.control(websocket.PingMessage, "")
	}
}

// abort implements peer.
func (c *conn) abort() {
	if secure, ok := c.net.(*tls.Conn); ok {
		secure.NetConn().Close() // without the alert, which could block
		return
	}
	c.net.Close()
}
