package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgbell/pgbell/cmd/pgbell/config"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/triggers"
)

type whyCommand struct {
	User  string   `required:"" placeholder:"USER" help:"Who asks: the subject of their token."`
	Table string   `required:"" placeholder:"SCHEMA.TABLE" help:"The row's table."`
	Key   []string `required:"" placeholder:"KEY" sep:"none" help:"The row's key: 42, or column=value for each column, or one JSON object."`
	Role  []string `placeholder:"ROLE" help:"A role that the token has; may be repeated."`
	JSON  bool     `help:"One JSON document."`
}

// errNotReceived ends why for a user who does not receive the row's events.
const errNotReceived = shownError("the user does not receive the row's events")

// whyEvents is how many of the row's last events are shown.
const whyEvents = 5

// Run explains.
func (c *whyCommand) Run(ctx context.Context, a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	if _, err := c.row(); err != nil {
		return err
	}
	url, err := databaseURL(cfg.Settings)
	if err != nil {
		return err
	}
	pool, err := db.Open(ctx, url, db.Options{ApplicationName: "pgbell command"})
	if err != nil {
		return err
	}
	defer pool.Close()
	answer, err := c.explain(ctx, pool, cfg)
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(a.stdout, answer)
	} else {
		err = answer.print(&printer{w: a.stdout, colours: a.colours(a.stdout)})
	}
	if err == nil && !answer.Receives {
		return errNotReceived
	}
	return err
}

// whyRow is the row that is asked about.
type whyRow struct {
	table triggers.Name
	key   rowKey
}

// row reads the question as far as that needs no database.
func (c *whyCommand) row() (whyRow, error) {
	key, err := parseKey(c.Key)
	if err != nil {
		return whyRow{}, err
	}
	schema, table, ok := config.SplitName(c.Table)
	if !ok {
		return whyRow{}, usagef("--table: %q has no schema, write %q", c.Table, "public."+c.Table)
	}
	return whyRow{triggers.Name{Schema: schema, Name: table}, key}, nil
}

// explain finds the answer. Mistakes of the question are a [*usageError].
func (c *whyCommand) explain(ctx context.Context, pool *pgxpool.Pool, cfg *config.Config) (explanation, error) {
	answer := explanation{User: c.User, Roles: c.Role, Table: c.Table}
	row, err := c.row()
	if err != nil {
		return answer, err
	}
	err = pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		watched, err := watches(ctx, conn.Conn(), cfg)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(watched, func(w triggers.Watch) bool { return w.Table == row.table })
		if at < 0 {
			answer.rule(no, "watched", "the configuration watches "+strings.Join(tableNames(watched), ", ")+", and not this table")
			return nil
		}
		answer.Type = watched[at].Type
		answer.rule(yes, "watched", "as type "+watched[at].Type)
		return answer.find(ctx, pool, conn.Conn(), watched[at], row.key)
	})
	if err != nil {
		return answer, err
	}
	answer.conclude()
	return answer, nil
}

func tableNames(watched []triggers.Watch) []string {
	names := make([]string, len(watched))
	for i, w := range watched {
		names[i] = w.Table.String()
	}
	return names
}

// find collects everything that the rules need.
func (x *explanation) find(ctx context.Context, pool *pgxpool.Pool, conn *pgx.Conn, w triggers.Watch, key rowKey) error {
	if err := x.installed(ctx, conn, w.Table); err != nil {
		return err
	}
	rows, err := db.NewRows(ctx, pool, tables([]triggers.Watch{w}), db.RowsOptions{})
	if err != nil {
		return err
	}
	columns, err := rows.KeyColumns(w.Type)
	if err != nil {
		return err
	}
	values, err := key.forColumns(columns)
	if err != nil {
		return err
	}
	owned, err := rows.Ownership(ctx, w.Type, values)
	var mistake *db.RowsMistake
	switch {
	case errors.As(err, &mistake):
		return usagef("--key: %s", mistake.Message)
	case err != nil:
		return err
	}
	x.Key = make(map[string]string, len(columns))
	for i, c := range columns {
		x.Key[c] = owned.Key[i]
	}
	x.row(owned, w)
	events, err := db.RowEvents(ctx, conn, w.Table.String(), columns, owned.Key, whyEvents)
	for i := range events {
		x.Events = append(x.Events, newWhyEvent(&events[i], x.User, x.Roles))
	}
	return err
}

// installed looks whether a change of the table makes an event at all.
func (x *explanation) installed(ctx context.Context, conn *pgx.Conn, table triggers.Name) error {
	states, err := db.TriggerStates(ctx, conn, table.Schema, table.Name)
	if err != nil {
		return err
	}
	var silent, loud []string
	for _, s := range states {
		if s.Fires() {
			loud = append(loud, s.Operation)
		} else {
			silent = append(silent, fmt.Sprintf("%s (%s)", s.Operation, s.State))
		}
	}
	switch {
	case states == nil:
		x.rule(no, "triggers", "there is no such table in the database")
	case silent != nil:
		x.rule(no, "triggers", "none fires on "+strings.Join(silent, ", ")+": run pgbell triggers apply")
	default:
		x.rule(yes, "triggers", strings.Join(loud, ", "))
	}
	switches, err := db.Switches(ctx, conn)
	if err != nil {
		return err
	}
	on := true
	for _, s := range switches {
		switch {
		case !s.Off():
		case s.Role == "":
			on = false
			x.rule(no, "enabled", fmt.Sprintf("%s is %s for %s: %s", s.Setting, s.Value, s.Scope(), s.Undo()))
		default:
			x.rule(note, "enabled", fmt.Sprintf("%s is %s for %s, whose writes make no events", s.Setting, s.Value, s.Scope()))
		}
	}
	if on {
		x.rule(yes, "enabled", "pgbell.enabled is on")
	}
	return nil
}
