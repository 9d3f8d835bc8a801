package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// attacks are all of them.
var attacks = []*attack{
	{name: "a header that never ends, a byte a second", door: "every", do: slowHeader},
	{name: "31 KiB of header that never end", door: "every", do: giantHeader(31 << 10)},
	{name: "1 MiB of header", door: "every", share: 10, do: giantHeader(1 << 20)},

	{name: "an upgrade, and no token", door: "websocket", do: noToken},
	{name: "a message that never ends, a byte a second", door: "websocket", do: slowMessage},
	{name: "1,000 pings at once, again and again", door: "websocket", share: 10, do: floodPings},
	{name: "10,000 joins at once, again and again", door: "websocket", share: 10, do: floodJoins},
	{name: "reads nothing", door: "websocket", share: 10, feed: true, user: "c2", do: readNothing},

	{name: "half an upgrade from polling", door: "socketio", do: halfUpgrade},
	{name: "polls that hang", door: "socketio", do: hangingEnginePoll},
	{name: "a body that never ends, a byte a second", door: "socketio", do: slowEngineBody},
	{name: "1,000 packets at once, again and again", door: "socketio", share: 10, do: floodPackets},
	{name: "10,000 joins at once, again and again", door: "socketio", share: 10, do: floodSocketJoins},
	{name: "reads nothing", door: "socketio, websocket", share: 10, feed: true, user: "c2", do: readNothingOfSocket},
	{name: "never polls", door: "socketio, polling", share: 10, feed: true, user: "c2", do: neverPoll},

	{name: "reads nothing", door: "sse", share: 10, feed: true, user: "c2", do: readNothingOfStream},
	{name: "polls that hang", door: "poll", do: hangingPoll},
	{name: "polls that hang, of one user", door: "poll", user: "hostile", do: hangingPoll},
	{name: "a body that never ends, a byte a second", door: "api", do: slowBody},
}

func slowHeader(ctx context.Context, h *hostile) error {
	conn, err := h.dial(ctx)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(conn, h.head("GET /ws")+"X-Slow: "); err != nil {
		return err
	}
	h.placed()
	return both(conn, func() error { return trickle(ctx, conn) })
}

func giantHeader(size int) func(context.Context, *hostile) error {
	return func(ctx context.Context, h *hostile) error {
		conn, err := h.dial(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, h.head("GET /ws")+"X-Large: "+strings.Repeat("a", size)); err != nil {
			return err
		}
		h.placed()
		return held(conn)
	}
}

func noToken(ctx context.Context, h *hostile) error {
	conn, err := h.websocket(ctx, "/ws", false)
	if err != nil {
		return err
	}
	defer conn.Close()
	h.placed()
	return held(conn.NetConn())
}

// live opens a WebSocket of the JSON protocol and waits until it is live.
func live(ctx context.Context, h *hostile) (*websocket.Conn, error) {
	conn, err := h.websocket(ctx, "/ws", true)
	if err != nil {
		return nil, err
	}
	_, _, err = conn.ReadMessage()
	return conn, err
}

func slowMessage(ctx context.Context, h *hostile) error {
	conn, err := live(ctx, h)
	if err != nil {
		return err
	}
	// A masked frame of text with 60,000 bytes to come.
	raw := conn.NetConn()
	if _, err := raw.Write([]byte{0x81, 0xfe, 60_000 >> 8, 60_000 & 0xff, 0, 0, 0, 0}); err != nil {
		return err
	}
	h.placed()
	return both(raw, func() error { return trickle(ctx, raw) })
}

func floodPings(ctx context.Context, h *hostile) error {
	conn, err := live(ctx, h)
	if err != nil {
		return err
	}
	h.placed()
	return both(conn.NetConn(), func() error {
		for range 1000 {
			if err := conn.WriteControl(websocket.PingMessage, []byte("flood"), time.Now().Add(lost)); err != nil {
				return err
			}
		}
		return nil
	})
}

