package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgbell/pgbell/bench/rig"
)

// table is a variant's database with everything that runs on it.
type table struct {
	variant
	database *rig.Database
	admin    *pgx.Conn
	server   *rig.Server // pgbell; nil: none
	ear      *rig.Server // nil: nobody hears
	marks    int
}

func newTable(ctx context.Context, r *rig.Rig, v variant, rows int) (_ *table, err error) {
	t := &table{variant: v}
	if t.database, err = r.Database(ctx, v.name, fmt.Sprintf(schema, rows)+v.sql); err != nil {
		return nil, err
	}
	if v.watched {
		if err := t.database.Install(ctx, configuration+v.rules); err != nil {
			return nil, err
		}
	}
	heard := ""
	if v.served {
		if t.server, err = t.database.Serve(ctx); err != nil {
			return nil, err
		}
		heard = t.server.Address
	}
	if v.ear != "" {
		if t.ear, err = t.database.Peer(ctx, ear, v.ear, heard); err != nil {
			return nil, err
		}
	}
	if t.admin, err = pgx.Connect(ctx, t.database.URL); err != nil {
		return nil, err
	}
	if err := t.vacuum(ctx); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *table) close() { t.admin.Close(context.Background()) }

// vacuum clears away what a turn left, so that the next one finds the table as
// this one did.
func (t *table) vacuum(ctx context.Context) error {
	_, err := t.admin.Exec(ctx, "VACUUM")
	return err
}

// listenerCPU is the processor time of what hears the changes: pgbell, or the
// peer where there is none.
func (t *table) listenerCPU() (time.Duration, error) {
	switch {
	case t.server != nil:
		return t.server.CPU()
	case t.ear != nil:
		return t.ear.CPU()
	}
	return 0, nil
}

// heard waits until everything that was written so far has been heard, and
// takes it.
func (t *table) heard(ctx context.Context) (hearing, error) {
	if t.ear == nil {
		return hearing{}, nil
	}
	t.marks++
	mark := fmt.Sprintf("MARK %d", t.marks)
	if _, err := t.admin.Exec(ctx, "UPDATE bookings SET status = $1, updated_at = clock_timestamp() WHERE id = 1", mark); err != nil {
		return hearing{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, lost)
	defer cancel()
	var h hearing
	if err := t.ear.Call(ctx, "/take", mark, &h); err != nil {
		return hearing{}, fmt.Errorf("hear what was written: %w", err)
	}
	return h, nil
}

// lost is how long it may take to hear everything after the writers have
// stopped before the benchmark gives up.
const lost = 2 * time.Minute

// keeper sees to it that no checkpoint falls into a turn.
type keeper struct {
	rig    *rig.Rig
	tables []*table
	last   string // where the write-ahead log stood at our last checkpoint
	strays int    // checkpoints that came by themselves
}

// walBytes is how much is written to the write-ahead log before we make a
// checkpoint ourselves. Postgres would at about 2 GB.
const walBytes = 1 << 30

// between makes a checkpoint if one would come soon.
func (k *keeper) between(ctx context.Context) error {
	at, written, err := k.position(ctx)
	if err != nil {
		return err
	}
	if at != k.last {
		k.strays++
		k.last = at
	}
	if written < walBytes {
		return nil
	}
	return k.freshen(ctx)
}

// freshen makes a checkpoint and then changes every page of every table, so
// that no turn pays for whole pages in the write-ahead log.
func (k *keeper) freshen(ctx context.Context) error {
	if _, err := k.tables[0].admin.Exec(ctx, "CHECKPOINT"); err != nil {
		return err
	}
	for _, t := range k.tables {
		// No trigger fires for a replica.
		for _, sql := range []string{
			"SET session_replication_role = replica", "UPDATE bookings SET price = price", "RESET session_replication_role", "VACUUM",
		} {
			if _, err := t.admin.Exec(ctx, sql); err != nil {
				return err
			}
		}
	}
	var err error
	k.last, _, err = k.position(ctx)
	return err
}

// position is where the last checkpoint was, and how much was written since.
func (k *keeper) position(ctx context.Context) (at string, written int64, err error) {
	err = k.tables[0].admin.QueryRow(ctx,
		"SELECT redo_lsn::text, (pg_current_wal_lsn() - redo_lsn)::bigint FROM pg_control_checkpoint()").Scan(&at, &written)
	return at, written, err
}
