package socketio

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/ws/socketio/engineio"
)

// attackers is how many clients of each kind attack.
const attackers = 10

// TestHostile lets clients of every bad kind loose on a server. A good one is
// served all the while, memory stays within what the limits say, and nothing of
// them is left, no goroutine either.
func TestHostile(t *testing.T) {
	o := Options{
		ConnectTimeout: 500 * time.Millisecond,
		Engine: engineio.Options{
			PingInterval: 300 * time.Millisecond, PingTimeout: 3 * time.Second, UpgradeTimeout: 300 * time.Millisecond,
			WriteTimeout: 3 * time.Second, CloseTimeout: 300 * time.Millisecond, ReadTimeout: 300 * time.Millisecond,
			QueueBytes: 64 << 10, MaxPayload: 64 << 10, MaxSockets: 1000,
		},
	}
	r := newRig(t, o, func(s *Server) {
		n := s.Of("/")
		n.On("echo", func(_ *Socket, e *Event) { _ = e.Ack(e.Args.Values()...) })
		n.On("join", func(s *Socket, e *Event) {
			var room string
			_ = e.Ack(e.Args.Bind(&room) == nil && s.Join(room) == nil)
		})
		n.On("flood", func(s *Socket, _ *Event) {
			for err := error(nil); err == nil; {
				err = s.Emit("flood", strings.Repeat("x", 10_000))
			}
		})
	})
	good, _ := r.connect(t)
	require.NoError(t, good.SetReadDeadline(time.Now().Add(time.Minute)))
	reasons := make(chan Reason, 1)
	s := r.Of("/").All().Sockets()[0]
	stop := context.AfterFunc(s.Context(), func() { reasons <- Reason(context.Cause(s.Context()).Error()) })
	before := heap()
	var wg sync.WaitGroup
	for range attackers {
		for _, attack := range []func(*testing.T, *rig){
			halfOpenUpgrade, hangingPoll, giantHeader, pingFlood, manyNamespaces, manyJoins, neverReads, slowBody, unfinishedBinary, silence,
		} {
			wg.Go(func() { attack(t, r) })
		}
	}
	served, over := make(chan int, 1), make(chan struct{})
	go func() { served <- serveWell(t, good, over) }()
	peak := before
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-time.After(300 * time.Millisecond):
			peak = max(peak, heap())
		}
	}
	close(over)
	if <-served == 0 {
		t.Fatalf("the good client was cut: %s", <-reasons)
	}
	require.True(t, stop())
	require.NoError(t, good.Close())
	require.Eventually(t, func() bool { return r.Connections() == 0 }, patient, 10*time.Millisecond, "the last leave by their deadlines")
	after := heap()
	t.Logf("heap before %d KiB, at most %d KiB, after %d KiB", before>>10, peak>>10, after>>10)
	// Each attacker may hold a queue and a message, with some of the test's own.
	require.Less(t, peak-before, uint64(10*attackers)*(256<<10))
	require.Less(t, after, before+(8<<20))
}

// serveWell has a good client ask until over, and returns how often it was
// answered.
func serveWell(t *testing.T, good *wire, over <-chan struct{}) (n int) {
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	for ; ; n++ {
		select {
		case <-over:
			return n
		case <-pace.C:
		}
		err := good.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `42%d["echo",%d]`, n, n))
		for want := fmt.Sprintf(`43%d[%d]`, n, n); err == nil; {
			var got []byte
			if _, got, err = good.ReadMessage(); err != nil || string(got) == want {
				break
			}
			if string(got) != "2" {
				t.Errorf("%q instead of %q", got, want)
			}
			err = good.WriteMessage(websocket.TextMessage, []byte("3"))
		}
		if err != nil {
			t.Errorf("the good client suffers: %v", err)
			return 0
		}
	}
}

