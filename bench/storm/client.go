package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// client is one user's client.
type client struct {
	token string

	mu       sync.Mutex // guards what follows
	link     *link      // the present one, or the last
	cursor   string
	versions []int // that came, in order
	last     time.Time
	wrong    error // what must not happen
	changed  chan struct{}
}

// link is one connection of a client.
type link struct {
	socket    *websocket.Conn
	ended     chan struct{} // closed when it is gone; then err says why
	live      chan struct{} // closed when authenticated came
	since     time.Time
	recovered bool
	err       error
}

// refusal is an end that a client answers with another attempt.
type refusal struct{ why string }

func (r refusal) Error() string { return r.why }

func newClient(token string) *client { return &client{token: token, changed: make(chan struct{})} }

// dialTimeout bounds a handshake.
const dialTimeout = 30 * time.Second

// connect opens a connection with the cursor that the client has.
func (c *client) connect(ctx context.Context, address string) error {
	target := "ws://" + address + "/ws"
	c.mu.Lock()
	if c.cursor != "" {
		target += "?cursor=" + url.QueryEscape(c.cursor)
	}
	c.mu.Unlock()
	// Small buffers, for the clients of a whole crowd share a process.
	d := websocket.Dialer{ReadBufferSize: 1024, WriteBufferSize: 512, HandshakeTimeout: dialTimeout}
	socket, response, err := d.DialContext(ctx, target, http.Header{"Authorization": {"Bearer " + c.token}})
	if response != nil {
		response.Body.Close()
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return ctx.Err()
	case response != nil:
		return refusal{response.Status}
	default:
		return refusal{reason(err)}
	}
	l := &link{socket: socket, ended: make(chan struct{}), live: make(chan struct{})}
	c.mu.Lock()
	c.link = l
	c.mu.Unlock()
	go c.read(l)
	return nil
}

// reason is an error without the addresses in it.
func reason(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}

// live waits until the present connection is.
func (c *client) live(ctx context.Context) error {
	c.mu.Lock()
	l := c.link
	c.mu.Unlock()
	select {
	case <-l.live:
		return nil
	case <-l.ended:
		return refusal{reason(l.err)}
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *client) liveSince() (since time.Time, recovered bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link.since, c.link.recovered
}

func (c *client) ended() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link.ended
}

// cut ends the connection without a word.
func (c *client) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if tcp, ok := c.link.socket.NetConn().(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // or it ends in peace, which is no worse
	}
	c.link.socket.Close()
}

// message is what is read of one.
type message struct {
	Event  string
	Cursor string
	Data   struct {
		Recovered bool
		Reason    string
		Data      struct{ Version int }
	}
}

// read takes what comes until the connection ends.
func (c *client) read(l *link) {
	defer close(l.ended)
	defer l.socket.Close()
	for {
		_, text, err := l.socket.ReadMessage()
		if err != nil {
			l.err = err
			return
		}
		now := time.Now()
		var m message
		err = json.Unmarshal(text, &m)
		c.mu.Lock()
		if err != nil {
			c.wrong = errors.Join(c.wrong, err)
		}
		c.take(l, m, now)
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
	}
}

// take applies a message. The caller holds the mutex.
func (c *client) take(l *link, m message, now time.Time) {
	if m.Cursor != "" {
		c.cursor = m.Cursor
	}
	switch m.Event {
	case "authenticated":
		l.since, l.recovered = now, m.Data.Recovered
		close(l.live)
	case "booking_update":
		c.versions, c.last = append(c.versions, m.Data.Data.Version), now
	case "cursor", "stream":
	case "error": // the close that follows says the same
	default:
		c.wrong = errors.Join(c.wrong, fmt.Errorf("got %s %s", m.Event, m.Data.Reason))
	}
}

// reach waits until the client has as many events, and tells when the last came.
// It fails with a refusal when the connection ends before.
func (c *client) reach(ctx context.Context, version int) (time.Time, error) {
	for {
		c.mu.Lock()
		n, last, wrong, changed, l := len(c.versions), c.last, c.wrong, c.changed, c.link
		c.mu.Unlock()
		switch {
		case wrong != nil:
			return time.Time{}, wrong
		case n >= version:
			return last, nil
		}
		select {
		case <-changed:
		case <-l.ended:
			return time.Time{}, refusal{reason(l.err)}
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("has %d of %d events: %w", n, version, ctx.Err())
		}
	}
}

// verify checks that the events up to version came, each once and in order.
func (c *client) verify(version int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wrong != nil {
		return c.wrong
	}
	return exactly(c.versions, version)
}

// exactly checks that got is 1, 2, 3 and so on up to n.
func exactly(got []int, n int) error {
	var faults []string
	for i, v := range got {
		if want := i + 1; v != want {
			faults = append(faults, fmt.Sprintf("event %d is version %d", want, v))
			break
		}
	}
	if len(got) != n {
		faults = append(faults, fmt.Sprintf("%d events, want %d", len(got), n))
	}
	if faults == nil {
		return nil
	}
	return errors.New(strings.Join(faults, "; "))
}
