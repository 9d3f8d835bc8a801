package listener

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/pgbell/pgbell"
)

// Log reads the event log over the listener's connection. It keeps nothing
// between calls. An error of either method, which says what was tried, ends the
// connection, except a [pgbell.Gap].
type Log interface {
	// Position returns where the log stands: the cursor of the present
	// snapshot, with the epoch it belongs to, and the key of the bell.
	Position(ctx context.Context, conn *pgx.Conn) (pgbell.Cursor, pgbell.BellKey, error)

	// Read yields every event that is visible now and was not visible in
	// since, in id order, without holding them all in memory, and returns the
	// snapshot of the same statement; next is that snapshot. If some of them
	// were already removed it returns a [pgbell.Gap].
	Read(
		ctx context.Context, conn *pgx.Conn, since *pgbell.Snapshot,
		yield func(next *pgbell.Snapshot, e pgbell.Event) error,
	) (*pgbell.Snapshot, error)
}

// Sink takes the stream. Its methods are called from one goroutine, in order.
// They must not block: while they do, nothing is delivered and the connection
// is not watched.
type Sink interface {
	// Deliver hands on committed events: each event of the log exactly once,
	// the events of one row in commit order, at most 256 at a time. Each
	// carries the cursor that holds once it is delivered. The slice and the
	// events are the Sink's to keep.
	Deliver(events []pgbell.Event)

	// Advance says that everything up to at was delivered and that the stream
	// is live. It is called after every complete read, also of nothing, so it
	// is the sign of life too: at least once in a safety interval.
	Advance(at pgbell.Cursor)

	// Gap says that the stream goes on with a hole: the next Deliver or
	// Advance continues after events that nobody can deliver any more.
	// Whatever is fetched from the database after this call is complete with
	// the events that follow.
	Gap(gap pgbell.Gap)

	// Down says that the connection is lost, once for each time it was live.
	// A later Advance means that it is live again, with nothing missed unless
	// a Gap said so.
	Down(err error)
}
