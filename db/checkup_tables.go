package db

import (
	"context"
	_ "embed" // the queries
	"fmt"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed queries/open_transactions.sql
	queryOpenTransactions string
	//go:embed queries/watched_tables.sql
	queryWatchedTables string
	//go:embed queries/leftovers.sql
	queryLeftovers string
)

func checkTables(ctx context.Context, conn *pgx.Conn, opts CheckupOptions) ([]Finding, error) {
	schemas, names := tableLists(opts.Tables)
	rows, err := conn.Query(ctx, queryWatchedTables, schemas, names)
	if err != nil {
		return nil, err
	}
	var all []Finding
	var position int
	var kind, persistence string
	var hasKey bool
	_, err = pgx.ForEachRow(rows, []any{&position, &kind, &persistence, &hasKey}, func() error {
		t := opts.Tables[position-1]
		if f := tableFinding(t, kind, persistence, hasKey); f.Level != "" {
			all = append(all, f)
		}
		return nil
	})
	if err == nil && all == nil {
		all = []Finding{{Level: OK, What: fmt.Sprintf("%d watched tables are there, each with a key", len(opts.Tables))}}
	}
	return all, err
}

// tableFinding is empty for a table that is as it should be. Kind is
// pg_class.relkind; empty if there is no such table.
func tableFinding(t Table, kind, persistence string, hasKey bool) Finding {
	name := t.Schema + "." + t.Name
	switch {
	case kind == "":
		return Finding{Level: Error, What: "the watched table " + name + " does not exist", Remedy: "correct its name in the configuration, or take it out"}
	case kind != "r" && kind != "p":
		return Finding{Level: Error, What: name + " is no table, so it can have no triggers", Remedy: "watch the tables behind it"}
	case !hasKey && len(t.Key) == 0:
		return Finding{Level: Error, What: name + " has no primary key, so its rows cannot be told apart", Remedy: "ALTER TABLE … ADD PRIMARY KEY, or name NOT NULL columns with a unique index as its key in the configuration"}
	case persistence == "u":
		return Finding{Level: Note, What: name + " is unlogged: a crash empties it, and no event tells"}
	}
	return Finding{}
}

func checkLeftovers(ctx context.Context, conn *pgx.Conn, opts CheckupOptions) ([]Finding, error) {
	var schemas, names []string
	for _, t := range opts.Tables {
		schemas, names = append(schemas, t.Schema), append(names, t.Name)
		for _, o := range t.Owners {
			if o.Via != nil {
				schemas, names = append(schemas, o.Via.Schema), append(names, o.Via.Name)
			}
		}
	}
	rows, err := conn.Query(ctx, queryLeftovers, schemas, names)
	if err != nil {
		return nil, err
	}
	left, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	if left == nil {
		return []Finding{{Level: OK, What: "nothing is left over from tables that are no longer watched"}}, nil
	}
	all := make([]Finding, len(left))
	for i, what := range left {
		all[i] = Finding{Level: Warning, What: "left over, for the configuration does not need it: " + what, Remedy: "pgbell triggers plan, then apply; or watch the table"}
	}
	return all, nil
}
