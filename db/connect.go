package db

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Options say how to connect. The zero value is right for most. What the URL
// itself says (pool_max_conns, connect_timeout, application_name,
// statement_timeout…) wins over them.
type Options struct {
	// ApplicationName is what a DBA sees in pg_stat_activity. Default: pgbell.
	ApplicationName string
	// MaxConns bounds a pool. Default: 4.
	MaxConns int
	// ConnectTimeout bounds each attempt to connect. Default: 5 seconds.
	ConnectTimeout time.Duration
	// StatementTimeout is the server's bound on one statement; negative is
	// none. Default: 30 seconds.
	StatementTimeout time.Duration
	// IdleInTransactionTimeout is how long the server lets a transaction of
	// ours sit idle: if we hang, we must not hold back its vacuum. Negative is
	// for ever. Default: 30 seconds.
	IdleInTransactionTimeout time.Duration
	// DeadAfter is how long the peer's kernel may leave ours without an answer
	// before the connection counts as dead. Default: 20 seconds.
	DeadAfter time.Duration
	// LogReader is for a connection that calls [Log.Read] all the time: its
	// plan is made once, which makes a read several times cheaper. Default:
	// planned anew each time.
	LogReader bool
}

// logReader are the settings for a plan that is kept. A log that is empty when
// the plan is made will grow, so a sequential scan is never right. And where
// there is no other way, the planner must not mistake its own disapproval for
// work that is worth compiling; see apply.
var logReader = map[string]string{
	"plan_cache_mode": "force_generic_plan",
	"enable_seqscan":  "off",
}

func (o Options) withDefaults() Options {
	o.ApplicationName = cmp.Or(o.ApplicationName, "pgbell")
	o.MaxConns = cmp.Or(o.MaxConns, 4)
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, 5*time.Second)
	o.StatementTimeout = cmp.Or(o.StatementTimeout, 30*time.Second)
	o.IdleInTransactionTimeout = cmp.Or(o.IdleInTransactionTimeout, 30*time.Second)
	o.DeadAfter = cmp.Or(o.DeadAfter, 20*time.Second)
	return o
}

// Open makes a pool and checks that it connects. The caller closes it.
// An error says what is wrong and what to do, and never shows the password.
func Open(ctx context.Context, url string, opts Options) (*pgxpool.Pool, error) {
	opts = opts.withDefaults()
	plain, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, urlError(url, err)
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, urlError(url, err)
	}
	if _, set := plain.RuntimeParams["pool_max_conns"]; !set {
		config.MaxConns = int32(opts.MaxConns)
	}
	opts.apply(config.ConnConfig)
	config.ShouldPing = func(_ context.Context, p pgxpool.ShouldPingParams) bool { return p.IdleDuration > pingAfter }
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, connectError(config.ConnConfig, err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, connectError(config.ConnConfig, err)
	}
	return pool, nil
}

// pingAfter is how long a connection has been idle that is tried before it is
// used. It is longer than the time between two chores of a server, each of which
// shows that the connection lives.
const pingAfter = 2 * SettleEvery

// Connect opens one connection, for whoever needs a session of its own. The
// caller closes it. Errors are those of [Open].
func Connect(ctx context.Context, url string, opts Options) (*pgx.Conn, error) {
	config, err := parseConfig(url, opts)
	if err != nil {
		return nil, err
	}
	return connect(ctx, config)
}

func connect(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, connectError(config, err)
	}
	return conn, nil
}

func parseConfig(url string, opts Options) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, urlError(url, err)
	}
	for name := range config.RuntimeParams {
		if strings.HasPrefix(name, "pool_") { // a pool's, and no setting of the server
			delete(config.RuntimeParams, name)
		}
	}
	opts.withDefaults().apply(config)
	return config, nil
}

// apply completes what the URL left open.
func (o Options) apply(config *pgx.ConnConfig) {
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = o.ConnectTimeout
	}
	dialer := &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: o.DeadAfter / 2, Interval: o.DeadAfter / 8, Count: 4,
		},
		Control: unackedTimeout(o.DeadAfter),
	}
	config.DialFunc = dialer.DialContext
	set := func(name, value string) {
		if _, ok := config.RuntimeParams[name]; !ok {
			config.RuntimeParams[name] = value
		}
	}
	// Else text arrives as the database stores it, and JSON is UTF-8.
	config.RuntimeParams["client_encoding"] = "UTF8"
	set("application_name", o.ApplicationName)
	set("statement_timeout", milliseconds(o.StatementTimeout))
	set("idle_in_transaction_session_timeout", milliseconds(o.IdleInTransactionTimeout))
	// All that we ask is short. A page of the log that takes 25 ms took 0.9 s
	// where the planner expected enough rows to compile the query first.
	set("jit", "off")
	if o.LogReader {
		for name, value := range logReader {
			set(name, value)
		}
	}
}

// milliseconds is a duration as Postgres takes it: 0 for none.
func milliseconds(d time.Duration) string {
	return strconv.FormatInt(max(0, d.Milliseconds()), 10)
}

// urlError says what is wrong with a URL without repeating any of it: where
// the syntax is broken, anything may be a part of the password.
func urlError(text string, err error) error {
	readable := strings.Contains(text, "=") // keyword=value, as libpq has it
	if strings.Contains(text, "://") {
		_, bad := url.Parse(text)
		readable = bad == nil
	}
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) && parse.Unwrap() != nil && readable {
		return fmt.Errorf("database URL: %w", parse.Unwrap())
	}
	return errors.New("database URL cannot be read: want postgres://user:password@host:port/database, with special characters in user and password written as %XX")
}

// connectError names the place, the reason and the way on.
func connectError(config *pgx.ConnConfig, err error) error {
	where := fmt.Sprintf("connect to database %q at %s as %q",
		config.Database, net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))), config.User)
	var pg *pgconn.PgError
	var op *net.OpError
	switch {
	case errors.As(err, &pg):
		return fmt.Errorf("%s: %w%s", where, pg, hint(pg))
	case errors.As(err, &op):
		return fmt.Errorf("%s: %w; is the server running there?", where, op)
	}
	return fmt.Errorf("%s: %w", where, err)
}

// hint is what to do about what a server answered to a newcomer.
func hint(pg *pgconn.PgError) string {
	switch {
	case pg.Code == "28P01" || pg.Code == "28000":
		return "; check user and password, and pg_hba.conf"
	case pg.Code == "3D000":
		return "; create it, or correct the URL"
	case pg.Code == "53300":
		return "; raise max_connections, or lower pool_max_conns"
	case strings.Contains(pg.Message, "unsupported startup parameter"):
		return "; that is a pooler: connect to Postgres itself"
	}
	return ""
}
