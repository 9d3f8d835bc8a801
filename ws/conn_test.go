package ws

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
)

func TestBadMessages(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{MaxMessage: 1000}, HandlerOptions{}).live()
	for name, test := range map[string]struct {
		kind    int
		message string
		code    string
		close   int
	}{
		"large":    {websocket.TextMessage, strings.Repeat("x", 1001), "message_too_large", CloseTooLarge},
		"huge":     {websocket.TextMessage, strings.Repeat("x", 5<<20), "message_too_large", CloseTooLarge},
		"not utf8": {websocket.TextMessage, "{\"event\":\"\xff\"}", "not_utf8", CloseNotText},
		"binary":   {websocket.BinaryMessage, "{}", "binary_message", CloseUnsupported},
		"not json": {websocket.TextMessage, "hello", "bad_request", 0},
		"unknown":  {websocket.TextMessage, `{"event":"notification_read","data":{"all":true}}`, "unknown_event", 0},
		"no room":  {websocket.TextMessage, `{"event":"join_room","data":[]}`, "bad_request", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := s.connect(t, "u", "")
			_ = c.WriteMessage(test.kind, []byte(test.message)) // may be cut off
			require.Equal(t, test.code, c.expect("error").Data["code"])
			if test.close != 0 {
				c.expectClose(test.close)
			} else {
				c.fence()
			}
		})
	}
}

func TestProtocolErrors(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{}, HandlerOptions{}).live()
	for name, frame := range map[string][]byte{
		"not masked":      {0x81, 0x00},
		"reserved opcode": {0x83, 0x80, 0, 0, 0, 0},
		"reserved bit":    {0xf1, 0x80, 0, 0, 0, 0},
		"long ping":       {0x89, 0xfe, 0, 200, 0, 0, 0, 0},
		"bad close":       {0x88, 0x82, 0, 0, 0, 0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := s.connect(t, "u", "")
			_, err := c.NetConn().Write(frame)
			require.NoError(t, err)
			require.Equal(t, "protocol_error", c.expect("error").Data["code"])
			c.expectClose(CloseProtocol)
		})
	}
}

func TestMessageRate(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{MessageRate: 0.001, MessageBurst: 3}, HandlerOptions{}).live()
	c, _ := s.connect(t, "u", "")
	c.fence()
	c.fence()
	require.NoError(t, c.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second)))
	c.send("fence", nil, nil)
	require.Equal(t, "rate_limited", c.expect("error").Data["code"])
	c.expectClose(CloseRateLimited)
}

func TestCloseIsAnswered(t *testing.T) {
	t.Parallel()
	closed := make(chan int, 1)
	s := serve(t, Options{Trace: &Trace{Closed: func(_ string, code int, _ time.Duration) { closed <- code }}}, HandlerOptions{}).live()
	c, _ := s.connect(t, "u", "")
	require.NoError(t, c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4321, "bye"), time.Now().Add(time.Second)))
	c.expectClose(4321)
	require.Equal(t, 4321, <-closed)
	c, _ = s.connect(t, "u", "")
	c.NetConn().Close()
	require.Equal(t, 1006, <-closed)
}

func TestPingsFromClients(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{}, HandlerOptions{}).live()
	c, _ := s.connect(t, "u", "")
	pong := make(chan string, 1)
	c.SetPongHandler(func(data string) error { pong <- data; return nil })
	require.NoError(t, c.WriteControl(websocket.PingMessage, []byte("hello"), time.Now().Add(time.Second)))
	c.fence()
	require.Equal(t, "hello", <-pong)
}

func TestSilence(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{PingInterval: 50 * time.Millisecond, PongTimeout: 3 * time.Second}, HandlerOptions{}).live()
	c, _ := s.connect(t, "u", "")
	pings := 0
	c.SetPingHandler(func(data string) error {
		if pings++; pings <= 3 {
			return c.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(time.Second))
		}
		return nil // from here on it is silent
	})
	_, err := c.next()
	require.ErrorContains(t, err, "EOF")
	require.Equal(t, 4, pings)
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{Authenticator: tokens{ttl: 300 * time.Millisecond}, AuthTimeout: 100 * time.Millisecond}, HandlerOptions{}).live()
	c, _, err := s.dial(t, nil, "")
	require.NoError(t, err)
	require.Equal(t, "auth_timeout", c.expect("auth_error").Data["code"])
	c.expectClose(CloseUnauthenticated)

	c, _ = s.connect(t, "u", "")
	require.Equal(t, "token_expired", c.expect("auth_error").Data["code"])
	c.expectClose(CloseExpired)
}

