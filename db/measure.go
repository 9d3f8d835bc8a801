package db

import (
	"context"
	_ "embed" // the query
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed queries/measured_triggers.sql
var queryMeasuredTriggers string

// How much a measurement writes and takes back.
const (
	measuredRows    = 1000 // in one statement
	measuredSingles = 25   // statements of one row, of each kind
)

// ErrNothingToMeasure says that a table has no rows, or no triggers of ours, to
// measure with.
var ErrNothingToMeasure = errors.New("nothing to measure with")

// Cost is what the triggers of one table add to a statement.
type Cost struct {
	// Rows is how many the large statements changed.
	Rows int `json:"rows"`
	// Update is nil if the table has no column to change: every one is NULL,
	// part of the key, or names an owner.
	Insert *StatementCost `json:"insert"`
	Update *StatementCost `json:"update"`
	Delete *StatementCost `json:"delete"`
}

// StatementCost is for statements of one kind.
type StatementCost struct {
	// Single is the median for a statement of one row, in microseconds.
	Single float64 `json:"single_us"`
	// Row is the mean for each row of a large statement, in microseconds.
	Row float64 `json:"row_us"`
}

// Measure tells what our triggers on t cost, by letting them fire. They do so on
// a temporary copy of at most a thousand rows, in a transaction that is rolled
// back: nobody else sees an event, no row of the application is touched or
// locked, and no trigger of the application's fires. What remains are dead rows
// in the event log, until retention empties it.
//
// The times are those of EXPLAIN ANALYZE: what happens inside the statement,
// writing to the log included. What NOTIFY costs at commit is not in them.
//
// The role must own the trigger functions, or have EXECUTE on them, and needs
// TEMPORARY on the database and SELECT on the table and the event log.
func Measure(ctx context.Context, conn *pgx.Conn, t Table) (cost Cost, err error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return cost, fmt.Errorf("measure %s.%s: %w", t.Schema, t.Name, err)
	}
	defer func() { err = errors.Join(err, tx.Rollback(context.WithoutCancel(ctx))) }()
	m := measurement{tx: tx, table: t}
	if cost, err = m.run(ctx); err != nil {
		return Cost{}, fmt.Errorf("measure %s.%s: %w", t.Schema, t.Name, err)
	}
	return cost, nil
}

type measurement struct {
	tx     pgx.Tx
	table  Table
	names  []string // of our triggers
	change string   // the column that updates change
}

const (
	measureInsert = "INSERT INTO pg_temp.pgbell_copy SELECT * FROM pg_temp.pgbell_rows"
	measureUpdate = "UPDATE pg_temp.pgbell_copy SET %[1]s = NULL WHERE %[1]s IS NOT NULL"
	measureDelete = "DELETE FROM pg_temp.pgbell_copy"
)

func (m *measurement) run(ctx context.Context) (cost Cost, err error) {
	if cost.Rows, err = m.copyRows(ctx); err != nil {
		return cost, err
	}
	if err := m.copyTriggers(ctx); err != nil {
		return cost, err
	}
	if err := m.chooseColumn(ctx); err != nil {
		return cost, err
	}
	cost.Insert, cost.Delete = new(StatementCost), new(StatementCost)
	update := ""
	if m.change != "" {
		cost.Update, update = new(StatementCost), fmt.Sprintf(measureUpdate, m.change)
	}
	statements := []measured{{measureInsert, cost.Insert, nil}, {update, cost.Update, nil}, {measureDelete, cost.Delete, nil}}
	if update == "" {
		statements = slices.Delete(statements, 1, 2)
	}
	// Small statements first, as in a session that has been there for a while:
	// what the large ones use is warm then, and so is any plan that was made
	// for one row.
	for i := range measuredSingles {
		for j := range statements {
			if err := m.single(ctx, &statements[j], i%cost.Rows); err != nil {
				return cost, err
			}
		}
	}
	for _, s := range statements {
		slices.Sort(s.singles)
		s.cost.Single = s.singles[len(s.singles)/2]
		many, err := m.statement(ctx, s.sql)
		if err != nil {
			return cost, err
		}
		s.cost.Row = many / float64(cost.Rows)
	}
	return cost, m.mustHaveCaptured(ctx)
}

// measured is one kind of statement, and what was measured of it.
type measured struct {
	sql     string
	cost    *StatementCost
	singles []float64 // in microseconds
}

// single runs the statement for one row: the copy is empty but for the row that
// the one before inserted.
func (m *measurement) single(ctx context.Context, s *measured, row int) error {
	sql, args := s.sql, []any(nil)
	if sql == measureInsert {
		sql, args = sql+" OFFSET $1 LIMIT 1", []any{row}
	}
	microseconds, err := m.statement(ctx, sql, args...)
	s.singles = append(s.singles, microseconds)
	return err
}

