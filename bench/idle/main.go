// Command idle measures the resident memory of a server for each connection
// that is open and has nothing to do: pgbell, and beside it the WebSocket
// server of gorilla's examples.
//
//	go run ./bench/idle
//
// Each server is a process of its own. What is counted is the kernel's figure
// for that process, with all connections open, minus the one with none, after
// a time in which every connection was pinged and answered.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sync/errgroup"

	"github.com/pgbell/pgbell/bench/rig"
)

// warm is how many connections come and go before the count begins, so that
// what a server needs once is not counted as needed by each.
const warm = 100

func main() {
	connections := flag.Int("connections", 5000, "connections to each server; each needs a file descriptor on both sides")
	settle := flag.Duration("settle", time.Minute, "time to wait before memory is read")
	rig.Main(func(ctx context.Context) error {
		flag.Parse()
		return bench(ctx, *connections, *settle)
	}, nil)
}

func bench(ctx context.Context, connections int, settle time.Duration) (err error) {
	r, err := rig.New(ctx, rig.Options{})
	if err != nil {
		return err
	}
	defer func() {
		if closed := r.Close(); err == nil {
			err = closed
		}
	}()
	d, err := r.Marketplace(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%s; %d connections, read after %s\n\n", r.Versions(), connections, settle)
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tempty\tall open\tfor each connection\t")
	for _, server := range []struct {
		name  string
		start func(context.Context) (*rig.Server, error)
	}{
		{"naive", func(ctx context.Context) (*rig.Server, error) { return d.Peer(ctx, rig.Naive) }},
		{"pgbell", d.Serve},
	} {
		s, err := server.start(ctx)
		if err != nil {
			return err
		}
		empty, full, err := measure(ctx, r, s, connections, settle)
		if err != nil {
			return fmt.Errorf("measure %s: %w", server.name, err)
		}
		fmt.Fprintf(t, "%s\t%.1f MiB\t%.1f MiB\t%.1f KiB\t\n", server.name,
			float64(empty)/(1<<20), float64(full)/(1<<20), float64(full-empty)/float64(connections)/(1<<10))
		if err := s.Stop(); err != nil {
			return err
		}
	}
	return t.Flush()
}

// measure reads a server's memory with no connection and with all of them.
func measure(ctx context.Context, r *rig.Rig, s *rig.Server, connections int, settle time.Duration) (empty, full int64, err error) {
	var first crowd
	if err := first.join(ctx, r, s, warm); err != nil {
		return 0, 0, errors.Join(err, first.leave())
	}
	if err := first.leave(); err != nil {
		return 0, 0, err
	}
	if empty, err = s.Resident(ctx); err != nil {
		return 0, 0, err
	}
	var all crowd
	defer func() { err = errors.Join(err, all.leave()) }()
	if err := all.join(ctx, r, s, connections); err != nil {
		return 0, 0, err
	}
	select {
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	case err := <-all.failed():
		return 0, 0, fmt.Errorf("a connection was lost: %w", err)
	case <-time.After(settle):
	}
	full, err = s.Resident(ctx)
	return empty, full, err
}

// crowd is clients that do nothing but answer pings.
type crowd struct {
	mu      sync.Mutex
	sockets []*websocket.Conn
	readers sync.WaitGroup
	lost    chan error
	leaving chan struct{}
}

func (c *crowd) failed() <-chan error { return c.lost }

// join connects n different users, a few at a time.
func (c *crowd) join(ctx context.Context, r *rig.Rig, s *rig.Server, n int) error {
	c.lost, c.leaving = make(chan error, 1), make(chan struct{})
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i := range n {
		g.Go(func() error {
			token, err := r.Token(fmt.Sprintf("user-%d", i))
			if err != nil {
				return err
			}
			// Small buffers, for the clients of a whole crowd share a process.
			d := websocket.Dialer{ReadBufferSize: 512, WriteBufferSize: 512, HandshakeTimeout: 30 * time.Second}
			socket, response, err := d.DialContext(ctx, "ws://"+s.Address+"/ws", http.Header{"Authorization": {"Bearer " + token}})
			if err != nil {
				return fmt.Errorf("connect: %w", err)
			}
			if err := response.Body.Close(); err != nil {
				return err
			}
			c.mu.Lock()
			c.sockets = append(c.sockets, socket)
			c.mu.Unlock()
			c.readers.Go(func() { c.read(socket) })
			return nil
		})
	}
	return g.Wait()
}

// read answers pings until the connection ends.
func (c *crowd) read(socket *websocket.Conn) {
	for {
		if _, _, err := socket.ReadMessage(); err != nil {
			select {
			case <-c.leaving:
			case c.lost <- err:
			default:
			}
			return
		}
	}
}

func (c *crowd) leave() error {
	if c.leaving == nil {
		return nil
	}
	close(c.leaving)
	var err error
	for _, s := range c.sockets {
		err = errors.Join(err, s.Close())
	}
	c.readers.Wait()
	return err
}
