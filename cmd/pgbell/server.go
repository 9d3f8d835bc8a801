package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/pgbell/pgbell/cmd/pgbell/config"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/listener"
	"github.com/pgbell/pgbell/triggers"
	"github.com/pgbell/pgbell/ws"
	"github.com/pgbell/pgbell/ws/auth"
)

// stopTimeout bounds an orderly end. What is not done by then is cut off.
const stopTimeout = 10 * time.Second

// readyWithin is how old the last read of the log may be for the server to
// count as ready. The listener reads once a second.
const readyWithin = 5 * time.Second

// server is the composition: everything that runs between a database with
// triggers and the sockets of its users.
//
//	                ┌─ also (demo: the terminal)
//	listener ─▶ sinks ─▶ hub ─▶ sessions ◀─ http ◀─ clients
//	   │                  │ who owns a row?
//	   ▼                  ▼
//	connection of its   pool ◀─ retention
//	own
type server struct {
	settings config.Settings // with a DatabaseURL
	tables   *config.Config
	verifier *auth.Verifier
	logger   *slog.Logger
	// address is where to listen. If it is taken and anyPort is set, another
	// port of the same host will do.
	address string
	anyPort bool
	// also gets every event besides the hub. Default: nobody.
	also listener.Sink
	// pages adds to what is served. Default: nothing.
	pages func(*http.ServeMux)
	// ready is called once, when the stream is live, with the server's URL.
	// Required.
	ready func(url string)
}

// run serves until ctx ends and then stops in order: no new clients; those that
// are there get what waits for them and are told to go; then the stream, then
// the database. It returns nil then. Any other end is an error.
func (s *server) run(ctx context.Context) (err error) {
	socket, err := s.listen(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = socket.Close() }() // the HTTP server closes it first, if it came to be

	pool, err := db.Open(ctx, s.settings.DatabaseURL, db.Options{ApplicationName: "pgbell server"})
	if err != nil {
		return err
	}
	defer pool.Close()
	rows, err := s.inspect(ctx, pool)
	if err != nil {
		return err
	}

	m := newMetrics()
	m.watchPool(pool)
	hub := ws.NewHub(s.hubOptions(rows, m))
	var sink listener.Sink = hub
	if s.also != nil {
		sink = sinks{hub, s.also}
	}
	stream := listener.New(listenerOptions(s.settings.DatabaseURL, listener.Options{
		Sink:   sink,
		Logger: s.logger,
		Trace:  m.listenerTrace(),
	}))
	web := &http.Server{
		Handler:           s.handler(hub, m),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}

	// The parts outlive ctx: they end in an order of our choosing.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, work := errgroup.WithContext(work)
	g.Go(func() error { return hub.Run(work) })
	g.Go(func() error { return stream.Run(work) })
	g.Go(func() error { return s.verifier.Run(work) })
	g.Go(func() error { return rotate(work, pool, m, s.logger) })
	g.Go(func() error {
		if err := web.Serve(socket); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve HTTP: %w", err)
		}
		return nil
	})

	select {
	case <-stream.Ready():
		s.ready(serverURL(socket.Addr()))
		select {
		case <-ctx.Done():
		case <-work.Done():
		}
	case <-ctx.Done():
	case <-work.Done():
	}
	s.drain(ctx, web, hub)
	stop()
	return g.Wait()
}

// drain lets clients go in peace.
func (s *server) drain(ctx context.Context, web *http.Server, hub *ws.Hub) {
	s.logger.Info("stopping")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	var g errgroup.Group
	g.Go(func() error { return web.Shutdown(ctx) })
	g.Go(func() error { return hub.Drain(ctx) })
	if err := g.Wait(); err != nil {
		s.logger.Warn("some connections are cut off", "error", err)
		_ = web.Close() // whatever it says, they are gone now
	}
}

// listen takes the address.
func (s *server) listen(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	socket, err := lc.Listen(ctx, "tcp", s.address)
	if errors.Is(err, syscall.EADDRINUSE) && s.anyPort {
		host, _, _ := net.SplitHostPort(s.address) // it was good enough to be taken
		socket, err = lc.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen at %s: somebody else does already; choose another address with --listen", s.address)
	case err != nil:
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return nil, fmt.Errorf("listen at %s: %w", s.address, err)
	}
	return socket, nil
}

// inspect refuses a database that cannot be served, and warns of what will
// disappoint.
func (s *server) inspect(ctx context.Context, pool *pgxpool.Pool) (*rowAuthorizer, error) {
	m, err := newMigrator(s.settings)
	if err != nil {
		return nil, err
	}
	if err := m.Check(ctx); err != nil {
		return nil, err
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("inspect the database: %w", err)
	}
	defer conn.Release()
	watched, err := watches(ctx, conn.Conn(), s.tables)
	if err != nil {
		return nil, err
	}
	plan, err := triggers.NewPlan(ctx, conn.Conn(), watched)
	switch {
	case err != nil:
		// A role that may only read the log cannot plan, and needn't.
		s.logger.Warn("cannot tell whether the triggers are as the configuration asks", "error", err)
	case !plan.Empty():
		s.logger.Warn("the triggers are not as the configuration asks; run pgbell triggers plan, then apply", "changes", len(plan.Changes))
	}
	return newRowAuthorizer(ctx, pool, watched)
}

func (s *server) hubOptions(rows ws.RowAuthorizer, m *metrics) ws.Options {
	return ws.Options{
		Authenticator:  s.verifier,
		Rows:           rows,
		MaxConnections: s.settings.Limits.MaxConnections,
		MaxPerAddress:  s.settings.Limits.PerAddress,
		MaxPerUser:     s.settings.Limits.PerUser,
		MaxMessage:     int64(s.settings.Limits.MessageBytes),
		QueueBytes:     s.settings.Limits.QueueBytes,
		WindowBytes:    int64(s.settings.Window.Bytes),
		WindowAge:      s.settings.Window.Age,
		Logger:         s.logger,
		Trace:          m.hubTrace(),
	}
}

func (s *server) handler(hub *ws.Hub, m *metrics) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", ws.NewHandler(hub, ws.HandlerOptions{
		Origins:     s.settings.Origins,
		ReadyWithin: readyWithin,
	}))
	mux.Handle("GET /metrics", m.handler())
	if s.pages != nil {
		s.pages(mux)
	}
	return mux
}

// serverURL is where people on this machine find a server that listens at
// address.
func serverURL(address net.Addr) string {
	url, err := localURL(address.String())
	if err != nil {
		return "http://" + address.String()
	}
	return url
}

// rotate keeps the event log from growing: at start and then as often as the
// log wants it.
func rotate(ctx context.Context, pool *pgxpool.Pool, m *metrics, logger *slog.Logger) error {
	tick := time.NewTicker(db.RotateEvery)
	defer tick.Stop()
	for {
		err := pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
			done, err := db.Log{}.Rotate(ctx, conn.Conn(), time.Time{})
			m.rotations.Add(float64(len(done.Emptied)))
			if len(done.Emptied) > 0 {
				logger.Info("retention emptied a part of the event log", "partitions", done.Emptied, "bytes", done.Bytes)
			}
			return err
		})
		if err != nil && ctx.Err() == nil {
			logger.Warn("retention failed; the event log grows until it succeeds", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
