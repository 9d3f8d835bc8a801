package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pgbell/pgbell/cmd/pgbell/config"
	"github.com/pgbell/pgbell/triggers"
)

// watches is what cfg says about tables, in the words of package triggers. The
// built-in configuration is cut down to the tables and columns that exist.
func watches(ctx context.Context, conn *pgx.Conn, cfg *config.Config) ([]triggers.Watch, error) {
	tables := cfg.Tables
	if cfg.File == "" {
		var err error
		if tables, err = existing(ctx, conn, tables); err != nil {
			return nil, err
		}
		if len(tables) == 0 {
			return nil, errors.New("there is no pgbell.yaml, and the database has none of the tables that are watched without one: public.bookings, public.payments, public.payouts")
		}
	}
	if len(tables) == 0 {
		return nil, &config.Error{File: cfg.File, Message: "no table is watched; name some under tables"}
	}
	watches := make([]triggers.Watch, len(tables))
	for i := range tables {
		watches[i] = watch(&tables[i])
	}
	return watches, nil
}

func watch(t *config.Table) triggers.Watch {
	w := triggers.Watch{
		Table:      triggers.Name{Schema: t.Schema, Name: t.Name},
		Type:       t.Type,
		Key:        t.Key,
		Watchers:   t.Watchers,
		Columns:    t.Columns,
		AllColumns: t.AllColumns,
		Only:       t.Only,
	}
	for _, o := range t.Owners {
		owner := triggers.Owner{Audience: o.Audience, Column: o.Column}
		if o.Via != "" {
			schema, name, _ := config.SplitName(o.Table)
			owner.Column = ""
			owner.Via = &triggers.Via{Column: o.Via, Table: triggers.Name{Schema: schema, Name: name}, Owner: o.Column}
		}
		w.Owners = append(w.Owners, owner)
	}
	for _, a := range t.Actions {
		w.Actions = append(w.Actions, triggers.Action{Name: a.Name, When: a.When})
	}
	for _, n := range t.Notifications {
		w.Notifications = append(w.Notifications, triggers.Notification{
			Action: n.Action, To: n.To, Level: n.Level, Title: parts(n.Title), Message: parts(n.Message),
		})
	}
	return w
}

func parts(text []config.Part) []triggers.Part {
	parts := make([]triggers.Part, len(text))
	for i, p := range text {
		parts[i] = triggers.Part(p)
	}
	return parts
}

// existing cuts the built-in tables down to what the database has. Only what is
// shown may be missing; a table without the columns that own its rows is shaped
// otherwise, and the plan says so.
func existing(ctx context.Context, conn *pgx.Conn, tables []config.Table) ([]config.Table, error) {
	var found []config.Table
	for _, t := range tables {
		var columns []string
		err := conn.QueryRow(ctx, `
			SELECT coalesce(array_agg(a.attname::text), '{}')
			  FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
			 WHERE c.relname = $2 AND c.relnamespace = to_regnamespace(quote_ident($1))
			   AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped`,
			t.Schema, t.Name).Scan(&columns)
		if err != nil {
			return nil, fmt.Errorf("look for table %s: %w", t.String(), err)
		}
		if len(columns) == 0 {
			continue
		}
		missing := func(name string) bool { return !slices.Contains(columns, name) }
		t.Columns = slices.DeleteFunc(slices.Clone(t.Columns), missing)
		only := make(map[string][]string)
		for audience, names := range t.Only {
			if names = slices.DeleteFunc(slices.Clone(names), missing); len(names) > 0 {
				only[audience] = names
			}
		}
		t.Only = only
		t.Notifications = slices.DeleteFunc(slices.Clone(t.Notifications), func(n config.Notification) bool {
			return slices.ContainsFunc(slices.Concat(n.Title, n.Message), func(p config.Part) bool { return p.Column != "" && missing(p.Column) })
		})
		found = append(found, t)
	}
	return found, nil
}
