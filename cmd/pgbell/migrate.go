package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/pgbell/pgbell/cmd/pgbell/config"
	"github.com/pgbell/pgbell/db"
)

type migrateCommand struct {
	Up     migrateUp     `cmd:"" help:"Create schema pgbell, or bring it up to date."`
	Down   migrateDown   `cmd:"" help:"Remove schema pgbell with the event log. Needs: triggers remove."`
	Status migrateStatus `cmd:"" help:"List the steps and when they were applied."`
	Grants migrateGrants `cmd:"" help:"Print the SQL that lets a role serve or read. Executes nothing."`
}

type (
	migrateUp     struct{}
	migrateDown   struct{}
	migrateStatus struct{}
)

func newMigrator(s config.Settings) (*db.Migrator, error) {
	url, err := databaseURL(s)
	if err != nil {
		return nil, err
	}
	return db.NewMigrator(url, db.Options{ApplicationName: "pgbell migrate"})
}

// Run applies what is missing.
func (migrateUp) Run(ctx context.Context, a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	m, err := newMigrator(cfg.Settings)
	if err != nil {
		return err
	}
	applied, err := m.Up(ctx)
	return a.report("applied", "nothing to apply: schema pgbell is up to date", applied, err)
}

// Run removes everything.
func (migrateDown) Run(ctx context.Context, a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	m, err := newMigrator(cfg.Settings)
	if err != nil {
		return err
	}
	undone, err := m.Down(ctx)
	return a.report("removed", "nothing to remove: schema pgbell is not installed", undone, err)
}

// report prints what was done, also when the rest failed.
func (a *app) report(verb, nothing string, steps []db.Migration, err error) error {
	for _, step := range steps {
		fmt.Fprintf(a.stdout, "%s %05d %s\n", verb, step.Version, step.Name)
	}
	if err == nil && len(steps) == 0 {
		fmt.Fprintln(a.stdout, nothing)
	}
	return err
}

// Run prints a table.
func (migrateStatus) Run(ctx context.Context, a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	m, err := newMigrator(cfg.Settings)
	if err != nil {
		return err
	}
	steps, err := m.Status(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "STEP\tNAME\tAPPLIED")
	for _, step := range steps {
		applied := "no"
		if !step.AppliedAt.IsZero() {
			applied = step.AppliedAt.Local().Format(time.DateTime)
		}
		fmt.Fprintf(table, "%05d\t%s\t%s\n", step.Version, step.Name, applied)
	}
	return table.Flush()
}
