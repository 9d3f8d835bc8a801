package triggers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Kind is what a [Change] does to its object.
type Kind string

// The kinds of change.
const (
	Create  Kind = "create"
	Replace Kind = "replace"
	Enable  Kind = "enable"
	Drop    Kind = "drop"
)

// Change is one step from what the database has to what the watches ask for.
type Change struct {
	// Table is the table concerned.
	Table Name
	// Object is what changes, such as "trigger pgbell_update on public.bookings".
	Object string
	Kind   Kind
	// Why says what differs, in one clause.
	Why string
	// SQL is one statement or several that make the change.
	SQL string
}

// Plan is what applying some watches would change, in order.
type Plan struct {
	Changes []Change
	// Warnings are what works but may disappoint, a sentence each.
	Warnings []string
}

// Empty reports whether the database is as the watches ask.
func (p *Plan) Empty() bool { return len(p.Changes) == 0 }

// SQL is the whole plan as a script with a comment before each change. It is
// one transaction, and empty if nothing would change.
func (p *Plan) SQL() string {
	if p.Empty() {
		return ""
	}
	var b strings.Builder
	b.WriteString("BEGIN;\nSET LOCAL lock_timeout = '2s'; -- rather fail than make writers wait\nSET LOCAL standard_conforming_strings = on;\n")
	for _, w := range p.Warnings {
		fmt.Fprintf(&b, "\n-- Warning: %s\n", comment(w))
	}
	for _, c := range p.Changes {
		fmt.Fprintf(&b, "\n-- %s%s %s: %s.\n%s\n", strings.ToUpper(string(c.Kind[:1])), c.Kind[1:], comment(c.Object), comment(c.Why), c.SQL)
	}
	b.WriteString("\nCOMMIT;\n")
	return b.String()
}

// NewPlan compares what the watches ask for with what the database has. It
// changes nothing: it runs in a read-only transaction, and expressions are
// prepared but not executed. Every mistake in the watches is in the error,
// joined, one clear sentence each; where the connected role is not the one that
// may apply the plan, it is an [ErrRole]. The connection must not be in a
// transaction.
func NewPlan(ctx context.Context, conn *pgx.Conn, watches []Watch) (*Plan, error) {
	var p *Plan
	err := reading(ctx, conn, func(tx pgx.Tx) error {
		r, err := resolve(ctx, tx, watches)
		if err != nil {
			return err
		}
		p, err = r.plan()
		return err
	})
	return p, err
}

// SQL is the script that installs everything for the watches into a database
// that has schema pgbell but none of it, for those who keep migrations
// themselves. Like a plan it checks the watches and changes nothing.
func SQL(ctx context.Context, conn *pgx.Conn, watches []Watch) (string, error) {
	var script string
	err := reading(ctx, conn, func(tx pgx.Tx) error {
		r, err := resolve(ctx, tx, watches)
		if err != nil {
			return err
		}
		r.installed = new(installation)
		p, err := r.plan()
		if err == nil {
			script = p.SQL()
		}
		return err
	})
	return script, err
}

// Verify is a plan whose changes are findings: how the database differs from
// what the watches ask for. It is empty if it does not.
func Verify(ctx context.Context, conn *pgx.Conn, watches []Watch) ([]Change, error) {
	p, err := NewPlan(ctx, conn, watches)
	if err != nil {
		return nil, err
	}
	return p.Changes, nil
}

// reading runs f in a read-only transaction that sees one state.
func reading(ctx context.Context, conn *pgx.Conn, f func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, f)
}

// resolution is the watches found in the catalog, and what is installed.
type resolution struct {
	check     *checker
	targets   []*target
	installed *installation
}

