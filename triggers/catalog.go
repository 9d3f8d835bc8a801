package triggers

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// relation is a table as the catalog describes it.
type relation struct {
	oid         uint32
	name        Name
	sql         string // schema.name as SQL writes it
	kind        string // pg_class.relkind
	persistence string // pg_class.relpersistence
	root        Name   // of a partition, the table that it is part of
	partitions  []partition
	subscribed  bool   // a logical replication subscription writes it
	children    []Name // by inheritance, at any depth
	owner       string // the role that owns it
	owned       bool   // we are that role, or a member of it
	maySelect   bool   // we may read it
	rowSecurity bool   // policies hide rows of it from us
	columns     []column
	unique      [][]string // columns of each unique index, the primary key first
	hasPrimary  bool
	leading     map[string]bool // columns that an index begins with
	foreign     []foreignKey
	// rewritten says that a statement may write one row more than once before
	// our trigger sees it: other triggers fire first, or several foreign keys
	// update the row.
	rewritten bool
}

// partitioned reports whether the rows are in partitions.
func (r *relation) partitioned() bool { return r.kind == "p" }

// partition is one of a relation's partitions, at any depth.
type partition struct {
	name    Name
	sql     string
	foreign bool // a foreign table
	owner   string
	owned   bool
}

// column is one column of a relation.
type column struct {
	name    string
	sql     string // the name as SQL writes it
	typ     string // as format_type writes it
	notNull bool
	virtual bool // computed when read, so triggers never see it
	// exact says that two values are equal exactly if their JSON is, so that
	// = and IS DISTINCT FROM may compare them.
	exact    bool
	settings []string // session settings that its text depends on
}

// foreignKey is one of a single column.
type foreignKey struct {
	column     string
	references uint32 // the other table
	referenced string // its column
	// immediate says that a row without its parent cannot outlive the
	// statement.
	immediate bool
	onDelete  string // pg_constraint.confdeltype
	onUpdate  string
}

// cascades reports whether a foreign key's action, as pg_constraint writes it,
// changes the referring rows.
func cascades(action string) bool { return action == "c" || action == "n" || action == "d" }

func (r *relation) column(name string) (column, bool) {
	i := slices.IndexFunc(r.columns, func(c column) bool { return c.name == name })
	if i < 0 {
		return column{}, false
	}
	return r.columns[i], true
}

func (r *relation) columnNames() []string {
	names := make([]string, len(r.columns))
	for i, c := range r.columns {
		names[i] = c.name
	}
	return names
}

// catalog is what Postgres knows about the tables in question.
type catalog struct {
	relations map[Name]*relation
	// names are all tables and views outside the system's schemas, for
	// suggestions. Filled only when a table is missing.
	names []string
}

