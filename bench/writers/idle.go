package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
)

// idle counts what pgbell asks of a database in which nothing happens, after it
// was busy and with its client connected. The count is the transactions of that
// database by pg_stat_database. It is read from another one, and every
// statement of pgbell outside of a transaction is one.
func idle(ctx context.Context, tables []*table, length time.Duration, out io.Writer) error {
	var watched, other *table
	for _, t := range tables {
		if t.name == served {
			watched = t
		} else {
			other = t
		}
	}
	if watched == nil || other == nil {
		return nil
	}
	// Backends report what they did at most once a second, and up to ten
	// seconds late when they rest.
	if err := rest(ctx, 11*time.Second); err != nil {
		return err
	}
	before, err := transactions(ctx, other.admin, watched.name)
	if err != nil {
		return err
	}
	cpu, err := watched.server.CPU()
	if err != nil {
		return err
	}
	if err := rest(ctx, length); err != nil {
		return err
	}
	after, err := transactions(ctx, other.admin, watched.name)
	if err != nil {
		return err
	}
	used, err := watched.server.CPU()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nAn idle pgbell made %.2f transactions a second (pg_stat_database, over %s) and used %.2f %% of a CPU.\n",
		float64(after-before)/length.Seconds(), length, 100*(used-cpu).Seconds()/length.Seconds())
	return nil
}

func transactions(ctx context.Context, conn *pgx.Conn, database string) (n int64, err error) {
	err = conn.QueryRow(ctx, "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = $1", database).Scan(&n)
	return n, err
}

func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
