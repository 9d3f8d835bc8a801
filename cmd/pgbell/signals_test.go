package main

import (
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/cmd/pgbell/config"
	"github.com/pgbell/pgbell/db/pgtest"
)

// TestRecoverySecret holds that a server goes without recovery if there is no
// secret for it, and not because the database could not be asked.
func TestRecoverySecret(t *testing.T) {
	t.Parallel()
	database := pgtest.Empty(t)
	succeed(t, []string{"DATABASE_URL", database}, "migrate", "up")
	pool, err := pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	defer pool.Close()
	logger := slog.New(slog.DiscardHandler)

	pids, err := recovery(t.Context(), pool, config.SocketIO{}, logger)
	require.NoError(t, err)
	require.NotNil(t, pids)
	pids, err = recovery(t.Context(), pool, config.SocketIO{Recovery: "off"}, logger)
	require.NoError(t, err)
	require.Nil(t, pids)

	_, err = pool.Exec(t.Context(), "DELETE FROM pgbell.bell_key")
	require.NoError(t, err)
	pids, err = recovery(t.Context(), pool, config.SocketIO{}, logger)
	require.NoError(t, err)
	require.Nil(t, pids)

	_, err = pool.Exec(t.Context(), "DROP SCHEMA pgbell CASCADE")
	require.NoError(t, err)
	pids, err = recovery(t.Context(), pool, config.SocketIO{}, logger)
	require.NoError(t, err)
	require.Nil(t, pids)

	pool.Close()
	_, err = recovery(t.Context(), pool, config.SocketIO{}, logger)
	require.ErrorContains(t, err, "read the secret of the servers")
}
