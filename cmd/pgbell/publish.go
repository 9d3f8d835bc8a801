package main

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/ws"
)

// publisher writes broadcasts in the words of package ws.
type publisher struct{ pool *pgxpool.Pool }

// Publish implements [ws.Publisher].
func (p publisher) Publish(ctx context.Context, what ws.Publication) (int64, error) {
	id, err := db.Publish(ctx, p.pool, db.Publication(what))
	return id, toldPublishing(err)
}
