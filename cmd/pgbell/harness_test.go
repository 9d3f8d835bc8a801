package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/ws/auth"
)

// executable makes this test program be pgbell itself, for tests that need a
// process of its own.
const executable = "PGBELL_TEST_IS_PGBELL"

func TestMain(m *testing.M) {
	if os.Getenv(executable) != "" {
		os.Exit(command())
	}
	pgtest.Main(m)
}

// patience bounds every wait of these tests. Nothing takes a tenth of it.
const patience = time.Minute

// secret signs the tokens of these tests.
const secret = "a secret of at least thirty-two bytes"

// output collects what a command prints and lets tests wait for it.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{} // closed at the next write
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.grown != nil {
		close(o.grown)
		o.grown = nil
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await returns the submatches of the first text that matches.
func (o *output) await(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(patience)
	for {
		o.mu.Lock()
		if o.grown == nil {
			o.grown = make(chan struct{})
		}
		text, grown := o.text.String(), o.grown
		o.mu.Unlock()
		if found := re.FindStringSubmatch(text); found != nil {
			return found
		}
		select {
		case <-grown:
		case <-timeout:
			t.Fatalf("no %q in:\n%s", pattern, text)
		}
	}
}

// environment is a lookup in pairs alone: nothing of the machine's leaks in.
func environment(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

// execute runs a command to its end.
func execute(t *testing.T, env []string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs output
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	status = run(ctx, args, surroundings{stdout: &out, stderr: &errs, lookup: environment(env...)})
	return status, out.String(), errs.String()
}

// succeed runs a command that has to.
func succeed(t *testing.T, env []string, args ...string) string {
	t.Helper()
	status, stdout, stderr := execute(t, env, args...)
	require.Equal(t, statusOK, status, stderr)
	return stdout
}

// running is a command that goes on until it is stopped.
type running struct {
	stdout, stderr output
	cancel         context.CancelFunc
	ended          chan int // the status
}

// start runs a command in this process. It is stopped when the test ends.
func start(t *testing.T, env []string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{cancel: cancel, ended: make(chan int, 1)}
	go func() {
		r.ended <- run(ctx, args, surroundings{stdout: &r.stdout, stderr: &r.stderr, lookup: environment(env...)})
	}()
	t.Cleanup(func() {
		r.stop(t)
		if t.Failed() {
			t.Logf("pgbell %v said:\n%s", args, &r.stderr)
		}
	})
	return r
}

// stop asks for an orderly end and waits for it. It may be called again.
func (r *running) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	select {
	case status := <-r.ended:
		r.ended <- status
		require.Equal(t, statusOK, status, r.stderr.String())
	case <-time.After(patience):
		t.Fatal("the command does not end")
	}
}

// serve starts a server on a free port and returns its URL.
func serve(t *testing.T, env []string, args ...string) (*running, string) {
	t.Helper()
	r := start(t, append(env, "PGBELL_JWT_SECRET", secret), append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	go func() { // a server that does not start shall not make await wait
		status := <-r.ended
		r.ended <- status
		if status != statusOK {
			_, _ = r.stdout.Write([]byte("pgbell serves nothing: " + r.stderr.String()))
		}
	}()
	return r, r.stdout.await(t, `pgbell serves (\S+), `)[1]
}

// token signs one for a user.
func token(t *testing.T, user string, roles ...string) string {
	t.Helper()
	text, err := auth.Mint([]byte(secret), auth.Claims{Subject: user, Roles: roles})
	require.NoError(t, err)
	return text
}

// envelope is a message of the server.
type envelope struct {
	Event  string          `json:"event"`
	Data   json.RawMessage `json:"data"`
	Cursor string          `json:"cursor"`
}

// change is the data of an update.
type change struct {
	Type, Action, Op, Table string
	Key, Data, Old          map[string]any
}

// client is one user's WebSocket.
type client struct {
	*websocket.Conn
	user string
}

// join connects and returns when the stream is live.
func join(t *testing.T, url, user, token string) *client {
	t.Helper()
	header := http.Header{"Authorization": {"Bearer " + token}}
	conn, response, err := websocket.DefaultDialer.DialContext(t.Context(), strings.Replace(url, "http", "ws", 1)+"/ws", header)
	require.NoError(t, err, user)
	require.NoError(t, response.Body.Close())
	t.Cleanup(func() { _ = conn.Close() }) // most tests close it before
	c := &client{conn, user}
	for {
		if m := c.next(t); m.Event == "authenticated" {
			return c
		}
	}
}

func (c *client) next(t *testing.T) envelope {
	t.Helper()
	var m envelope
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	require.NoError(t, c.ReadJSON(&m), "%s waits for a message", c.user)
	return m
}

// change is the next update that the client is sent.
func (c *client) change(t *testing.T) change {
	t.Helper()
	for {
		m := c.next(t)
		if !strings.HasSuffix(m.Event, "_update") {
			continue
		}
		var got change
		require.NoError(t, json.Unmarshal(m.Data, &got))
		require.Equal(t, m.Event, got.Type+"_update")
		return got
	}
}

// get is the body of a page.
func get(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	// A transport that keeps no connection, so that none is left behind.
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(body)
}

// configuration writes a pgbell.yaml of the test's own and returns its path.
func configuration(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pgbell.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}
