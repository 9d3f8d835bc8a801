package engineio

import (
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

func toWebSocket(query string) string {
	return strings.Replace(query, "transport=polling", "transport=websocket", 1)
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	query, p := r.polling(t)
	waiting := r.hang(t, p, query)
	ws := r.dial(t, toWebSocket(query))
	write(t, ws, "2probe")
	require.Equal(t, "3probe", read(t, ws))
	require.Equal(t, "6", <-waiting, "so that the client can go on")

	_, body, _ := r.do(t, "GET", query, "")
	require.Equal(t, "6", body, "until the move is complete")
	require.True(t, p.Send(TextMessage([]byte("one"))))
	_, body, _ = r.do(t, "GET", query, "")
	require.Equal(t, "4one", body, "what waits goes by polling until then")

	require.True(t, p.Send(TextMessage([]byte("two")), TextMessage([]byte("three"))))
	write(t, ws, "5", "4echo")
	require.Equal(t, "4two", read(t, ws))
	require.Equal(t, "4three", read(t, ws))
	require.Equal(t, "4echo", read(t, ws))
	require.Equal(t, WebSocket, p.Transport())

	for _, method := range []string{"GET", "POST"} {
		status, _, _ := r.do(t, method, query, "4x")
		require.Equal(t, 400, status)
	}
	require.Equal(t, websocket.CloseNormalClosure, closeOf(t, r.dial(t, toWebSocket(query))), "the second is closed")
	write(t, ws, "4still")
	require.Equal(t, "4still", read(t, ws))
}

// TestUpgradeOvertaken holds that a request which comes before the packet that
// completes the move, but was sent after it, is refused like any later one.
func TestUpgradeOvertaken(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	query, p := r.polling(t)
	ws := r.dial(t, toWebSocket(query))
	write(t, ws, "2probe")
	require.Equal(t, "3probe", read(t, ws))
	status := make(chan int, 1)
	go func() {
		s, _, _ := r.do(t, "GET", query, "")
		status <- s
	}()
	require.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.poll != nil
	}, patient, 100*time.Microsecond)
	write(t, ws, "5")
	require.Equal(t, 400, <-status)
}

func TestUpgradeFails(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{UpgradeTimeout: 100 * time.Millisecond})
	query, p := r.polling(t)
	for _, spoil := range []func(*websocket.Conn){
		func(ws *websocket.Conn) { write(t, ws, "4early") },
		func(ws *websocket.Conn) { write(t, ws, "5") },
		func(ws *websocket.Conn) { write(t, ws, "abc") },
		func(ws *websocket.Conn) { write(t, ws, "2probe", "2probe") },
		func(ws *websocket.Conn) { _ = ws.Close() },
		func(*websocket.Conn) {}, // and wait
	} {
		ws := r.dial(t, toWebSocket(query))
		spoil(ws)
		for {
			if _, _, err := ws.ReadMessage(); err != nil {
				break
			}
		}
		require.Eventually(t, func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.probe == nil
		}, patient, time.Millisecond)
		r.do(t, "POST", query, "4still")
		_, body, _ := r.do(t, "GET", query, "")
		require.Contains(t, body, "4still", "it stays on polling")
	}
	status, _, _ := r.do(t, "GET", "EIO=4&transport=websocket&sid=none", "",
		"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")
	require.Equal(t, 400, status)
}
