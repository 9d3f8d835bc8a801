package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/cmd/pgbell/demo"
	"github.com/pgbell/pgbell/db/pgtest"
)

// logins asks a demo for everybody's token.
func logins(t *testing.T, url string) map[string]string {
	t.Helper()
	var all []demo.Login
	require.NoError(t, json.Unmarshal([]byte(get(t, url+"/demo/people")), &all))
	tokens := make(map[string]string)
	for _, l := range all {
		tokens[l.ID] = l.Token
	}
	return tokens
}

func TestDemoReachesOwnersAndNobodyElse(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	d := start(t, nil, "demo", "--no-traffic", "--database-url", url, "--listen", "127.0.0.1:0")
	at := d.stdout.await(t, `Open +(\S+)/demo\n`)[1]
	require.Contains(t, d.stdout.String(), "client bilal, provider quinn and every ADMIN")
	require.Contains(t, get(t, at+"/demo"), "<title>pgbell</title>")
	tokens := logins(t, at)

	clients := make(map[string]*client)
	for _, user := range []string{"anna", "bilal", "paul", "quinn", "rosa", "alice"} {
		clients[user] = join(t, at, user, tokens[user])
	}
	conn := pgtest.Connect(t, url)
	write := func(sql string) {
		t.Helper()
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	write(`UPDATE bookings SET price = price + 1, provider_note = 'ring twice' WHERE id = 2`)
	write(`UPDATE payments SET status = 'RELEASED' WHERE booking_id = 2`)
	write(`UPDATE bookings SET provider_id = 'rosa' WHERE id = 1`) // anna's, paul's before

	for user, want := range map[string][]string{
		"bilal": {"booking updated", "payment released"},
		"quinn": {"booking updated", "payment released"},
		"alice": {"booking updated", "payment released", "booking reassigned"},
		"anna":  {"booking reassigned"}, // the first that comes: nothing was before it
		"paul":  {"booking left"},
		"rosa":  {"booking entered"},
	} {
		for _, what := range want {
			got := clients[user].change(t)
			require.Equal(t, what, got.Type+" "+got.Action, user)
			require.NotContains(t, got.Data, "internal_cost")
			if what == "booking updated" {
				require.Equal(t, user == "quinn", got.Data["provider_note"] == "ring twice", "%s sees %v", user, got.Data)
			}
		}
	}
	d.stdout.await(t, `booking_update +updated +id=2 +client bilal, provider quinn, ADMIN +-?[0-9.]+ ms\n`)
	d.stdout.await(t, `booking_update +reassigned +id=1 +client anna, provider rosa, ADMIN; no longer provider paul `)
}

func TestDemoTrafficFlows(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	d := start(t, nil, "demo", "--database-url", url, "--listen", "127.0.0.1:0", "--rate", "200", "--seed", "7")
	d.stdout.await(t, `payout_update +paid `)
	tail := start(t, []string{"DATABASE_URL", url}, "tail", "--json", "--type", "payment")
	line := tail.stdout.await(t, `(\{.*\})\n`)[1]
	var e struct {
		Type, Cursor string
		Owners       map[string]string
	}
	require.NoError(t, json.Unmarshal([]byte(line), &e))
	require.Equal(t, "payment", e.Type)
	require.Len(t, e.Owners, 2)
	require.NotEmpty(t, e.Cursor)
	// From a cursor on, nothing is missed.
	again := start(t, []string{"DATABASE_URL", url}, "tail", "--since", e.Cursor)
	again.stdout.await(t, `_update`)
}

func TestDemoLeavesOtherTablesAlone(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	_, err := pgtest.Connect(t, url).Exec(t.Context(), `CREATE TABLE bookings (id int PRIMARY KEY)`)
	require.NoError(t, err)
	status, _, stderr := execute(t, nil, "demo", "--database-url", url, "--listen", "127.0.0.1:0")
	require.Equal(t, statusError, status)
	require.Equal(t, "pgbell: "+demo.ErrForeignTables.Error()+"\n", stderr)
}

// process starts pgbell as a process of its own.
func process(t *testing.T, env []string, args ...string) (*exec.Cmd, *bufio.Reader, *output) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, args...)
	cmd.Env = append(env, executable+"=1", "PATH="+os.Getenv("PATH"), "HOME="+t.TempDir())
	stderr := new(output)
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended, if the test has succeeded
	return cmd, bufio.NewReader(stdout), stderr
}

// find reads lines up to one with text.
func find(t *testing.T, lines *bufio.Reader, text string, stderr *output) string {
	t.Helper()
	for {
		line, err := lines.ReadString('\n')
		require.NoError(t, err, "no %q; standard error: %s", text, stderr)
		if strings.Contains(line, text) {
			return line
		}
	}
}

func TestSignalEndsInOrder(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	conn := pgtest.Connect(t, url)
	require.NoError(t, demo.Install(t.Context(), conn))
	env := []string{"DATABASE_URL=" + url, "PGBELL_JWT_SECRET=" + secret}
	pairs := []string{"DATABASE_URL", url}
	succeed(t, pairs, "migrate", "up")
	succeed(t, pairs, "triggers", "apply")

	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		cmd, stdout, stderr := process(t, env, "serve", "--listen", "127.0.0.1:0")
		at := strings.TrimSuffix(strings.Fields(find(t, stdout, "pgbell serves", stderr))[2], ",")
		succeed(t, nil, "healthcheck", "--url", at)
		succeed(t, nil, "healthcheck", "--ready", "--url", at)
		anna := join(t, at, "anna", token(t, "anna"))

		require.NoError(t, cmd.Process.Signal(signal))
		require.NoError(t, anna.SetReadDeadline(time.Now().Add(patience)))
		_, _, err := anna.ReadMessage()
		require.True(t, websocket.IsCloseError(err, websocket.CloseGoingAway), "%v", err)
		require.NoError(t, anna.Close())
		require.NoError(t, cmd.Wait(), stderr.String())
		require.Contains(t, stderr.String(), `"msg":"stopping"`)
		require.NotContains(t, stderr.String(), "WARN")
	}
}

func TestDemoWithPrivatePostgres(t *testing.T) {
	t.Parallel()
	// Not t.TempDir, whose parent is closed to the account that Postgres gets
	// when root runs the tests.
	parent, err := os.MkdirTemp("", "pgbell-demo-test-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(parent)) })
	require.NoError(t, os.Chmod(parent, 0o755))
	data := filepath.Join(parent, "data")
	cmd, stdout, stderr := process(t, nil, "demo", "--data", data, "--listen", "127.0.0.1:0", "--rate", "50")
	at := strings.TrimSuffix(strings.Fields(find(t, stdout, "Open ", stderr))[1], "/demo")
	psql := find(t, stdout, "Write a row ", stderr)
	require.Contains(t, psql, "/marketplace?sslmode=disable' -c \"UPDATE bookings SET price = price + 1 WHERE id = ")
	require.Len(t, logins(t, at), 8)
	find(t, stdout, "booking_update", stderr)

	second, _, stderr2 := process(t, nil, "demo", "--data", data, "--listen", "127.0.0.1:0")
	require.Error(t, second.Wait())
	require.Equal(t, statusError, second.ProcessState.ExitCode())
	require.Contains(t, stderr2.String(), "pgbell: another demo runs in "+data+": stop it, or give this one a directory of its own with --data\n")

	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	for { // to its end, so that it can write all it wants to
		if _, err := stdout.ReadString('\n'); err != nil {
			break
		}
	}
	require.NoError(t, cmd.Wait(), stderr.String())
}
