package triggers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ApplyOptions are for [Apply] and [Remove]. The zero value works.
type ApplyOptions struct {
	// LockTimeout is how long to wait for one table's lock. Whoever writes to
	// the table waits behind us meanwhile. Default: 2 s.
	LockTimeout time.Duration
	// Attempts is how often to try while tables are locked by others.
	// Default: 5.
	Attempts int
	// Pause is the longest pause before the second attempt; it doubles with
	// each. The real one is random, down to half of it. Default: 1 s.
	Pause time.Duration
}

func (o ApplyOptions) withDefaults() ApplyOptions {
	if o.LockTimeout <= 0 {
		o.LockTimeout = 2 * time.Second
	}
	if o.Attempts <= 0 {
		o.Attempts = 5
	}
	if o.Pause <= 0 {
		o.Pause = time.Second
	}
	return o
}

// Apply makes the database as the watches ask, and returns what it changed: only
// what differed, nothing if all was well. Everything happens in one
// transaction, which waits for locks only briefly and starts over when it did
// not get one. A new trigger needs a lock that waits for the table's writers
// to finish; a changed function needs none.
func Apply(ctx context.Context, conn *pgx.Conn, watches []Watch, o ApplyOptions) (*Plan, error) {
	return carryOut(ctx, conn, o, func(tx pgx.Tx) (*Plan, error) {
		r, err := resolve(ctx, tx, watches)
		if err != nil {
			return nil, err
		}
		return r.plan()
	})
}

// Remove drops every trigger and function that [Apply] made, whatever the
// watches were, and returns what it dropped. It leaves the event log.
func Remove(ctx context.Context, conn *pgx.Conn, o ApplyOptions) (*Plan, error) {
	return carryOut(ctx, conn, o, func(tx pgx.Tx) (*Plan, error) {
		installed, err := readInstallation(ctx, tx)
		if err != nil {
			return nil, err
		}
		r := &resolution{check: new(checker), installed: installed}
		if err := tx.QueryRow(ctx, "SELECT quote_ident(current_user)").Scan(&r.check.role); err != nil {
			return nil, fmt.Errorf("look for the role: %w", err)
		}
		return r.plan()
	})
}

// applyLock keeps two of us from changing the same database at once.
const applyLock = `SELECT pg_advisory_xact_lock(hashtextextended('pgbell triggers', 0))`

// carryOut does what plan says, in the transaction in which it is made.
func carryOut(ctx context.Context, conn *pgx.Conn, o ApplyOptions, plan func(pgx.Tx) (*Plan, error)) (*Plan, error) {
	o = o.withDefaults()
	pause := o.Pause
	for attempt := 1; ; attempt++ {
		p, err := carryOutOnce(ctx, conn, o, plan)
		if err == nil {
			return p, nil
		}
		if !isLocked(err) {
			return nil, err
		}
		if attempt == o.Attempts {
			return nil, fmt.Errorf("%w; gave up after %d attempts, nothing was changed", err, attempt)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w; %w", err, ctx.Err())
		case <-time.After(pause/2 + rand.N(pause/2+1)):
		}
		pause *= 2
	}
}

func carryOutOnce(ctx context.Context, conn *pgx.Conn, o ApplyOptions, plan func(pgx.Tx) (*Plan, error)) (*Plan, error) {
	var p *Plan
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		settings := fmt.Sprintf("SET LOCAL lock_timeout = %d; SET LOCAL standard_conforming_strings = on", o.LockTimeout.Milliseconds())
		if _, err := tx.Exec(ctx, settings); err != nil {
			return fmt.Errorf("prepare session: %w", err)
		}
		if _, err := tx.Exec(ctx, applyLock); err != nil {
			return fmt.Errorf("wait for another pgbell that changes triggers: %w", err)
		}
		var err error
		if p, err = plan(tx); err != nil {
			return err
		}
		for _, c := range p.Changes {
			if _, err := tx.Exec(ctx, c.SQL); err != nil {
				if isLocked(err) {
					return fmt.Errorf("%s %s: table %s is locked by another session: %w", c.Kind, c.Object, c.Table, err)
				}
				return fmt.Errorf("%s %s: %w", c.Kind, c.Object, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// isLocked reports whether others held what we wanted: lock_not_available or
// deadlock_detected.
func isLocked(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && (pgErr.Code == "55P03" || pgErr.Code == "40P01")
}
