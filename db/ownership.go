package db

import (
	"context"
	_ "embed" // the query
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgbell/pgbell"
)

// Ownership is where the owner of one row in one audience was looked for, and
// what was found.
type Ownership struct {
	Audience string
	// Column holds the owner: of the row itself or, with Via, of the parent.
	Column string
	// Owner is the value, as events write it; nil for NULL or no parent.
	Owner *string
	// Via is the parent's side of an ownership through a reference.
	Via *Parentage
	// Only are the columns that this audience sees besides.
	Only []string
}

// Parentage is how a row refers to the one that knows its owner.
type Parentage struct {
	// Column of the row that refers to Key of the table Parent.
	Column, Parent, Key string
	// Value is what the row refers to; nil for NULL.
	Value *string
	// Found says that the parent has such a row.
	Found bool
}

// Owned is what the database says about who owns a row.
type Owned struct {
	// Exists is false if the table has no row of this key, which leaves the
	// owners unknown.
	Exists bool
	// Key is the key as events write it, one text for each of its columns.
	Key []string
	// Owners are the audiences in the order of the watch.
	Owners []Ownership
	// Columns are what every audience sees.
	Columns []string
}

// KeyColumns are the names of the columns that make the key of a type's rows.
func (r *Rows) KeyColumns(typ string) ([]string, error) {
	t, ok := r.tables[typ]
	if !ok {
		return nil, ErrUnknownType
	}
	return names(t.key), nil
}

// Ownership looks at one row and says who owns it by the rules of the watch.
// Key has one text for each column of [Rows.KeyColumns]. Errors are
// [ErrUnknownType], a [*RowsMistake] for a key that no row can have, or the
// database's.
func (r *Rows) Ownership(ctx context.Context, typ string, key []string) (Owned, error) {
	t, ok := r.tables[typ]
	if !ok {
		return Owned{}, ErrUnknownType
	}
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	o := Owned{Columns: names(t.visible), Key: make([]string, len(t.key))}
	for i, owner := range t.owners {
		found := Ownership{Audience: owner.audience, Column: owner.column.name}
		if p := owner.parent; p != nil {
			via := t.Owners[i].Via
			found.Via = &Parentage{Column: p.column.name, Parent: via.Schema + "." + via.Name, Key: p.key.name}
		}
		for _, only := range t.only {
			if only.owner.audience == owner.audience {
				found.Only = names(only.columns)
			}
		}
		o.Owners = append(o.Owners, found)
	}
	sql, into := t.ownershipSQL(&o)
	args := make([]any, len(key))
	for i, k := range key {
		args[i] = k
	}
	err := r.pool.QueryRow(ctx, sql, args...).Scan(into...)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && strings.HasPrefix(pg.Code, "22") { // data exception
		return Owned{}, &RowsMistake{"no row can have this key: " + pg.Message}
	}
	if err != nil {
		return Owned{}, fmt.Errorf("look at the row: %w", err)
	}
	return o, nil
}

// ownershipSQL asks for one row of answers, also where the table has none:
//
//	SELECT to_jsonb($1::text::integer) #>> '{}', t.found IS NOT NULL, t.owner_0, …
//	  FROM (VALUES (1)) AS one LEFT JOIN (SELECT true AS found, …) AS t ON true
func (t *table) ownershipSQL(o *Owned) (sql string, into []any) {
	var columns, inner, where []string
	var joins strings.Builder
	for i, k := range t.key {
		param := fmt.Sprintf("$%d::text::%s", i+1, k.typ)
		columns = append(columns, "to_jsonb("+param+") #>> '{}'")
		into = append(into, &o.Key[i])
		where = append(where, fmt.Sprintf("t.%s = %s", k.sql, param))
	}
	columns = append(columns, "r.found IS NOT NULL")
	into = append(into, &o.Exists)
	add := func(expression string, to any) {
		name := fmt.Sprintf("answer_%d", len(inner))
		inner = append(inner, expression+" AS "+name)
		columns = append(columns, "r."+name)
		into = append(into, to)
	}
	for i, owner := range t.owners {
		found := &o.Owners[i]
		add(fmt.Sprintf("%s.%s::text", owner.alias(), owner.column.sql), &found.Owner)
		if p := owner.parent; p != nil {
			add(fmt.Sprintf("t.%s::text", p.column.sql), &found.Via.Value)
			add(fmt.Sprintf("%s.%s IS NOT NULL", owner.alias(), p.key.sql), &nullable{&found.Via.Found})
			joins.WriteString(owner.join(" LEFT JOIN"))
		}
	}
	return fmt.Sprintf("SELECT %s\n  FROM (VALUES (1)) AS one\n  LEFT JOIN (SELECT %s\n               FROM %s AS t%s\n              WHERE %s\n              LIMIT 1) AS r ON true",
		strings.Join(columns, ", "), strings.Join(append([]string{"true AS found"}, inner...), ", "), t.sql, joins.String(), strings.Join(where, " AND ")), into
}

// nullable takes NULL for false.
type nullable struct{ to *bool }

// Scan implements [database/sql.Scanner].
func (n *nullable) Scan(value any) error {
	*n.to, _ = value.(bool)
	return nil
}

func names(columns []tableColumn) []string {
	all := make([]string, len(columns))
	for i, c := range columns {
		all[i] = c.name
	}
	return all
}

//go:embed queries/row_events.sql
var queryRowEvents string

// RowEvents are the last events of one row that the newest 100,000 of the log
// hold, newest first, with the resets of its whole table among them. Columns
// and key are those of [Rows.KeyColumns] and [Owned.Key].
func RowEvents(ctx context.Context, conn *pgx.Conn, table string, columns, key []string, limit int) ([]pgbell.Event, error) {
	rows, err := conn.Query(ctx, queryRowEvents, table, columns, key, limit)
	if err != nil {
		return nil, fmt.Errorf("look for events of the row: %w", err)
	}
	events, err := pgx.CollectRows(rows, scanEvent)
	if err != nil {
		return nil, fmt.Errorf("look for events of the row: %w", err)
	}
	return events, nil
}

func scanEvent(row pgx.CollectableRow) (pgbell.Event, error) {
	var (
		id, at int64
		xid    uint64
		body   []byte
	)
	if err := row.Scan(&id, &xid, &at, &body); err != nil {
		return pgbell.Event{}, err
	}
	return decode(id, xid, time.UnixMicro(at), body), nil
}
