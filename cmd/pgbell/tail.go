package main

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/listener"
)

type tailCommand struct {
	JSON  bool     `help:"One JSON document a line, with all that the log has."`
	Type  []string `placeholder:"TYPE" help:"Only events of this type; may be repeated."`
	Since string   `placeholder:"CURSOR" help:"Begin after this cursor instead of now."`
}

// Run prints until it is told to stop, or until nobody reads any more.
func (c *tailCommand) Run(ctx context.Context, a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	start, err := pgbell.ParseCursor(c.Since)
	if err != nil {
		return usagef("--since: %v", err)
	}
	m, err := newMigrator(cfg.Settings)
	if err != nil {
		return err
	}
	if err := m.Check(ctx); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	out := &tailSink{
		printer: printer{w: a.stdout, colours: a.colours(a.stdout), json: c.JSON},
		types:   c.Type,
		failed:  stop,
	}
	l := listener.New(listenerOptions(cfg.Settings.DatabaseURL, listener.Options{
		Sink:   out,
		Start:  start,
		Logger: a.logger(cfg.Settings.Log),
	}))
	if err := l.Run(ctx); err != nil {
		return err
	}
	return out.err
}

// tailSink prints in the listener's goroutine. It may block while nobody reads
// its output. That holds nothing up but this command's own connection.
type tailSink struct {
	printer
	types  []string
	failed context.CancelCauseFunc
	err    error // why nothing can be printed any more
}

func (s *tailSink) Deliver(events []pgbell.Event) {
	now := time.Now()
	for _, e := range events {
		if s.types == nil && !isSignal(&e) || slices.Contains(s.types, e.Type) {
			s.check(s.event(e, now))
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
