package db

import (
	"context"
	_ "embed" // the query
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed queries/table_columns.sql
var queryTableColumns string

// table is a [Table] whose names were found in the catalog.
type table struct {
	Table
	sql     string // schema.name as SQL writes it
	key     []tableColumn
	visible []tableColumn // to every audience
	only    []audienceColumns
	owners  []tableOwner
	filters map[string]tableColumn // columns that a request may filter by
}

// audienceColumns are what one audience alone sees.
type audienceColumns struct {
	owner   tableOwner
	columns []tableColumn
}

// tableOwner is where an owner is found: in a column of the table or of a
// parent, which is then joined.
type tableOwner struct {
	audience string
	column   tableColumn
	parent   *tableParent
}

type tableParent struct {
	sql    string
	column tableColumn // of the table, refers to key
	key    tableColumn // of the parent
	number int         // tells the joins of one query apart
}

// tableColumn is one column as the catalog describes it.
type tableColumn struct {
	name     string
	sql      string // the name as SQL writes it
	typ      string // what a parameter is cast to
	family   string // pg_type.typname of what it is made of, if = is exact on it
	sortable bool
	keyPart  int // position in the primary key; -1: none
	leading  bool
	virtual  bool // computed when read; no event has it
}

// resolveTable asks the catalog for what t names.
func resolveTable(ctx context.Context, pool *pgxpool.Pool, t Table) (*table, error) {
	columns, err := tableColumns(ctx, pool, t.Schema, t.Name)
	if err != nil {
		return nil, err
	}
	resolved := &table{Table: t, sql: pgx.Identifier{t.Schema, t.Name}.Sanitize(), filters: make(map[string]tableColumn)}
	if resolved.key, err = keyOf(columns, t.Key); err != nil {
		return nil, err
	}
	if resolved.visible, err = pick(columns, t.Columns); err != nil {
		return nil, err
	}
	if t.AllColumns {
		resolved.visible = slices.DeleteFunc(slices.Clone(columns), func(c tableColumn) bool { return c.virtual })
	}
	// What belongs to one audience is not everybody's, wherever else it stands.
	for _, names := range t.Only {
		resolved.visible = slices.DeleteFunc(slices.Clone(resolved.visible), func(c tableColumn) bool { return slices.Contains(names, c.name) })
	}
	for _, c := range resolved.visible {
		if c.leading && c.sortable {
			resolved.filters[c.name] = c
		}
	}
	for i, o := range t.Owners {
		owner := tableOwner{audience: o.Audience}
		if o.Via == nil {
			owner.column, err = one(columns, o.Column)
		} else {
			owner.column, owner.parent, err = resolveVia(ctx, pool, t, columns, o.Via)
		}
		if err != nil {
			return nil, fmt.Errorf("owner %s: %w", o.Audience, err)
		}
		if owner.parent != nil {
			owner.parent.number = i
		}
		resolved.owners = append(resolved.owners, owner)
	}
	for _, audience := range slices.Sorted(maps.Keys(t.Only)) {
		i := slices.IndexFunc(resolved.owners, func(o tableOwner) bool { return o.audience == audience })
		if i < 0 {
			continue // nobody is in it
		}
		own, err := pick(columns, t.Only[audience])
		if err != nil {
			return nil, err
		}
		resolved.only = append(resolved.only, audienceColumns{resolved.owners[i], own})
	}
	return resolved, nil
}

// resolveVia finds the owner's column in another table.
func resolveVia(ctx context.Context, pool *pgxpool.Pool, t Table, columns []tableColumn, v *TableVia) (owner tableColumn, p *tableParent, err error) {
	p = &tableParent{sql: pgx.Identifier{v.Schema, v.Name}.Sanitize()}
	if p.column, err = one(columns, v.Column); err != nil {
		return owner, nil, err
	}
	parents, err := tableColumns(ctx, pool, v.Schema, v.Name)
	if err != nil {
		return owner, nil, err
	}
	referenced, err := referencedColumn(ctx, pool, t, v)
	if err != nil {
		return owner, nil, err
	}
	var names []string // the primary key
	if referenced != "" {
		names = []string{referenced}
	}
	key, err := keyOf(parents, names)
	if err != nil {
		return owner, nil, err
	}
	p.key = key[0]
	owner, err = one(parents, v.Owner)
	return owner, p, err
}

func tableColumns(ctx context.Context, pool *pgxpool.Pool, schema, name string) ([]tableColumn, error) {
	var oid uint32
	err := pool.QueryRow(ctx, `
SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')`, schema, name).Scan(&oid)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("there is no table %s.%s", schema, name)
	}
	if err != nil {
		return nil, err
	}
	rows, err := pool.Query(ctx, queryTableColumns, oid)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (c tableColumn, err error) {
		err = row.Scan(&c.name, &c.typ, &c.family, &c.sortable, &c.keyPart, &c.leading, &c.virtual)
		c.sql = pgx.Identifier{c.name}.Sanitize()
		return c, err
	})
}