// querier is a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// readCatalog reads the named tables. A missing one is absent from the result.
func readCatalog(ctx context.Context, q querier, names []Name) (*catalog, error) {
	c := &catalog{relations: make(map[Name]*relation)}
	byOID := make(map[uint32]*relation)
	schemas, tables := make([]string, len(names)), make([]string, len(names))
	for i, n := range names {
		schemas[i], tables[i] = n.Schema, n.Name
	}
	rows, _ := q.Query(ctx, relationsSQL, schemas, tables)
	var oids []uint32
	r := new(relation)
	_, err := pgx.ForEachRow(rows, []any{
		&r.oid, &r.name.Schema, &r.name.Name, &r.sql, &r.kind, &r.persistence,
		&r.root.Schema, &r.root.Name, &r.subscribed, &r.owner, &r.owned, &r.maySelect, &r.rowSecurity, &r.rewritten,
	}, func() error {
		found := *r
		found.leading = make(map[string]bool)
		c.relations[found.name], byOID[found.oid] = &found, &found
		oids = append(oids, found.oid)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read tables: %w", err)
	}

	var oid uint32
	var part partition
	var inherited bool
	rows, _ = q.Query(ctx, childrenSQL, oids)
	_, err = pgx.ForEachRow(rows, []any{&oid, &part.name.Schema, &part.name.Name, &part.sql, &part.foreign, &inherited, &part.owner, &part.owned}, func() error {
		if r := byOID[oid]; inherited {
			r.children = append(r.children, part.name)
		} else {
			r.partitions = append(r.partitions, part)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read partitions: %w", err)
	}

	var col column
	rows, _ = q.Query(ctx, columnsSQL, oids)
	_, err = pgx.ForEachRow(rows, []any{&oid, &col.name, &col.sql, &col.typ, &col.notNull, &col.virtual, &col.exact, &col.settings}, func() error {
		found := col
		found.settings = slices.Clone(col.settings)
		byOID[oid].columns = append(byOID[oid].columns, found)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read columns: %w", err)
	}

	var primary, unique bool
	var indexed []string
	rows, _ = q.Query(ctx, indexesSQL, oids)
	_, err = pgx.ForEachRow(rows, []any{&oid, &primary, &unique, &indexed}, func() error {
		r := byOID[oid]
		r.leading[indexed[0]] = true
		r.hasPrimary = r.hasPrimary || primary
		if unique {
			r.unique = append(r.unique, slices.Clone(indexed))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read indexes: %w", err)
	}

	var fk foreignKey
	rows, _ = q.Query(ctx, foreignKeysSQL, oids)
	_, err = pgx.ForEachRow(rows, []any{&oid, &fk.column, &fk.references, &fk.referenced, &fk.immediate, &fk.onUpdate, &fk.onDelete}, func() error {
		byOID[oid].foreign = append(byOID[oid].foreign, fk)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read foreign keys: %w", err)
	}

	if len(c.relations) < len(names) {
		rows, _ = q.Query(ctx, namesSQL)
		if c.names, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			return nil, fmt.Errorf("read names of tables: %w", err)
		}
	}
	return c, nil
}

const relationsSQL = `
SELECT c.oid, n.nspname, c.relname, quote_ident(n.nspname) || '.' || quote_ident(c.relname),
       c.relkind::text, c.relpersistence::text, coalesce(root.nspname, ''), coalesce(root.relname, ''),
       EXISTS (SELECT FROM pg_subscription_rel AS sr WHERE sr.srrelid = c.oid),
       c.relowner::regrole::text, pg_has_role(c.relowner, 'USAGE'),
       has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE'),
       row_security_active(c.oid),
       moving.count > 1 OR moving.self
       OR EXISTS (SELECT FROM pg_trigger AS t
                    JOIN pg_proc AS p ON p.oid = t.tgfoid
                   WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & 66 = 0 -- AFTER
                     AND (t.tgtype & 1 = 1 OR t.tgname < 'pgbell_')                                          -- before ours
                     AND NOT (p.pronamespace = 'pgbell'::regnamespace AND p.proname LIKE '%.%'))
  FROM unnest($1::text[], $2::text[]) AS wanted(schema, name)
  JOIN pg_namespace AS n ON n.nspname = wanted.schema
  JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = wanted.name
 CROSS JOIN LATERAL (
       SELECT count(*), coalesce(bool_or(f.confrelid = f.conrelid), false) AS self
         FROM pg_constraint AS f
        WHERE f.conrelid = c.oid AND f.contype = 'f'
          AND (f.confupdtype IN ('c', 'n', 'd') OR f.confdeltype IN ('n', 'd'))) AS moving
  LEFT JOIN LATERAL (
       SELECT rn.nspname, rc.relname FROM pg_class AS rc JOIN pg_namespace AS rn ON rn.oid = rc.relnamespace
        WHERE c.relispartition AND rc.oid = pg_partition_root(c.oid)) AS root ON true
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')`

// Partitions, and children by inheritance, at any depth.
const childrenSQL = `
WITH RECURSIVE below(top, oid) AS (
    SELECT i.inhparent, i.inhrelid FROM pg_inherits AS i WHERE i.inhparent = ANY ($1) AND NOT i.inhdetachpending
    UNION
    SELECT b.top, i.inhrelid FROM below AS b JOIN pg_inherits AS i ON i.inhparent = b.oid WHERE NOT i.inhdetachpending
)
SELECT b.top, n.nspname, c.relname, quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relkind = 'f', NOT c.relispartition,
       c.relowner::regrole::text, pg_has_role(c.relowner, 'USAGE')
  FROM below AS b
  JOIN pg_class AS c ON c.oid = b.oid
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 ORDER BY 1, 2, 3`

// A column's text and its comparison depend on the types that it is built of:
// a domain's base, an array's elements, a composite's columns, a range's
// bounds.
const columnsSQL = `
WITH RECURSIVE part(relid, attnum, typid, range) AS (
    SELECT a.attrelid, a.attnum, a.atttypid, false
      FROM pg_attribute AS a
     WHERE a.attrelid = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped
    UNION
    SELECT p.relid, p.attnum, inner_type.typid, p.range OR inner_type.range
      FROM part AS p
      JOIN pg_type AS t ON t.oid = p.typid
     CROSS JOIN LATERAL (
           SELECT t.typbasetype, false WHERE t.typtype = 'd'
           UNION ALL
           SELECT t.typelem, false WHERE t.typcategory = 'A' AND t.typelem <> 0
           UNION ALL
           SELECT a.atttypid, false FROM pg_attribute AS a
            WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
           UNION ALL
           SELECT r.rngsubtype, true FROM pg_range AS r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)
           ) AS inner_type(typid, range)
), setting(relid, attnum, name) AS (
    SELECT DISTINCT p.relid, p.attnum, s.name
      FROM part AS p
      JOIN pg_type AS t ON t.oid = p.typid
     CROSS JOIN LATERAL (
           SELECT 'TimeZone' WHERE p.typid = 'timestamptz'::regtype
           UNION ALL
           SELECT 'DateStyle' WHERE p.range AND p.typid IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)
           UNION ALL
           SELECT 'IntervalStyle' WHERE p.typid = 'interval'::regtype
           UNION ALL
           SELECT 'bytea_output' WHERE p.typid = 'bytea'::regtype
           UNION ALL
           SELECT 'lc_monetary' WHERE p.typid = 'money'::regtype
           UNION ALL
           SELECT 'extra_float_digits'
            WHERE p.typid IN ('float4'::regtype, 'float8'::regtype, 'point'::regtype, 'lseg'::regtype, 'path'::regtype,
                              'box'::regtype, 'polygon'::regtype, 'line'::regtype, 'circle'::regtype)
           UNION ALL
           -- What an extension's type depends on is unknown.
           SELECT unnest(ARRAY['TimeZone', 'DateStyle', 'IntervalStyle', 'extra_float_digits'])
            WHERE t.typtype = 'b' AND t.typcategory <> 'A' AND t.oid >= 16384
           ) AS s(name)
)
SELECT a.attrelid, a.attname, quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
       a.attnotnull OR t.typnotnull,
       a.attgenerated = 'v',
       (t.typtype = 'e'
        OR a.atttypid IN ('bool'::regtype, 'int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'oid'::regtype, 'uuid'::regtype,
                          'date'::regtype, 'time'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype, 'bytea'::regtype,
                          '"char"'::regtype, 'name'::regtype, 'text'::regtype, 'varchar'::regtype)
        OR a.atttypid = 'numeric'::regtype AND a.atttypmod >= 0) -- all of one scale
       AND NOT EXISTS (SELECT FROM pg_collation AS l WHERE l.oid = a.attcollation AND NOT l.collisdeterministic),
       ARRAY(SELECT s.name FROM setting AS s WHERE s.relid = a.attrelid AND s.attnum = a.attnum ORDER BY s.name)
  FROM pg_attribute AS a
  JOIN pg_type AS t ON t.oid = a.atttypid
 WHERE a.attrelid = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attrelid, a.attnum`

const indexesSQL = `
SELECT i.indrelid, i.indisprimary, i.indisunique AND i.indpred IS NULL,
       ARRAY(SELECT a.attname::text
               FROM unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY AS k(attnum, position)
               JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
              ORDER BY k.position)
  FROM pg_index AS i
 WHERE i.indrelid = ANY ($1) AND i.indisvalid AND 0 <> ALL (i.indkey[0:i.indnkeyatts - 1])
   AND (i.indpred IS NULL OR NOT i.indisunique)
 ORDER BY i.indrelid, i.indisprimary DESC, i.indexrelid`

// A foreign key of one column. to_jsonb reads conenforced, which only
// PostgreSQL 18 and later have.
const foreignKeysSQL = `
SELECT f.conrelid, a.attname, f.confrelid, r.attname,
       NOT f.condeferrable AND f.convalidated AND coalesce((to_jsonb(f) ->> 'conenforced')::boolean, true),
       f.confupdtype::text, f.confdeltype::text
  FROM pg_constraint AS f
  JOIN pg_attribute AS a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1]
  JOIN pg_attribute AS r ON r.attrelid = f.confrelid AND r.attnum = f.confkey[1]
 WHERE f.contype = 'f' AND cardinality(f.conkey) = 1 AND f.conrelid = ANY ($1)
 ORDER BY f.conrelid, f.conname`

const namesSQL = `
SELECT n.nspname || '.' || c.relname
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pgbell', 'pg_catalog', 'information_schema', 'pg_toast')
 ORDER BY 1
 LIMIT 10000`
