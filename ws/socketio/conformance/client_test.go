package main

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/pgbell/pgbell/ws/socketio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestClient runs socket.io-client, as npm has it, against the server.
func TestClient(t *testing.T) {
	t.Parallel()
	node := program(t, "node")
	server, err := newClient()
	require.NoError(t, err)
	url := start(t, server)
	install(t)

	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	run := exec.CommandContext(ctx, node, "--test-reporter=spec", "client.test.js")
	run.Dir = "testdata"
	run.Env = append(os.Environ(), "SERVER_URL="+url)
	run.WaitDelay = 5 * time.Second
	out, err := run.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "fail 0")
	require.NotContains(t, string(out), "pass 0\n")
}

// start serves until the test ends.
func start(t *testing.T, server *socketio.Server) string {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	web := httptest.NewServer(server)
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-done)
		web.Close()
	})
	return web.URL
}

func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	require.NoError(t, err, "this test runs socket.io-client: install Node.js 20 or newer, with npm")
	return path
}

// install has npm put exactly what the lock file says into place, unless it is
// there already.
func install(t *testing.T) {
	t.Helper()
	lock, err := os.ReadFile(filepath.Join("testdata", "package-lock.json"))
	require.NoError(t, err)
	mark := filepath.Join("testdata", "node_modules", ".installed")
	if was, err := os.ReadFile(mark); err == nil && string(was) == string(lock) {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	npm := exec.CommandContext(ctx, program(t, "npm"), "ci", "--no-audit", "--no-fund")
	npm.Dir = "testdata"
	out, err := npm.CombinedOutput()
	require.NoError(t, err, string(out))
	require.NoError(t, os.WriteFile(mark, lock, 0o600))
}
