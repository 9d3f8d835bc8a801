package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
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
//	   │                  │ owners                │ rows, history
//	   ▼                  ▼                       ▼
//	connection of its   pool ◀─ chores,         reads
//	own                         canaries
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
	watched, err := s.inspect(ctx, pool)
	if err != nil {
		return err
	}
	// What clients cause in bulk has connections of its own, so that it never
	// holds up what the server needs itself.
	reads, err := db.Open(ctx, s.settings.DatabaseURL, db.Options{ApplicationName: "pgbell reader"})
	if err != nil {
		return err
	}
	defer reads.Close()
	rows, err := db.NewRows(ctx, reads, tables(watched), db.RowsOptions{})
	if err != nil {
		return err
	}
	rooms, err := newRowAuthorizer(ctx, pool, watched)
	if err != nil {
		return err
	}

	m := newMetrics()
	m.watchPool(pool)
	options := s.hubOptions(m)
	options.Rows = rooms
	options.History = db.NewHistory(reads, db.HistoryOptions{})
	options.Revocations = revocations(pool)
	options.Canary = canary(pool)
	inbox := newNotifications(pool, reads)
	options.Notifications = inbox
	options.Start = warmStart(ctx, pool, s.settings.Window, s.logger)
	var stream *listener.Listener
	options.Wake = func() { stream.Wake() } // nobody is there to ask before it is made
	hub := ws.NewHub(options)
	var sink listener.Sink = hub
	if s.also != nil {
		sink = sinks{hub, &spectator{Sink: s.also}}
	}
	stream = listener.New(listenerOptions(s.settings.DatabaseURL, listener.Options{
		Sink:   sink,
		Start:  options.Start,
		Logger: s.logger,
		Trace:  m.listenerTrace(),
	}))
	answers := s.handlerOptions()
	answers.Rows, answers.Publisher, answers.Inbox = rowReader{rows}, publisher{reads}, inbox
	if answers.Recovery, err = recovery(ctx, pool, s.settings.SocketIO, s.logger); err != nil {
		return err
	}
	answers.Console = &console{recent: m.recent, pool: reads, tables: s.tables}
	doors := ws.NewHandler(hub, answers)
	web := &http.Server{
		Handler:           s.routes(doors, m),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn), // a panic of a handler is one of these
	}

	// The parts outlive ctx: they end in an order of our choosing.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, work := errgroup.WithContext(work)
	g.Go(func() error { return hub.Run(work) })
	g.Go(func() error { return doors.Run(work) })
	g.Go(func() error { return stream.Run(work) })
	g.Go(func() error { return s.verifier.Run(work) })
	g.Go(func() error { return every(work, db.RotateEvery, rotate(pool, m, s.logger)) })
	g.Go(func() error { return every(work, db.ExpireEvery, expire(pool, s.settings.Retention, s.logger)) })
	g.Go(func() error { return every(work, db.SettleEvery, settle(pool, s.logger)) })
	g.Go(func() error {
		return every(work, sampleEvery, func(context.Context) { m.recent.sample(time.Now()) })
	})
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
	s.drain(ctx, web, doors)
	stop()
	return g.Wait()
}

// drain lets clients go in peace.
func (s *server) drain(ctx context.Context, web *http.Server, doors *ws.Handler) {
	s.logger.Info("stopping")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	var g errgroup.Group
	g.Go(func() error { return web.Shutdown(ctx) })
	g.Go(func() error { return doors.Drain(ctx) })
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
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err
		}
		return nil, fmt.Errorf("listen at %s: %w", s.address, err)
	}
	return socket, nil
}

// inspect refuses a database that cannot be served, and warns of what will
// disappoint. It returns what is watched.
func (s *server) inspect(ctx context.Context, pool *pgxpool.Pool) ([]triggers.Watch, error) {
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
	return watched, nil
}

func (s *server) hubOptions(m *metrics) ws.Options {
	return ws.Options{
		Authenticator:  s.verifier,
		MaxConnections: s.settings.Limits.MaxConnections,
		MaxPerAddress:  s.settings.Limits.PerAddress,
		Attempts:       ws.Rate{PerSecond: s.settings.Limits.AttemptsPerSecond},
		Failures:       ws.Rate{PerSecond: s.settings.Limits.FailuresPerSecond},
		MaxPerUser:     s.settings.Limits.PerUser,
		MessageRate:    s.settings.Limits.MessagesPerSecond,
		MessageBurst:   int(math.Ceil(3 * s.settings.Limits.MessagesPerSecond)),
		MaxMessage:     int64(s.settings.Limits.MessageBytes),
		QueueBytes:     s.settings.Limits.QueueBytes,
		Debounce:       s.debounce(),
		WindowBytes:    int64(s.settings.Window.Bytes),
		WindowAge:      s.settings.Window.Age,
		Logger:         s.logger,
		Trace:          m.hubTrace(),
	}
}

// debounce is, by event type, how long a row's updates are held together.
func (s *server) debounce() map[string]time.Duration {
	windows := make(map[string]time.Duration)
	for i := range s.tables.Tables {
		if t := &s.tables.Tables[i]; t.Debounce > 0 {
			windows[t.Type] = t.Debounce
		}
	}
	return windows
}

// handlerOptions are those that the settings decide.
func (s *server) handlerOptions() ws.HandlerOptions {
	return ws.HandlerOptions{
		Origins:       s.settings.Origins,
		ClientAddress: ws.ForwardedAddress(s.settings.TrustedProxies),
		AdminRoles:    s.settings.API.AdminRoles,
		ServiceRoles:  s.settings.API.ServiceRoles,
		Version:       versionName(),
		ReadyWithin:   readyWithin,
	}
}

// routes is all that is served.
func (s *server) routes(doors http.Handler, m *metrics) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", doors)
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
