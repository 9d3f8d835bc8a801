package engineio

import (
	"net"
	"sync"
	"time"
)

// batches keeps the lists of frames that are being written.
var batches = sync.Pool{New: func() any { return &batch{} }}

type batch struct {
	frames [maxBatch][]byte
	joined []byte // the frames in one piece, where the connection takes no list
}

// write sends what waits, batch by batch, and ends.
func (c *conn) write() {
	s := c.socket
	b := batches.Get().(*batch)
	defer batches.Put(b)
	for queued := 0; ; {
		s.mu.Lock()
		s.sent(queued)
		c.began = time.Time{}
		var frames net.Buffers
		frames, queued = c.collect(b.frames[:0])
		if len(frames) == 0 {
			c.writing = false
			if !c.shutBy.IsZero() {
				c.half(&c.written)
			}
			s.mu.Unlock()
			return
		}
		c.began = time.Now()
		s.mu.Unlock()

		n := len(frames)
		size, err := c.writeFrames(b, frames)
		clear(b.frames[:n])
		if err != nil {
			c.broke(queued)
			return
		}
		s.server.o.Trace.written(n, size)
	}
}

// collect takes the frames of the next write, and tells how many bytes of them
// count as waiting in the socket's queue. The caller holds the mutex.
func (c *conn) collect(frames net.Buffers) (_ net.Buffers, queued int) {
	if c.pong != nil {
		frames = append(frames, c.pong)
		c.pong = nil
	}
	for _, f := range c.urgent {
		frames = append(frames, f)
	}
	c.urgent = nil
	s := c.socket
	if s.conn == c {
		n := 0
		for n < len(s.queue) && len(frames) < maxBatch && queued < writeBatch {
			f := s.queue[n]
			queued += len(f)
			if s.base64 {
				f = f.asText()
			}
			frames = append(frames, f)
			s.queue[n] = nil
			n++
		}
		if n == len(s.queue) {
			s.queue = nil // an idle socket keeps no buffer
		} else {
			s.queue = s.queue[n:]
		}
	}
	if len(frames) == 0 && c.bye != nil {
		frames = append(frames, c.bye)
		c.bye = nil
	}
	return frames, queued
}

// broke ends the writing direction, and the connection with it.
func (c *conn) broke(queued int) {
	s := c.socket
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent(queued)
	c.began, c.writing, c.bye = time.Time{}, false, nil
	c.half(&c.written)
	if s.conn == c {
		s.drop()
		s.endLocked(TransportError)
	}
	c.abort()
}

// writeFrames is one system call on a plain socket and one record with TLS.
func (c *conn) writeFrames(b *batch, frames net.Buffers) (int, error) {
	switch c.net.(type) {
	case *net.TCPConn, *net.UnixConn:
		n, err := frames.WriteTo(c.net)
		return int(n), err
	}
	if len(frames) == 1 {
		return c.net.Write(frames[0])
	}
	b.joined = b.joined[:0]
	for _, f := range frames {
		b.joined = append(b.joined, f...)
	}
	n, err := c.net.Write(b.joined)
	if cap(b.joined) > 2*writeBatch {
		b.joined = nil
	}
	return n, err
}
