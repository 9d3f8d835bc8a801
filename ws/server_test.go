package ws

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/ws/auth"
)

// tokens is an authenticator whose tokens are user or user:role,role.
type tokens struct {
	ttl     time.Duration // default 1 h
	rooms   []string
	refused func(token string) error
}

func (a tokens) Verify(_ context.Context, token string) (auth.Identity, error) {
	if a.refused != nil {
		if err := a.refused(token); err != nil {
			return auth.Identity{}, err
		}
	}
	switch token {
	case "bad":
		return auth.Identity{}, auth.ErrInvalid
	case "old":
		return auth.Identity{}, auth.ErrExpired
	case "unknown":
		return auth.Identity{}, auth.ErrUnavailable
	}
	user, roles, _ := strings.Cut(token, ":")
	id := auth.Identity{UserID: user, Rooms: a.rooms, ExpiresAt: time.Now().Add(max(a.ttl, 0))}
	if a.ttl == 0 {
		id.ExpiresAt = time.Now().Add(time.Hour)
	}
	if roles != "" {
		id.Roles = strings.Split(roles, ",")
	}
	return id, nil
}

// server is a hub on a real socket, fed by the model.
type server struct {
	*feed
	url     string
	handler *Handler
}

func serve(t testing.TB, o Options, ho HandlerOptions) *server {
	if o.Authenticator == nil {
		o.Authenticator = tokens{}
	}
	hub := NewHub(o)
	s := &server{feed: &feed{db: newDatabase(), hub: hub}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = hub.Run(ctx) })
	handler := NewHandler(hub, ho)
	wg.Go(func() { _ = handler.Run(ctx) })
	h := httptest.NewServer(handler)
	s.url, s.handler = h.URL, handler
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		h.Close()
	})
	return s
}

// live makes the stream live.
func (s *server) live() *server {
	s.feed = newFeed(s.db, s.hub)
	return s
}

// client is a WebSocket client of the JSON protocol.
type client struct {
	*websocket.Conn
	t testing.TB
}

func (s *server) dial(t testing.TB, header http.Header, query string) (*client, *http.Response, error) {
	conn, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.url, "http")+"/ws"+query, header)
	if err != nil {
		return nil, response, err
	}
	t.Cleanup(func() { conn.Close() })
	return &client{conn, t}, response, nil
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// connect connects and waits until the session is live.
func (s *server) connect(t testing.TB, token, cursor string) (*client, message) {
	c, _, err := s.dial(t, bearer(token), "?cursor="+cursor)
	require.NoError(t, err)
	return c, c.expect("authenticated")
}

// message is a frame from the server.
type message struct {
	Event  string          `json:"event"`
	Data   map[string]any  `json:"data"`
	ID     json.RawMessage `json:"id"`
	Cursor string          `json:"cursor"`
}

func (c *client) next() (message, error) {
	require.NoError(c.t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
	var m message
	err := c.ReadJSON(&m)
	return m, err
}

func (c *client) expect(event string) message {
	m, err := c.next()
	require.NoError(c.t, err)
	require.Equal(c.t, event, m.Event, "%v", m.Data)
	return m
}

func (c *client) expectClose(code int) {
	_, err := c.next()
	var closed *websocket.CloseError
	require.ErrorAs(c.t, err, &closed)
	require.Equal(c.t, code, closed.Code, closed.Text)
}

func (c *client) send(event string, data any, id any) {
	require.NoError(c.t, c.WriteJSON(map[string]any{"event": event, "data": data, "id": id}))
}

// fence proves that nothing came before it.
func (c *client) fence() {
	c.send("fence", nil, "fence")
	m := c.expect("error")
	require.Equal(c.t, `"fence"`, string(m.ID))
}
