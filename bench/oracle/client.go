package oracle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pgbell/pgbell/ws/auth"
)

// client is one follower of the wire contract, as plain as it can be: it
// connects with the cursor it has, applies what comes to a replica, and keeps
// the cursor of the last message that it applied. It goes on for ever.
type client struct {
	name     string
	user     string
	roles    []string
	door     Door
	link     *link
	rows     *rowsAPI // nil: the server has none
	ttl      func(*rand.Rand) time.Duration
	nodes    []*node
	r        *rand.Rand // of the client's goroutine alone
	latency  *histogram
	calm     func() bool // whether no fault is at work
	counters *counters
	socket   socketState // of the client's goroutine alone

	connected atomic.Int64 // time of the last connection, Unix nanoseconds

	mu       sync.Mutex // guards what follows
	changed  chan struct{}
	live     bool
	owed     bool // a reset must come before anything else
	forgiven bool // the next reset is the client's own doing
	cursor   string
	top      int64 // the highest id received
	replica  replica
	received []message // since the round began
	resets   map[string]int
	gaps     []gap
	wrong    []string             // breaches of the contract found on the way
	order    map[string]int64     // by row, the last id
	fetching map[string]*fetching // by type
	stale    map[string]bool      // by type: it cannot be fetched
	journal  []string             // what became of the last connections
}

// message is one that told of a row.
type message struct {
	id  int64
	raw []byte
}

// gap is a stretch that a reset stands for: from one cursor to another, which
// is empty until it is known. Top is the highest id received before it.
type gap struct {
	from, to, reason string
	top              int64
	forgiven         bool // it is the client's own doing
}

// replica is the rows that a client holds: type, key, row, the latter two as
// JSON.
type replica map[string]map[string]string

// update is what the replica needs to know of one message.
type update struct {
	typ, op, key string
	data         string
}

// counters are over all clients.
type counters struct {
	connections, messages, bytes, resets, refreshes, fetches atomic.Int64

	mu     sync.Mutex
	closes map[int]int    // by close code
	whys   map[string]int // resets by reason
}

func newCounters() *counters { return &counters{closes: map[int]int{}, whys: map[string]int{}} }

func (c *counters) closed(code int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closes[code]++
}

func (c *counters) reset(reason string) {
	c.resets.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.whys[reason]++
}

func newClient(name, user string, roles []string, seed uint64) *client {
	return &client{
		name: name, user: user, roles: roles,
		r:       rand.New(rand.NewPCG(seed, uint64(len(name))<<32+uint64(name[len(name)-1]))),
		changed: make(chan struct{}, 1),
		replica: replica{"order": {}, "item": {}, "stock": {}},
		resets:  map[string]int{}, order: map[string]int64{},
		fetching: map[string]*fetching{}, stale: map[string]bool{},
	}
}

// run connects again and again until ctx ends.
func (c *client) run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := c.follow(ctx)
		if found, ok := errors.AsType[*breach](err); ok {
			c.breach(found.what)
		}
		pause := time.NewTimer(time.Duration(1+c.r.IntN(30)) * time.Millisecond)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
	}
	return nil
}

// breach is what the server must not do.
type breach struct{ what string }

func (b *breach) Error() string { return b.what }

func (c *client) breach(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = append(c.wrong, what)
	c.signal()
}

// place is the client's cursor.
func (c *client) place() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cursor
}

// signal tells whoever waits that something came. The caller holds the mutex.
func (c *client) signal() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// note adds to the journal.
func (c *client) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noteLocked("%s", fmt.Sprintf(format, args...))
}

