package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgbell/pgbell/db"
)

// every does a chore at once and then at each interval until ctx ends. Any
// node may do it: the database sees to it that nothing is done twice.
func every(ctx context.Context, interval time.Duration, chore func(context.Context)) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		chore(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// rotate keeps the event log from growing.
func rotate(pool *pgxpool.Pool, m *metrics, logger *slog.Logger) func(context.Context) {
	return func(ctx context.Context) {
		err := pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
			done, err := db.Log{}.Rotate(ctx, conn.Conn(), time.Time{})
			m.rotations.Add(float64(len(done.Emptied)))
			if len(done.Emptied) > 0 {
				logger.InfoContext(ctx, "retention emptied a part of the event log", "partitions", done.Emptied, "bytes", done.Bytes)
			}
			return err
		})
		if err != nil && ctx.Err() == nil {
			logger.WarnContext(ctx, "retention failed; the event log grows until it succeeds", "error", err)
		}
	}
}

// settle tells owners to fetch again whose rows changed while they changed
// hands.
func settle(pool *pgxpool.Pool, logger *slog.Logger) func(context.Context) {
	failing := false // an outage is one line, not one a second
	return func(ctx context.Context) {
		var resets int64
		err := pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) (err error) {
			resets, err = db.Log{}.SettleOwnerMoves(ctx, conn.Conn())
			return err
		})
		if err != nil && ctx.Err() == nil && !failing {
			logger.WarnContext(ctx, "owners of rows that changed hands meanwhile are not told yet", "error", err)
		}
		failing = err != nil
		if resets > 0 {
			logger.InfoContext(ctx, "rows changed while they changed hands; their owners fetch again", "resets", resets)
		}
	}
}
