package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/listener"
)

type tailCommand struct {
	JSON   bool     `help:"One JSON document a line, with all that the log has."`
	Type   []string `placeholder:"TYPE" help:"Only events of this type; may be repeated, as all of these."`
	Table  []string `placeholder:"SCHEMA.TABLE" help:"Only events of this table."`
	Op     []string `placeholder:"OP" help:"Only insert, update, delete, reset or publish."`
	Action []string `placeholder:"ACTION" help:"Only events with this action."`
	User   []string `placeholder:"USER" sep:"none" help:"Only what goes to this user, or takes a row away from them."`
	Key    []string `placeholder:"KEY" sep:"none" help:"Only events of the row with this key: 42, id=42, or {\"id\":42}."`
	Since  string   `placeholder:"WHEN" help:"Begin there instead of now: a time (2026-01-31T08:00:00Z), as long ago (10m), or after a cursor."`
}

// Run prints until it is told to stop, or until nobody reads any more.
func (c *tailCommand) Run(ctx context.Context, a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	from, err := parseSince(c.Since)
	if err != nil {
		return err
	}
	filter, err := c.filter()
	if err != nil {
		return err
	}
	m, err := newMigrator(cfg.Settings)
	if err != nil {
		return err
	}
	if err := m.Check(ctx); err != nil {
		return err
	}
	if err := from.find(ctx, cfg.Settings); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	out := &tailSink{
		printer: printer{w: a.stdout, colours: a.colours(a.stdout), json: c.JSON},
		filter:  filter,
		from:    from.time,
		failed:  stop,
	}
	options := listenerOptions(cfg.Settings.DatabaseURL, listener.Options{
		Sink:   out,
		Start:  from.cursor,
		Logger: a.logger(cfg.Settings.Log),
	})
	// An onlooker needs no key to the bell, and shows as what it is.
	options.Log = db.Onlooker{}
	options.Connect = func(ctx context.Context) (*pgx.Conn, error) {
		return db.Connect(ctx, cfg.Settings.DatabaseURL, db.Options{ApplicationName: "pgbell tail", StatementTimeout: -1})
	}
	if err := listener.New(options).Run(ctx); err != nil {
		return err
	}
	return out.err
}

// tailSink prints in the listener's goroutine. It may block while nobody reads
// its output. That holds nothing up but this command's own connection.
type tailSink struct {
	printer
	filter tailFilter
	from   time.Time // nothing that was written before
	failed context.CancelCauseFunc
	err    error // why nothing can be printed any more
}

func (s *tailSink) Deliver(events []pgbell.Event) {
	now := time.Now()
	for i := range events {
		if !events[i].At.Before(s.from) && s.filter.matches(&events[i]) {
			s.check(s.event(events[i], now))
		}
	}
}

func (s *tailSink) Advance(pgbell.Cursor) {}
func (s *tailSink) Gap(gap pgbell.Gap)    { s.check(s.note(gap.Error())) }
func (s *tailSink) Down(error)            { s.check(s.note("the connection is lost, trying again")) }

func (s *tailSink) check(err error) {
	if err != nil && s.err == nil {
		s.err = err
		s.failed(err)
	}
}

// listenerOptions completes opts with a connection of the listener's own to the
// database at url.
func listenerOptions(url string, opts listener.Options) listener.Options {
	opts.Log = db.Log{}
	opts.Connect = func(ctx context.Context) (*pgx.Conn, error) {
		return db.Connect(ctx, url, db.Options{ApplicationName: "pgbell listener", StatementTimeout: -1})
	}
	return opts
}
