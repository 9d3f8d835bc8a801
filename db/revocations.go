package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Revocation is a row of pgbell.revocations: tokens that are no longer good.
// Either Subject or TokenID is set.
type Revocation struct {
	// Subject is the user whose tokens issued before RevokedAt are meant.
	Subject string
	// TokenID is the claim jti of the one token that is meant.
	TokenID   string
	RevokedAt time.Time
	// ExpiresAt is when the last of these tokens has expired; zero if nobody
	// said.
	ExpiresAt time.Time
}

// Revocations are all that have not expired. The role needs SELECT on the
// table. What is added later, every node hears from the event log.
func Revocations(ctx context.Context, pool *pgxpool.Pool) ([]Revocation, error) {
	rows, err := pool.Query(ctx, `
SELECT coalesce(subject, ''), coalesce(token_id, ''), revoked_at, expires_at
  FROM pgbell.revocations
 WHERE expires_at IS NULL OR expires_at > clock_timestamp()`)
	if err != nil {
		return nil, fmt.Errorf("read revocations: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r Revocation, err error) {
		var expires *time.Time
		if err := row.Scan(&r.Subject, &r.TokenID, &r.RevokedAt, &expires); err != nil {
			return r, err
		}
		if expires != nil {
			r.ExpiresAt = *expires
		}
		return r, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read revocations: %w", err)
	}
	return all, nil
}