// TestStuckClient has clients that never read among others that do.
func TestStuckClient(t *testing.T) {
	t.Parallel()
	var slow atomic.Int64
	closed := make(chan int, 10)
	s := serve(t, Options{
		QueueBytes: 256 << 10, WriteTimeout: 2 * time.Second,
		Trace: &Trace{Slow: func() { slow.Add(1) }, Closed: func(_ string, code int, _ time.Duration) { closed <- code }},
	}, HandlerOptions{}).live()
	const stuck = 3
	for range stuck {
		c, _ := s.connect(t, "u", "")
		require.NoError(t, c.NetConn().(*net.TCPConn).SetReadBuffer(4096))
	}
	good, _ := s.connect(t, "u", "")
	for slow.Load() < stuck {
		s.change(func(e *pgbell.Event) {
			e.Owners, e.Data = map[string]string{"client": "u"}, large(64<<10)
		})
		good.expect("booking_update") // at once, though the others are stuck
	}
	require.EqualValues(t, stuck, slow.Load())
	for range stuck {
		require.Equal(t, CloseSlow, <-closed)
	}
	good.fence()
}

// large is a row of so many bytes, to fill the kernel's buffers soon.
func large(n int) []byte { return []byte(`{"x":"` + strings.Repeat("x", n) + `"}`) }

// TestSlowClientResumes has a client that reads too late, and goes on where it
// was.
func TestSlowClientResumes(t *testing.T) {
	t.Parallel()
	slow := make(chan struct{}, 1)
	s := serve(t, Options{QueueBytes: 32 << 10, Trace: &Trace{Slow: func() { slow <- struct{}{} }}}, HandlerOptions{}).live()
	c, m := s.connect(t, "u", "")
	require.NoError(t, c.NetConn().(*net.TCPConn).SetReadBuffer(4096))
	last := int64(0)
	for cut := false; !cut; last++ {
		s.change(func(e *pgbell.Event) {
			e.Owners, e.Data = map[string]string{"client": "u"}, large(8<<10)
		})
		select {
		case <-slow:
			cut = true
		default:
		}
	}
	s.read()
	cursor, next := m.Cursor, int64(1)
	for next <= last {
		m, err := c.next()
		if err != nil {
			require.True(t, websocket.IsCloseError(err, CloseSlow), "%v", err)
			c, m = s.connect(t, "u", cursor)
			require.Equal(t, true, m.Data["recovered"])
			continue
		}
		require.EqualValues(t, next, m.Data["id"])
		cursor, next = m.Cursor, next+1
	}
	c.fence()
}

func TestDrain(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{}, HandlerOptions{}).live()
	c, _ := s.connect(t, "u", "")
	stranger, _, err := s.dial(t, nil, "")
	require.NoError(t, err)
	s.db.insert("u")
	s.read()
	done := make(chan error, 1)
	go func() { done <- s.hub.Drain(context.Background()) }()
	c.expect("booking_update")
	_, err = c.next()
	var closed *websocket.CloseError
	require.ErrorAs(t, err, &closed)
	require.Equal(t, CloseGoingAway, closed.Code)
	var ms int
	_, err = fmt.Sscanf(closed.Text, "retry-after-ms=%d", &ms)
	require.NoError(t, err)
	stranger.expectClose(CloseGoingAway)
	require.NoError(t, <-done)
	_, response, err := s.dial(t, bearer("u"), "")
	require.Error(t, err)
	require.Equal(t, 503, response.StatusCode)

	s = serve(t, Options{CloseTimeout: time.Second}, HandlerOptions{}).live()
	s.connect(t, "u", "") // does not read, so never answers
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.hub.Drain(ctx), context.DeadlineExceeded)
	require.NoError(t, s.hub.Drain(contextOf(t)), "dropped after CloseTimeout")
}

func contextOf(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestFragmentedMessage(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{}, HandlerOptions{}).live()
	c, _ := s.connect(t, "u", "")
	frame := func(opcode byte, text string) []byte {
		return append([]byte{opcode, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)
	}
	for _, f := range [][]byte{frame(0x01, `{"event":`), frame(0x89, "p"), frame(0x00, `"é`[:2]), frame(0x80, `"é`[2:]+`","id":1}`)} {
		_, err := c.NetConn().Write(f)
		require.NoError(t, err)
	}
	require.Equal(t, "unknown_event", c.expect("error").Data["code"])
}
