package main

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/ws"
)

// publisher writes broadcasts in the words of package ws.
type publisher struct{ pool *pgxpool.Pool }

// Publish implements [ws.Publisher].
func (p publisher) Publish(ctx context.Context, what ws.Publication) (int64, error) {
	id, err := db.Publish(ctx, p.pool, db.Publication(what))
	var mistake *db.PublicationMistake
	switch {
	case errors.As(err, &mistake):
		return 0, ws.Mistake(mistake.Message + ".")
	case errors.Is(err, db.ErrIdempotencyKey):
		return 0, ws.ErrIdempotencyKey
	}
	return id, err
}
