package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pgbell/pgbell/bench/rig"
)

// attack is one way to be hostile, with one connection at a time.
type attack struct {
	name, door string
	// share divides the number of clients.
	share int
	// feed has a row change all the time that the user c2 owns.
	feed bool
	// user whose token the clients have. Default: each another.
	user string
	// do does it until the server ends the connection, or ctx ends. It calls
	// placed when it has what it can have.
	do func(ctx context.Context, h *hostile) error
}

// crowd is the clients of an attack.
type crowd struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	held   atomic.Int64 // connections that are placed
	ended  atomic.Int64 // connections that have ended
}

// hostile is one client.
type hostile struct {
	address, user, token string
	placed               func()
}

// again is how long a client waits that was cut off.
const again = 500 * time.Millisecond

// placing is how long the clients may take to be in place.
const placing = 15 * time.Second

// begin starts the clients and waits until each was in place once, or has been
// turned away.
func (a *attack) begin(ctx context.Context, r *rig.Rig, s *rig.Server, n int) (*crowd, error) {
	ctx, cancel := context.WithCancel(ctx)
	c := &crowd{cancel: cancel}
	var first sync.WaitGroup
	first.Add(n)
	for i := range n {
		h := &hostile{address: s.Address, user: a.user}
		if h.user == "" {
			h.user = fmt.Sprintf("hostile-%d", i)
		}
		var err error
		if h.token, err = r.Token(h.user); err != nil {
			cancel()
			return nil, err
		}
		c.wg.Go(func() { c.run(ctx, a, h, sync.OnceFunc(first.Done)) })
	}
	all := make(chan struct{})
	go func() {
		first.Wait()
		close(all)
	}()
	select {
	case <-all:
		return c, nil
	case <-time.After(placing):
		c.leave()
		return nil, errors.New("the clients do not get into place")
	}
}

// run attacks again and again.
func (c *crowd) run(ctx context.Context, a *attack, h *hostile, first func()) {
	defer first()
	for ctx.Err() == nil {
		here := false
		h.placed = func() {
			if !here {
				here = true
				c.held.Add(1)
			}
			first()
		}
		err := a.do(ctx, h)
		if here {
			c.held.Add(-1)
		}
		if ctx.Err() != nil {
			return
		}
		c.ended.Add(1)
		first()
		_ = err // that the server ends it is what is wanted
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
}

// leave cuts every connection.
func (c *crowd) leave() {
	c.cancel()
	c.wg.Wait()
}

// dial opens a TCP connection that ends with ctx.
func (h *hostile) dial(ctx context.Context) (*net.TCPConn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", h.address)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	return conn.(*net.TCPConn), nil
}

// head is the beginning of a request with the client's token: a line for the
// end is missing.
func (h *hostile) head(request string, more ...string) string {
	lines := append([]string{request + " HTTP/1.1", "Host: " + h.address, "Authorization: Bearer " + h.token}, more...)
	return strings.Join(lines, "\r\n") + "\r\n"
}

// trickle sends a byte a second until the connection ends.
func trickle(ctx context.Context, conn net.Conn) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if _, err := conn.Write([]byte("a")); err != nil {
			return err
		}
	}
}

// held waits until the server ends the connection.
func held(conn net.Conn) error {
	b := make([]byte, 512)
	for {
		if _, err := conn.Read(b); err != nil {
			return err
		}
	}
}

// both does something to a connection and ends with that, or with the server's
// end.
func both(conn net.Conn, do func() error) error {
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = held(conn)
		conn.Close()
	})
	err := do()
	conn.Close()
	wg.Wait()
	return err
}

// websocket opens one at a path. It ends with ctx.
func (h *hostile) websocket(ctx context.Context, path string, token bool) (*websocket.Conn, error) {
	header := http.Header{}
	if token {
		header.Set("Authorization", "Bearer "+h.token)
	}
	dialer := websocket.Dialer{
		HandshakeTimeout: lost, ReadBufferSize: 512, WriteBufferSize: 512,
		NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			if err == nil {
				err = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
			}
			return conn, err
		},
	}
	conn, response, err := dialer.DialContext(ctx, "ws://"+h.address+path, header)
	if response != nil {
		response.Body.Close()
	}
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	return conn, nil
}

// answer reads the head of an answer of HTTP, and its body if it is whole.
func answer(conn net.Conn) (*http.Response, error) {
	return http.ReadResponse(bufio.NewReaderSize(conn, 512), nil)
}
