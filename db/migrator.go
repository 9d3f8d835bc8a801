package db

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// versionTable is where goose notes what it applied. It lies in our schema, so
// that an application's own goose never meets it.
const versionTable = "pgbell.goose_db_version"

// ErrSchema says that schema pgbell is not what this binary needs. Its text
// says what to do.
var ErrSchema = errors.New("schema pgbell does not fit")

// Migration is one step of the schema.
type Migration struct {
	Version int64
	// Name is the step's file name without its number, such as event_log.
	Name string
	// AppliedAt is zero if the step has not been applied.
	AppliedAt time.Time
}

// Migrator installs schema pgbell, and removes it. Migrators may run at the
// same time, in any number of processes: one works, the others wait for it.
//
// Every DDL statement waits at most 5 seconds for a lock, so that nobody's
// queries queue up behind it; after such an error just try again.
type Migrator struct {
	config *pgx.ConnConfig
}

// NewMigrator works on the database at url, with connections of its own. It
// does not connect yet.
func NewMigrator(url string, opts Options) (*Migrator, error) {
	if opts.StatementTimeout == 0 {
		opts.StatementTimeout = -1 // a migration takes what it takes
	}
	config, err := parseConfig(url, opts)
	if err != nil {
		return nil, err
	}
	if _, set := config.RuntimeParams["lock_timeout"]; !set {
		config.RuntimeParams["lock_timeout"] = "5s"
	}
	return &Migrator{config: config}, nil
}

// Up applies what is missing and returns it. It creates schema pgbell if that
// isn't there, which takes the right CREATE on the database.
func (m *Migrator) Up(ctx context.Context) ([]Migration, error) {
	var applied []Migration
	err := m.exclusively(ctx, func(conn *pgx.Conn, provider *goose.Provider) error {
		_, err := conn.Exec(ctx, createSchema)
		if err != nil {
			return err
		}
		results, err := provider.Up(ctx)
		if err != nil {
			return err
		}
		applied = steps(results)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("migrate up: %w", err)
	}
	return applied, nil
}

// createSchema looks first: IF NOT EXISTS alone demands the right to create
// also where a DBA made the schema for us.
const createSchema = `
DO $$ BEGIN
    IF to_regnamespace('pgbell') IS NULL THEN CREATE SCHEMA pgbell; END IF;
END $$`

// Down removes everything, schema pgbell included, and returns the steps it
// took back. The event log is lost. It refuses while a trigger or a trigger
// function of ours is still there.
func (m *Migrator) Down(ctx context.Context) ([]Migration, error) {
	var undone []Migration
	err := m.exclusively(ctx, func(conn *pgx.Conn, provider *goose.Provider) error {
		installed, err := isInstalled(ctx, conn)
		if err != nil {
			return err
		}
		if installed {
			if err := refuseTriggers(ctx, conn); err != nil {
				return err
			}
			results, err := provider.DownTo(ctx, 0)
			if err != nil {
				return err
			}
			undone = steps(results)
		}
		// Not CASCADE: what somebody else put there is not ours to remove.
		_, err = conn.Exec(ctx, "DROP TABLE IF EXISTS "+versionTable+"; DROP SCHEMA IF EXISTS pgbell")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("migrate down: %w", err)
	}
	return undone, nil
}

// Status lists every step that this binary knows, oldest first. It changes
// nothing.
func (m *Migrator) Status(ctx context.Context) (all []Migration, err error) {
	state, err := m.state(ctx)
	if err != nil {
		return nil, fmt.Errorf("migration status: %w", err)
	}
	return state.known, nil
}

// Check is nil if the schema is the one this binary was made for, and wraps
// [ErrSchema] if it is missing, older or newer. It changes nothing.
func (m *Migrator) Check(ctx context.Context) error {
	state, err := m.state(ctx)
	if err != nil {
		return fmt.Errorf("check schema pgbell: %w", err)
	}
	if state.current == 0 {
		return fmt.Errorf("%w: it is not installed in database %q; run: pgbell migrate up", ErrSchema, m.config.Database)
	}
	if newest := state.known[len(state.known)-1].Version; state.current > newest {
		return fmt.Errorf("%w: it is at version %d and this pgbell knows %d; use a newer pgbell", ErrSchema, state.current, newest)
	}
	for _, step := range state.known {
		if step.AppliedAt.IsZero() {
			return fmt.Errorf("%w: step %d (%s) is missing; run: pgbell migrate up", ErrSchema, step.Version, step.Name)
		}
	}
	return nil
}

// state is what the database says about itself.
type state struct {
	known   []Migration
	current int64 // the highest version applied, 0 for none
}

func (m *Migrator) state(ctx context.Context) (s state, err error) {
	conn, err := connect(ctx, m.config)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	applied := map[int64]time.Time{}
	installed, err := isInstalled(ctx, conn)
	if err != nil {
		return s, err
	}
	if installed {
		// goose's own reader would create the table where it is missing.
		rows, err := conn.Query(ctx, "SELECT version_id, tstamp FROM "+versionTable+" WHERE is_applied AND version_id > 0")
		if err != nil {
			return s, err
		}
		var version int64
		var at time.Time
		if _, err := pgx.ForEachRow(rows, []any{&version, &at}, func() error {
			applied[version] = at
			s.current = max(s.current, version)
			return nil
		}); err != nil {
			return s, err
		}
	}
	provider, err := m.provider()
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, provider.Close()) }()
	for _, source := range provider.ListSources() {
		s.known = append(s.known, Migration{Version: source.Version, Name: stepName(source.Path), AppliedAt: applied[source.Version]})
	}
	return s, nil
}