// resolve reads the catalog. What is wrong with the watches is in check; an
// error is that of the database.
func resolve(ctx context.Context, tx pgx.Tx, watches []Watch) (*resolution, error) {
	// What the functions will have: names mean the same to us.
	if _, err := tx.Exec(ctx, "SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL standard_conforming_strings = on"); err != nil {
		return nil, fmt.Errorf("prepare session: %w", err)
	}
	role, err := checkSchema(ctx, tx)
	if err != nil {
		return nil, err
	}
	catalog, err := readCatalog(ctx, tx, tableNames(watches))
	if err != nil {
		return nil, err
	}
	r := &resolution{check: &checker{catalog: catalog, role: role, errs: make(map[Name][]error)}}
	r.targets = r.check.targets(watches)
	if err := r.checkActions(ctx, tx); err != nil {
		return nil, err
	}
	if err := r.checkStrangers(ctx, tx); err != nil {
		return nil, err
	}
	r.installed, err = readInstallation(ctx, tx)
	return r, err
}

// checkActions has Postgres parse every action, with the names that it will
// have in the trigger. Preparing executes nothing. WHERE takes neither
// aggregates nor anything but a boolean.
func (r *resolution) checkActions(ctx context.Context, tx pgx.Tx) error {
	for _, t := range r.targets {
		if t.watch == nil {
			continue
		}
		for _, a := range t.watch.Actions {
			problem, err := prepare(ctx, tx, "SELECT FROM "+t.relation.sql+" AS old, "+t.relation.sql+" AS new WHERE (", a.When)
			if err != nil {
				return fmt.Errorf("check action %s of %s: %w", a.Name, t.relation.name, err)
			}
			if problem != "" {
				r.check.fail(t.watch.Watch, "action %s: %s", a.Name, problem)
			}
		}
	}
	return nil
}

// prepare says what Postgres has against an expression, or nothing.
func prepare(ctx context.Context, tx pgx.Tx, before, expression string) (problem string, err error) {
	guard, err := tx.Begin(ctx) // a savepoint: the next one is checked too
	if err != nil {
		return "", err
	}
	defer func() {
		if e := guard.Rollback(ctx); err == nil {
			err = e
		}
	}()
	description, err := guard.Conn().PgConn().Prepare(ctx, "", before+expression+"\n)", nil)
	var pgErr *pgconn.PgError
	switch {
	case errors.As(err, &pgErr):
		problem = strings.Replace(pgErr.Message, "argument of WHERE", "an action", 1)
		if at := int(pgErr.Position) - len([]rune(before)); at > 0 && at <= len([]rune(expression)) {
			problem += fmt.Sprintf(", at character %d of %s", at, strings.TrimSpace(expression))
		}
		if pgErr.Hint != "" {
			problem += "; hint: " + pgErr.Hint
		}
		return problem, nil
	case err != nil:
		return "", err
	case len(description.ParamOIDs) > 0:
		return "parameters such as $1 have no value in a trigger", nil
	}
	return "", nil
}

