package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgbell/pgbell/cmd/pgbell/config"
	"github.com/pgbell/pgbell/cmd/pgbell/demo"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/embedded"
	"github.com/pgbell/pgbell/triggers"
	"github.com/pgbell/pgbell/web"
)

const (
	// demoAddress is where demo listens unless told otherwise: not for others
	// on the network, because anybody may be anybody there.
	demoAddress = "127.0.0.1:8080"
	// demoDatabase is the marketplace's, in the private Postgres.
	demoDatabase = "marketplace"
	// demoTokens is how long the printed tokens are good.
	demoTokens = 24 * time.Hour
	// demoKeep is how long notifications are kept, unless the configuration says
	// otherwise.
	demoKeep = 24 * time.Hour
	// demoAdmin and demoService are the roles that see and do more, unless the
	// configuration names others.
	demoAdmin   = "ADMIN"
	demoService = "SERVICE"
)

type demoCommand struct {
	Listen    string  `placeholder:"ADDR" help:"Address ($$PGBELL_LISTEN); port 0 picks a free one. Default: 127.0.0.1:8080, or a free port if that is taken."`
	Data      string  `placeholder:"DIR" help:"Where the private Postgres keeps its data. Default: in the user's cache; for root /var/lib/pgbell/demo."`
	Reset     bool    `help:"Begin with a new marketplace."`
	NoTraffic bool    `help:"Leave the writing to you."`
	Rate      float64 `default:"2" placeholder:"N" help:"Changes a second of the simulated application."`
	Seed      uint64  `placeholder:"N" help:"Make the simulated application's choices repeatable."`
}

// Run shows everything at once until it is told to stop.
func (c *demoCommand) Run(ctx context.Context, a *app) error {
	cfg, err := c.config(a)
	if err != nil {
		return err
	}
	if c.Rate <= 0 || c.Rate > 10_000 {
		return usagef("--rate is %g, want more than 0 and at most 10000; --no-traffic writes nothing", c.Rate)
	}
	if _, err := checkAddress(cmp.Or(cfg.Settings.Listen, demoAddress)); err != nil {
		return err
	}
	logger := a.logger(cfg.Settings.Log)
	verifier, err := newVerifier(cfg.Settings.JWT, logger)
	if err != nil {
		return err
	}
	d := &demonstration{command: c, app: a, config: cfg, logger: logger}
	if err := d.open(ctx); err != nil {
		return err
	}
	defer d.close(ctx)
	if err := d.install(ctx); err != nil {
		return err
	}
	pool, err := demo.Open(ctx, cfg.Settings.DatabaseURL, 4)
	if err != nil {
		return err
	}
	defer pool.Close()
	sample := &demo.App{Pool: pool, Logger: logger, User: func(ctx context.Context, token string) (string, error) {
		id, err := verifier.Verify(ctx, token)
		return id.UserID, err
	}}
	events := newScreen(printer{w: a.stdout, colours: a.colours(a.stdout)})
	srv := &server{
		settings: cfg.Settings,
		tables:   cfg,
		verifier: verifier,
		logger:   logger,
		address:  cmp.Or(cfg.Settings.Listen, demoAddress),
		anyPort:  cfg.Settings.Listen == "",
		also:     events,
		pages: func(mux *http.ServeMux) {
			web.Handle(mux, web.Options{Demo: true})
			demo.HandlePeople(mux, d.logins)
			demo.HandleTokens(mux, d.mint)
			sample.Handle(mux)
		},
	}
	g, ctx := errgroup.WithContext(ctx)
	srv.ready = func(url string) {
		d.welcome(url)
		g.Go(func() error { return events.run(ctx) })
		if !c.NoTraffic {
			traffic := demo.Traffic{URL: cfg.Settings.DatabaseURL, Rate: c.Rate, Seed: c.Seed, Logger: logger}
			g.Go(func() error { return traffic.Run(ctx) })
		}
	}
	g.Go(func() error { return srv.run(ctx) })
	return g.Wait()
}

