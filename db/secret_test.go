package db_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/pgtest"
)

func TestNodeSecret(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	secret, err := db.NodeSecret(t.Context(), openPool(t, url))
	require.NoError(t, err)
	require.Len(t, secret, 32)
	again, err := db.NodeSecret(t.Context(), openPool(t, url))
	require.NoError(t, err)
	require.Equal(t, secret, again)
	admin := pgtest.Connect(t, url)
	var inner, outer []byte
	require.NoError(t, admin.QueryRow(t.Context(), "SELECT inner_key, outer_key FROM pgbell.bell_key").Scan(&inner, &outer))
	require.NotContains(t, string(inner)+string(outer), string(secret))
	_, err = db.NodeSecret(t.Context(), openPool(t, pgtest.NewRole(t, url).URL))
	require.ErrorContains(t, err, "read the secret of the servers: ")
	_, err = admin.Exec(t.Context(), "DELETE FROM pgbell.bell_key")
	require.NoError(t, err)
	_, err = db.NodeSecret(t.Context(), openPool(t, url))
	require.ErrorContains(t, err, "no rows")
}
