package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgbell/pgbell/cmd/pgbell/config"
	"github.com/pgbell/pgbell/triggers"
)

type triggersCommand struct {
	Plan   triggersPlan   `cmd:"" help:"Print what apply would change and why, as SQL. Changes nothing."`
	Apply  triggersApply  `cmd:"" help:"Make the triggers as the configuration asks, in one transaction."`
	SQL    triggersSQL    `cmd:"" name:"sql" help:"Print the SQL that installs everything, for migrations of your own."`
	Status triggersStatus `cmd:"" help:"Print the state of each watched table."`
	Verify triggersVerify `cmd:"" help:"Exit with status 1 if the triggers are not as the configuration asks."`
	Remove triggersRemove `cmd:"" help:"Drop every trigger and function that apply made."`
}

type (
	triggersPlan   struct{}
	triggersApply  struct{}
	triggersSQL    struct{}
	triggersVerify struct{}
	triggersRemove struct{}
)

// withWatches runs f with a connection and the watches of the configuration.
func (a *app) withWatches(ctx context.Context, f func(*pgx.Conn, []triggers.Watch) error) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	conn, err := connect(ctx, cfg.Settings)
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	watches, err := watches(ctx, conn, cfg)
	if err != nil {
		return err
	}
	return locate(cfg, f(conn, watches))
}

// locate puts file and line before the mistakes that are about a table of the
// configuration, or one of its rules.
func locate(cfg *config.Config, err error) error {
	if err == nil || cfg.File == "" {
		return err
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	var located []error
	for _, one := range joined.Unwrap() {
		for i := range cfg.Tables {
			t := &cfg.Tables[i]
			if about, ok := strings.CutPrefix(one.Error(), t.String()+": "); ok {
				at := t.Line
				for _, n := range t.Notifications {
					if strings.HasPrefix(about, fmt.Sprintf("notification on %s.%s to %s: ", t.Type, n.Action, n.To)) {
						at = n.Line
					}
				}
				one = fmt.Errorf("%s:%d: %w", cfg.File, at, one)
				break
			}
		}
		located = append(located, one)
	}
	return errors.Join(located...)
}

// Run prints the plan.
func (triggersPlan) Run(ctx context.Context, a *app) error {
	return a.withWatches(ctx, func(conn *pgx.Conn, watches []triggers.Watch) error {
		plan, err := triggers.NewPlan(ctx, conn, watches)
		if err != nil {
			return err
		}
		if plan.Empty() {
			warn(a.stderr, plan)
			fmt.Fprintln(a.stdout, "-- Nothing to change: the triggers are as the configuration asks.")
			return nil
		}
		fmt.Fprint(a.stdout, plan.SQL())
		return nil
	})
}

// Run applies the plan and prints what changed.
func (triggersApply) Run(ctx context.Context, a *app) error {
	return a.withWatches(ctx, func(conn *pgx.Conn, watches []triggers.Watch) error {
		plan, err := triggers.Apply(ctx, conn, watches, triggers.ApplyOptions{})
		if err != nil {
			return err
		}
		warn(a.stderr, plan)
		changed(a.stdout, plan, "nothing to change: the triggers are as the configuration asks")
		return nil
	})
}

// Run prints the script.
func (triggersSQL) Run(ctx context.Context, a *app) error {
	return a.withWatches(ctx, func(conn *pgx.Conn, watches []triggers.Watch) error {
		script, err := triggers.SQL(ctx, conn, watches)
		if err != nil {
			return err
		}
		fmt.Fprint(a.stdout, script)
		return nil
	})
}

// Run prints what has drifted.
func (triggersVerify) Run(ctx context.Context, a *app) error {
	return a.withWatches(ctx, func(conn *pgx.Conn, watches []triggers.Watch) error {
		findings, err := triggers.Verify(ctx, conn, watches)
		if err != nil {
			return err
		}
		for _, f := range findings {
			fmt.Fprintf(a.stdout, "%s: %s\n", f.Object, f.Why)
		}
		if len(findings) > 0 {
			return errDrift
		}
		fmt.Fprintln(a.stdout, "the triggers are as the configuration asks")
		return nil
	})
}

// Run needs no watches: whatever they were, it drops what is ours.
func (triggersRemove) Run(ctx context.Context, a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	conn, err := connect(ctx, cfg.Settings)
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	plan, err := triggers.Remove(ctx, conn, triggers.ApplyOptions{})
	if err != nil {
		return err
	}
	changed(a.stdout, plan, "nothing to remove: there are no triggers of pgbell")
	return nil
}

// errDrift ends verify: what is in the database is not what the configuration
// says.
const errDrift = shownError("triggers have drifted")

func warn(w io.Writer, plan *triggers.Plan) {
	for _, warning := range plan.Warnings {
		fmt.Fprintln(w, "pgbell: warning: "+warning)
	}
}

// done is each kind of change in the past tense.
var done = map[triggers.Kind]string{
	triggers.Create:  "created",
	triggers.Replace: "replaced",
	triggers.Enable:  "enabled",
	triggers.Drop:    "dropped",
}

func changed(w io.Writer, plan *triggers.Plan, nothing string) {
	for _, c := range plan.Changes {
		fmt.Fprintf(w, "%s %s: %s\n", done[c.Kind], c.Object, c.Why)
	}
	if plan.Empty() {
		fmt.Fprintln(w, nothing)
	}
}