// config is the built-in one, unless a file was named: the pgbell.yaml that
// happens to lie here is about other tables, and DATABASE_URL names somebody's
// real database, which a demo must not write to by accident.
func (c *demoCommand) config(a *app) (*config.Config, error) {
	cfg := config.Builtin()
	if a.flags.Config != "" {
		var err error
		if cfg, err = config.Read(a.flags.Config); err != nil {
			return nil, asUsage(err)
		}
	}
	if err := a.override(&cfg.Settings); err != nil {
		return nil, err
	}
	cfg.Settings.DatabaseURL = a.flags.DatabaseURL
	if c.Listen != "" {
		cfg.Settings.Listen = c.Listen
	}
	api := &cfg.Settings.API
	if api.AdminRoles == nil {
		api.AdminRoles = []string{demoAdmin}
	}
	if api.ServiceRoles == nil {
		api.ServiceRoles = []string{demoService}
	}
	// The traffic tells everybody something all day, and nobody reads it.
	keep := &cfg.Settings.Retention
	keep.NotificationsRead = cmp.Or(keep.NotificationsRead, demoKeep)
	keep.NotificationsUnread = cmp.Or(keep.NotificationsUnread, demoKeep)
	jwt := &cfg.Settings.JWT
	if jwt.Secret == "" && jwt.SecretFile == "" {
		jwt.Secret = rand.Text() + rand.Text()
	}
	return cfg, nil
}

// demonstration is what a running demo holds.
type demonstration struct {
	command  *demoCommand
	app      *app
	config   *config.Config
	logger   *slog.Logger
	postgres *embedded.Server // nil if it is somebody else's
	people   []demo.Person
	sample   demo.Booking
}

// open finds or starts the database.
func (d *demonstration) open(ctx context.Context) error {
	if d.config.Settings.DatabaseURL != "" {
		if d.command.Reset || d.command.Data != "" {
			return usagef("--reset and --data are about the private Postgres, and --database-url names another one")
		}
		return nil
	}
	dir := d.command.Data
	if dir == "" {
		var err error
		if dir, err = embedded.DataDir("demo"); err != nil {
			return fmt.Errorf("choose a directory for the private Postgres: %w; name one with --data", err)
		}
	}
	fmt.Fprintln(d.app.stderr, "Starting a private Postgres in "+dir)
	postgres, err := embedded.Start(ctx, embedded.Options{Dir: dir, Logger: d.logger})
	switch {
	case errors.Is(err, embedded.ErrInUse):
		return fmt.Errorf("another demo runs in %s: stop it, or give this one a directory of its own with --data", dir)
	case err != nil:
		return err
	}
	d.postgres = postgres
	if err := d.createDatabase(ctx); err != nil {
		d.close(ctx)
		return err
	}
	d.config.Settings.DatabaseURL = postgres.URL(demoDatabase)
	return nil
}

func (d *demonstration) createDatabase(ctx context.Context) error {
	conn, err := db.Connect(ctx, d.postgres.URL("postgres"), db.Options{})
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	if d.command.Reset {
		if _, err := conn.Exec(ctx, `DROP DATABASE IF EXISTS `+demoDatabase+` WITH (FORCE)`); err != nil {
			return fmt.Errorf("remove the old marketplace: %w", err)
		}
	}
	var exists bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, demoDatabase).Scan(&exists)
	if err == nil && !exists {
		_, err = conn.Exec(ctx, `CREATE DATABASE `+demoDatabase)
	}
	if err != nil {
		return fmt.Errorf("create database %s: %w", demoDatabase, err)
	}
	return nil
}

// close stops the private Postgres, also when ctx has ended.
func (d *demonstration) close(ctx context.Context) {
	if d.postgres == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := d.postgres.Stop(ctx); err != nil {
		d.logger.Warn("the private Postgres did not stop well", "error", err)
	}
	d.postgres = nil
}

