package pgtest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/db/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestDatabase(t *testing.T) {
	for range 3 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			conn := pgtest.Connect(t, pgtest.Database(t))
			var n int
			require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM pgbell.installation").Scan(&n))
			require.Equal(t, 1, n)
		})
	}
}

func TestEmpty(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Empty(t))
	var n int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_namespace WHERE nspname = 'pgbell'").Scan(&n))
	require.Zero(t, n)
}
