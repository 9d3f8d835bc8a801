package db

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgbell/pgbell"
)

// Table is a watched table as [Rows] needs it. All names are exact, as in the
// catalog.
type Table struct {
	// Type names the table's events; it is what rows are asked for by.
	Type         string
	Schema, Name string
	// Key is the columns that identify a row. Default: the primary key.
	Key []string
	// Owners say whose a row is, one for each audience.
	Owners []TableOwner
	// Watchers are the roles that see every row.
	Watchers []string
	// Columns are what every audience sees. Default, with AllColumns: all that
	// the table has, without those in Only.
	Columns    []string
	AllColumns bool
	// Only is, by audience, the columns that it alone sees.
	Only map[string][]string
}

// TableOwner binds an audience to the column that holds the owner's user id:
// of the table itself or, with Via, of another one.
type TableOwner struct {
	Audience, Column string
	Via              *TableVia
}

// TableVia is ownership through a reference: Column of the watched table refers
// to a row of Schema.Name, whose column Owner holds the user id.
type TableVia struct {
	Column       string
	Schema, Name string
	Owner        string
}

// RowsOptions bound what one request may cost.
type RowsOptions struct {
	// Rows in a page, unless the request asks for fewer. Default: 1000.
	Rows int
	// Bytes of JSON in a page; the row that passes it is its last. Default:
	// 8 MiB.
	Bytes int
	// Timeout of a page. Default: 5 seconds.
	Timeout time.Duration
}

// Rows reads what a user may see of watched tables.
//
// It reads as the role that it connects as, which needs SELECT on the tables
// and on those that owners are found in. Row security applies to that role.
type Rows struct {
	pool   *pgxpool.Pool
	tables map[string]*table
	opts   RowsOptions
}

// NewRows prepares to read tables over connections of pool. It asks the catalog
// for what the tables leave open; later changes of a table's columns are not
// seen.
func NewRows(ctx context.Context, pool *pgxpool.Pool, tables []Table, opts RowsOptions) (*Rows, error) {
	opts.Rows = cmp.Or(opts.Rows, 1000)
	opts.Bytes = cmp.Or(opts.Bytes, 8<<20)
	opts.Timeout = cmp.Or(opts.Timeout, 5*time.Second)
	r := &Rows{pool: pool, tables: make(map[string]*table, len(tables)), opts: opts}
	for _, t := range tables {
		resolved, err := resolveTable(ctx, pool, t)
		if err != nil {
			return nil, fmt.Errorf("prepare to read rows of %s.%s: %w", t.Schema, t.Name, err)
		}
		r.tables[t.Type] = resolved
	}
	return r, nil
}

// RowsQuery asks for one page of rows.
type RowsQuery struct {
	Type string
	// User owns the rows asked for. Roles of the user that watch the table see
	// every row.
	User  string
	Roles []string
	// Filter wants columns to equal a value, as text. Default: every row.
	Filter map[string]string
	// Page is where the page before ended. Default: the first page.
	Page string
	// Limit on the rows. Default, and most: that of the options.
	Limit int
}

// RowsPage is rows as they stood in one snapshot, in the order of their keys.
type RowsPage struct {
	// Rows are JSON objects, each in parts to be merged: what every audience
	// sees, then what the user's audiences see, by their names. They are
	// written as events write them.
	Rows [][]json.RawMessage
	// Cursor contains exactly what the rows contain: what follows it is what
	// changes from here on.
	Cursor pgbell.Cursor
	// Next asks for the page after this; empty if there is none.
	Next string
}

// ErrUnknownType says that no table is watched under that name.
var ErrUnknownType = errors.New("no rows of this type")

// RowsMistake is what is wrong with a [RowsQuery], safe to show.
type RowsMistake struct{ Message string }

func (m *RowsMistake) Error() string { return m.Message }

