package listener

import (
	"context"
	_ "embed"
	"fmt"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pgbell/pgbell"
)

// order answers one question: may the event with this id be delivered now, or
// may an event with a lower id, perhaps of the same row, still be missing? It
// concerns order alone. What is delivered at all is up to the cursor.
//
// It keeps low, up to which every id is delivered or dead (rolled back). An
// event with the id low+1 may be delivered. Low rises in two ways:
//
//   - id by id, as the events above it are delivered, in whatever order;
//   - over ids that never come, by a mark: the highest id given out so far,
//     and the transaction id that will be assigned next. A trigger runs after
//     its transaction wrote the row, so whoever holds an id up to the mark's
//     has a transaction id below the mark's. Once a complete read in a snapshot
//     with Xmin at or above that is delivered, all of them have ended, and what
//     they committed is delivered.
//
// A snapshot's Xmax cannot stand in for the next transaction id: it is one past
// the highest that has ended, and a transaction above it may be in progress,
// holding a low id, without being among Xip.
//
// A publish may be written by a transaction that took its event's id before it
// had a transaction id, and so come late. No row stands behind it, so it has no
// order to keep.
type order struct {
	low   int64
	above []span // delivered above low: ascending, disjoint, not adjacent
	mark  *mark  // waiting for its transactions to end
}

// span is the ids from first to last, both included.
type span struct{ first, last int64 }

// mark says that each id up to id was given out to a transaction below xid.
type mark struct {
	id  int64
	xid uint64
}

// unknown is low before the first mark. No event has the id above it.
const unknown = math.MinInt64

// maxSpans bounds order.above. With more, the lowest is forgotten: then low
// waits for a mark.
const maxSpans = 1024

func newOrder() order { return order{low: unknown} }

// next reports whether no lower id than id can be missing.
func (o *order) next(id int64) bool { return o.low != unknown && id == o.low+1 }

// open reports whether a mark is needed for low to rise.
func (o *order) open() bool {
	return o.mark == nil && (o.low == unknown || len(o.above) > 0)
}

// delivered notes that the event id was delivered, now or earlier.
func (o *order) delivered(id int64) {
	if id <= o.low {
		return
	}
	// i is the first span that ends at id-1 or later.
	i, _ := slices.BinarySearchFunc(o.above, id-1, func(s span, id int64) int {
		return int(min(max(s.last-id, -1), 1))
	})
	switch {
	case i == len(o.above) || id+1 < o.above[i].first:
		o.above = slices.Insert(o.above, i, span{id, id})
	case id+1 == o.above[i].first:
		o.above[i].first = id
	case id == o.above[i].last+1:
		o.above[i].last = id
		if i+1 < len(o.above) && o.above[i+1].first == id+1 {
			o.above[i].last = o.above[i+1].last
			o.above = slices.Delete(o.above, i+1, i+2)
		}
	}
	o.rise()
	if len(o.above) > maxSpans {
		o.above = slices.Delete(o.above, 0, 1)
	}
}

// read notes that a read in snapshot at was delivered to its end. A mark must
// have been taken before that read began.
func (o *order) read(at *pgbell.Snapshot) {
	if o.mark != nil && at.Xmin >= o.mark.xid {
		o.low = max(o.low, o.mark.id)
		o.mark = nil
		o.rise()
	}
}

// rise moves low over what is delivered above it.
func (o *order) rise() {
	n := 0
	for n < len(o.above) && o.low != unknown && o.above[n].first <= o.low+1 {
		o.low = max(o.low, o.above[n].last)
		n++
	}
	o.above = slices.Delete(o.above, 0, n)
}

//go:embed mark.sql
var markSQL string

// takeMark asks the database for a mark.
func takeMark(ctx context.Context, conn *pgx.Conn) (*mark, error) {
	var m mark
	var xmax uint64
	var ahead int32
	if err := conn.QueryRow(ctx, markSQL).Scan(&m.id, &xmax, &ahead); err != nil {
		return nil, fmt.Errorf("ask for the event log's highest id: %w", err)
	}
	m.xid = xmax + uint64(max(ahead, 0))
	return &m, nil
}
