package db

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

func checkPrivileges(ctx context.Context, conn *pgx.Conn, opts CheckupOptions) ([]Finding, error) {
	var role string
	var superuser bool
	if err := conn.QueryRow(ctx, "SELECT current_user, (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)").Scan(&role, &superuser); err != nil {
		return nil, err
	}
	missing, err := missingGrants(ctx, conn, Grants(opts.Duty, opts.Tables))
	if err != nil {
		return nil, err
	}
	var all []Finding
	for _, g := range missing {
		all = append(all, Finding{
			Level:  Error,
			What:   fmt.Sprintf("role %s lacks %s on %s, which a %s needs to %s", role, g.Privilege, g.On(), opts.Duty, g.Why),
			Remedy: g.SQL(role),
		})
	}
	if all == nil {
		all = append(all, Finding{Level: OK, What: fmt.Sprintf("role %s has what a %s needs", role, opts.Duty)})
	}
	if superuser {
		all = append(all, Finding{Level: Note, What: fmt.Sprintf("role %s is a superuser, which pgbell never needs", role), Remedy: "pgbell migrate grants prints the SQL for roles that may do less"})
	}
	secured, err := securedTables(ctx, conn, opts.Tables)
	for _, name := range secured {
		all = append(all, Finding{Level: Warning, What: fmt.Sprintf("row security hides rows of %s from role %s, so /api/rows may show users less than their events do", name, role), Remedy: fmt.Sprintf("ALTER ROLE %s BYPASSRLS, or a policy that lets it read", pgx.Identifier{role}.Sanitize())})
	}
	return all, err
}

// securedTables are those whose policies hold for the connected role.
func securedTables(ctx context.Context, conn *pgx.Conn, tables []Table) ([]string, error) {
	schemas, names := tableLists(tables)
	rows, err := conn.Query(ctx, `
SELECT format('%s.%s', n.nspname, c.relname)
  FROM unnest($1::text[], $2::text[]) AS wanted (schema, name)
  JOIN pg_namespace AS n ON n.nspname = wanted.schema
  JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = wanted.name
 WHERE row_security_active(c.oid)
 ORDER BY 1`, schemas, names)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// tableLists are the watched tables as two lists of the same length.
func tableLists(tables []Table) (schemas, names []string) {
	schemas, names = make([]string, len(tables)), make([]string, len(tables))
	for i, t := range tables {
		schemas[i], names[i] = t.Schema, t.Name
	}
	return schemas, names
}

func checkSwitches(ctx context.Context, conn *pgx.Conn, _ CheckupOptions) ([]Finding, error) {
	switches, err := Switches(ctx, conn)
	if err != nil {
		return nil, err
	}
	var all []Finding
	for _, s := range switches {
		f := Finding{Level: Note, What: fmt.Sprintf("%s is %s for %s", s.Setting, s.Value, s.Scope()), Remedy: s.Undo()}
		if s.Off() {
			f.Level = Warning
			f.What += ": what they write makes no events"
		}
		all = append(all, f)
	}
	if all == nil {
		all = []Finding{{Level: OK, What: "pgbell.enabled and pgbell.bell are set nowhere, so events are recorded and bells ring when somebody sleeps"}}
	}
	return all, nil
}
