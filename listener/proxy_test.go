package listener_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxy stands between the listener and Postgres and fails as networks do.
type proxy struct {
	target   string
	listener net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex
	pairs  map[*pair]bool
	budget int64 // bytes from the server that new connections pass; < 0 is all
}

// pair is one connection through the proxy.
type pair struct {
	client, server net.Conn
	frozen         chan struct{} // closed: nothing passes any more
	once           sync.Once
	budget         int64
}

func (p *pair) close() { _ = p.client.Close(); _ = p.server.Close() }

// throughProxy returns a proxy and the address of the same database through it.
func throughProxy(t *testing.T, address string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{target: u.Host, listener: l, pairs: map[*pair]bool{}, budget: -1}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.cut()
		p.wg.Wait()
	})
	u.Host = l.Addr().String()
	return p, u.String()
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		c := &pair{client: client, server: server, frozen: make(chan struct{}), budget: p.budget}
		p.pairs[c] = true
		p.mu.Unlock()
		p.wg.Go(func() { p.pass(c, c.server, c.client, -1) })
		p.wg.Go(func() { p.pass(c, c.client, c.server, c.budget) })
	}
}

// pass copies until the budget is used up or somebody hangs up.
func (p *proxy) pass(c *pair, to io.Writer, from io.Reader, budget int64) {
	defer c.close()
	buffer := make([]byte, 4096)
	for budget != 0 {
		n, err := from.Read(buffer)
		select {
		case <-c.frozen:
			_, _ = io.Copy(io.Discard, from) // neither passes nor hangs up
			return
		default:
		}
		if budget > 0 {
			n = int(min(int64(n), budget))
			budget -= int64(n)
		}
		if _, werr := to.Write(buffer[:n]); werr != nil || err != nil {
			return
		}
	}
}

// freeze makes the present connections half-open: they stay, and nothing
// passes. New ones are not concerned.
func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.once.Do(func() { close(c.frozen) })
	}
}

// cut hangs up on all present connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.close()
	}
	clear(p.pairs)
}

// limit cuts new connections off after so many bytes from the server.
func (p *proxy) limit(budget int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.budget = budget
}