func floodJoins(ctx context.Context, h *hostile) error {
	conn, err := live(ctx, h)
	if err != nil {
		return err
	}
	h.placed()
	return both(conn.NetConn(), func() error {
		for i := range 10_000 {
			if err := conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"event":"join_room","data":{"room":"booking:%d"},"id":%d}`, i, i)); err != nil {
				return err
			}
		}
		return nil
	})
}

// wait keeps a connection open without reading, for as long as the server would
// let it.
func wait(ctx context.Context, conn net.Conn) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		// Whoever was cut finds that out by writing: a pong nobody asked for.
		if _, err := conn.Write([]byte{0x8a, 0x80, 0, 0, 0, 0}); err != nil {
			return err
		}
	}
}

func readNothing(ctx context.Context, h *hostile) error {
	conn, err := live(ctx, h)
	if err != nil {
		return err
	}
	defer conn.Close()
	h.placed()
	return wait(ctx, conn.NetConn())
}

// engine opens a session of Engine.IO by polling and returns its address.
func engine(ctx context.Context, h *hostile) (string, error) {
	const path = "/socket.io/?EIO=4&transport=polling"
	text, err := exchange(ctx, h, "GET", path, "")
	if err != nil {
		return "", err
	}
	var open struct{ SID string }
	if len(text) == 0 || json.Unmarshal([]byte(text[1:]), &open) != nil {
		return "", fmt.Errorf("the server opens with %q", text)
	}
	return path + "&sid=" + open.SID, nil
}

// exchange is one whole request.
func exchange(ctx context.Context, h *hostile, method, path, body string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+h.address+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer "+h.token)
	request.Header.Set("Connection", "close")
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	return string(text), err
}

// enter gets a session of Socket.IO, by polling, that is live.
func enter(ctx context.Context, h *hostile) (string, error) {
	path, err := engine(ctx, h)
	if err != nil {
		return "", err
	}
	if _, err := exchange(ctx, h, "POST", path, "40"); err != nil {
		return "", err
	}
	for {
		text, err := exchange(ctx, h, "GET", path, "")
		if err != nil || strings.Contains(text, `42["authenticated"`) {
			return path, err
		}
	}
}

func halfUpgrade(ctx context.Context, h *hostile) error {
	path, err := enter(ctx, h)
	if err != nil {
		return err
	}
	conn, err := h.websocket(ctx, strings.Replace(path, "=polling", "=websocket", 1), true)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.WriteMessage(websocket.TextMessage, []byte("2probe")); err != nil {
		return err
	}
	if _, _, err := conn.ReadMessage(); err != nil {
		return err
	}
	h.placed()
	return held(conn.NetConn())
}

func hangingEnginePoll(ctx context.Context, h *hostile) error {
	path, err := enter(ctx, h)
	if err != nil {
		return err
	}
	return hang(ctx, h, h.head("GET "+path))
}

// hang sends a request that waits, and does not read the answer.
func hang(ctx context.Context, h *hostile, head string) error {
	conn, err := h.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		return err
	}
	h.placed()
	answered, err := answer(conn)
	if err != nil {
		return err
	}
	answered.Body.Close()
	return errors.New(answered.Status)
}

func slowEngineBody(ctx context.Context, h *hostile) error {
	path, err := engine(ctx, h)
	if err != nil {
		return err
	}
	return body(ctx, h, h.head("POST "+path, "Content-Type: text/plain", "Content-Length: 60000"))
}

func slowBody(ctx context.Context, h *hostile) error {
	return body(ctx, h, h.head("POST /api/notifications/read", "Content-Type: application/json", "Content-Length: 60000"))
}

// body sends a head, and a body a byte a second.
func body(ctx context.Context, h *hostile, head string) error {
	conn, err := h.dial(ctx)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		return err
	}
	h.placed()
	return both(conn, func() error { return trickle(ctx, conn) })
}

// enterSocket gets a session of Socket.IO, by WebSocket, that is live.
func enterSocket(ctx context.Context, h *hostile) (*websocket.Conn, error) {
	conn, err := h.websocket(ctx, "/socket.io/?EIO=4&transport=websocket", true)
	if err != nil {
		return nil, err
	}
	if err := conn.WriteMessage(websocket.TextMessage, []byte("40")); err != nil {
		return nil, err
	}
	for {
		_, text, err := conn.ReadMessage()
		if err != nil || strings.HasPrefix(string(text), `42["authenticated"`) {
			return conn, err
		}
	}
}

// flood sends a text n times on a socket that is live.
func flood(ctx context.Context, h *hostile, n int, text func(i int) []byte) error {
	conn, err := enterSocket(ctx, h)
	if err != nil {
		return err
	}
	h.placed()
	return both(conn.NetConn(), func() error {
		for i := range n {
			if err := conn.WriteMessage(websocket.TextMessage, text(i)); err != nil {
				return err
			}
		}
		return nil
	})
}

func floodPackets(ctx context.Context, h *hostile) error {
	return flood(ctx, h, 1000, func(int) []byte { return []byte("6") })
}

func floodSocketJoins(ctx context.Context, h *hostile) error {
	return flood(ctx, h, 10_000, func(i int) []byte { return fmt.Appendf(nil, `42%d["join_room","booking:%d"]`, i, i) })
}

func readNothingOfSocket(ctx context.Context, h *hostile) error {
	conn, err := enterSocket(ctx, h)
	if err != nil {
		return err
	}
	defer conn.Close()
	h.placed()
	return wait(ctx, conn.NetConn())
}

func neverPoll(ctx context.Context, h *hostile) error {
	path, err := enter(ctx, h)
	if err != nil {
		return err
	}
	h.placed()
	// Whether the server has had enough is seen by what it says to a packet.
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
		if _, err := exchange(ctx, h, "POST", path, "6"); err != nil {
			return err
		}
	}
}

func readNothingOfStream(ctx context.Context, h *hostile) error {
	conn, err := h.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetReadBuffer(4 << 10); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, h.head("GET /api/events", "Accept: text/event-stream")+"\r\n"); err != nil {
		return err
	}
	if _, err := conn.Read(make([]byte, 16)); err != nil {
		return err
	}
	h.placed()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if _, err := conn.Write([]byte("\r")); err != nil { // nobody reads it
			return err
		}
	}
}

func hangingPoll(ctx context.Context, h *hostile) error {
	text, err := exchange(ctx, h, "GET", "/api/events", "")
	if err != nil {
		return err
	}
	var at struct{ Cursor string }
	if err := json.Unmarshal([]byte(text), &at); err != nil {
		return err
	}
	return hang(ctx, h, h.head("GET /api/events?wait=60&cursor="+at.Cursor))
}
