package ws

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/ws/auth"
)

// idleServer makes the test binary a server in a process of its own, so that
// its memory is the server's alone.
const idleServer = "PGBELL_TEST_IDLE_SERVER"

var idleSecret = []byte("0123456789abcdef0123456789abcdef")

// usage is what the server's process uses.
type usage struct{ Resident, Heap, Stacks, Sessions int64 }

// serveIdle prints its address and ends with its standard input.
func serveIdle() {
	verifier, err := auth.New(auth.Options{Secret: idleSecret})
	if err != nil {
		panic(err)
	}
	hub := NewHub(Options{Authenticator: verifier})
	newFeed(newDatabase(), hub)
	go hub.Run(context.Background())
	mux := http.NewServeMux()
	mux.Handle("/", NewHandler(hub, HandlerOptions{}))
	mux.HandleFunc("/usage", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("settle") {
			debug.FreeOSMemory()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		var u usage
		var total int64
		statm, _ := os.ReadFile("/proc/self/statm")
		fmt.Sscan(string(statm), &total, &u.Resident)
		u.Resident *= int64(os.Getpagesize())
		u.Heap, u.Stacks = int64(m.HeapAlloc), int64(m.StackInuse)
		hub.mu.Lock()
		u.Sessions = int64(len(hub.sessions))
		hub.mu.Unlock()
		_ = json.NewEncoder(w).Encode(u)
	})
	mux.HandleFunc("/heap", func(w http.ResponseWriter, _ *http.Request) {
		_ = pprof.Lookup("heap").WriteTo(w, 0)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr())
	go http.Serve(listener, mux)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// BenchmarkIdleConnection measures what an authenticated connection that does
// nothing costs a server, kernel memory aside: resident is what the process
// grew by as it stands, settled after a collection that gave back what was
// free.
func BenchmarkIdleConnection(b *testing.B) {
	const connections = 4000
	for _, way := range []string{"header", "message"} {
		b.Run(way, func(b *testing.B) {
			server := exec.Command(os.Args[0])
			server.Env = append(os.Environ(), idleServer+"=1")
			stdin, err := server.StdinPipe()
			require.NoError(b, err)
			stdout, err := server.StdoutPipe()
			require.NoError(b, err)
			require.NoError(b, server.Start())
			defer func() {
				stdin.Close()
				_ = server.Wait()
			}()
			address, err := bufio.NewReader(stdout).ReadString('\n')
			require.NoError(b, err)
			address = strings.TrimSpace(address)
			get := func(settle string) (u usage) {
				response, err := http.Get("http://" + address + "/usage" + settle)
				require.NoError(b, err)
				defer response.Body.Close()
				require.NoError(b, json.NewDecoder(response.Body).Decode(&u))
				return u
			}
			for range 10 { // warm
				idleConnection(b, address, way, 0).Close()
			}
			require.Eventually(b, func() bool { return get("?settle").Sessions == 0 }, 10*time.Second, 10*time.Millisecond)
			before := get("?settle")
			for i := range connections {
				defer idleConnection(b, address, way, i).Close()
			}
			resident := get("")
			settled := get("?settle")
			require.EqualValues(b, connections, settled.Sessions)
			if path := os.Getenv("PGBELL_TEST_HEAP"); path != "" {
				response, err := http.Get("http://" + address + "/heap")
				require.NoError(b, err)
				profile, err := io.ReadAll(response.Body)
				response.Body.Close()
				require.NoError(b, err)
				require.NoError(b, os.WriteFile(path, profile, 0o644))
			}
			for range b.N {
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(resident.Resident-before.Resident)/connections, "resident-B/conn")
			b.ReportMetric(float64(settled.Resident-before.Resident)/connections, "settled-B/conn")
			b.ReportMetric(float64(settled.Heap-before.Heap)/connections, "heap-B/conn")
			b.ReportMetric(float64(settled.Stacks-before.Stacks)/connections, "stack-B/conn")
		})
	}
}

// idleConnection opens a WebSocket by hand, so that thousands are cheap here.
func idleConnection(b *testing.B, address, way string, i int) net.Conn {
	token, err := auth.Mint(idleSecret, auth.Claims{Subject: fmt.Sprintf("user-%d", i), Roles: []string{"CLIENT"}})
	require.NoError(b, err)
	conn, err := net.Dial("tcp", address)
	require.NoError(b, err)
	authorization := ""
	if way == "header" {
		authorization = "Authorization: Bearer " + token + "\r\n"
	}
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n%s\r\n", address, authorization)
	reader := bufio.NewReaderSize(conn, 1024)
	for line := ""; line != "\r\n"; {
		line, err = reader.ReadString('\n')
		require.NoError(b, err)
	}
	if way == "message" {
		body := plainJSON(map[string]any{"event": "authenticate", "data": map[string]string{"token": token}})
		frame := []byte{0x81, 0x80 | 126, byte(len(body) >> 8), byte(len(body)), 0, 0, 0, 0}
		_, err = conn.Write(append(frame, body...))
		require.NoError(b, err)
	}
	_, err = reader.ReadBytes('}') // authenticated
	require.NoError(b, err)
	return conn
}
