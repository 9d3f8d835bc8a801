package oracle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// secret signs the clients' tokens.
const secret = "the oracle's secret, of more than thirty-two bytes"

// node is one pgbell process, started again whenever it ends.
type node struct {
	name    string
	binary  string
	config  string
	dir     string
	address string // where it listens
	link    *link  // to Postgres

	starts atomic.Int64
	// surprises are the ends that nobody asked for.
	surprises atomic.Int64

	mu      sync.Mutex // guards what follows
	process *os.Process
	ready   chan struct{} // closed when the present process is live
	asked   bool          // somebody ended the present process
	log     tail
}

// tail keeps the end of what a process wrote.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// maxTail is in bytes.
const maxTail = 64 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if n := len(t.text) - maxTail; n > maxTail {
		t.text = bytes.Clone(t.text[n:])
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// newNode prepares a node whose connections to Postgres pass through a link.
func newNode(ctx context.Context, name, binary, config, dir, database string) (*node, error) {
	u, err := url.Parse(database)
	if err != nil {
		return nil, err
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	l, err := newLink(ctx, 0)
	if err != nil {
		return nil, err
	}
	l.to(u.Host)
	u.Host = l.address()
	n := &node{name: name, binary: binary, config: config, dir: dir, address: address, link: l, ready: make(chan struct{})}
	settings := filepath.Join(dir, name+".url")
	if err := os.WriteFile(settings, []byte(u.String()), 0o600); err != nil {
		return nil, err
	}
	return n, nil
}

// freeAddress is one that nobody uses now, to be kept over restarts.
func freeAddress(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// environment is a process's whole environment.
func environment(database string) []string {
	return []string{
		"DATABASE_URL=" + database,
		"PGBELL_JWT_SECRET=" + secret,
		"PGBELL_LOG_FORMAT=json",
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + os.Getenv("HOME"),
		"GORACE=halt_on_error=1",
	}
}

// run keeps a process running until ctx ends.
func (n *node) run(ctx context.Context) error {
	database, err := os.ReadFile(filepath.Join(n.dir, n.name+".url"))
	if err != nil {
		return err
	}
	runtime.LockOSThread() // see endWithUs
	defer runtime.UnlockOSThread()
	for ctx.Err() == nil {
		if err := n.once(ctx, string(database)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond): // as a supervisor would
		}
	}
	return nil
}

// once runs one process to its end.
func (n *node) once(ctx context.Context, database string) error {
	// The context ends it in peace; see Cancel.
	cmd := exec.CommandContext(ctx, n.binary, "serve", "--listen", n.address, "--config", n.config)
	cmd.Env = environment(database)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 15 * time.Second
	cmd.Stderr = &n.log
	endWithUs(cmd)
	ready := make(chan struct{})
	cmd.Stdout = &announcement{ready: ready}
	n.mu.Lock()
	err := cmd.Start()
	if err == nil {
		n.process, n.ready, n.asked = cmd.Process, ready, false
	}
	n.mu.Unlock()
	if err != nil {
		return fmt.Errorf("start pgbell: %w", err)
	}
	n.starts.Add(1)
	err = cmd.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil && !n.asked && ctx.Err() == nil {
		n.surprises.Add(1)
		fmt.Fprintf(&n.log, "%s ended by itself: %v\n", n.name, err)
	}
	n.process = nil
	if isReady(n.ready) {
		n.ready = make(chan struct{}) // the next one's comes with it
	}
	return nil
}

func isReady(ready chan struct{}) bool {
	select {
	case <-ready:
		return true
	default:
		return false
	}
}

// announcement is a standard output on which the first line says that the
// server is live.
type announcement struct {
	ready chan struct{}
	once  sync.Once
}

func (a *announcement) Write(p []byte) (int, error) {
	if bytes.IndexByte(p, '\n') >= 0 {
		a.once.Do(func() { close(a.ready) })
	}
	return len(p), nil
}

// signal sends the process a signal, if it runs. With end, it is to end of it.
func (n *node) signal(s syscall.Signal, end bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process != nil {
		n.asked = n.asked || end
		_ = n.process.Signal(s) // it may have ended this moment
	}
}

// live waits until a process is live.
func (n *node) live(ctx context.Context) error {
	for {
		n.mu.Lock()
		ready, running := n.ready, n.process != nil
		n.mu.Unlock()
		wait := time.NewTimer(20 * time.Millisecond) // a process that died is replaced
		select {
		case <-ready:
			wait.Stop()
			if running {
				return nil
			}
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return fmt.Errorf("%s does not come up: %w\n%s", n.name, context.Cause(ctx), n.log.String())
		}
	}
}

// command runs pgbell with arguments to its end.
func command(ctx context.Context, binary, database string, args ...string) error {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = environment(database)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.Discard, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("pgbell %v: %w\n%s", args, err, said.String())
	}
	return nil
}

// Build compiles pgbell from the module's directory into a file. With race, it
// ends with a report when it finds a data race.
func Build(ctx context.Context, module, file string, race bool) error {
	args := []string{"build", "-o", file}
	if race {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./cmd/pgbell")...)
	cmd.Dir = module
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("build pgbell: %w", err), errors.New(string(out)))
	}
	return nil
}
