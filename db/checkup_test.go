package db_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/pgtest"
)

// find is the first finding of a check at a level.
func find(findings []db.Finding, check string, level db.Level) db.Finding {
	for _, f := range findings {
		if f.Check == check && f.Level == level {
			return f
		}
	}
	return db.Finding{}
}

func TestCheckupOfAHealthyDatabase(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Database(t))
	table := watchOrders(t, conn, 3)
	findings, err := db.Checkup(t.Context(), conn, db.CheckupOptions{Tables: []db.Table{table}})
	require.NoError(t, err)
	for _, f := range findings {
		require.Contains(t, []db.Level{db.OK, db.Note}, f.Level, "%s: %s", f.Check, f.What)
		require.NotEmpty(t, f.Check)
	}
	require.Equal(t, "the event log is empty", find(findings, "log", db.OK).What)
}

func TestCheckupFinds(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	exec := func(sql string) {
		t.Helper()
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	watchOrders(t, conn, 3)
	role := pgtest.NewRole(t, url)
	exec(`CREATE TABLE keyless (a int);
	      CREATE TABLE secured (id int PRIMARY KEY);
	      ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
	      DROP TRIGGER pgbell_insert ON orders;
	      INSERT INTO pgbell.events (at, slot, body) VALUES (now() - interval '5 days', 9, '{}')`)
	database := conn.Config().Database
	exec(`ALTER ROLE ` + role.Name + ` IN DATABASE ` + database + ` SET pgbell.enabled = 'OFF'`)
	exec(`ALTER DATABASE ` + database + ` SET pgbell.bell = never`)
	tables := []db.Table{
		{Schema: "public", Name: "keyless", Type: "k"}, {Schema: "public", Name: "secured", Type: "s"}, {Schema: "public", Name: "gone", Type: "g"},
	}
	for _, g := range db.Grants(db.Reader, tables[:2]) {
		exec(g.SQL(role.Name))
	}
	reader := pgtest.Connect(t, role.URL)
	findings, err := db.Checkup(t.Context(), reader, db.CheckupOptions{Tables: tables, Duty: db.Reader})
	require.NoError(t, err)

	for _, want := range []db.Finding{
		{Level: db.Warning, Check: "privileges", What: "row security hides rows of public.secured from role " + role.Name + ", so /api/rows may show users less than their events do"},
		{Level: db.Warning, Check: "switches", What: `pgbell.enabled is OFF for role "` + role.Name + `" in this database: what they write makes no events`, Remedy: `ALTER ROLE "` + role.Name + `" IN DATABASE "` + database + `" RESET pgbell.enabled`},
		{Level: db.Note, Check: "switches", What: `pgbell.bell is never for everybody in this database`},
		{Level: db.Error, Check: "tables", What: "public.keyless has no primary key, so its rows cannot be told apart"},
		{Level: db.Error, Check: "tables", What: "the watched table public.gone does not exist"},
		{Level: db.Warning, Check: "leftovers", What: "left over, for the configuration does not need it: triggers pgbell_delete, pgbell_truncate, pgbell_update on public.orders"},
		{Level: db.Warning, Check: "log", What: "pgbell.events_rest holds events: a partition of the log was missing when they were written"},
	} {
		found := false
		for _, f := range findings {
			if f.Level == want.Level && f.Check == want.Check && f.What == want.What {
				found = true
				if want.Remedy != "" {
					require.Equal(t, want.Remedy, f.Remedy)
				}
			}
		}
		require.True(t, found, "%s in %v", want.What, findings)
	}
}

// A database without schema pgbell, and a standby, are told as what they are.
func TestCheckupElsewhere(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Empty(t))
	findings, err := db.Checkup(t.Context(), conn, db.CheckupOptions{})
	require.NoError(t, err)
	require.Equal(t, "there is no event log in this database", find(findings, "log", db.Error).What)

	_, err = conn.Exec(t.Context(), "SET default_transaction_read_only = on")
	require.NoError(t, err)
	findings, err = db.Checkup(t.Context(), conn, db.CheckupOptions{})
	require.NoError(t, err)
	require.Contains(t, find(findings, "standby", db.Error).What, "default_transaction_read_only is on")
}
