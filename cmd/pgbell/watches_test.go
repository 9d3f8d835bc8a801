package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/cmd/pgbell/config"
	"github.com/pgbell/pgbell/cmd/pgbell/demo"
	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/triggers"
	"github.com/pgbell/pgbell/ws/auth"

	"github.com/jackc/pgx/v5/pgxpool"
)

func TestBuiltinFitsWhatExists(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Database(t))
	_, err := conn.Exec(t.Context(), `
		CREATE TABLE bookings (id uuid PRIMARY KEY, client_id int, provider_id int, status text);
		CREATE VIEW payouts AS SELECT 1 AS id`)
	require.NoError(t, err)
	watched, err := watches(t.Context(), conn, config.Builtin())
	require.NoError(t, err)
	require.Len(t, watched, 1)
	require.Equal(t, triggers.Name{Schema: "public", Name: "bookings"}, watched[0].Table)
	require.Equal(t, []string{"id", "client_id", "provider_id", "status"}, watched[0].Columns)
	require.Empty(t, watched[0].Only)
	require.Len(t, watched[0].Notifications, 7)
	_, err = triggers.Apply(t.Context(), conn, watched, triggers.ApplyOptions{})
	require.NoError(t, err)

	// A rule that says a column which is not there is left out.
	other := pgtest.Connect(t, pgtest.Database(t))
	_, err = other.Exec(t.Context(), `
		CREATE TABLE bookings (nr int PRIMARY KEY, client_id int, provider_id int, status text);
		CREATE TABLE payments (id int PRIMARY KEY, booking_id int REFERENCES bookings, status text);
		CREATE TABLE payouts (id int PRIMARY KEY, provider_id int, amount int, status text)`)
	require.NoError(t, err)
	watched, err = watches(t.Context(), other, config.Builtin())
	require.NoError(t, err)
	require.Len(t, watched, 3)
	require.Empty(t, watched[0].Notifications)
	require.Empty(t, watched[1].Notifications)
	require.Len(t, watched[2].Notifications, 1)
	_, err = triggers.Apply(t.Context(), other, watched, triggers.ApplyOptions{})
	require.NoError(t, err)
}

func TestRowAuthorizer(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	require.NoError(t, demo.Install(t.Context(), conn))
	_, err := conn.Exec(t.Context(), `
		CREATE TABLE "Odd Keys" (a text, b date, owner text, PRIMARY KEY (b, a));
		INSERT INTO "Odd Keys" VALUES ('x', '2026-01-02', 'anna')`)
	require.NoError(t, err)
	cfg := config.Builtin()
	cfg.Tables = append(cfg.Tables, config.Table{
		Schema: "public", Name: "Odd Keys", Type: "odd", AllColumns: true,
		Owners: []config.Owner{{Audience: "owner", Column: "owner"}},
	})
	cfg.File = "pgbell.yaml"
	watched, err := watches(t.Context(), conn, cfg)
	require.NoError(t, err)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	rows, err := newRowAuthorizer(t.Context(), pool, watched)
	require.NoError(t, err)

	for _, test := range []struct {
		user, role, typ, key string
		want                 bool
	}{
		{"anna", "", "booking", "1", true},
		{"paul", "", "booking", "1", true},
		{"bilal", "", "booking", "1", false},
		{"bilal", "", "payment", "1", true}, // through its booking
		{"anna", "", "payment", "1", false},
		{"alice", "ADMIN", "payment", "1", true},
		{"", "", "booking", "1", false},
		{"anna", "", "booking", "99", false},
		{"anna", "", "booking", "1 OR true", false},
		{"anna", "", "booking", "99999999999999999999", false},
		{"anna", "", "odd", "2026-01-02,x", true}, // in the primary key's order
		{"anna", "", "odd", "x,2026-01-02", false},
		{"anna", "", "odd", "x", false},
		{"anna", "", "unheard_of", "1", false},
	} {
		id := auth.Identity{UserID: test.user}
		if test.role != "" {
			id.Roles = []string{test.role}
		}
		got, err := rows.MayJoin(t.Context(), id, test.typ, test.key)
		require.NoError(t, err, "%+v", test)
		require.Equal(t, test.want, got, "%+v", test)
	}
}
