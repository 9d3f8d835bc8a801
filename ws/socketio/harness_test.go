package socketio

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// patient is longer than anything takes that works.
const patient = 10 * time.Second

// rig is a server that runs.
type rig struct {
	*Server
	url string
}

// newRig starts a server whose namespaces prepare sets up.
func newRig(t *testing.T, o Options, prepare func(*Server)) *rig {
	t.Helper()
	r := &rig{Server: NewServer(o)}
	prepare(r.Server)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.Run(ctx)
	}()
	web := httptest.NewUnstartedServer(r)
	web.Config.MaxHeaderBytes = 64 << 10
	web.Start()
	r.url = web.URL + "/socket.io/"
	t.Cleanup(func() {
		stop()
		<-done
		http.DefaultClient.CloseIdleConnections()
		web.Close()
		require.Zero(t, r.Connections())
		for _, n := range r.namespaces {
			n.mu.Lock()
			require.Empty(t, n.sockets)
			require.Empty(t, n.rooms)
			n.mu.Unlock()
		}
	})
	return r
}

// wire is a client that writes packets by hand.
type wire struct {
	*websocket.Conn
	t *testing.T
}

// dial opens a connection without a namespace.
func (r *rig) dial(t *testing.T) *wire {
	t.Helper()
	ws, res, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(r.url, "http")+"?EIO=4&transport=websocket", nil)
	require.NoError(t, err)
	_ = res.Body.Close()
	require.NoError(t, ws.SetReadDeadline(time.Now().Add(patient)))
	t.Cleanup(func() { _ = ws.Close() })
	w := &wire{ws, t}
	require.Equal(t, "0", w.receive()[:1])
	return w
}

// connect opens a connection and asks for "/".
func (r *rig) connect(t *testing.T) (*wire, answer) {
	t.Helper()
	w := r.dial(t)
	w.send("40")
	return w, w.answer("40")
}

func (w *wire) send(packets ...string) {
	w.t.Helper()
	for _, p := range packets {
		require.NoError(w.t, w.WriteMessage(websocket.TextMessage, []byte(p)))
	}
}

func (w *wire) attach(data ...string) {
	w.t.Helper()
	for _, d := range data {
		require.NoError(w.t, w.WriteMessage(websocket.BinaryMessage, []byte(d)))
	}
}

// receive is the next frame, text or binary.
func (w *wire) receive() string {
	w.t.Helper()
	_, data, err := w.ReadMessage()
	require.NoError(w.t, err)
	return string(data)
}

// answer is what a CONNECT is answered with.
type answer struct{ SID, PID string }

func (w *wire) answer(prefix string) (a answer) {
	w.t.Helper()
	packet := w.receive()
	require.Equal(w.t, prefix+"{", packet[:min(len(packet), len(prefix)+1)], packet)
	require.NoError(w.t, json.Unmarshal([]byte(packet[len(prefix):]), &a))
	return a
}

// ends reads until the connection is closed.
func (w *wire) ends() {
	w.t.Helper()
	for {
		if _, _, err := w.ReadMessage(); err != nil {
			var closed *websocket.CloseError
			require.ErrorAs(w.t, err, &closed)
			return
		}
	}
}

// await waits for a value.
func await[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patient):
		t.Fatal("nothing comes")
		panic("unreachable")
	}
}
