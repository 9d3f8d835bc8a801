package db_test

import (
	"context"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/pgtest"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	base := pgtest.Empty(t)
	pool, err := db.Open(t.Context(), base, db.Options{ApplicationName: "pgbell serve", StatementTimeout: -1})
	require.NoError(t, err)
	defer pool.Close()
	require.EqualValues(t, 4, pool.Config().MaxConns)
	settings := func(name string) (value string) {
		require.NoError(t, pool.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&value))
		return value
	}
	require.Equal(t, "pgbell serve", settings("application_name"))
	require.Equal(t, "0", settings("statement_timeout"))
	require.Equal(t, "30s", settings("idle_in_transaction_session_timeout"))
}

func TestURLWinsOverOptions(t *testing.T) {
	t.Parallel()
	base := pgtest.Empty(t) + "&application_name=mine&statement_timeout=7s&pool_max_conns=2"
	pool, err := db.Open(t.Context(), base, db.Options{MaxConns: 9})
	require.NoError(t, err)
	defer pool.Close()
	require.EqualValues(t, 2, pool.Config().MaxConns)

	conn := pgtest.Connect(t, base)
	var name, timeout string
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT current_setting('application_name'), current_setting('statement_timeout')").Scan(&name, &timeout))
	require.Equal(t, "mine", name)
	require.Equal(t, "7s", timeout)
}

func TestErrorsAreClearAndKeepTheSecret(t *testing.T) {
	t.Parallel()
	good, err := url.Parse(pgtest.Empty(t))
	require.NoError(t, err)
	change := func(f func(u *url.URL)) string {
		u := *good
		f(&u)
		return u.String()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed := l.Addr().String()
	require.NoError(t, l.Close())

	const secret = "s3cr3t/p@ss"
	for name, test := range map[string]struct {
		url  string
		want []string
	}{
		"nobody there": {
			change(func(u *url.URL) { u.Host = closed; u.User = url.UserPassword("postgres", secret) }),
			[]string{closed, "refused", "is the server running there?"},
		},
		"wrong password": {
			change(func(u *url.URL) { u.User = url.UserPassword("nobody", secret) }),
			[]string{`as "nobody"`, "check user and password"},
		},
		"no such database": {change(func(u *url.URL) { u.Path = "/nowhere" }), []string{`"nowhere"`, "create it"}},
		"broken syntax":    {"postgres://postgres:" + secret + "@127.0.0.1/postgres", []string{"cannot be read", "%XX"}},
		"broken escape":    {"postgres://postgres:s3cr3t%zz@127.0.0.1/postgres", []string{"cannot be read"}},
		"bad port":         {"postgres://postgres:s3cr3t@127.0.0.1:http/postgres", []string{"cannot be read"}},
		"broken words":     {"host=127.0.0.1 password='s3cr3t", []string{"unterminated quoted string"}},
		"bad setting":      {"postgres://postgres:s3cr3t@127.0.0.1/postgres?connect_timeout=soon", []string{"soon"}},
		"no URL at all":    {"s3cr3t", []string{"cannot be read"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, errPool := db.Open(t.Context(), test.url, db.Options{})
			_, errConn := db.Connect(t.Context(), test.url, db.Options{})
			_, errMigrator := db.NewMigrator(test.url, db.Options{})
			if errMigrator == nil {
				m, err := db.NewMigrator(test.url, db.Options{})
				require.NoError(t, err)
				errMigrator = m.Check(t.Context())
			}
			for _, err := range []error{errPool, errConn, errMigrator} {
				require.Error(t, err)
				for _, part := range test.want {
					require.ErrorContains(t, err, part)
				}
				require.NotContains(t, err.Error(), "s3cr3t")
			}
		})
	}
}

// A server that takes the connection and then says nothing.
func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err = db.Connect(ctx, "postgres://postgres@"+l.Addr().String()+"/postgres?sslmode=disable", db.Options{ConnectTimeout: 50 * time.Millisecond})
	require.Error(t, err)
	require.NoError(t, ctx.Err())
}
