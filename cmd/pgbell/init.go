package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgbell/pgbell/cmd/pgbell/config"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/triggers"
)

type initCommand struct {
	Output string   `short:"o" default:"pgbell.yaml" placeholder:"FILE" help:"Where to write; - is standard output. Default: pgbell.yaml."`
	Force  bool     `help:"Replace the file if it is there."`
	Schema []string `placeholder:"SCHEMA" sep:"none" help:"Only tables of this schema; may be repeated. Default: all but the system's."`
	Table  []string `placeholder:"SCHEMA.TABLE" sep:"none" help:"Only this table; may be repeated."`
}

// Run reads the catalog and writes a configuration to begin with.
func (c *initCommand) Run(ctx context.Context, a *app) error {
	cfg := config.Builtin() // what is to be replaced need not be readable
	if err := a.override(&cfg.Settings); err != nil {
		return err
	}
	if _, err := os.Lstat(c.Output); c.Output != "-" && !c.Force && !errors.Is(err, fs.ErrNotExist) {
		return usagef("%s is there already; --force replaces it, and -o - writes to standard output", c.Output)
	}
	conn, err := connect(ctx, cfg.Settings)
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	candidates, err := db.Candidates(ctx, conn, c.Schema, c.Table)
	if err != nil {
		return err
	}
	for _, name := range c.Table {
		if !slices.ContainsFunc(candidates, func(t db.Candidate) bool { return t.String() == name }) {
			return usagef("--table: there is no table %q; write schema.table, exact as in pg_class", name)
		}
	}
	if len(candidates) == 0 {
		return errors.New("the database has no tables to watch")
	}
	proposal := propose(candidates, len(c.Table) > 0)
	if err := proposal.check(ctx, conn); err != nil {
		return err
	}
	watched := proposal.watched()
	if watched == 0 {
		return fmt.Errorf("none of %d tables can be watched as it stands: with a primary key and a column that looks like a user's id (client_id, owner_id, a foreign key to users, …); name tables with --table to have them written for the role ADMIN alone", len(candidates))
	}
	text := proposal.yaml()
	if c.Output == "-" {
		_, err := fmt.Fprint(a.stdout, text)
		return err
	}
	if err := writeFile(c.Output, text, c.Force); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "wrote %s: %d of %d tables\nnext: read it, then pgbell migrate up and pgbell triggers plan\n", c.Output, watched, len(candidates))
	return nil
}

func writeFile(path, text string, replace bool) error {
	mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if replace {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	file, err := os.OpenFile(path, mode, 0o644)
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return nil
}

// check has the file read back, and every table looked at as plan will. What
// has a mistake that only the database knows is left out with the reason. Where
// schema pgbell is not installed yet, that is for plan to tell.
func (p proposal) check(ctx context.Context, conn *pgx.Conn) error {
	cfg, err := config.Parse("the file to be written", []byte(p.yaml()))
	if err != nil {
		return err
	}
	watches := make([]triggers.Watch, len(cfg.Tables))
	for i := range cfg.Tables {
		watches[i] = watch(&cfg.Tables[i])
	}
	all, err := triggers.Status(ctx, conn, watches)
	if err != nil {
		return nil //nolint:nilerr // not installed, or not this role's to look at
	}
	for _, s := range all {
		if s.Err == nil {
			continue
		}
		i := slices.IndexFunc(p, func(t *proposedTable) bool { return t.String() == s.Table.String() })
		p[i].problem = strings.TrimPrefix(strings.Split(s.Err.Error(), "\n")[0], s.Table.String()+": ")
	}
	return nil
}