// Read returns a page. The rows and their cursor are of the same snapshot. Errors
// are [ErrUnknownType], a [*RowsMistake], or the database's.
func (r *Rows) Read(ctx context.Context, q RowsQuery) (RowsPage, error) {
	t, ok := r.tables[q.Type]
	if !ok {
		return RowsPage{}, ErrUnknownType
	}
	limit := r.opts.Rows
	if q.Limit > 0 {
		limit = min(limit, q.Limit)
	}
	after, err := t.decodePage(q.Page)
	if err != nil {
		return RowsPage{}, err
	}
	query, err := t.query(q, after, limit+1)
	if err != nil {
		return RowsPage{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	var page RowsPage
	err = r.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		// The epoch, which lasts as long as the connection.
		present, _, err := Log{}.Position(ctx, conn.Conn())
		if err != nil {
			return err
		}
		return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{BeginQuery: beginRows}, func(tx pgx.Tx) error {
			var text string
			if err := tx.QueryRow(ctx, "SELECT pg_current_snapshot()::text").Scan(&text); err != nil {
				return err
			}
			snapshot, err := pgbell.ParseSnapshot(text)
			if err != nil {
				return err
			}
			page.Cursor = pgbell.NewCursor(present.Epoch(), snapshot)
			return t.collect(ctx, tx, query, &page, limit, r.opts.Bytes)
		})
	})
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return page, nil
	case errors.As(err, &pg) && strings.HasPrefix(pg.Code, "22"): // data exception
		return RowsPage{}, &RowsMistake{"A filter's value, or the page, is not of its column's type."}
	case errors.As(err, &pg) && pg.Code == "42501": // insufficient_privilege
		err = fmt.Errorf("%w; GRANT SELECT to the server's role", err)
	}
	return RowsPage{}, fmt.Errorf("read rows of %s: %w", t.sql, err)
}

// beginRows opens a transaction of one snapshot that writes values as the
// triggers do.
const beginRows = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL TimeZone = 'UTC';
SET LOCAL DateStyle = 'ISO, YMD';
SET LOCAL IntervalStyle = 'iso_8601';
SET LOCAL bytea_output = 'hex';
SET LOCAL lc_monetary = 'C';
SET LOCAL extra_float_digits = 1;
SET LOCAL jit = off`

// collect reads up to limit rows of the limit+1 that the query asks for.
func (t *table) collect(ctx context.Context, tx pgx.Tx, q rowsSQL, page *RowsPage, limit, maxBytes int) error {
	rows, err := tx.Query(ctx, q.text.String(), append([]any{pgx.QueryExecModeExec}, q.args...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var last []string
	bytes := 0
	for rows.Next() {
		if len(page.Rows) == limit || bytes >= maxBytes {
			page.Next = encodePage(last)
			return nil
		}
		values := rows.RawValues() // text, as that mode asks for
		last = last[:0]
		for _, v := range values[:len(t.key)] {
			last = append(last, string(v))
		}
		var parts []json.RawMessage
		for _, v := range values[len(t.key):] {
			if v != nil {
				parts = append(parts, slices.Clone(v))
				bytes += len(v)
			}
		}
		page.Rows = append(page.Rows, parts)
	}
	return rows.Err()
}

// maxPage bounds a page's name in characters.
const maxPage = 8 << 10

func encodePage(key []string) string {
	text, _ := json.Marshal(key) // a list of strings has no error
	return base64.RawURLEncoding.EncodeToString(text)
}

// decodePage reads the key that encodePage wrote; nil is the first page.
func (t *table) decodePage(page string) ([]string, error) {
	if page == "" {
		return nil, nil
	}
	var key []string
	text, err := base64.RawURLEncoding.DecodeString(page)
	if err == nil && len(page) <= maxPage {
		err = json.Unmarshal(text, &key)
	}
	if err != nil || len(key) != len(t.key) || slices.ContainsFunc(key, hasZero) {
		return nil, &RowsMistake{"There is no such page of this type."}
	}
	return key, nil
}

// hasZero reports what no text in Postgres may have.
func hasZero(text string) bool { return strings.ContainsRune(text, 0) }
