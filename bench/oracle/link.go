package oracle

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// link is a TCP proxy with faults to order: it can cut its connections at any
// byte, hold them, and let little through.
type link struct {
	listener net.Listener
	target   atomic.Pointer[string]
	buffer   int // receive buffer towards the target, in bytes; 0 is the system's
	wg       sync.WaitGroup
	cuts     atomic.Int64

	mu     sync.Mutex // guards what follows
	conns  map[*pair]struct{}
	closed bool
	// budget is how many bytes still pass, up and down together, before all
	// connections are cut; negative for no end.
	budget int64
	reset  bool          // the cut is a RST, not a FIN
	held   chan struct{} // closed when a stall ends; nil while nothing is held
	rate   int           // bytes a second towards the client; 0 is no bound
}

// pair is a connection and the one behind it.
type pair struct{ client, server net.Conn }

func newLink(ctx context.Context, buffer int) (*link, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &link{listener: listener, buffer: buffer, conns: make(map[*pair]struct{}), budget: -1}
	l.wg.Go(l.accept)
	return l, nil
}

func (l *link) address() string { return l.listener.Addr().String() }

// to sets where new connections go.
func (l *link) to(address string) { l.target.Store(&address) }

func (l *link) accept() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.wg.Go(func() { l.serve(client) })
	}
}

func (l *link) serve(client net.Conn) {
	d := net.Dialer{Timeout: 5 * time.Second}
	server, err := d.Dial("tcp", *l.target.Load())
	if err != nil {
		client.Close()
		return
	}
	if l.buffer > 0 {
		_ = server.(*net.TCPConn).SetReadBuffer(l.buffer)
	}
	p := &pair{client, server}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		client.Close()
		server.Close()
		return
	}
	l.conns[p] = struct{}{}
	l.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { l.pass(p, server, client, false) })
	both.Go(func() { l.pass(p, client, server, true) })
	both.Wait()
	l.mu.Lock()
	delete(l.conns, p)
	l.mu.Unlock()
	client.Close()
	server.Close()
}

// pass copies until an end closes or the link is cut.
func (l *link) pass(p *pair, to, from net.Conn, down bool) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if !l.forward(to, buffer[:n], down) {
				return
			}
		}
		if err != nil {
			// A half-closed TCP connection is of no use to either protocol.
			_ = p.client.(*net.TCPConn).CloseWrite()
			_ = p.server.(*net.TCPConn).CloseWrite()
			if !errors.Is(err, net.ErrClosed) {
				_ = p.client.SetReadDeadline(time.Now().Add(time.Second))
				_ = p.server.SetReadDeadline(time.Now().Add(time.Second))
			}
			return
		}
	}
}

func (l *link) forward(to net.Conn, data []byte, down bool) bool {
	for len(data) > 0 {
		l.mu.Lock()
		held, rate, cut := l.held, l.rate, false
		piece := data
		if down && rate > 0 {
			piece = piece[:min(len(piece), max(rate/50, 1))]
		}
		if held == nil && l.budget >= 0 {
			if int64(len(piece)) >= l.budget {
				piece, cut = piece[:l.budget], true
			}
			l.budget -= int64(len(piece))
		}
		l.mu.Unlock()
		if held != nil {
			<-held
			continue
		}
		if len(piece) > 0 {
			if _, err := to.Write(piece); err != nil {
				return false
			}
		}
		if cut {
			l.cut()
			return false
		}
		data = data[len(piece):]
		if down && rate > 0 {
			time.Sleep(time.Second / 50) // the shape of a slow line
		}
	}
	return true
}

// cutAfter cuts all connections once so many bytes have passed; 0 is at once.
func (l *link) cutAfter(bytes int64, reset bool) {
	l.mu.Lock()
	l.budget, l.reset = bytes, reset
	l.mu.Unlock()
	if bytes == 0 {
		l.cut()
	}
}

// cut ends every connection now.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.budget = -1
	for p := range l.conns {
		l.cuts.Add(1)
		if l.reset {
			_ = p.client.(*net.TCPConn).SetLinger(0)
			_ = p.server.(*net.TCPConn).SetLinger(0)
		}
		p.client.Close()
		p.server.Close()
	}
}

// hold stops all traffic until the returned function is called.
func (l *link) hold() (release func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held != nil {
		return func() {}
	}
	held := make(chan struct{})
	l.held = held
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.held = nil
		close(held)
	})
}

// slow lets so many bytes a second through to the client until the returned
// function is called.
func (l *link) slow(rate int) (release func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rate = rate
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.rate = 0
	}
}

// heal forgets a cut that has not come to pass.
func (l *link) heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.budget = -1
}

// close ends the link and waits for what it does. Nothing may be held.
func (l *link) close() {
	l.listener.Close()
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.cut()
	l.wg.Wait()
}

// somewhere is a place to cut: often in the middle of a message.
func somewhere(r *rand.Rand) int64 {
	if r.IntN(5) == 0 {
		return 0
	}
	return r.Int64N(6000)
}