func (r *resolution) checkStrangers(ctx context.Context, tx pgx.Tx) error {
	var oids []uint32
	for _, t := range r.targets {
		oids = append(oids, t.relation.oid)
	}
	var names []string
	for _, name := range triggerNames {
		names = append(names, name)
	}
	rows, _ := tx.Query(ctx, strangersSQL, oids, names)
	var table, name string
	_, err := pgx.ForEachRow(rows, []any{&table, &name}, func() error {
		i := slices.IndexFunc(r.targets, func(t *target) bool { return t.relation.sql == table })
		r.check.fail(Watch{Table: r.targets[i].relation.name}, "has a trigger %s that is not ours; rename it", name)
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for triggers with our names: %w", err)
	}
	return nil
}

// plan compares. Functions come before the triggers that call them, and what
// is no longer asked for goes last. The error is every mistake in the watches,
// and what the connected role may not change.
func (r *resolution) plan() (*Plan, error) {
	p := &Plan{Warnings: r.check.warnings}
	functions := make(map[string]bool)
	wanted := make(map[Name][]string)
	for _, t := range r.targets {
		f := t.function()
		functions[f.name] = true
		if c := r.compareFunction(f); c != nil {
			p.Changes = append(p.Changes, *c)
		}
		for _, want := range t.triggers(f) {
			wanted[want.table] = append(wanted[want.table], want.name)
			if c := r.compareTrigger(want); c != nil {
				p.Changes = append(p.Changes, *c)
			}
		}
	}
	for _, t := range r.installed.triggers {
		if t.clone {
			// Postgres made it and removes it. It can still be disabled.
			if t.enabled == "D" || t.enabled == "R" {
				p.Changes = append(p.Changes, Change{t.table, t.object(), Enable, "somebody disabled it", t.enable()})
			}
			continue
		}
		if !slices.Contains(wanted[t.table], t.name) {
			if !t.owned {
				r.check.deny(t.table, notOwner("it belongs", r.check.role, t.owner))
			}
			p.Changes = append(p.Changes, Change{t.table, t.object(), Drop, "no watch needs it any more", t.drop()})
		}
	}
	for _, f := range r.installed.functions {
		if !functions[f.name] {
			r.checkOwned(Name{}, &f)
			p.Changes = append(p.Changes, Change{f.table, f.object(), Drop, "no watch needs it any more", "DROP FUNCTION " + f.sql() + "();"})
		}
	}
	return p, r.check.err()
}

func (f *function) object() string { return "function pgbell." + f.name }
func (t trigger) enable() string {
	return fmt.Sprintf("ALTER TABLE %s ENABLE TRIGGER %s;", t.tableSQL, t.name)
}

func (t trigger) object() string { return "trigger " + t.name + " on " + t.table.String() }

func (r *resolution) compareFunction(f *function) *Change {
	have := r.installed.function(f.name)
	c := &Change{Table: f.table, Object: f.object(), Kind: Replace, SQL: f.create()}
	switch {
	case have == nil:
		c.Kind, c.Why = Create, "it is missing"
		return c
	case !have.records:
		c.Why = "its owner, role " + have.owner + ", may not write the event log, so writes to the table fail"
		c.SQL = "ALTER FUNCTION " + f.sql() + "() OWNER TO CURRENT_USER;\n" + c.SQL
	case !strings.HasSuffix(have.comment, " Definition "+have.hash()+"."):
		c.Why = "somebody changed it or its comment"
	case !have.regular:
		c.Why = "somebody changed its privileges, language or security"
	case have.source != f.source || !slices.Equal(have.settings, f.settings):
		c.Why = "the watch, the table or this version of pgbell is not the one it was made from"
	case have.comment != f.comment:
		c.Why = "its comment differs"
	default:
		return nil
	}
	r.checkOwned(f.table, have)
	return c
}

func (r *resolution) compareTrigger(want trigger) *Change {
	have := r.installed.trigger(want.table, want.name)
	c := &Change{Table: want.table, Object: want.object(), Kind: Replace, SQL: want.create()}
	switch {
	case have == nil:
		c.Kind, c.Why = Create, "it is missing"
	case have.function != want.function:
		c.Why = "it calls pgbell." + have.function
	case !have.regular || have.event != want.event || have.row != want.row:
		c.Why = "somebody changed it"
	case have.enabled == "D" || have.enabled == "R":
		c.Kind, c.Why = Enable, "somebody disabled it"
		c.SQL = want.enable()
	case have.comment != want.comment:
		c.Why = "its comment differs"
	default:
		return nil
	}
	switch {
	case c.Kind != Replace:
	case have.enabled == "D" || have.enabled == "R":
		c.SQL += "\n" + want.enable()
	case have.enabled == "A":
		// Somebody wants what replication applies, too: replacing forgets it.
		c.SQL += fmt.Sprintf("\nALTER TABLE %s ENABLE ALWAYS TRIGGER %s;", want.tableSQL, want.name)
	}
	return c
}
