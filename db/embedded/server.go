package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"time"
)

// Options say where and how a server runs. The zero value is a server that is
// gone without a trace after Stop.
type Options struct {
	// Dir keeps the server's data from one Start to the next. It must be
	// missing, empty, or made by an earlier Start. Default: a new temporary
	// directory, which Stop removes.
	Dir string
	// Port to listen on, at 127.0.0.1. Default: a free one.
	Port int
	// Settings are server settings (postgresql.conf), and win over our own.
	// With fsync off, initdb does not sync either. Default: Postgres's
	// defaults, which lose nothing that was committed.
	Settings map[string]string
	// Logger hears of slow steps: a download, the creation of a database
	// cluster. Default: nobody does.
	Logger *slog.Logger
	// StartTimeout bounds the time from launching Postgres until it accepts
	// connections, crash recovery included. Default: 1 minute.
	StartTimeout time.Duration
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.StartTimeout == 0 {
		o.StartTimeout = time.Minute
	}
	return o
}

// superuser owns the cluster; postgres is also the name of its first database.
const superuser = "postgres"

// Mode is how a running Postgres is told to end.
type Mode int

const (
	// Fast ends the sessions, writes a checkpoint and stops. Nothing needs
	// recovery afterwards.
	Fast Mode = iota
	// Immediate stops at once, as after a failing disk; the next start
	// recovers. Clients are still told that the server is going.
	Immediate
	// Crash is kill -9. The next start recovers; clients are told nothing.
	Crash
)

// Server is a running private Postgres. Its methods may be called from any
// goroutine, except that Stop, Restart and Kill must not overlap.
type Server struct {
	opts     Options
	binaries binaries
	account  account
	dir      *directory
	password string
	port     int
	process  *process // nil while it is down
	stopped  bool
}

// Start makes the directory if it must, launches Postgres in it and returns
// once it accepts connections. Ctx bounds the start alone; the server runs
// until Stop, or until this process ends, however it ends.
//
// [ErrInUse] and [ErrForeign] say that Dir can't be used; [ErrNoBinaries] that
// there is no Postgres to run. If Postgres itself fails, the error ends with
// the last lines of its log.
func Start(ctx context.Context, opts Options) (*Server, error) {
	s := &Server{opts: opts.withDefaults()}
	if err := s.start(ctx); err != nil {
		return nil, fmt.Errorf("start private postgres: %w", err)
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) (err error) {
	if s.dir, err = openDirectory(s.opts.Dir); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.dir.close())
		}
	}()
	if s.account, err = serverAccount(s.dir); err != nil {
		return err
	}
	major, err := s.dir.majorVersion()
	if err != nil {
		return err
	}
	if s.binaries, err = findBinaries(ctx, s.account, major, s.opts.Logger); err != nil {
		return err
	}
	if s.password, err = s.dir.prepare(ctx, s.binaries, s.account, s.opts); err != nil {
		return err
	}
	return s.launch(ctx)
}

// portAttempts bounds how often another process may take the free port that
// we found before Postgres does.
const portAttempts = 5

func (s *Server) launch(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		port := s.port // a restarted server keeps its address
		if port == 0 {
			port = s.opts.Port
		}
		chosen := port == 0
		if chosen {
			var err error
			if port, err = freePort(ctx); err != nil {
				return err
			}
		}
		p, err := launch(ctx, s, port)
		if err == nil {
			s.process = p
			if s.port == 0 {
				s.port = port
			}
			return nil
		}
		if !chosen || !errors.Is(err, errPortTaken) || attempt == portAttempts {
			return err
		}
	}
}

// URL is where database can be reached, password included: for the programs
// and people of this machine's user, not for a log.
func (s *Server) URL(database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, s.password),
		Host:     "127.0.0.1:" + strconv.Itoa(s.port),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Psql is the command line that opens database in a terminal.
func (s *Server) Psql(database string) string {
	return "psql '" + s.URL(database) + "'"
}

// Version is what Postgres calls itself, such as 17.5.
func (s *Server) Version() string { return s.binaries.version }

// Dir is the server's directory.
func (s *Server) Dir() string { return s.dir.path }

// Stop ends the server and releases its directory, or removes it if it was
// temporary. When ctx ends first, Postgres is stopped the hard way and the next
// start recovers: nothing committed is lost. Stopping twice does nothing.
func (s *Server) Stop(ctx context.Context) error {
	if s.stopped {
		return nil
	}
	err := s.down(ctx, Fast)
	if err != nil {
		err = errors.Join(err, s.down(context.WithoutCancel(ctx), Crash))
	}
	err = errors.Join(err, s.dir.close())
	s.stopped = true
	if err != nil {
		return fmt.Errorf("stop private postgres: %w", err)
	}
	return nil
}

// Restart ends the server in the given way, if it runs, and starts it again at
// the same address with the same data. After an error the server is down, and
// Restart may be tried again.
func (s *Server) Restart(ctx context.Context, mode Mode) error {
	if s.stopped {
		return errors.New("restart private postgres: it was stopped")
	}
	err := s.down(ctx, mode)
	if err == nil {
		err = s.launch(ctx)
	}
	if err != nil {
		return fmt.Errorf("restart private postgres: %w", err)
	}
	return nil
}

// Kill kills the postmaster with -9 and returns when it is gone; its backends
// follow by themselves. [Server.Restart] brings it back.
func (s *Server) Kill() error {
	if err := s.down(context.Background(), Crash); err != nil {
		return fmt.Errorf("kill private postgres: %w", err)
	}
	return nil
}

func (s *Server) down(ctx context.Context, mode Mode) error {
	if s.process == nil {
		return nil
	}
	if err := s.process.stop(ctx, mode); err != nil {
		return err
	}
	s.process = nil
	return nil
}
