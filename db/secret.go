package db

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
)

// NodeSecret is a secret of 32 bytes that all servers of a database share, for
// what clients keep on behalf of any of them. It is made from the keys of the
// bell, which only servers may read, so it is as old as the schema and outlives
// restarts. From it nobody gets those keys. The role needs SELECT on
// pgbell.bell_key.
func NodeSecret(ctx context.Context, pool *pgxpool.Pool) ([]byte, error) {
	var inner, outer []byte
	if err := pool.QueryRow(ctx, "SELECT inner_key, outer_key FROM pgbell.bell_key").Scan(&inner, &outer); err != nil {
		return nil, fmt.Errorf("read the secret of the servers: %w", err)
	}
	secret, err := hkdf.Key(sha256.New, append(inner, outer...), nil, "pgbell servers", 32)
	if err != nil {
		return nil, fmt.Errorf("derive the secret of the servers: %w", err)
	}
	return secret, nil
}