// provider is goose over our files. Closing it closes its connections.
func (m *Migrator) provider() (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, stdlib.OpenDB(*m.config), files,
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true))
}

// exclusively runs f while nobody else migrates this database. The lock is a
// session's, so a process that dies drops it.
func (m *Migrator) exclusively(ctx context.Context, f func(*pgx.Conn, *goose.Provider) error) (err error) {
	conn, err := connect(ctx, m.config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	// Another migration is worth waiting for longer than a table is.
	if _, err := conn.Exec(ctx, "SET lock_timeout = 0"); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", lockMigration); err != nil {
		return fmt.Errorf("wait for another migration: %w", err)
	}
	if _, err := conn.Exec(ctx, "RESET lock_timeout"); err != nil {
		return err
	}
	provider, err := m.provider()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, provider.Close()) }()
	return explain(f(conn, provider))
}

// explain adds the way on to what a DBA may run into.
func explain(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	switch pg.Code {
	case "55P03": // lock_not_available
		return fmt.Errorf("%w; a longer transaction is in the way, try again", err)
	case "42501": // insufficient_privilege
		return fmt.Errorf("%w; use the role that owns the database, or have its owner run: CREATE SCHEMA pgbell AUTHORIZATION your_role", err)
	case "2BP01": // dependent_objects_still_exist
		return fmt.Errorf("%w; something that pgbell did not make is in the way: %s", err, pg.Detail)
	}
	return err
}

func isInstalled(ctx context.Context, conn *pgx.Conn) (installed bool, err error) {
	err = conn.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", versionTable).Scan(&installed)
	return installed, err
}

// refuseTriggers protects the application's writes: dropping what a trigger
// calls would make them fail.
func refuseTriggers(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, queryTriggers)
	if err != nil {
		return err
	}
	left, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("%s still in use; run pgbell triggers remove first", strings.Join(left, ", "))
	}
	return nil
}

func steps(results []*goose.MigrationResult) []Migration {
	all := make([]Migration, 0, len(results))
	for _, r := range results {
		step := Migration{Version: r.Source.Version, Name: stepName(r.Source.Path)}
		if r.Direction == "up" {
			step.AppliedAt = time.Now()
		}
		all = append(all, step)
	}
	return all
}

// stepName is event_log for 00001_event_log.sql.
func stepName(file string) string {
	_, name, _ := strings.Cut(strings.TrimSuffix(path.Base(file), ".sql"), "_")
	return name
}
