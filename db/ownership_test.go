package db_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/pgtest"
)

func TestOwnership(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	_, err := conn.Exec(t.Context(), `
		CREATE TABLE carts (no int PRIMARY KEY, owner int);
		CREATE TABLE lines ("Day" date, n int, cart int, seller text, hint text, PRIMARY KEY ("Day", n));
		INSERT INTO carts VALUES (1, 7), (2, NULL);
		INSERT INTO lines VALUES ('2026-01-31', 1, 1, 's'), ('2026-01-31', 2, 2, NULL), ('2026-01-31', 3, 99, NULL), ('2026-01-31', 4, NULL, NULL)`)
	require.NoError(t, err)
	pool, err := db.Open(t.Context(), url, db.Options{})
	require.NoError(t, err)
	defer pool.Close()
	rows, err := db.NewRows(t.Context(), pool, []db.Table{{
		Type: "line", Schema: "public", Name: "lines", Columns: []string{"Day", "n"}, Only: map[string][]string{"seller": {"hint"}},
		Owners: []db.TableOwner{
			{Audience: "buyer", Via: &db.TableVia{Column: "cart", Schema: "public", Name: "carts", Owner: "owner"}},
			{Audience: "seller", Column: "seller"},
		},
	}}, db.RowsOptions{})
	require.NoError(t, err)
	columns, err := rows.KeyColumns("line")
	require.NoError(t, err)
	require.Equal(t, []string{"Day", "n"}, columns)
	_, err = rows.KeyColumns("nothing")
	require.ErrorIs(t, err, db.ErrUnknownType)

	text := func(s string) *string { return &s }
	for _, test := range []struct {
		key           string
		exists        bool
		cart          *string
		found         bool
		buyer, seller *string
	}{
		{"01", true, text("1"), true, text("7"), text("s")},
		{"2", true, text("2"), true, nil, nil},
		{"3", true, text("99"), false, nil, nil},
		{"4", true, nil, false, nil, nil},
		{"5", false, nil, false, nil, nil},
	} {
		got, err := rows.Ownership(t.Context(), "line", []string{"31 Jan 2026", test.key})
		require.NoError(t, err)
		require.Equal(t, test.exists, got.Exists)
		require.Equal(t, []string{"2026-01-31", string(test.key[len(test.key)-1])}, got.Key, "as events write it")
		require.Equal(t, []string{"Day", "n"}, got.Columns)
		require.Equal(t, []db.Ownership{
			{Audience: "buyer", Column: "owner", Owner: test.buyer, Via: &db.Parentage{Column: "cart", Parent: "public.carts", Key: "no", Value: test.cart, Found: test.found}},
			{Audience: "seller", Column: "seller", Owner: test.seller, Only: []string{"hint"}},
		}, got.Owners, test.key)
	}
	_, err = rows.Ownership(t.Context(), "line", []string{"never", "1"})
	var mistake *db.RowsMistake
	require.ErrorAs(t, err, &mistake)
	require.Contains(t, mistake.Message, "no row can have this key: ")
}

func TestOnlookerSince(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Database(t))
	at := time.Now().Truncate(time.Hour)
	for i := range 5 {
		_, err := conn.Exec(t.Context(), `INSERT INTO pgbell.events (at, body) VALUES ($1, '{"type":"t","op":"publish","action":"a"}')`, at.Add(time.Duration(i)*time.Minute))
		require.NoError(t, err)
	}
	read := func(from time.Time) (n int) {
		t.Helper()
		c, err := db.Onlooker{}.Since(t.Context(), conn, from)
		require.NoError(t, err)
		_, err = db.Onlooker{}.Read(t.Context(), conn, c.Snapshot(), func(*pgbell.Snapshot, pgbell.Event) error { n++; return nil })
		require.NoError(t, err)
		return n
	}
	require.Equal(t, 5, read(at.Add(-time.Hour)))
	require.Equal(t, 3, read(at.Add(2*time.Minute)))
	require.Equal(t, 0, read(at.Add(time.Hour)))

	cursor, key, err := db.Onlooker{}.Position(t.Context(), conn)
	require.NoError(t, err)
	require.Empty(t, key)
	whole, _, err := db.Log{}.Position(t.Context(), conn)
	require.NoError(t, err)
	require.Equal(t, whole.Epoch(), cursor.Epoch())
}
