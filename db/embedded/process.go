//go:build unix && !solaris && !aix

package embedded

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// poll is how often we look at files that Postgres changes without a signal.
const poll = 5 * time.Millisecond

// process is a running postmaster and its guard.
type process struct {
	cmd    *exec.Cmd
	guard  *guard
	exited chan struct{} // closed when both have ended
}

// launch starts Postgres on port and waits until it accepts connections.
func launch(ctx context.Context, s *Server, port int) (_ *process, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.opts.StartTimeout,
		fmt.Errorf("postgres did not accept connections within %s", s.opts.StartTimeout))
	defer cancel()

	lock, err := s.dir.lockServer(ctx)
	if err != nil {
		return nil, err
	}
	defer lock.Close() // Postgres has its own copy
	// No process of this cluster lives, so these are leftovers, and the pid may
	// be anybody's by now.
	if err := os.Remove(s.dir.join("data/postmaster.pid")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	log, err := os.OpenFile(s.dir.join("postgres.log"), os.O_CREATE|os.O_TRUNC|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()

	// Without a context: the server outlives the one of its start.
	cmd := s.account.command(context.WithoutCancel(ctx), s.binaries.path("postgres"), s.arguments(port)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{lock}
	g, err := newGuard(s.dir, "data/postmaster.pid")
	if err != nil {
		return nil, err
	}
	goErr, err := g.start(cmd)
	if err != nil {
		return nil, errors.Join(err, g.release())
	}
	p := &process{cmd: cmd, guard: g, exited: make(chan struct{})}
	go func() {
		defer close(p.exited)
		_ = cmd.Wait()  // how it ended is in its log
		_ = g.release() // a guard that was killed is gone as well
	}()
	if goErr == nil {
		goErr = p.waitReady(ctx, s.dir)
	}
	if goErr != nil {
		stopErr := p.stop(context.WithoutCancel(ctx), Crash)
		out, _ := os.ReadFile(log.Name())
		if bytes.Contains(out, []byte("Address already in use")) {
			return nil, errors.Join(fmt.Errorf("%w: %d", errPortTaken, port), stopErr)
		}
		return nil, errors.Join(fmt.Errorf("%w\nthe end of %s:\n%s", goErr, log.Name(), lastLines(out)), stopErr)
	}
	return p, nil
}

// arguments are Postgres's. Later ones win, so the caller's come last.
func (s *Server) arguments(port int) []string {
	args := []string{
		"-D", s.dir.join("data"),
		"-c", "listen_addresses=127.0.0.1",
		"-c", "port=" + strconv.Itoa(port),
		"-c", "unix_socket_directories=" + s.dir.socket(),
		"-c", "log_line_prefix=%m [%p] ",
		// Statements that failed stay out of the log: they may name secrets.
		"-c", "log_min_error_statement=panic",
	}
	for name, value := range s.opts.Settings {
		args = append(args, "-c", name+"="+value)
	}
	return args
}

// socket is the directory of the Unix-domain socket; empty, so none, if its
// name would be longer than a socket's may be (104 bytes on macOS).
func (d *directory) socket() string {
	const maxDir = 104 - len("/.s.PGSQL.65535.lock") - 1
	if dir := d.join("socket"); len(dir) <= maxDir {
		return dir
	}
	return ""
}

// lockServer takes the lock that Postgres will hold. If one whose owner was
// killed still holds it, it is asked to stop, in case its guard was killed
// too, and waited for.
func (d *directory) lockServer(ctx context.Context) (*os.File, error) {
	asked := false
	for {
		lock, err := lockFile(d.join("server.lock"))
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return lock, err
		}
		if pid, _, ok := d.postmaster(); ok && !asked {
			// The lock is taken, so this cluster runs, and the pid is most likely
			// its own: at least it leads a session, as we start it.
			if session, err := unix.Getsid(pid); err == nil && session == pid {
				asked = syscall.Kill(pid, syscall.SIGINT) == nil
			}
		}
		if err := sleep(ctx, poll); err != nil {
			return nil, fmt.Errorf("wait for the server that still runs in %s: %w", d.path, err)
		}
	}
}

// postmaster reads postmaster.pid: the pid, and whether the server is ready
// (line 8; see PostgreSQL's pidfile.h).
func (d *directory) postmaster() (pid int, ready, ok bool) {
	text, err := os.ReadFile(d.join("data/postmaster.pid"))
	if err != nil {
		return 0, false, false
	}
	lines := bytes.Split(text, []byte("\n"))
	pid, err = strconv.Atoi(string(bytes.TrimSpace(lines[0])))
	if err != nil || pid <= 0 {
		return 0, false, false
	}
	return pid, len(lines) > 7 && string(bytes.TrimSpace(lines[7])) == "ready", true
}

func (p *process) waitReady(ctx context.Context, d *directory) error {
	for {
		if _, ready, ok := d.postmaster(); ok && ready {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("postgres ended at once: %s", p.cmd.ProcessState)
		default:
		}
		if err := sleep(ctx, poll); err != nil {
			return err
		}
	}
}

// stop ends Postgres and waits until it has. A postmaster that ended before
// its time is no error: it is gone, as wished.
func (p *process) stop(ctx context.Context, mode Mode) error {
	sig := map[Mode]os.Signal{Fast: syscall.SIGINT, Immediate: syscall.SIGQUIT, Crash: syscall.SIGKILL}[mode]
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("postgres is still running: %w", context.Cause(ctx))
	}
}

//go:embed guard.sh
var guardScript string

// guard stops Postgres, or initdb, if we end before it does.
type guard struct {
	cmd  *exec.Cmd
	pipe *os.File // closed by our death, whatever it was
}

// newGuard starts one for a program that is there no longer than the file
// sign is in d.
func newGuard(d *directory, sign string) (*guard, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	remove := ""
	if d.temporary {
		remove = d.path
	}
	cmd := account{}.command(context.Background(), "/bin/sh", "-c", guardScript, "pgbell-guard", d.join(sign), remove)
	cmd.Stdin = r
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start guard: %w", err), w.Close())
	}
	return &guard{cmd: cmd, pipe: w}, nil
}

// gate holds a program back until it is told to go, in the process that it will
// run in. Should the one who tells be gone, it never runs.
const gate = `read -r go && exec "$@"`

// start starts a program that the guard knows of before it does anything: who
// ends in between leaves nothing behind. If err is nil the program has to be
// waited for; goErr says why it may never get to run.
func (g *guard) start(cmd *exec.Cmd) (goErr, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	defer w.Close()
	cmd.Args = append([]string{"/bin/sh", "-c", gate, "pgbell-gate", cmd.Path}, cmd.Args[1:]...)
	cmd.Path, cmd.Stdin = "/bin/sh", r
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintln(g.pipe, cmd.Process.Pid); err != nil {
		return err, nil
	}
	_, goErr = fmt.Fprintln(w, "go")
	return goErr, nil
}

// release sends the guard home. It is called once, when the program has ended.
func (g *guard) release() error {
	_, err := fmt.Fprint(g.pipe, "done\ndone\n")
	return errors.Join(err, g.pipe.Close(), g.cmd.Wait())
}

func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

// sleep waits for d, or returns why ctx ended.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
