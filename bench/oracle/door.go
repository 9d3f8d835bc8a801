package oracle

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
)

// Door is a way for clients to get the stream.
type Door string

// The doors. Mixed has the clients take them in turn.
const (
	WebSocket   Door = "websocket" // GET /ws
	SocketIO    Door = "socketio"  // /socket.io/, by WebSocket, polling, or from the one to the other
	EventStream Door = "sse"       // GET /api/events, as server-sent events
	LongPoll    Door = "longpoll"  // GET /api/events, which waits
	Poll        Door = "poll"      // GET /api/events, which answers at once
	Mixed       Door = "mixed"
)

// Doors are all but Mixed.
var Doors = []Door{WebSocket, SocketIO, EventStream, LongPoll, Poll}

// ParseDoor reads the name of one.
func ParseDoor(name string) (Door, error) {
	d := Door(name)
	if d != Mixed && !slices.Contains(Doors, d) {
		return "", fmt.Errorf("there is no door %q, but %v and %s", name, Doors, Mixed)
	}
	return d, nil
}

// of is the door of the client number i.
func (d Door) of(i int) Door {
	if d == Mixed {
		return Doors[i%len(Doors)]
	}
	return d
}

// follow is one connection, by the client's door.
func (c *client) follow(ctx context.Context) error {
	n := c.nodes[c.r.IntN(len(c.nodes))]
	c.link.to(n.address)
	token, refresh, err := c.token()
	if err != nil {
		return err
	}
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.live, c.owed = false, false
	}()
	switch c.door {
	case SocketIO:
		return c.followSocketIO(ctx, n, token, refresh)
	case EventStream:
		return c.followEvents(ctx, n, token)
	case LongPoll, Poll:
		return c.followPolls(ctx, n)
	default:
		return c.followSocket(ctx, n, token, refresh)
	}
}

// visitor is a client of HTTP with connections of its own, which end with it.
func (c *client) visitor() *http.Client {
	var dialer net.Dialer
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, c.link.address())
		},
		ResponseHeaderTimeout: dialTimeout,
	}}
}

// ask sends GET /api/events. Any answer but 200 is an error, and a breach if a
// client in the right may not meet it.
func (c *client) ask(ctx context.Context, visitor *http.Client, token, cursor string, query url.Values, header http.Header) (*http.Response, error) {
	if cursor != "" {
		if header.Get("Accept") != "" && c.r.IntN(2) == 0 {
			header.Set("Last-Event-ID", cursor)
		} else {
			query.Set("cursor", cursor)
		}
	}
	header.Set("Authorization", "Bearer "+token)
	u := url.URL{Scheme: "http", Host: c.link.address(), Path: "/api/events", RawQuery: query.Encode()}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header = header
	response, err := visitor.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK || response.StatusCode == http.StatusNotModified && header.Get("If-None-Match") != "" {
		return response, nil
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return nil, err
	}
	var told struct {
		Code      string `json:"code"`
		Retryable bool   `json:"retryable"`
	}
	// A held line may keep the token from the server for long.
	if json.Unmarshal(raw, &told) != nil || !told.Retryable && told.Code != "token_expired" {
		return nil, &breach{fmt.Sprintf("%s was refused: %s: %s", c.name, response.Status, raw)}
	}
	c.note("refused: %s", raw)
	return nil, fmt.Errorf("refused: %s", told.Code)
}

// choose is one of some.
func choose[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }
