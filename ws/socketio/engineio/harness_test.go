package engineio

import (
	"context"
	"encoding/json"
	"io"
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

// peer is the server's side of a socket. It echoes unless it has a receive.
type peer struct {
	*Socket
	receive func(data []byte, binary bool)
	closed  chan Reason
}

func (p *peer) Receive(data []byte, binary bool) {
	switch {
	case p.receive != nil:
		p.receive(data, binary)
	case binary:
		p.Send(BinaryMessage(data))
	default:
		p.Send(TextMessage(data))
	}
}

func (p *peer) Sweep(time.Time) {}

func (p *peer) Closed(r Reason) { p.closed <- r }

// reason waits for the end of the socket.
func (p *peer) reason(t *testing.T) Reason {
	t.Helper()
	select {
	case r := <-p.closed:
		return r
	case <-time.After(patient):
		t.Fatal("the socket does not end")
		return ""
	}
}

// rig is a server that runs.
type rig struct {
	*Server
	url   string
	http  *http.Client
	peers chan *peer
	stop  context.CancelFunc
	done  chan struct{}
}

func newRig(t *testing.T, o Options) *rig {
	t.Helper()
	r := &rig{peers: make(chan *peer, 1000), done: make(chan struct{})}
	r.Server = NewServer(func(s *Socket, _ *http.Request) Receiver {
		p := &peer{Socket: s, closed: make(chan Reason, 2)}
		r.peers <- p
		return p
	}, o)
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	go func() {
		defer close(r.done)
		_ = r.Run(ctx)
	}()
	web := httptest.NewServer(r)
	transport := &http.Transport{}
	r.url, r.http = web.URL+"/engine.io/", &http.Client{Transport: transport, Timeout: patient}
	t.Cleanup(func() {
		r.stop()
		<-r.done
		transport.CloseIdleConnections()
		web.Close()
		require.Zero(t, r.Len(), "sockets are left")
	})
	return r
}

// do sends a request and returns status, body and headers.
func (r *rig) do(t *testing.T, method, query, body string, headers ...string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+"?"+query, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := r.http.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(content), res.Header
}

// polling opens a socket by polling and returns the query of its requests.
func (r *rig) polling(t *testing.T) (string, *peer) {
	t.Helper()
	status, body, _ := r.do(t, "GET", "EIO=4&transport=polling", "")
	require.Equal(t, 200, status, body)
	return "EIO=4&transport=polling&sid=" + sidOf(t, body), <-r.peers
}

func sidOf(t *testing.T, greeting string) string {
	t.Helper()
	var open struct{ Sid string }
	require.Equal(t, byte(typeOpen), greeting[0])
	require.NoError(t, json.Unmarshal([]byte(greeting[1:]), &open))
	return open.Sid
}

// dial opens a WebSocket.
func (r *rig) dial(t *testing.T, query string) *websocket.Conn {
	t.Helper()
	ws, res, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(r.url, "http")+"?"+query, nil)
	require.NoError(t, err)
	_ = res.Body.Close()
	require.NoError(t, ws.SetReadDeadline(time.Now().Add(patient)))
	t.Cleanup(func() { _ = ws.Close() })
	return ws
}

// websocket opens a socket by WebSocket.
func (r *rig) websocket(t *testing.T) (*websocket.Conn, *peer) {
	t.Helper()
	ws := r.dial(t, "EIO=4&transport=websocket")
	sidOf(t, read(t, ws))
	return ws, <-r.peers
}

// read reads the next frame that is no ping.
func read(t *testing.T, ws *websocket.Conn) string {
	t.Helper()
	for {
		_, data, err := ws.ReadMessage()
		require.NoError(t, err)
		if string(data) != string(typePing) {
			return string(data)
		}
	}
}

func write(t *testing.T, ws *websocket.Conn, packets ...string) {
	t.Helper()
	for _, p := range packets {
		require.NoError(t, ws.WriteMessage(websocket.TextMessage, []byte(p)))
	}
}

// closeOf reads until the end and returns the close code.
func closeOf(t *testing.T, ws *websocket.Conn) int {
	t.Helper()
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			var closed *websocket.CloseError
			require.ErrorAs(t, err, &closed)
			return closed.Code
		}
	}
}