// install does what a team with an existing application would do by hand.
func (d *demonstration) install(ctx context.Context) error {
	conn, err := connect(ctx, d.config.Settings)
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	if err := demo.Install(ctx, conn); err != nil {
		return err
	}
	m, err := newMigrator(d.config.Settings)
	if err != nil {
		return err
	}
	if _, err := m.Up(ctx); err != nil {
		return err
	}
	watched, err := watches(ctx, conn, d.config)
	if err != nil {
		return err
	}
	if _, err := triggers.Apply(ctx, conn, watched, triggers.ApplyOptions{}); err != nil {
		return locate(d.config, err)
	}
	if d.people, err = demo.People(ctx, conn); err != nil {
		return err
	}
	d.sample, err = demo.Sample(ctx, conn)
	return err
}

// logins signs a token for everybody.
func (d *demonstration) logins() ([]demo.Login, error) {
	logins := make([]demo.Login, len(d.people))
	for i, p := range d.people {
		token, err := d.token(p)
		if err != nil {
			return nil, err
		}
		logins[i] = demo.Login{Person: p, Token: token, Suggested: p.ID == d.sample.Client || p.ID == d.sample.Provider}
	}
	return logins, nil
}

func (d *demonstration) token(p demo.Person) (string, error) {
	return d.mint(demo.TokenWish{User: p.ID, Roles: []string{p.Role}, TTL: demoTokens})
}

// mint signs whatever token somebody wishes for.
func (d *demonstration) mint(wish demo.TokenWish) (string, error) {
	secret, err := tokenSecret(d.config.Settings.JWT)
	if err != nil {
		return "", err
	}
	return mint(secret, d.config.Settings.JWT, wish.User, wish.Roles, wish.TTL)
}

// welcome prints what to open and what to try.
func (d *demonstration) welcome(url string) {
	out := new(strings.Builder)
	socket := strings.Replace(url, "http", "ws", 1) + "/ws"
	update := fmt.Sprintf("UPDATE bookings SET price = price + 1 WHERE id = %d", d.sample.ID)
	fmt.Fprintf(out, "\npgbell demo is running. Ctrl-C stops it.\n\n")
	fmt.Fprintf(out, "Open              %s/demo\n", url)
	fmt.Fprintf(out, "Write a row       %s -c %q\n", d.psql(), update)
	fmt.Fprintf(out, "Who sees it       client %s, provider %s and every ADMIN; nobody else\n\n", d.sample.Client, d.sample.Provider)
	fmt.Fprintf(out, "Tokens, good for a day:\n")
	first := ""
	for _, p := range d.people {
		if p.ID != d.sample.Client && p.ID != d.sample.Provider && p.Role != "ADMIN" {
			continue
		}
		token, err := d.token(p)
		if err != nil {
			d.logger.Warn("cannot sign a token", "error", err)
			return
		}
		first = cmp.Or(first, token)
		fmt.Fprintf(out, "  %-8s %-8s %s\n", strings.ToLower(p.Role), p.ID, token)
	}
	fmt.Fprintf(out, "\nFollow the client in a terminal:\n  websocat -H 'Authorization: Bearer %s' %s\n", first, socket)
	fmt.Fprintf(out, "\nEvents as they come: time, event, action, key, who receives it, from row to server\n")
	fmt.Fprint(d.app.stdout, out)
}

// psql is the command that opens the marketplace. A password that somebody gave
// us is not ours to print.
func (d *demonstration) psql() string {
	if d.postgres != nil {
		return d.postgres.Psql(demoDatabase)
	}
	config, err := pgx.ParseConfig(d.config.Settings.DatabaseURL)
	if err != nil {
		return "psql"
	}
	return fmt.Sprintf("psql -h %s -p %d -U %s -d %s", config.Host, config.Port, config.User, config.Database)
}
