package db

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgbell/pgbell"
)

// Log is the event log's queries. It holds nothing: each works on the
// connection it is given, which nobody else may use meanwhile. The role needs
// SELECT on the tables of schema pgbell and EXECUTE on pgbell.life_id();
// [Log.Rotate] needs more.
type Log struct{}

// Position is where the log stands now, and the key to tell true bells from
// forged ones. The cursor contains every event committed so far.
//
// The cursor's epoch tells apart clusters (also a promoted replica from its
// former primary), databases, installations of pgbell in one database, and the
// time before a crash of Postgres from the time after it, when transaction ids
// come a second time.
func (Log) Position(ctx context.Context, conn *pgx.Conn) (pgbell.Cursor, pgbell.BellKey, error) {
	var (
		system       int64
		timeline     string
		database     uint32
		installation string
		life         string
		snapshot     string
		key          pgbell.BellKey
	)
	err := conn.QueryRow(ctx, queryPosition).Scan(&system, &timeline, &database, &installation, &life, &snapshot, &key.Inner, &key.Outer)
	if err != nil {
		return pgbell.Cursor{}, pgbell.BellKey{}, fmt.Errorf("find the log's position: %w", err)
	}
	now, err := pgbell.ParseSnapshot(snapshot)
	if err != nil {
		return pgbell.Cursor{}, pgbell.BellKey{}, fmt.Errorf("find the log's position: %w", err)
	}
	return pgbell.NewCursor(epoch(system, timeline, database, installation, life), now), key, nil
}

// epoch is 8 bytes of a hash: enough to tell apart, and it reveals nothing.
func epoch(system int64, timeline string, database uint32, installation, life string) uint64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d:%s:%d:%s:%s", system, timeline, database, installation, life))
	return binary.BigEndian.Uint64(sum[:])
}

// Read yields every event that is visible now and was not in since, in id
// order, and returns the snapshot to read on from. Next, given with each event,
// is that snapshot. Both come from one statement, one round trip; the events
// are streamed, so memory is bounded by the largest one. A nil since reads
// everything that the log still holds.
//
// If retention has removed something that since does not see, nothing is
// yielded and the error is a [pgbell.Gap] with reason [pgbell.GapRetention]. An
// error of yield ends the read and is returned; what remains of the result is
// received and dropped, so that the connection stays usable.
//
// A body that no decoder of ours takes (nested ten thousand levels deep, say)
// becomes a [pgbell.Reset] of every type: one bad row must not end the stream.
func (Log) Read(ctx context.Context, conn *pgx.Conn, since *pgbell.Snapshot, yield func(next *pgbell.Snapshot, e pgbell.Event) error) (*pgbell.Snapshot, error) {
	next, err := read(ctx, conn, since, yield)
	if err != nil {
		return nil, fmt.Errorf("read the event log: %w", err)
	}
	return next, nil
}

func read(ctx context.Context, conn *pgx.Conn, since *pgbell.Snapshot, yield func(*pgbell.Snapshot, pgbell.Event) error) (*pgbell.Snapshot, error) {
	xmax, xip := "0", []string{}
	if since != nil {
		xmax = strconv.FormatUint(since.Xmax, 10)
		for _, x := range since.Xip {
			xip = append(xip, strconv.FormatUint(x, 10))
		}
	}
	// Planned anew each time, in the same round trip, unless the connection was
	// made for it: a plan kept from when the log was empty would otherwise scan
	// it whole once it has grown.
	mode := pgx.QueryExecModeExec
	if conn.Config().RuntimeParams["plan_cache_mode"] == logReader["plan_cache_mode"] {
		mode = pgx.QueryExecModeCacheStatement
	}
	rows, err := conn.Query(ctx, queryRead, mode, xmax, xip)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var (
		next   *pgbell.Snapshot
		id, at int64
		xid    uint64
		body   []byte
		lost   bool
	)
	for rows.Next() {
		if err := rows.Scan(&id, &xid, &at, &body, &lost); err != nil {
			return nil, err
		}
		if next == nil {
			if lost {
				return nil, pgbell.Gap{Reason: pgbell.GapRetention}
			}
			if next, err = pgbell.ParseSnapshot(string(body)); err != nil {
				return nil, err
			}
			continue
		}
		if err := yield(next, decode(id, xid, time.UnixMicro(at), body)); err != nil {
			return nil, err
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if next == nil {
		return nil, fmt.Errorf("table pgbell.horizon is empty")
	}
	return next, nil
}

// unreadable is the reason of a Reset that stands for an event which could not
// be decoded.
const unreadable = "unreadable"

func decode(id int64, xid uint64, at time.Time, body []byte) pgbell.Event {
	e, err := pgbell.NewEvent(id, xid, at, body)
	if err != nil {
		return pgbell.Event{ID: id, XID: xid, At: at, Size: len(body), Body: pgbell.Body{
			Op: pgbell.Reset, Reason: unreadable, Error: err.Error(),
		}}
	}
	return e
}
