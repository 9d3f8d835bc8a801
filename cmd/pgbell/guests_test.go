package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// clients is where the real clients of these tests are.
const clients = "testdata/clients"

var clientsInstalled sync.Once

// guest is a real client, and all that it heard.
type guest struct {
	name string

	mu       sync.Mutex // guards what follows
	ids      []int64    // of the updates
	ops      []string   // of the same
	told     []string   // titles of notifications, and which were read
	unread   int64      // as it was told last
	connects []bool     // socket.recovered at each connect, of Socket.IO
	lives    int        // times that it was told to be live
	awaited  int        // of these, those that awaitLive has seen
	resets   []string
	refusal  json.RawMessage
	others   []string
	grown    chan struct{} // closed at the next that it hears
}

func newGuest(name string) *guest { return &guest{name: name, grown: make(chan struct{})} }

// hear takes one message, as JSON.
func (g *guest) hear(line []byte) {
	var m struct {
		Event     string
		Recovered bool
		Data      json.RawMessage
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if json.Unmarshal(line, &m) != nil {
		m.Event = "not JSON: " + short(line)
	}
	switch m.Event {
	case "booking_update":
		var data struct {
			ID int64
			Op string
		}
		_ = json.Unmarshal(m.Data, &data)
		g.ids, g.ops = append(g.ids, data.ID), append(g.ops, data.Op)
	case "notification", "notifications_read":
		var data struct {
			Title  string
			IDs    []int64
			Unread *int64
		}
		_ = json.Unmarshal(m.Data, &data)
		what := data.Title
		if data.IDs != nil {
			what = fmt.Sprint("read ", data.IDs)
		}
		if g.unread = -1; data.Unread != nil {
			g.unread = *data.Unread
		}
		g.told = append(g.told, what)
	case "connect":
		g.connects = append(g.connects, m.Recovered)
	case "authenticated":
		g.lives++
	case "reset":
		g.resets = append(g.resets, string(m.Data))
	case "connect_error":
		g.refusal = m.Data
	default:
		g.others = append(g.others, m.Event)
	}
	close(g.grown)
	g.grown = make(chan struct{})
}

// until waits for something to be true of what the guest heard.
func (g *guest) until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	timeout := time.After(patience)
	for {
		g.mu.Lock()
		ok, grown := happened(), g.grown
		g.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-grown:
		case <-timeout:
			g.mu.Lock()
			defer g.mu.Unlock()
			t.Fatalf("%s waits for %s; it heard %v, lives %d, connects %v, resets %v, others %v", g.name, what, g.ids, g.lives, g.connects, g.resets, g.others)
		}
	}
}

// await waits until the guest has heard as many updates, and holds that they are
// those.
func (g *guest) await(t *testing.T, want []int64) {
	t.Helper()
	g.until(t, "updates", func() bool { return len(g.ids) >= len(want) })
	g.mu.Lock()
	defer g.mu.Unlock()
	require.Equal(t, want, g.ids, g.name)
}

// awaitLive waits until the guest is live once more.
func (g *guest) awaitLive(t *testing.T) {
	t.Helper()
	g.until(t, "being live", func() bool { return g.lives > g.awaited })
	g.awaited = g.lives
}

// awaitTold waits until the guest was told as much of notifications, and holds
// that it is that, with the number of unread ones at the end.
func (g *guest) awaitTold(t *testing.T, unread int64, want ...string) {
	t.Helper()
	g.until(t, "notifications", func() bool { return len(g.told) >= len(want) })
	g.mu.Lock()
	defer g.mu.Unlock()
	require.Equal(t, want, g.told, g.name)
	require.Equal(t, unread, g.unread, g.name)
}

func (g *guest) awaitRefusal(t *testing.T) json.RawMessage {
	t.Helper()
	g.until(t, "a refusal", func() bool { return g.refusal != nil })
	return g.refusal
}

// startProcess runs a program, with all that it starts, until the test ends, and
// hands on each line that it prints.
func startProcess(t *testing.T, path string, line func([]byte), args ...string) {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var errs output
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if line != nil {
				line(lines.Bytes())
			}
		}
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-read
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s %s said:\n%s", filepath.Base(path), args[0], &errs)
		}
	})
}

