package db

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Publication is a broadcast: an event without a row.
type Publication struct {
	// Type and Action are words of at most 64 letters, digits and underscores.
	Type, Action string
	// Data is any JSON of at most 256 KiB. Default: {}.
	Data json.RawMessage
	// Users, Roles and Rooms are whom it is for; at least one. The room * is
	// everybody.
	Users, Roles, Rooms []string
	// IdempotencyKey makes the same again, within 24 hours, return the same
	// id. Default: none, each call publishes.
	IdempotencyKey string
}

// What [Publish] may refuse, besides a [*PublicationMistake].
var (
	ErrIdempotencyKey  = errors.New("this idempotency key was used for something else")
	ErrPublishingIsOff = errors.New("pgbell.enabled is off, so nothing is published")
)

// PublicationMistake says what is wrong with a publication.
type PublicationMistake struct{ Message string }

func (m *PublicationMistake) Error() string { return m.Message }

// The SQLSTATEs by which pgbell.publish refuses.
const (
	invalidParameterValue = "22023"
	uniqueViolation       = "23505"
)

// Publish writes p to the event log and returns the event's id once that is
// committed. The role needs EXECUTE on pgbell.publish.
func Publish(ctx context.Context, pool *pgxpool.Pool, p Publication) (id int64, err error) {
	if len(p.Data) == 0 {
		p.Data = json.RawMessage("{}")
	}
	var key *string
	if p.IdempotencyKey != "" {
		key = &p.IdempotencyKey
	}
	var published *int64
	err = pool.QueryRow(ctx, "SELECT pgbell.publish($1, $2, $3::text::json, $4, $5, $6, $7)",
		p.Type, p.Action, string(p.Data), p.Users, p.Roles, p.Rooms, key).Scan(&published)
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg) && pg.Code == invalidParameterValue:
		return 0, fmt.Errorf("publish: %w", &PublicationMistake{pg.Message})
	case errors.As(err, &pg) && pg.Code == uniqueViolation:
		return 0, fmt.Errorf("publish: %w", ErrIdempotencyKey)
	case err != nil:
		return 0, fmt.Errorf("publish: %w", err)
	case published == nil:
		return 0, fmt.Errorf("publish: %w", ErrPublishingIsOff)
	}
	return *published, nil
}