// copyRows makes pgbell_rows, some rows of the table, and pgbell_copy, empty.
// As a query makes them, they have no constraint that a change could break.
func (m *measurement) copyRows(ctx context.Context) (int, error) {
	name := pgx.Identifier{m.table.Schema, m.table.Name}.Sanitize()
	tag, err := m.tx.Exec(ctx, fmt.Sprintf("CREATE TEMPORARY TABLE pgbell_rows ON COMMIT DROP AS SELECT * FROM %s LIMIT %d", name, measuredRows))
	if err != nil {
		return 0, err
	}
	if tag.RowsAffected() == 0 {
		return 0, fmt.Errorf("%w: the table has no rows", ErrNothingToMeasure)
	}
	_, err = m.tx.Exec(ctx, "CREATE TEMPORARY TABLE pgbell_copy (LIKE pg_temp.pgbell_rows) ON COMMIT DROP; ANALYZE pg_temp.pgbell_rows")
	return int(tag.RowsAffected()), err
}

func (m *measurement) copyTriggers(ctx context.Context) error {
	rows, err := m.tx.Query(ctx, queryMeasuredTriggers, m.table.Schema, m.table.Name)
	if err != nil {
		return err
	}
	var create []string
	var name, sql string
	_, err = pgx.ForEachRow(rows, []any{&name, &sql}, func() error {
		m.names, create = append(m.names, name), append(create, sql)
		return nil
	})
	if err == nil && create == nil {
		err = fmt.Errorf("%w: the table has no triggers of pgbell", ErrNothingToMeasure)
	}
	if err != nil {
		return err
	}
	_, err = m.tx.Exec(ctx, strings.Join(create, ";\n"))
	return err
}

// chooseColumn finds one whose change makes an event that is like any other:
// everybody sees it, and it is neither a key nor a word on owners.
func (m *measurement) chooseColumn(ctx context.Context) error {
	rows, err := m.tx.Query(ctx, `
SELECT a.attname::text,
       EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey))
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
 WHERE n.nspname = $1 AND c.relname = $2
 ORDER BY a.attnum`, m.table.Schema, m.table.Name)
	if err != nil {
		return err
	}
	var choice []string
	var name string
	var key bool
	_, err = pgx.ForEachRow(rows, []any{&name, &key}, func() error {
		if !key && !slices.Contains(m.table.Key, name) && m.seenByAll(name) && !m.namesOwner(name) {
			choice = append(choice, name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range choice {
		sql := pgx.Identifier{name}.Sanitize()
		var full bool
		// A change of every row, so that the mean is over all.
		if err := m.tx.QueryRow(ctx, "SELECT bool_and("+sql+" IS NOT NULL) FROM pg_temp.pgbell_rows").Scan(&full); err != nil {
			return err
		}
		if full {
			m.change = sql
			return nil
		}
	}
	return nil
}

func (m *measurement) seenByAll(column string) bool {
	for _, only := range m.table.Only {
		if slices.Contains(only, column) {
			return false
		}
	}
	return m.table.AllColumns || slices.Contains(m.table.Columns, column)
}

func (m *measurement) namesOwner(column string) bool {
	return slices.ContainsFunc(m.table.Owners, func(o TableOwner) bool {
		return o.Via == nil && o.Column == column || o.Via != nil && o.Via.Column == column
	})
}

// statement runs one and returns what our triggers took of it, in
// microseconds.
func (m *measurement) statement(ctx context.Context, sql string, args ...any) (microseconds float64, err error) {
	var document []byte
	args = append([]any{pgx.QueryExecModeExec}, args...)
	if err := m.tx.QueryRow(ctx, "EXPLAIN (ANALYZE, FORMAT JSON) "+sql, args...).Scan(&document); err != nil {
		return 0, err
	}
	var explained []struct {
		Triggers []struct {
			Name string  `json:"Trigger Name"`
			Time float64 // in milliseconds
		}
	}
	if err := json.Unmarshal(document, &explained); err != nil {
		return 0, fmt.Errorf("read what EXPLAIN said: %w", err)
	}
	for _, e := range explained {
		for _, t := range e.Triggers {
			if slices.Contains(m.names, t.Name) {
				microseconds += t.Time * float64(time.Millisecond/time.Microsecond)
			}
		}
	}
	return microseconds, nil
}

// mustHaveCaptured refuses figures of triggers that gave up: a reset is cheap.
func (m *measurement) mustHaveCaptured(ctx context.Context) error {
	var events int
	var failure *string
	err := m.tx.QueryRow(ctx, `
SELECT count(*), max(e.body ->> 'error') FILTER (WHERE e.body ->> 'reason' = 'capture_failed')
  FROM pgbell.events AS e
 WHERE e.xid = pg_current_xact_id()`).Scan(&events, &failure)
	switch {
	case err != nil:
		return err
	case failure != nil:
		return fmt.Errorf("the trigger does not capture: %s", *failure)
	case events == 0:
		return errors.New("the triggers recorded nothing: is pgbell.enabled off for this role?")
	}
	return nil
}