func (c *client) noteLocked(format string, args ...any) {
	c.journal = append(c.journal, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	if len(c.journal) > 200 {
		c.journal = slices.Clone(c.journal[100:])
	}
}

// token signs one, and says after how long to refresh it; 0 is never.
func (c *client) token() (token string, refresh time.Duration, err error) {
	ttl := c.ttl(c.r)
	token, err = auth.Mint([]byte(secret), auth.Claims{Subject: c.user, Roles: c.roles, TTL: ttl})
	if c.r.IntN(3) > 0 {
		refresh = ttl * 6 / 10
	}
	return token, refresh, err
}

// dialTimeout bounds a handshake, which may meet a held line.
const dialTimeout = 20 * time.Second

// followSocket is one WebSocket.
func (c *client) followSocket(ctx context.Context, n *node, token string, refresh time.Duration) error {
	dialer := websocket.Dialer{HandshakeTimeout: dialTimeout, ReadBufferSize: 16 << 10}
	header := http.Header{}
	byHeader := c.r.IntN(2) == 0
	had := c.place()
	// A cursor can only go with the message, so the header is for the first time.
	if byHeader && had == "" {
		header.Set("Authorization", "Bearer "+token)
	}
	conn, response, err := dialer.DialContext(ctx, "ws://"+c.link.address()+"/ws", header)
	if response != nil {
		response.Body.Close()
	}
	if err != nil {
		return err
	}
	c.note("connected to %s with cursor %q", n.name, had)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	c.counters.connections.Add(1)
	c.connected.Store(time.Now().UnixNano())
	if header.Get("Authorization") == "" {
		if err := c.authenticate(conn, token, had); err != nil {
			return err
		}
	}
	if refresh > 0 {
		renew := time.AfterFunc(refresh, func() { c.refresh(conn) })
		defer renew.Stop()
	}
	for {
		_, raw, err := conn.ReadMessage()
		if err != nil {
			if closed, ok := errors.AsType[*websocket.CloseError](err); ok {
				c.counters.closed(closed.Code)
			} else {
				c.counters.closed(0)
			}
			c.note("closed with cursor %s: %v", c.place(), err)
			return err
		}
		if err := c.take(ctx, raw, had); err != nil {
			return err
		}
	}
}

// authenticate is sent before anybody else writes.
func (c *client) authenticate(conn *websocket.Conn, token, cursor string) error {
	data := map[string]string{"token": token}
	if cursor != "" {
		data["cursor"] = cursor
	}
	return conn.WriteJSON(map[string]any{"event": "authenticate", "data": data})
}

// refresh sends a new token. It is the only writer of a connection that is up.
func (c *client) refresh(conn *websocket.Conn) {
	token, err := auth.Mint([]byte(secret), auth.Claims{Subject: c.user, Roles: c.roles, TTL: time.Minute})
	if err == nil && c.authenticate(conn, token, "") == nil {
		c.counters.refreshes.Add(1)
	}
}

// envelope is every message of the server.
type envelope struct {
	Event  string `json:"event"`
	Cursor string `json:"cursor"`
	Data   struct {
		ID        int64           `json:"id"`
		Type      string          `json:"type"`
		Op        string          `json:"op"`
		Key       json.RawMessage `json:"key"`
		Data      json.RawMessage `json:"data"`
		At        string          `json:"at"`
		Reason    string          `json:"reason"`
		UserID    string          `json:"userId"`
		Recovered bool            `json:"recovered"`
		Code      string          `json:"code"`
		Retryable bool            `json:"retryable"`
	} `json:"data"`
}

// take applies one message. Had is the cursor that the connection began with.
func (c *client) take(ctx context.Context, raw []byte, had string) error {
	now := time.Now()
	c.counters.messages.Add(1)
	c.counters.bytes.Add(int64(len(raw)))
	if what := leaked(raw, c.user, len(c.roles) > 0); what != "" {
		return &breach{fmt.Sprintf("%s received a byte of somebody else's: %s in %s", c.name, what, raw)}
	}
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		return &breach{fmt.Sprintf("%s received no JSON envelope: %v: %q", c.name, err, raw)}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.signal()
	if !strings.HasSuffix(e.Event, "_update") {
		c.noteLocked("%s", raw)
	}
	switch e.Event {
	case "order_update", "item_update", "stock_update":
		if c.owed {
			return &breach{fmt.Sprintf("%s was not recovered and got no reset before %s", c.name, raw)}
		}
		c.apply(&e, raw)
		c.measure(&e, now)
	case "authenticated":
		if e.Data.UserID != c.user {
			return &breach{fmt.Sprintf("%s was taken for %q", c.name, e.Data.UserID)}
		}
		if c.live {
			return nil // a token was refreshed
		}
		c.live = true
		if had == "" {
			c.cursor = e.Cursor
		}
		// Without recovery a reset follows. Until it is here, the client's
		// cursor stays, so that a cut between the two loses nothing.
		c.owed = had != "" && !e.Data.Recovered
		return nil
	case "reset":
		c.counters.reset(e.Data.Reason)
		if e.Data.Type != "" {
			c.resets[e.Data.Type]++
			c.fetch(ctx, e.Data.Type, e.Data.Reason)
		} else {
			c.owed = false
			c.lost(ctx, e.Cursor, e.Data.Reason)
		}
	case "auth_error":
		// A held line may keep the token from the server for long.
		if !slices.Contains([]string{"token_expired", "auth_timeout"}, e.Data.Code) && !e.Data.Retryable {
			return &breach{fmt.Sprintf("%s was refused: %s", c.name, raw)}
		}
		return nil
	case "error":
		if !e.Data.Retryable {
			return &breach{fmt.Sprintf("%s was told of an error: %s", c.name, raw)}
		}
	case "stream", "cursor", "ack":
	default:
		return &breach{fmt.Sprintf("%s received an unknown event: %s", c.name, raw)}
	}
	c.move(e.Cursor)
	return nil
}

// move keeps a message's cursor, if it has one. The caller holds the mutex.
func (c *client) move(cursor string) {
	if cursor == "" {
		return
	}
	c.cursor = cursor
	for i := range c.gaps {
		if c.gaps[i].to == "" {
			c.gaps[i].to = cursor
		}
	}
}

// apply notes a message of a row and applies it. The caller holds the mutex.
func (c *client) apply(e *envelope, raw []byte) {
	c.received = append(c.received, message{e.Data.ID, raw})
	c.top = max(c.top, e.Data.ID)
	u := update{e.Data.Type, e.Data.Op, string(e.Data.Key), string(e.Data.Data)}
	if f := c.fetching[u.typ]; f != nil {
		f.since = append(f.since, u)
	}
	c.replica.apply(u)
}

func (r replica) apply(u update) {
	switch u.op {
	case "insert", "update", "entered":
		r[u.typ][u.key] = u.data
	case "delete", "left":
		delete(r[u.typ], u.key)
	}
}

// lost notes that the stream goes on after a gap, and fetches everything. The
// caller holds the mutex.
func (c *client) lost(ctx context.Context, cursor, reason string) {
	c.gaps = append(c.gaps, gap{c.cursor, "", reason, c.top, c.forgiven})
	c.forgiven = false
	c.move(cursor)
	for typ := range c.replica {
		c.fetch(ctx, typ, reason)
	}
}

// measure notes the time from the trigger to here. The caller holds the mutex.
func (c *client) measure(e *envelope, now time.Time) {
	if !c.calm() || now.UnixNano()-c.connected.Load() < int64(time.Second) {
		return
	}
	if !quick(e.Data.Data) {
		return
	}
	if at, err := time.Parse(time.RFC3339, e.Data.At); err == nil {
		c.latency.add(now.Sub(at))
	}
}
