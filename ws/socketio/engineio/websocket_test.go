package engineio

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

func TestWebSocketEcho(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	ws, p := r.websocket(t)
	for _, size := range []int{0, 1, 124, 125, 126, 65534, 65535, 65536, 900_000} {
		text := "4" + strings.Repeat("x", size)
		write(t, ws, text)
		require.Equal(t, text, read(t, ws))
	}
	require.NoError(t, ws.WriteMessage(websocket.BinaryMessage, []byte{1, 2, 3}))
	kind, data, err := ws.ReadMessage()
	require.NoError(t, err)
	require.Equal(t, websocket.BinaryMessage, kind)
	require.Equal(t, []byte{1, 2, 3}, data)
	require.Equal(t, WebSocket, p.Transport())

	write(t, ws, "1")
	require.Equal(t, websocket.CloseNormalClosure, closeOf(t, ws))
	require.Equal(t, TransportClose, p.reason(t))
}

func TestWebSocketBase64(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	ws := r.dial(t, "EIO=4&transport=websocket&b64=1")
	read(t, ws)
	write(t, ws, "bAQID")
	require.Equal(t, "bAQID", read(t, ws))
}

func TestWebSocketMalformed(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{MaxPayload: 100})
	for _, c := range []struct {
		name, frame string
		code        int
	}{
		{"no packet", "abc", websocket.CloseProtocolError},
		{"nothing", "", websocket.CloseProtocolError},
		{"ping", "2", websocket.CloseProtocolError},
		{"probe", "2probe", websocket.CloseProtocolError},
		{"upgrade", "5", websocket.CloseProtocolError},
		{"not UTF-8", "4\xff", websocket.CloseProtocolError},
		{"too large", "4" + strings.Repeat("a", 200), websocket.CloseMessageTooBig},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ws, p := r.websocket(t)
			write(t, ws, c.frame)
			require.Equal(t, c.code, closeOf(t, ws))
			require.Equal(t, ParseError, p.reason(t))
		})
	}
}

func TestWebSocketPing(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	ws, _ := r.websocket(t)
	pong := make(chan string, 1)
	ws.SetPongHandler(func(data string) error {
		pong <- data
		return nil
	})
	require.NoError(t, ws.WriteControl(websocket.PingMessage, []byte("are you there"), time.Now().Add(patient)))
	write(t, ws, "4x")
	require.Equal(t, "4x", read(t, ws))
	require.Equal(t, "are you there", <-pong)
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{PingInterval: 50 * time.Millisecond, PingTimeout: time.Second})
	ws, p := r.websocket(t)
	for range 3 {
		_, data, err := ws.ReadMessage()
		require.NoError(t, err)
		require.Equal(t, "2", string(data))
		write(t, ws, "3")
	}
	require.Equal(t, PingTimeout, p.reason(t), "no answer any more")

	query, p := r.polling(t)
	for range 3 {
		_, body, _ := r.do(t, "GET", query, "")
		require.Equal(t, "2", body)
		r.do(t, "POST", query, "3")
	}
	require.Equal(t, PingTimeout, p.reason(t))
	status, _, _ := r.do(t, "GET", query, "")
	require.Equal(t, 400, status)
}

// TestSlow holds that a client which takes nothing is cut, and what waited for
// it freed.
func TestSlow(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{QueueBytes: 64 << 10, WriteTimeout: 100 * time.Millisecond, CloseTimeout: 100 * time.Millisecond})
	_, ws := r.websocket(t)
	_, polling := r.polling(t)
	frame := TextMessage(make([]byte, 16<<10))
	for _, p := range []*peer{ws, polling} {
		for p.Send(frame) {
			p.mu.Lock()
			require.LessOrEqual(t, p.bytes, 64<<10+len(frame))
			p.mu.Unlock()
		}
		require.Equal(t, SlowClient, p.reason(t))
	}
	require.Eventually(t, func() bool { return r.Len() == 0 }, patient, time.Millisecond)
	require.ErrorIs(t, polling.WaitForRoom(t.Context(), 1), ErrClosed)
}

// TestLargeMessage holds that one message of any size fits in an empty queue.
func TestLargeMessage(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{QueueBytes: 1000})
	ws, p := r.websocket(t)
	require.NoError(t, p.WaitForRoom(t.Context(), 5000))
	require.True(t, p.Send(TextMessage(make([]byte, 5000))))
	require.Len(t, read(t, ws), 5001)
}

func TestWaitForRoom(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{QueueBytes: 10_000})
	query, p := r.polling(t)
	require.True(t, p.Send(TextMessage(make([]byte, 6000))))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, p.WaitForRoom(ctx, 100), context.Canceled)
	room := make(chan error, 1)
	go func() { room <- p.WaitForRoom(t.Context(), 100) }()
	r.do(t, "GET", query, "")
	require.NoError(t, <-room)
}

func TestPacketRate(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{PacketRate: 10})
	ws, p := r.websocket(t)
	for range 20 {
		if ws.WriteMessage(websocket.TextMessage, []byte("6")) != nil {
			break
		}
	}
	require.Equal(t, RateLimited, p.reason(t))
	require.Equal(t, 4009, closeOf(t, ws))
}

func TestDrain(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	ws, wsPeer := r.websocket(t)
	query, polling := r.polling(t)
	waiting := r.hang(t, polling, query)
	require.True(t, wsPeer.Send(TextMessage([]byte("last"))))
	drained := make(chan error, 1)
	go func() { drained <- r.Drain(t.Context()) }()
	require.Equal(t, "1", <-waiting)
	require.Equal(t, "4last", read(t, ws))
	require.Equal(t, websocket.CloseGoingAway, closeOf(t, ws))
	require.NoError(t, <-drained)
	require.Equal(t, Shutdown, wsPeer.reason(t))
	status, _, _ := r.do(t, "GET", "EIO=4&transport=polling", "")
	require.Equal(t, 503, status)
}

// TestCloseInReceive holds that the receiver is told of the end after it has
// returned.
func TestCloseInReceive(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	ws, p := r.websocket(t)
	done := make(chan struct{})
	p.receive = func([]byte, bool) {
		defer close(done)
		p.Close()
		p.Close()
		require.Empty(t, p.closed)
	}
	write(t, ws, "4x")
	require.Equal(t, ForcedClose, p.reason(t))
	<-done
	require.Empty(t, p.closed, "told once")
}