// heap is what is in use, with garbage gone.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// attack opens a connection or gives up: the server may have cut it.
func (r *rig) attack(query string) *websocket.Conn {
	ws, res, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(r.url, "http")+"?EIO=4&transport=websocket"+query, nil)
	if err != nil {
		return nil
	}
	_ = res.Body.Close()
	_ = ws.SetReadDeadline(time.Now().Add(3 * patient))
	return ws
}

// endsFor reads until the server has cut the connection.
func endsFor(t *testing.T, ws *websocket.Conn) {
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			if network, ok := err.(net.Error); ok && network.Timeout() { //nolint:errorlint // the reader's own
				t.Error("a hostile client is not cut")
			}
			_ = ws.Close()
			return
		}
	}
}

func openPolling(r *rig) string {
	res, err := http.Get(r.url + "?EIO=4&transport=polling")
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	_, rest, _ := strings.Cut(string(body), `"sid":"`)
	sid, _, _ := strings.Cut(rest, `"`)
	return sid
}

func halfOpenUpgrade(t *testing.T, r *rig) {
	if ws := r.attack("&sid=" + openPolling(r)); ws != nil {
		endsFor(t, ws)
	}
}

func hangingPoll(_ *testing.T, r *rig) {
	sid := openPolling(r)
	for range 2 { // until the ping, and then until the end of patience
		res, err := http.Get(r.url + "?EIO=4&transport=polling&sid=" + sid)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
}

func giantHeader(t *testing.T, r *rig) {
	u, err := url.Parse(r.url)
	if err != nil {
		t.Error(err)
		return
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patient))
	_, _ = fmt.Fprintf(conn, "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nX: ")
	chunk := []byte(strings.Repeat("x", 64<<10))
	for range 64 { // 4 MiB; the server takes one
		if _, err := conn.Write(chunk); err != nil {
			return
		}
	}
}

func pingFlood(t *testing.T, r *rig) {
	ws := r.attack("")
	if ws == nil {
		return
	}
	for range 10_000 {
		if ws.WriteControl(websocket.PingMessage, make([]byte, 125), time.Now().Add(patient)) != nil {
			break
		}
	}
	endsFor(t, ws)
}

func manyNamespaces(t *testing.T, r *rig) {
	ws := r.attack("")
	if ws == nil {
		return
	}
	for i := range 10_000 {
		if ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, "40/%d%s,", i, strings.Repeat("n", 200))) != nil {
			break
		}
	}
	endsFor(t, ws)
}

func manyJoins(t *testing.T, r *rig) {
	ws := r.attack("")
	if ws == nil {
		return
	}
	_ = ws.WriteMessage(websocket.TextMessage, []byte("40"))
	for i := range 10_000 {
		if ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `42["join","%d"]`, i)) != nil {
			break
		}
	}
	endsFor(t, ws)
}

func neverReads(t *testing.T, r *rig) {
	ws := r.attack("")
	if ws == nil {
		return
	}
	_ = ws.WriteMessage(websocket.TextMessage, []byte("40"))
	for range 3 {
		_, _, _ = ws.ReadMessage()
	}
	_ = ws.WriteMessage(websocket.TextMessage, []byte(`42["flood"]`))
	t.Cleanup(func() { _ = ws.Close() })
}

func slowBody(_ *testing.T, r *rig) {
	u, _ := url.Parse(r.url)
	sid := openPolling(r)
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patient))
	_, _ = fmt.Fprintf(conn, "POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n4", sid)
	_, _ = io.Copy(io.Discard, conn)
}

func unfinishedBinary(t *testing.T, r *rig) {
	ws := r.attack("")
	if ws == nil {
		return
	}
	_ = ws.WriteMessage(websocket.TextMessage, []byte("40"))
	_ = ws.WriteMessage(websocket.TextMessage, []byte(`4510-["a"]`))
	for range 9 {
		_ = ws.WriteMessage(websocket.BinaryMessage, make([]byte, 60_000))
	}
	endsFor(t, ws)
}

func silence(t *testing.T, r *rig) {
	if ws := r.attack(""); ws != nil {
		endsFor(t, ws)
	}
}
