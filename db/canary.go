package db

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
)

// ReleaseCanary changes the row of a node in pgbell.canaries. Its trigger
// records an event of type pgbell.canary, {node, flight}, that travels as every
// other does. It returns when the change is committed. The role needs EXECUTE
// on pgbell.release_canary; a row that nobody touched for a day is removed.
func ReleaseCanary(ctx context.Context, pool *pgxpool.Pool, node string, flight int64) error {
	if _, err := pool.Exec(ctx, "SELECT pgbell.release_canary($1, $2)", node, flight); err != nil {
		return fmt.Errorf("release a canary: %w", err)
	}
	return nil
}
