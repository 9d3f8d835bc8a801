package db

import (
	"context"
	_ "embed" // the queries
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgbell/pgbell"
)

var (
	//go:embed queries/position_keyless.sql
	queryPositionKeyless string
	//go:embed queries/since.sql
	querySince string
)

// Onlooker is a [Log] for a role that may see events but not the key of the
// bell, with which it could forge them: a [Reader]. Every bell is then an empty
// one, after which the log is read.
type Onlooker struct{ Log }

// Position is where the log stands now, as [Log.Position] says, without a key.
func (Onlooker) Position(ctx context.Context, conn *pgx.Conn) (pgbell.Cursor, pgbell.BellKey, error) {
	at, err := positionFrom(conn.QueryRow(ctx, queryPositionKeyless))
	return at, pgbell.BellKey{}, err
}

// Since is a cursor from which a listener is told everything that was written
// at that time or later by the database's clock, and perhaps some of what was
// written before. It begins where the log does if that is later. It reads the
// whole log once.
func (o Onlooker) Since(ctx context.Context, conn *pgx.Conn, at time.Time) (pgbell.Cursor, error) {
	present, _, err := o.Position(ctx, conn)
	if err != nil {
		return pgbell.Cursor{}, err
	}
	var text string
	if err := conn.QueryRow(ctx, querySince, at).Scan(&text); err != nil {
		return pgbell.Cursor{}, fmt.Errorf("find where the log was at that time: %w", err)
	}
	start, err := pgbell.ParseSnapshot(text)
	if err != nil {
		return pgbell.Cursor{}, fmt.Errorf("find where the log was at that time: %w", err)
	}
	return pgbell.NewCursor(present.Epoch(), start), nil
}

func positionFrom(row pgx.Row) (pgbell.Cursor, error) {
	var (
		system                       int64
		timeline, installation, life string
		database                     uint32
		snapshot                     string
	)
	if err := row.Scan(&system, &timeline, &database, &installation, &life, &snapshot); err != nil {
		return pgbell.Cursor{}, fmt.Errorf("find the log's position: %w", err)
	}
	now, err := pgbell.ParseSnapshot(snapshot)
	if err != nil {
		return pgbell.Cursor{}, fmt.Errorf("find the log's position: %w", err)
	}
	return pgbell.NewCursor(epoch(system, timeline, database, installation, life), now), nil
}