// node is a server in a process of its own.
type node struct {
	process *exec.Cmd
	address string
}

// spawn starts one on a free port.
func spawn(t *testing.T, env []string) *node {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "serve", "--listen", "127.0.0.1:0")
	cmd.Env = []string{executable + "=1", "PATH=" + os.Getenv("PATH"), "PGBELL_JWT_SECRET=" + secret}
	for i := 0; i < len(env); i += 2 {
		cmd.Env = append(cmd.Env, env[i]+"="+env[i+1])
	}
	var out, errs output
	cmd.Stdout, cmd.Stderr = &out, &errs
	require.NoError(t, cmd.Start())
	n := &node{process: cmd}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("pgbell said:\n%s", &errs)
		}
	})
	n.address = strings.TrimPrefix(out.await(t, `pgbell serves (\S+), `)[1], "http://")
	return n
}

// kill ends the server as a failing machine does.
func (n *node) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, n.process.Process.Kill())
	_ = n.process.Wait() // it says that it was killed
}

// link is what lies between clients and a server: one address, which leads to
// one server or another, or nowhere.
type link struct {
	socket net.Listener

	mu     sync.Mutex // guards what follows
	target string     // empty: it leads nowhere
	leads  chan struct{}
	conns  map[net.Conn]struct{}
	wg     sync.WaitGroup
}

func newLink(t *testing.T) *link {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &link{socket: socket, leads: make(chan struct{}), conns: make(map[net.Conn]struct{})}
	l.wg.Go(func() {
		for {
			conn, err := socket.Accept()
			if err != nil {
				return
			}
			l.wg.Go(func() { l.carry(conn) })
		}
	})
	t.Cleanup(func() {
		_ = socket.Close()
		l.cut()
		l.wg.Wait()
	})
	return l
}

func (l *link) url() string { return "http://" + l.socket.Addr().String() }

// lead makes the link lead to a server from now on.
func (l *link) lead(address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.target = address
	close(l.leads)
}

// cut breaks every connection, and lets none through.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.target != "" {
		l.target, l.leads = "", make(chan struct{})
	}
	for conn := range l.conns {
		_ = conn.Close()
	}
}

// await waits until the link leads somewhere. It reports false when ctx ends
// before.
func (l *link) await(ctx context.Context) bool {
	l.mu.Lock()
	leads := l.leads
	l.mu.Unlock()
	select {
	case <-leads:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// carry connects a client to the server, until either end is closed.
func (l *link) carry(client net.Conn) {
	defer client.Close()
	l.mu.Lock()
	target := l.target
	l.mu.Unlock()
	if target == "" {
		return
	}
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	l.mu.Lock()
	cut := l.target != target
	l.conns[client], l.conns[server] = struct{}{}, struct{}{}
	l.mu.Unlock()
	if !cut {
		done := make(chan struct{}, 2)
		for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
			l.wg.Go(func() {
				_, _ = io.Copy(way[0], way[1])
				done <- struct{}{}
			})
		}
		<-done
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, client)
	delete(l.conns, server)
}

// page is what the browser shows, and what its doors hear.
type page struct {
	origin string
	guests map[string]*guest
}

func openPage(t *testing.T, url, token string) *page {
	t.Helper()
	p := &page{guests: make(map[string]*guest)}
	for _, door := range []string{"socketio", "sse", "websocket"} {
		p.guests[door] = newGuest("page, " + door)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(clients, "page.html"))
	})
	mux.HandleFunc("GET /socket.io.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(clients, "node_modules/socket.io-client/dist/socket.io.min.js"))
	})
	mux.HandleFunc("GET /settings", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"url": url, "token": token})
	})
	mux.HandleFunc("POST /heard", func(_ http.ResponseWriter, r *http.Request) {
		var m struct{ Door string }
		body, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(body, &m) != nil || p.guests[m.Door] == nil {
			return // the page is being closed
		}
		p.guests[m.Door].hear(body)
	})
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	p.origin = web.URL
	return p
}
