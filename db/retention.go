package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Retention is how long the log keeps an event at least; some stay half as
// long again. See pgbell.slot in the migrations.
const Retention = 24 * time.Hour

// RotateEvery is how often [Log.Rotate] is to be called, so that a partition is
// empty long before its turn comes.
const RotateEvery = 10 * time.Minute

// Rotation is what one [Log.Rotate] did.
type Rotation struct {
	// Emptied are the partitions it truncated, such as pgbell.events_2.
	Emptied []string
	// Bytes is what that gave back to the file system, indexes included.
	Bytes int64
	// Busy are those that were due but in use, by a reader or by a transaction
	// that wrote there and is still open. The next call tries again.
	Busy []string
}

// Rotate empties the partitions of the log whose events are all older than
// [Retention], and in the same transaction notes in pgbell.horizon how far it
// cut. Truncating leaves nothing to vacuum.
//
// Every node may call it, at any time: one works, the others return at once.
// It waits for a lock at most 50 ms, and on partitions that nobody writes to
// while the ring is whole, so writes never wait for it. Now is for tests; zero is the database's
// clock. The role must own the partitions, or have TRUNCATE on them and UPDATE
// on the horizon.
func (Log) Rotate(ctx context.Context, conn *pgx.Conn, now time.Time) (Rotation, error) {
	var done Rotation
	var at *time.Time
	if !now.IsZero() {
		at = &now
	}
	rows, err := conn.Query(ctx, queryDue, at)
	if err != nil {
		return done, fmt.Errorf("find what retention may remove: %w", err)
	}
	due, err := pgx.CollectRows(rows, pgx.RowToStructByPos[due])
	if err != nil {
		return done, fmt.Errorf("find what retention may remove: %w", err)
	}
	for _, d := range due {
		bytes, err := d.empty(ctx, conn)
		var pg *pgconn.PgError
		switch {
		case errors.As(err, &pg) && pg.Code == "55P03": // lock_not_available
			done.Busy = append(done.Busy, d.Partition)
		case errors.Is(err, errNotNow):
		case err != nil:
			return done, fmt.Errorf("empty %s: %w", d.Partition, err)
		default:
			done.Emptied = append(done.Emptied, d.Partition)
			done.Bytes += bytes
		}
	}
	return done, nil
}

// due is a partition to empty, its name as the catalog quotes it, unless it
// holds an event written after a time.
type due struct {
	Partition   string
	UnlessAfter *time.Time
}

// errNotNow says that another node empties partitions, or has emptied this one,
// or that it turned out to hold a young event.
var errNotNow = errors.New("not now")

func (d due) empty(ctx context.Context, conn *pgx.Conn) (bytes int64, err error) {
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		var ours bool
		if err := tx.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock($1)", lockRetention).Scan(&ours); err != nil {
			return err
		}
		if !ours {
			return errNotNow
		}
		// A waiting lock request holds up everybody behind it.
		if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '50ms'"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "LOCK TABLE "+d.Partition+" IN ACCESS EXCLUSIVE MODE"); err != nil {
			return err
		}
		if d.UnlessAfter != nil {
			var young bool
			if err := tx.QueryRow(ctx, "SELECT coalesce(max(at) > $1, false) FROM "+d.Partition, d.UnlessAfter).Scan(&young); err != nil {
				return err
			}
			if young {
				return errNotNow
			}
		}
		var empty bool
		if err := tx.QueryRow(ctx, "SELECT pg_total_relation_size($1::text::regclass), pg_relation_size($1::text::regclass) = 0", d.Partition).Scan(&bytes, &empty); err != nil {
			return err
		}
		if empty {
			return errNotNow // another node was faster
		}
		if _, err := tx.Exec(ctx, fmt.Sprintf(queryHorizon, d.Partition)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "TRUNCATE "+d.Partition)
		return err
	})
	return bytes, err
}
