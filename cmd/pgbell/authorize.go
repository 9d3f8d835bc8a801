package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgbell/pgbell/triggers"
	"github.com/pgbell/pgbell/ws/auth"
)

// rowAuthorizer tells who owns a row by asking for the row, as the watch
// defines ownership. It answers for the room of one row, <type>:<key>.
type rowAuthorizer struct {
	pool *pgxpool.Pool
	// queries has, by event type, one that finds the row of a key if the user
	// in $1 owns it. The key's columns follow from $2 on.
	queries map[string]ownerQuery
}

type ownerQuery struct {
	sql      string
	keys     int
	watchers []string // roles that see every row
}

// newRowAuthorizer looks up what the watches leave to the catalog: the primary
// keys and the types of key columns.
func newRowAuthorizer(ctx context.Context, pool *pgxpool.Pool, watches []triggers.Watch) (*rowAuthorizer, error) {
	a := &rowAuthorizer{pool: pool, queries: make(map[string]ownerQuery, len(watches))}
	for _, w := range watches {
		q, err := newOwnerQuery(ctx, pool, w)
		if err != nil {
			return nil, fmt.Errorf("prepare who owns rows of %s: %w", w.Table, err)
		}
		a.queries[w.Type] = q
	}
	return a, nil
}

func newOwnerQuery(ctx context.Context, pool *pgxpool.Pool, w triggers.Watch) (ownerQuery, error) {
	key, err := keyColumns(ctx, pool, w.Table, w.Key)
	if err != nil {
		return ownerQuery{}, err
	}
	// The cast is on the parameter, so that an index on the column serves.
	var where, owned []string
	for i, c := range key {
		where = append(where, fmt.Sprintf("t.%s = $%d::text::%s", identifier(c.name), i+2, c.typ))
	}
	var joins strings.Builder
	for i, o := range w.Owners {
		if o.Via == nil {
			owned = append(owned, fmt.Sprintf("t.%s::text = $1", identifier(o.Column)))
			continue
		}
		target, err := referenced(ctx, pool, w.Table, *o.Via)
		if err != nil {
			return ownerQuery{}, err
		}
		fmt.Fprintf(&joins, " LEFT JOIN %s AS p%d ON p%d.%s = t.%s",
			identifier(o.Via.Table.Schema, o.Via.Table.Name), i, i, identifier(target), identifier(o.Via.Column))
		owned = append(owned, fmt.Sprintf("p%d.%s::text = $1", i, identifier(o.Via.Owner)))
	}
	if owned == nil {
		owned = []string{"false AND $1 = ''"} // nobody owns these rows
	}
	return ownerQuery{
		sql: fmt.Sprintf("SELECT EXISTS (SELECT FROM %s AS t%s WHERE %s AND (%s))",
			identifier(w.Table.Schema, w.Table.Name), joins.String(), strings.Join(where, " AND "), strings.Join(owned, " OR ")),
		keys:     len(key),
		watchers: w.Watchers,
	}, nil
}

// MayJoin implements [ws.RowAuthorizer].
func (a *rowAuthorizer) MayJoin(ctx context.Context, id auth.Identity, typ, key string) (bool, error) {
	q, ok := a.queries[typ]
	if !ok {
		return false, nil
	}
	if slices.ContainsFunc(q.watchers, func(role string) bool { return slices.Contains(id.Roles, role) }) {
		return true, nil
	}
	values := []string{key}
	if q.keys > 1 {
		values = strings.Split(key, ",")
	}
	if len(values) != q.keys {
		return false, nil
	}
	args := []any{id.UserID}
	for _, v := range values {
		args = append(args, v)
	}
	var yes bool
	err := a.pool.QueryRow(ctx, q.sql, args...).Scan(&yes)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && strings.HasPrefix(pg.Code, "22") {
		return false, nil // data exception: a key that no row can have
	}
	if err != nil {
		return false, fmt.Errorf("ask who owns the row: %w", err)
	}
	return yes, nil
}

type keyColumn struct{ name, typ string }

// keyColumns are the named columns of table, or those of its primary key.
func keyColumns(ctx context.Context, pool *pgxpool.Pool, table triggers.Name, names []string) ([]keyColumn, error) {
	rows, err := pool.Query(ctx, `
		SELECT a.attname::text, format_type(a.atttypid, -1)
		  FROM pg_class AS c
		  JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		  LEFT JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
		 WHERE c.relname = $2 AND c.relnamespace = to_regnamespace(quote_ident($1))
		   AND CASE WHEN cardinality($3::text[]) > 0 THEN a.attname = ANY ($3) ELSE a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1]) END
		 ORDER BY array_position($3::text[], a.attname::text), array_position(i.indkey::int2[], a.attnum)`,
		table.Schema, table.Name, append([]string{}, names...))
	if err != nil {
		return nil, err
	}
	columns, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c keyColumn, err error) {
		return c, row.Scan(&c.name, &c.typ)
	})
	if err == nil && (len(columns) == 0 || len(names) > 0 && len(columns) != len(names)) {
		err = errors.New("its key columns are missing")
	}
	return columns, err
}

// referenced is the column of via.Table that via.Column refers to: the one that
// the foreign key names, or else the primary key.
func referenced(ctx context.Context, pool *pgxpool.Pool, table triggers.Name, via triggers.Via) (string, error) {
	var name string
	err := pool.QueryRow(ctx, `
		SELECT f.attname::text
		  FROM pg_constraint AS k
		  JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
		  JOIN pg_attribute AS f ON f.attrelid = k.confrelid AND f.attnum = k.confkey[1]
		 WHERE k.contype = 'f' AND cardinality(k.conkey) = 1 AND a.attname = $3
		   AND k.conrelid = (SELECT oid FROM pg_class WHERE relname = $2 AND relnamespace = to_regnamespace(quote_ident($1)))
		   AND k.confrelid = (SELECT oid FROM pg_class WHERE relname = $5 AND relnamespace = to_regnamespace(quote_ident($4)))
		 ORDER BY k.oid LIMIT 1`,
		table.Schema, table.Name, via.Column, via.Table.Schema, via.Table.Name).Scan(&name)
	if !errors.Is(err, pgx.ErrNoRows) {
		return name, err
	}
	key, err := keyColumns(ctx, pool, via.Table, nil)
	if err != nil {
		return "", fmt.Errorf("%s: %w", via.Table, err)
	}
	return key[0].name, nil
}

func identifier(parts ...string) string { return pgx.Identifier(parts).Sanitize() }
