package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pgbell/pgbell/cmd/pgbell/config"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/triggers"
)

type migrateGrants struct {
	Server string `placeholder:"ROLE" help:"Role that runs pgbell serve."`
	Reader string `placeholder:"ROLE" help:"Role for pgbell doctor, tail, why and triggers status."`
}

// Run prints SQL. It needs no database: the configuration names the tables.
func (c *migrateGrants) Run(_ context.Context, a *app) error {
	if c.Server == "" && c.Reader == "" {
		return usagef("no role is named: give --server ROLE, --reader ROLE or both")
	}
	cfg, err := a.config()
	if err != nil {
		return err
	}
	watched := tables(configured(cfg))
	fmt.Fprintln(a.stdout, "-- Printed, not executed. Run it as the role that owns schema pgbell, and what is\n-- about the application's tables as their owner.")
	for _, role := range []struct {
		duty db.Duty
		name string
		what string
	}{
		{db.Server, c.Server, "runs pgbell serve"},
		{db.Reader, c.Reader, "runs pgbell doctor, tail, why and triggers status"},
	} {
		if role.name == "" {
			continue
		}
		fmt.Fprintf(a.stdout, "\n-- Role %s %s.\n%s", inComment(role.name), role.what, grantScript(db.Grants(role.duty, watched), role.name))
	}
	return nil
}

// configured are the watches as the file has them, whatever the database has.
func configured(cfg *config.Config) []triggers.Watch {
	watches := make([]triggers.Watch, len(cfg.Tables))
	for i := range cfg.Tables {
		watches[i] = watch(&cfg.Tables[i])
	}
	return watches
}

// grantScript says before each group of grants what they are for.
func grantScript(grants []db.Grant, role string) string {
	var b strings.Builder
	var reasons []string
	for _, g := range grants {
		if !slices.Contains(reasons, g.Why) {
			reasons = append(reasons, g.Why)
		}
	}
	for _, why := range reasons {
		fmt.Fprintf(&b, "-- To %s:\n", why)
		for _, g := range grants {
			if g.Why == why {
				b.WriteString(g.SQL(role) + "\n")
			}
		}
	}
	return b.String()
}
