package demo_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/cmd/pgbell/demo"
	"github.com/pgbell/pgbell/db/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestInstall(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	conn := pgtest.Connect(t, pgtest.Database(t))
	require.NoError(t, demo.Install(ctx, conn))
	require.NoError(t, demo.Install(ctx, conn), "a second time")

	b, err := demo.Sample(ctx, conn)
	require.NoError(t, err)
	require.Equal(t, demo.Booking{ID: 2, Client: "bilal", Provider: "quinn"}, b)
	_, err = conn.Exec(ctx, `DELETE FROM bookings`)
	require.NoError(t, err)
	b, err = demo.Sample(ctx, conn)
	require.NoError(t, err)
	require.Equal(t, demo.Booking{ID: 3, Client: "anna", Provider: "paul"}, b)

	people, err := demo.People(ctx, conn)
	require.NoError(t, err)
	require.Len(t, people, 8)
	require.Equal(t, demo.Person{ID: "anna", Name: "Anna Brandt", Role: "CLIENT"}, people[0])
	require.Equal(t, demo.Person{ID: "alice", Name: "Alice Nakamura", Role: "ADMIN"}, people[7])
}

func TestInstallTogether(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	url := pgtest.Empty(t)
	for range 4 {
		conn := pgtest.Connect(t, url)
		wg.Go(func() {
			if err := demo.Install(t.Context(), conn); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestInstallTouchesNobodysTables(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Empty(t))
	_, err := conn.Exec(t.Context(), `CREATE TABLE payments (id int)`)
	require.NoError(t, err)
	require.ErrorIs(t, demo.Install(t.Context(), conn), demo.ErrForeignTables)
	var tables int
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_tables WHERE schemaname = 'public'`).Scan(&tables))
	require.Equal(t, 1, tables)
}

func TestTrafficGoesThroughEveryStep(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	conn := pgtest.Connect(t, url)
	require.NoError(t, demo.Install(t.Context(), conn))
	// So many bookings are done with that some are archived.
	_, err := conn.Exec(t.Context(), `
		INSERT INTO bookings (client_id, provider_id, service, price, starts_at, status)
		SELECT 'anna', 'paul', 'Dog walking', 10, now(), 'DECLINED' FROM generate_series(1, 220)`)
	require.NoError(t, err)

	all := []string{"accept", "archive", "cancel", "complete", "decline", "pay", "pay out", "reassign", "reprice", "request", "schedule payout"}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	seen := map[string]int{}
	traffic := demo.Traffic{URL: url, Rate: 1e6, Seed: 1, Stepped: func(name string) {
		mu.Lock()
		defer mu.Unlock()
		seen[name]++
		if len(seen) == len(all) {
			cancel()
		}
	}}
	require.NoError(t, traffic.Run(ctx))
	require.Equal(t, all, slices.Sorted(maps.Keys(seen)), "before the test ran out of time")
}

// The simulated application is no better off than anybody's.
func TestTrafficHasNoRightsOnPgbell(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	require.NoError(t, demo.Install(t.Context(), conn))
	require.NoError(t, pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `SET LOCAL ROLE `+demo.Role)
		require.NoError(t, err)
		for _, sql := range []string{`SELECT FROM pgbell.events`, `INSERT INTO pgbell.events (body) VALUES ('{}')`, `SELECT pgbell.ring(1, '1', now(), '')`, `SELECT FROM pgbell.bell_key`} {
			err := pgx.BeginFunc(t.Context(), tx, func(tx pgx.Tx) error {
				_, err := tx.Exec(t.Context(), sql)
				return err
			})
			require.ErrorContains(t, err, "permission denied", sql)
		}
		return nil
	}))
}
