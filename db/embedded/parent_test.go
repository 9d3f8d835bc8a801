//go:build unix && !solaris && !aix

package embedded

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// childVariable makes the test binary a process that starts a server in the
// directory the variable names, says where, and then does nothing.
const childVariable = "PGBELL_TEST_EMBEDDED_DIR"

func child(dir string) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT) // survive it
	s, err := Start(context.Background(), Options{Dir: dir, Settings: fast})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(s.URL("postgres"), s.Dir(), s.process.cmd.Process.Pid, s.process.guard.cmd.Process.Pid)
	select {}
}

// parent is a running child, which is the parent of a server.
type parent struct {
	cmd                  *exec.Cmd
	url, dir             string
	postmaster, guardPID int
}

func startParent(t *testing.T, dir string) parent {
	t.Helper()
	p := parent{cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), childVariable+"="+dir)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	fields := strings.Fields(line)
	require.Len(t, fields, 4, line)
	p.url, p.dir = fields[0], fields[1]
	p.postmaster, err = strconv.Atoi(fields[2])
	require.NoError(t, err)
	p.guardPID, err = strconv.Atoi(fields[3])
	require.NoError(t, err)
	return p
}

func (p parent) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Kill())
	_ = p.cmd.Wait()
}

// waitGone waits for the lock that every process of the server holds. Whoever
// gets it knows that the last one ended.
func (p parent) waitGone(t *testing.T) *os.File {
	t.Helper()
	lock, err := os.OpenFile(p.dir+"/server.lock", os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = lock.Close() })
	done := make(chan error, 1)
	go func() { done <- unix.Flock(int(lock.Fd()), unix.LOCK_EX) }()
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(30 * time.Second):
		t.Fatal("postgres outlives its parent")
	}
	return lock
}

func TestEndsWithItsParent(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	p := startParent(t, dir)
	run(t, p.url, "CREATE TABLE kept()")
	p.kill(t)
	require.NoError(t, p.waitGone(t).Close())

	s := startServer(t, Options{Dir: dir})
	run(t, s.URL("postgres"), "SELECT FROM kept")
	log, err := os.ReadFile(s.dir.join("postgres.log"))
	require.NoError(t, err)
	require.NotContains(t, string(log), "recovery", "it was stopped, not killed")
}

func TestStartRightAfterTheParentWasKilled(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	p := startParent(t, dir)
	run(t, p.url, "CREATE TABLE kept()")
	p.kill(t)
	s := startServer(t, Options{Dir: dir})
	run(t, s.URL("postgres"), "SELECT FROM kept")
}

func TestStartAfterParentAndGuardWereKilled(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	p := startParent(t, dir)
	run(t, p.url, "CREATE TABLE kept()")
	require.NoError(t, syscall.Kill(p.guardPID, syscall.SIGKILL))
	p.kill(t)
	run(t, p.url, "SELECT FROM kept") // an orphan
	s := startServer(t, Options{Dir: dir})
	run(t, s.URL("postgres"), "SELECT FROM kept")
}

func TestStartAfterEverybodyWasKilled(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	p := startParent(t, dir)
	run(t, p.url, "CREATE TABLE kept()")
	p.kill(t)
	_ = syscall.Kill(p.postmaster, syscall.SIGKILL) // the guard may have been faster
	s := startServer(t, Options{Dir: dir})
	run(t, s.URL("postgres"), "SELECT FROM kept")
}

func TestTemporaryDirectoryEndsWithItsParent(t *testing.T) {
	t.Parallel()
	p := startParent(t, "")
	p.kill(t)
	p.waitGone(t)
	// The guard removes it after that; nobody tells us when.
	require.Eventually(t, func() bool {
		_, err := os.Stat(p.dir)
		return os.IsNotExist(err)
	}, 30*time.Second, 20*time.Millisecond)
}

// Killed while it makes a cluster: initdb ends, and nothing stays.
func TestInterruptedInitdb(t *testing.T) {
	t.Parallel()
	dir := filepath.Dir(newDir(t))
	for name, script := range map[string]string{
		"postgres": "#!/bin/sh\necho 'postgres (PostgreSQL) 17.5'\n",
		"initdb":   "#!/bin/sh\necho $$ > \"$2/started\"\nexec sleep 1000\n", // initdb --pgdata …/data.new
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755))
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=", "TMPDIR="+dir, BinariesVariable+"="+dir)
	require.NoError(t, cmd.Start())
	matches := func(pattern string) int {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		require.NoError(t, err)
		return len(found)
	}
	require.Eventually(t, func() bool { return matches("pgbell-*/data.new/started") == 1 }, 30*time.Second, 20*time.Millisecond)
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	require.Eventually(t, func() bool { return matches("pgbell-*") == 0 }, 30*time.Second, 20*time.Millisecond)
}

func TestInterruptOfTheTerminal(t *testing.T) {
	t.Parallel()
	p := startParent(t, newDir(t))
	require.NoError(t, syscall.Kill(-p.cmd.Process.Pid, syscall.SIGINT))
	for _, pid := range []int{p.postmaster, p.guardPID} {
		session, err := unix.Getsid(pid)
		require.NoError(t, err)
		require.Equal(t, pid, session, "in a session of its own")
	}
	run(t, p.url, "SELECT 1")
	p.kill(t)
	require.NoError(t, p.waitGone(t).Close())
}
