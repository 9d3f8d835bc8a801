package pgtest

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Catalog is what Postgres knows of the objects of a database: the rows of its
// system catalogs, as text. It tells more than a dump, and needs no pg_dump of
// the server's version.
type Catalog map[string]bool

// Difference lists the rows that only one of both has: with + those of other,
// with - those of c. It is empty if the objects are the same.
func (c Catalog) Difference(other Catalog) []string {
	var all []string
	for row := range c {
		if !other[row] {
			all = append(all, "- "+row)
		}
	}
	for row := range other {
		if !c[row] {
			all = append(all, "+ "+row)
		}
	}
	slices.Sort(all)
	return all
}

// ReadCatalog reads the catalogs of the database at url.
func ReadCatalog(t testing.TB, url string) Catalog {
	t.Helper()
	conn := Connect(t, url)
	rows, _ := conn.Query(t.Context(), `SELECT format(
		'SELECT %L || '' '' || (to_jsonb(c) - %L::text[])::text FROM pg_catalog.%I AS c%s', relname, `+statistics+`, relname,
		CASE WHEN relname = 'pg_namespace' THEN ' WHERE nspname !~ ''^pg_(toast_)?temp_''' ELSE '' END)
		FROM pg_class
		WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r' AND NOT relisshared
		  AND relname NOT LIKE 'pg_statistic%'`)
	queries, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("pgtest: list catalogs: %v", err)
	}
	// Of the shared ones, what concerns this database.
	queries = append(queries,
		`SELECT 'pg_db_role_setting ' || to_jsonb(c)::text FROM pg_db_role_setting AS c WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())`,
		`SELECT 'pg_shdepend ' || to_jsonb(c)::text FROM pg_shdepend AS c WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	all := Catalog{}
	for _, query := range queries {
		rows, _ := conn.Query(t.Context(), query)
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("pgtest: %s: %v", query, err)
		}
		for _, row := range found {
			all[row] = true
		}
	}
	return all
}

// statistics are columns that change with what a table holds, or that vacuum
// sets right some day.
const statistics = `'{relpages,reltuples,relallvisible,relallfrozen,relfrozenxid,relminmxid,relfilenode,relhastriggers,relhasrules,relhassubclass,relhasindex}'`
