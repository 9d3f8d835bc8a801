//go:build unix && !solaris && !aix

package embedded

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const marker = "PGBELL_EMBEDDED_POSTGRES"

// directory is a server's directory, marked and locked by us.
type directory struct {
	path      string
	temporary bool
	owner     *os.File // owner.lock
}

func (d *directory) join(name string) string { return filepath.Join(d.path, name) }

// openDirectory makes, or recognizes, and locks path. An empty path is a new
// temporary directory.
func openDirectory(path string) (_ *directory, err error) {
	d := &directory{temporary: path == ""}
	if d.temporary {
		if d.path, err = os.MkdirTemp("", "pgbell-"); err != nil {
			return nil, err
		}
	} else {
		if d.path, err = filepath.Abs(path); err != nil {
			return nil, err
		}
		if err := os.MkdirAll(d.path, 0o755); err != nil {
			return nil, err
		}
	}
	if err := d.claim(); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *directory) claim() error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		if _, err := os.Stat(d.join(marker)); err != nil {
			return fmt.Errorf("%w: %s is not empty and has no file %s; choose another one", ErrForeign, d.path, marker)
		}
	}
	if err := os.WriteFile(d.join(marker), []byte("A private PostgreSQL of pgbell. May be removed while it is not running.\n"), 0o644); err != nil {
		return err
	}
	d.owner, err = lockFile(d.join("owner.lock"))
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%w: another process runs a server in %s; stop it, or choose another directory", ErrInUse, d.path)
	}
	if err != nil {
		return err
	}
	// Others may pass through, for the account that Postgres runs as, and read
	// nothing.
	return os.Chmod(d.path, 0o711)
}

// lockFile opens path and takes its lock, which lasts until the last copy of
// the descriptor, in whatever process, is closed. Taken: unix.EWOULDBLOCK.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return f, nil
}

// unlockFile gives up a lock that is ours alone, and closes its file. Closing
// would not do: a process that another goroutine has just forked holds a copy
// of the descriptor until it runs its program.
func unlockFile(f *os.File) error {
	return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
}

// close releases the directory, and removes it if it is temporary.
func (d *directory) close() error {
	var err error
	if d.owner != nil {
		err = unlockFile(d.owner)
		d.owner = nil
	}
	if d.temporary {
		err = errors.Join(err, os.RemoveAll(d.path))
	}
	return err
}

// majorVersion is that of the Postgres which made the data, 0 if there is none.
func (d *directory) majorVersion() (int, error) {
	text, err := os.ReadFile(d.join("data/PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", d.join("data/PG_VERSION"), err)
	}
	return major, nil
}

// prepare makes the cluster if there is none and returns its password.
func (d *directory) prepare(ctx context.Context, bin binaries, acc account, opts Options) (string, error) {
	if err := acc.canReach(d.path); err != nil {
		return "", err
	}
	if err := os.MkdirAll(d.join("socket"), 0o700); err != nil {
		return "", err
	}
	if err := acc.own(d.join("socket")); err != nil {
		return "", err
	}
	_, err := os.Stat(d.join("data"))
	if err == nil {
		password, err := os.ReadFile(d.join("password"))
		return strings.TrimSpace(string(password)), err
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	return d.init(ctx, bin, acc, opts)
}

// init runs initdb. The cluster gets its name when it is complete, so one that
// a crash left half made is never taken for a whole one.
func (d *directory) init(ctx context.Context, bin binaries, acc account, opts Options) (string, error) {
	began := time.Now()
	password := rand.Text()
	if err := os.WriteFile(d.join("password"), []byte(password+"\n"), 0o600); err != nil {
		return "", err
	}
	// initdb reads the password as the server's account, which can't read ours.
	pwfile := d.join("socket/password")
	if err := os.WriteFile(pwfile, []byte(password+"\n"), 0o600); err != nil {
		return "", err
	}
	defer os.Remove(pwfile)
	if err := acc.own(pwfile); err != nil {
		return "", err
	}
	fresh := d.join("data.new")
	if err := os.RemoveAll(fresh); err != nil {
		return "", err
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return "", err
	}
	if err := acc.own(fresh); err != nil {
		return "", err
	}
	args := []string{
		"--pgdata", fresh, "--username", superuser, "--pwfile", pwfile,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C",
	}
	if opts.Settings["fsync"] == "off" {
		args = append(args, "--no-sync")
	}
	if err := d.runGuarded(acc.command(ctx, bin.path("initdb"), args...), "data.new"); err != nil {
		return "", err
	}
	if err := os.Rename(fresh, d.join("data")); err != nil {
		return "", err
	}
	opts.Logger.InfoContext(ctx, "database cluster created", "dir", d.path, "postgres", bin.version, "took", time.Since(began))
	return password, nil
}

// runGuarded runs a program to its end, or to ours.
func (d *directory) runGuarded(cmd *exec.Cmd, sign string) (err error) {
	g, err := newGuard(d, sign)
	if err != nil {
		return err
	}
	defer func() { _ = g.release() }() // one that was killed is gone as well
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	program := filepath.Base(cmd.Path)
	goErr, err := g.start(cmd)
	if err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, lastLines(out.Bytes()))
	}
	return goErr
}

// lastLines is the end of what a program said, for an error.
func lastLines(out []byte) string {
	const maxBytes, maxLines = 4 << 10, 20
	text := strings.TrimSpace(string(out))
	if len(text) > maxBytes {
		text = text[len(text)-maxBytes:]
	}
	lines := strings.Split(text, "\n")
	if len(lines) > maxLines {
		lines = lines[len(lines)-maxLines:]
	}
	return strings.Join(lines, "\n")
}
