package main

import (
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryDoorEndToEnd follows a booking's life, written by psql, with real
// clients through every door: socket.io-client by each transport, EventSource,
// curl, and a page in a browser. Their link is cut, the server is killed and
// started again, and another node takes over. Each hears each change once, in
// order, though none of them sorts or drops anything.
func TestEveryDoorEndToEnd(t *testing.T) {
	t.Parallel()
	installClients(t)
	s := openShop(t)
	line := newLink(t)
	page := openPage(t, line.url(), token(t, "p1"))
	s.env = append(s.env, "PGBELL_ORIGINS", page.origin)
	server := spawn(t, s.env)
	line.lead(server.address)

	// An unmodified client of old habits connects without a token and
	// authenticates by an event.
	late := startNode(t, "socket.io-client, authenticate", "socketio.js", line.url(), token(t, "p1"), "event", "polling", "websocket")
	guests := []*guest{
		startNode(t, "socket.io-client, websocket", "socketio.js", line.url(), token(t, "p1"), "auth", "websocket"),
		startNode(t, "socket.io-client, polling", "socketio.js", line.url(), token(t, "p1"), "auth", "polling"),
		startNode(t, "socket.io-client, upgrade", "socketio.js", line.url(), token(t, "p1"), "auth", "polling", "websocket"),
		startNode(t, "socket.io-client, header", "socketio.js", line.url(), token(t, "p1"), "header", "websocket"),
		late,
		startNode(t, "eventsource", "eventsource.js", line.url(), token(t, "p1")),
		startCurl(t, line, token(t, "p1")),
		page.guests["socketio"], page.guests["sse"], page.guests["websocket"],
	}
	startChromium(t, page.origin)
	for _, g := range guests {
		g.awaitLive(t)
	}
	all := func() {
		t.Helper()
		want := s.truth(t, &follower{user: "p1"})
		for _, g := range guests {
			g.await(t, want)
		}
	}
	write := func(sql string) { psql(t, s.url, sql) }

	write(`INSERT INTO bookings (id, client_id, provider_id, status) VALUES (1, 'c1', 'p1', 'PENDING')`)
	write(`UPDATE bookings SET status = 'CONFIRMED' WHERE id = 1`)
	all()

	line.cut()
	write(`UPDATE bookings SET status = 'MOVED' WHERE id = 1`)
	write(`UPDATE bookings SET provider_id = 'p2' WHERE id = 1`)
	write(`UPDATE bookings SET status = 'THEIRS' WHERE id = 1`)
	line.lead(server.address)
	all()

	server.kill(t)
	line.cut()
	write(`UPDATE bookings SET provider_id = 'p1', status = 'BACK' WHERE id = 1`)
	write(`UPDATE bookings SET note = 'for the provider alone' WHERE id = 1`)
	server = spawn(t, s.env)
	line.lead(server.address)
	all()

	other := spawn(t, s.env)
	line.cut()
	write(`INSERT INTO bookings (id, client_id, provider_id, status) SELECT i, 'c' || i % 7, 'p' || i % 3, 'PENDING' FROM generate_series(2, 100) AS i`)
	line.lead(other.address)
	all()
	write(`UPDATE bookings SET status = 'COMPLETED' WHERE id < 50`)
	line.cut()
	line.lead(server.address)
	write(`DELETE FROM bookings`)
	all()

	ops := []string{"insert", "update", "update", "left", "entered", "update", "insert"}
	for _, g := range guests {
		require.Equal(t, ops, g.ops[:len(ops)], g.name)
		require.Equal(t, "delete", g.ops[len(g.ops)-1], g.name)
		require.Empty(t, g.resets, g.name)
		switch {
		case g == late: // nobody knows it yet when it connects
			require.Equal(t, []bool{false, false, false, false, false}, g.connects, g.name)
		case len(g.connects) > 0:
			require.Equal(t, []bool{false, true, true, true, true}, g.connects, "%s: socket.recovered", g.name)
		}
	}
	require.Contains(t, guests[2].others, "upgrade")
}

// TestSocketIORecoveryIsAChoice has a client come back to a server that recovers
// nobody, and one that is refused.
func TestSocketIORecoveryIsAChoice(t *testing.T) {
	t.Parallel()
	installClients(t)
	s := openShop(t)
	line := newLink(t)
	server := spawn(t, append(s.env, "PGBELL_SOCKETIO_RECOVERY", "off"))
	line.lead(server.address)
	g := startNode(t, "socket.io-client", "socketio.js", line.url(), token(t, "p1"), "auth", "websocket")
	g.awaitLive(t)
	line.cut()
	line.lead(server.address)
	g.awaitLive(t)
	require.Equal(t, []bool{false, false}, g.connects)
	refused := startNode(t, "socket.io-client", "socketio.js", line.url(), "no token", "auth", "polling")
	require.JSONEq(t, `{"code":"token_invalid","message":"The token is not accepted.","retryable":false,"action":"refresh"}`, string(refused.awaitRefusal(t)))
}

// psql writes as somebody at a terminal does.
func psql(t *testing.T, url, sql string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), postgresProgram(t, "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql, url).CombinedOutput()
	require.NoError(t, err, string(out))
}

// installClients has npm put exactly what the lock file says into place, unless
// it is there already.
func installClients(t *testing.T) {
	t.Helper()
	clientsInstalled.Do(func() { installClientsOnce(t) })
}

func installClientsOnce(t *testing.T) {
	t.Helper()
	lock, err := os.ReadFile(filepath.Join(clients, "package-lock.json"))
	require.NoError(t, err)
	mark := filepath.Join(clients, "node_modules", ".installed")
	if was, err := os.ReadFile(mark); err == nil && string(was) == string(lock) {
		return
	}
	npm := exec.CommandContext(t.Context(), program(t, "npm"), "ci", "--no-audit", "--no-fund")
	npm.Dir = clients
	out, err := npm.CombinedOutput()
	require.NoError(t, err, string(out))
	require.NoError(t, os.WriteFile(mark, lock, 0o600))
}

// startCurl polls with curl: what it was answered says where it goes on.
func startCurl(t *testing.T, line *link, token string) *guest {
	t.Helper()
	g := newGuest("curl")
	curl := program(t, "curl")
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		cursor := ""
		for line.await(t.Context()) {
			query := url.Values{"cursor": {cursor}, "wait": {"20"}}.Encode()
			text, err := exec.CommandContext(t.Context(), curl, "-sSf", "-H", "Authorization: Bearer "+token, line.url()+"/api/events?"+query).Output()
			var answer struct {
				Events []json.RawMessage
				Cursor string
			}
			if err != nil || json.Unmarshal(text, &answer) != nil {
				continue // cut off: it asks for the same again
			}
			if cursor == "" {
				g.hear([]byte(`{"event":"authenticated"}`))
			}
			cursor = answer.Cursor
			for _, e := range answer.Events {
				g.hear(e)
			}
		}
	}()
	t.Cleanup(func() { <-stopped })
	return g
}

// startChromium opens a page in a browser that nobody sees.
func startChromium(t *testing.T, url string) {
	t.Helper()
	profile, err := os.MkdirTemp("", "pgbell-chromium-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(profile) }) // when the browser has ended
	startProcess(t, program(t, "chromium"), nil,
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir="+profile, url)
}

// program finds one that these tests run.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	require.NoError(t, err, "this test runs real clients: install Node.js 20 or newer with npm, curl and chromium (.ci/setup does what it can)")
	return path
}

// startNode runs a client of testdata.
func startNode(t *testing.T, name, script string, args ...string) *guest {
	t.Helper()
	g := newGuest(name)
	startProcess(t, program(t, "node"), g.hear, append([]string{filepath.Join(clients, script)}, args...)...)
	return g
}

// short is a line for a message.
func short(line []byte) string { return strings.TrimSpace(string(line[:min(len(line), 300)])) }

// postgresProgram finds a client program of Postgres.
func postgresProgram(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	require.NoError(t, err)
	require.NotEmpty(t, found, "%s is needed: install PostgreSQL's client programs", name)
	return found[len(found)-1]
}
