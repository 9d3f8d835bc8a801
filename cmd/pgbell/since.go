package main

import (
	"context"
	"time"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/cmd/pgbell/config"
	"github.com/pgbell/pgbell/db"
)

// since is where tail begins. The zero value is now.
type since struct {
	time   time.Time // of writing; zero if a cursor was given
	cursor pgbell.Cursor
}

// parseSince reads a time, a duration that goes back from now, or a cursor.
func parseSince(text string) (since, error) {
	if text == "" {
		return since{}, nil
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return since{time: at}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		if ago < 0 {
			return since{}, usagef("--since: %s lies in the future", text)
		}
		return since{time: time.Now().Add(-ago)}, nil
	}
	cursor, err := pgbell.ParseCursor(text)
	if err != nil {
		return since{}, usagef("--since: %q is neither a time such as 2026-01-31T08:00:00Z, nor a duration such as 10m, nor a cursor", text)
	}
	return since{cursor: cursor}, nil
}

// find turns a time into the cursor to begin at.
func (s *since) find(ctx context.Context, settings config.Settings) error {
	if s.time.IsZero() {
		return nil
	}
	conn, err := connect(ctx, settings)
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	s.cursor, err = db.Onlooker{}.Since(ctx, conn, s.time)
	return err
}