// referencedColumn is the one that the foreign key of via.Column names; empty
// if there is no foreign key.
func referencedColumn(ctx context.Context, pool *pgxpool.Pool, t Table, v *TableVia) (name string, err error) {
	err = pool.QueryRow(ctx, `
SELECT r.attname::text
  FROM pg_constraint AS f
  JOIN pg_attribute AS a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1]
  JOIN pg_attribute AS r ON r.attrelid = f.confrelid AND r.attnum = f.confkey[1]
  JOIN pg_class AS c ON c.oid = f.conrelid
  JOIN pg_namespace AS cn ON cn.oid = c.relnamespace
  JOIN pg_class AS p ON p.oid = f.confrelid
  JOIN pg_namespace AS pn ON pn.oid = p.relnamespace
 WHERE f.contype = 'f' AND cardinality(f.conkey) = 1 AND a.attname = $3
   AND cn.nspname = $1 AND c.relname = $2 AND pn.nspname = $4 AND p.relname = $5
 ORDER BY f.oid LIMIT 1`, t.Schema, t.Name, v.Column, v.Schema, v.Name).Scan(&name)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return name, err
}

func one(columns []tableColumn, name string) (tableColumn, error) {
	i := slices.IndexFunc(columns, func(c tableColumn) bool { return c.name == name })
	if i < 0 {
		return tableColumn{}, fmt.Errorf("there is no column %q", name)
	}
	return columns[i], nil
}

func pick(columns []tableColumn, names []string) ([]tableColumn, error) {
	var picked []tableColumn
	for _, name := range names {
		c, err := one(columns, name)
		if err != nil {
			return nil, err
		}
		picked = append(picked, c)
	}
	return picked, nil
}

// keyOf are the named columns, or the primary key.
func keyOf(columns []tableColumn, names []string) ([]tableColumn, error) {
	if len(names) > 0 {
		return pick(columns, names)
	}
	var key []tableColumn
	for _, c := range columns {
		if c.keyPart >= 0 {
			key = append(key, c)
		}
	}
	if key == nil {
		return nil, errors.New("it has no primary key")
	}
	slices.SortFunc(key, func(a, b tableColumn) int { return a.keyPart - b.keyPart })
	return key, nil
}

var uuidText = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// ownedBy is the condition that the column, of the table called alias, holds
// the user id that stands in param. Two ids are the same only if their texts
// are, because that is how events compare them: to an integer column 042 is
// nobody, not 42. False says that the column cannot hold this id. The cast is on
// the parameter where it may be, so that an index on the column serves.
func (c tableColumn) ownedBy(alias, user, param string) (string, bool) {
	at := alias + "." + c.sql
	switch c.family {
	case "text", "varchar":
		return at + " = " + param + "::text", true
	case "int2", "int4", "int8":
		bits := map[string]int{"int2": 16, "int4": 32, "int8": 64}[c.family]
		n, err := strconv.ParseInt(user, 10, bits)
		return at + " = " + param + "::text::" + c.typ, err == nil && strconv.FormatInt(n, 10) == user
	case "uuid":
		return at + " = " + param + "::text::" + c.typ, uuidText.MatchString(user)
	default:
		return at + `::text COLLATE "C" = ` + param + "::text", true
	}
}

// order is what rows are ordered and compared by, of the table called alias.
func (c tableColumn) order(alias string) string {
	if c.sortable {
		return alias + "." + c.sql
	}
	return alias + "." + c.sql + `::text COLLATE "C"`
}

// value is a parameter to compare order with.
func (c tableColumn) value(param string) string {
	if c.sortable {
		return param + "::text::" + c.typ
	}
	return param + `::text COLLATE "C"`
}
