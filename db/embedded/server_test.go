//go:build unix && !solaris && !aix

package embedded

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir, ok := os.LookupEnv(childVariable); ok {
		child(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// fast is for servers that no test unplugs.
var fast = map[string]string{"fsync": "off", "shared_buffers": "16MB"}

// newDir is a directory that the account of the server can reach, which those
// of t.TempDir are not for root.
func newDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "embedded-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o711))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return filepath.Join(dir, "server")
}

func startServer(t *testing.T, opts Options) *Server {
	t.Helper()
	if opts.Settings == nil {
		opts.Settings = fast
	}
	s, err := Start(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop(context.Background())) })
	return s
}

// run executes one statement in a connection of its own.
func run(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
}

func TestTemporaryServer(t *testing.T) {
	t.Parallel()
	s := startServer(t, Options{})
	run(t, s.URL("postgres"), "CREATE TABLE t()")
	require.Equal(t, "psql '"+s.URL("postgres")+"'", s.Psql("postgres"))
	require.Regexp(t, `^\d\d`, s.Version())

	wrong := fmt.Sprintf("postgres://postgres:wrong@127.0.0.1:%d/postgres", s.port)
	_, err := pgx.Connect(t.Context(), wrong)
	require.ErrorContains(t, err, "password authentication failed")
	socket := fmt.Sprintf("host=%s port=%d user=postgres password=%s", s.dir.socket(), s.port, s.password)
	run(t, socket, "SELECT 1")
	log, err := os.ReadFile(filepath.Join(s.Dir(), "postgres.log"))
	require.NoError(t, err)
	require.NotContains(t, string(log), s.password)

	dir, url := s.Dir(), s.URL("postgres")
	require.NoError(t, s.Stop(t.Context()))
	require.NoDirExists(t, dir)
	_, err = pgx.Connect(t.Context(), url)
	require.Error(t, err)
	require.NoError(t, s.Stop(t.Context()), "stopping twice")
	require.Error(t, s.Restart(t.Context(), Fast))
}

func TestDirectoryIsKept(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	s := startServer(t, Options{Dir: dir})
	run(t, s.URL("postgres"), "CREATE TABLE kept()")
	_, err := Start(t.Context(), Options{Dir: dir})
	require.ErrorIs(t, err, ErrInUse)
	require.ErrorContains(t, err, dir)
	require.NoError(t, s.Stop(t.Context()))

	// Neither what a crash leaves half made nor somebody else's pid matters.
	require.NoError(t, os.Mkdir(filepath.Join(dir, "data.new"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data/postmaster.pid"), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600))
	began := time.Now()
	s = startServer(t, Options{Dir: dir})
	t.Logf("started in %s", time.Since(began))
	run(t, s.URL("postgres"), "SELECT FROM kept")
}

// Whoever has a copy of our descriptor, as each process that we fork has for an
// instant, does not keep the directory from its next owner.
func TestDirectoryIsReleased(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	d, err := openDirectory(dir)
	require.NoError(t, err)
	forked := exec.Command("cat")
	forked.ExtraFiles = []*os.File{d.owner}
	stdin, err := forked.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, forked.Start())
	_, err = openDirectory(dir)
	require.ErrorIs(t, err, ErrInUse)
	require.NoError(t, d.close())
	d, err = openDirectory(dir)
	require.NoError(t, err)
	require.NoError(t, d.close())
	require.NoError(t, stdin.Close())
	require.NoError(t, forked.Wait())
}

func TestInterruptedCreation(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "data.new/base"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, marker), nil, 0o600))
	startServer(t, Options{Dir: dir})
}

func TestForeignDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "PG_VERSION"), []byte("15\n"), 0o600))
	before, err := os.Stat(dir)
	require.NoError(t, err)
	_, err = Start(t.Context(), Options{Dir: dir})
	require.ErrorIs(t, err, ErrForeign)
	require.ErrorContains(t, err, dir)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	after, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, before.Mode(), after.Mode())
}

func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	a, b := startServer(t, Options{}), startServer(t, Options{})
	require.NotEqual(t, a.URL(""), b.URL(""))
	run(t, a.URL("postgres"), "CREATE TABLE t()")
	run(t, b.URL("postgres"), "CREATE TABLE t()")
}

func TestFixedPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	dir := newDir(t)
	_, err = Start(t.Context(), Options{Dir: dir, Port: port, Settings: fast})
	require.ErrorContains(t, err, fmt.Sprintf("port is taken: %d", port))
	require.NoError(t, l.Close())
	s := startServer(t, Options{Dir: dir, Port: port})
	require.Contains(t, s.URL("postgres"), fmt.Sprintf("127.0.0.1:%d/", port))
}

func TestFailureShowsTheLog(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	_, err := Start(t.Context(), Options{Dir: dir, Settings: map[string]string{"shared_buffers": "lots", "fsync": "off"}})
	require.ErrorContains(t, err, `invalid value for parameter "shared_buffers": "lots"`)
	startServer(t, Options{Dir: dir})
}

func TestRestart(t *testing.T) {
	t.Parallel()
	s := startServer(t, Options{})
	url := s.URL("postgres")
	run(t, url, "CREATE TABLE t (mode int)")
	for _, mode := range []Mode{Fast, Immediate, Crash} {
		conn, err := pgx.Connect(t.Context(), url)
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), "INSERT INTO t VALUES ($1)", int(mode))
		require.NoError(t, err)
		require.NoError(t, s.Restart(t.Context(), mode))
		require.Equal(t, url, s.URL("postgres"))
		_, err = conn.Exec(t.Context(), "SELECT 1")
		require.Error(t, err)
		require.NoError(t, conn.Close(t.Context()))
	}
	require.NoError(t, s.Kill())
	require.NoError(t, s.Kill(), "killing twice")
	_, err := pgx.Connect(t.Context(), url)
	require.Error(t, err)
	require.NoError(t, s.Restart(t.Context(), Fast))

	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	var n int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM t").Scan(&n))
	require.Equal(t, 3, n)
	require.NoError(t, conn.Close(t.Context()))
}

func TestCancelledStart(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(ctx, Options{Dir: dir})
	require.Error(t, err)
	startServer(t, Options{Dir: dir})
}

func TestAccountCannotReach(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	acc, err := serverAccount(&directory{path: dir})
	require.NoError(t, err)
	if acc.cred == nil { // not root: the account is the caller, who made it
		require.NoError(t, acc.canReach(dir))
		return
	}
	_, err = Start(t.Context(), Options{Dir: filepath.Join(dir, "server")})
	require.ErrorContains(t, err, "cannot enter")
}
