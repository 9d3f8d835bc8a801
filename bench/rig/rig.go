package rig

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgbell/pgbell/db/embedded"
	"github.com/pgbell/pgbell/ws/auth"
)

// startTimeout is how long a server may take to be ready.
const startTimeout = time.Minute

// Rig is a Postgres with a watched table and the means to start servers on it.
// Close it when done.
type Rig struct {
	// URL is the database.
	URL string

	dir      string
	binary   string // pgbell
	postgres *embedded.Server
	secret   string
	servers  []*Server
}

// schema is what the application had, plus a floor beside it: a second table of
// the same shape whose trigger only rings, with the row as payload.
const schema = `
CREATE TABLE public.bookings (
    id          bigint PRIMARY KEY,
    client_id   text NOT NULL,
    provider_id text NOT NULL,
    status      text NOT NULL,
    price       numeric(10, 2) NOT NULL,
    starts_at   timestamptz NOT NULL DEFAULT now()
);
INSERT INTO public.bookings SELECT i, 'c' || i, 'p' || i, 'PENDING', 10 FROM generate_series(1, 100) AS i;

CREATE TABLE public.floor (LIKE public.bookings INCLUDING ALL);
INSERT INTO public.floor SELECT * FROM public.bookings;

CREATE FUNCTION public.ring_floor() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('floor', json_build_object(
        'at', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
        'data', row_to_json(NEW))::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER ring AFTER UPDATE ON public.floor FOR EACH ROW EXECUTE FUNCTION public.ring_floor();
`

// configuration watches the first table.
const configuration = `tables:
  public.bookings:
    type: booking
    owners: {client: client_id, provider: provider_id}
    columns: [id, client_id, provider_id, status, price, starts_at]
`

// New builds pgbell and starts a Postgres with everything in place. It runs in
// the module's directory, as go run ./bench/… does.
func New(ctx context.Context) (_ *Rig, err error) {
	r := &Rig{secret: rand.Text() + rand.Text()}
	if r.dir, err = os.MkdirTemp("", "pgbell-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	r.binary = filepath.Join(r.dir, "pgbell")
	if err := command(ctx, "go", "build", "-trimpath", "-o", r.binary, "./cmd/pgbell").Run(); err != nil {
		return nil, fmt.Errorf("build pgbell: %w", err)
	}
	if err := os.WriteFile(r.config(), []byte(configuration), 0o600); err != nil {
		return nil, err
	}
	if r.postgres, err = embedded.Start(ctx, embedded.Options{}); err != nil {
		return nil, err
	}
	r.URL = r.postgres.URL("postgres")
	conn, err := pgx.Connect(ctx, r.URL)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, schema); err != nil {
		return nil, fmt.Errorf("make tables: %w", err)
	}
	for _, args := range [][]string{{"migrate", "up"}, {"triggers", "apply"}} {
		if out, err := r.pgbell(ctx, args...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("pgbell %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return r, nil
}

// Versions says what was measured on what.
func (r *Rig) Versions() string {
	return fmt.Sprintf("PostgreSQL %s, %s, %d CPUs", r.postgres.Version(), runtime.Version(), runtime.NumCPU())
}

// Close stops the servers and Postgres and removes what New made.
func (r *Rig) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	var err error
	for _, s := range r.servers {
		err = errors.Join(err, s.Stop())
	}
	if r.postgres != nil {
		err = errors.Join(err, r.postgres.Stop(ctx))
	}
	return errors.Join(err, os.RemoveAll(r.dir))
}

func (r *Rig) config() string { return filepath.Join(r.dir, "pgbell.yaml") }

func (r *Rig) pgbell(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, r.binary, args...)
	c.Env = append(os.Environ(),
		"DATABASE_URL="+r.URL, "PGBELL_CONFIG="+r.config(), "PGBELL_JWT_SECRET="+r.secret,
		"PGBELL_LOG_LEVEL=warn")
	return c
}

func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, name, args...)
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	return c
}

// Token is a token for a user that lives for an hour.
func (r *Rig) Token(user string) (string, error) {
	return auth.Mint([]byte(r.secret), auth.Claims{Subject: user})
}

// Server is one process under test.
type Server struct {
	// Address is host:port.
	Address string
	cmd     *exec.Cmd
}

// Serve starts pgbell serve and waits until it is ready.
func (r *Rig) Serve(ctx context.Context) (*Server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	return r.start(ctx, r.pgbell(ctx, "serve", "--listen", address), address)
}

// Peer starts this same program again with an argument that [Main] takes for a
// bare server.
func (r *Rig) Peer(ctx context.Context, name string) (*Server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(ctx, self, peerArgument, name, address)
	c.Env = append(os.Environ(), "DATABASE_URL="+r.URL)
	return r.start(ctx, c, address)
}

func (r *Rig) start(ctx context.Context, c *exec.Cmd, address string) (*Server, error) {
	c.Stdout, c.Stderr = io.Discard, os.Stderr
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 15 * time.Second
	if err := c.Start(); err != nil {
		return nil, err
	}
	s := &Server{Address: address, cmd: c}
	r.servers = append(r.servers, s)
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
		if err != nil {
			return nil, err
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return s, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s was not ready in time: %w", c.Path, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop ends the process in an orderly way.
func (s *Server) Stop() error {
	if s.cmd.ProcessState != nil {
		return nil
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	_ = s.cmd.Wait() // how it ended says nothing about what was measured
	return nil
}

// Resident is the process's resident memory in bytes, as the kernel counts it.
func (s *Server) Resident(ctx context.Context) (int64, error) {
	out, err := exec.CommandContext(ctx, "ps", "-o", "rss=", "-p", strconv.Itoa(s.cmd.Process.Pid)).Output()
	if err != nil {
		return 0, fmt.Errorf("read resident memory: %w", err)
	}
	kib, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read resident memory: %w", err)
	}
	return kib << 10, nil
}

func freeAddress() (string, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
