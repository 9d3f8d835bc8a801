// Package listener turns a plain Postgres connection into an ordered, complete
// stream of events.
//
// One connection does everything. It LISTENs, it waits for the bell, and it
// reads the event log; so a read also proves that exactly the session that
// listens is alive, and a node costs the database one connection. Every wait
// and every read has a deadline. A peer that went silent is found out by the
// next safety round, within [Options.SafetyInterval] + [Options.ReadTimeout].
//
// # States
//
//	        ┌──────────────── backoff ◀────────────────┐
//	        ▼                                          │ any error
//	Run ─▶ connect ─▶ LISTEN ─▶ position ─▶ catch up ──┤
//	                                            │      │
//	     too many bells                         ▼      │
//	   ┌──────────────────────────────────▶ Rounds ◀───┼──────┐
//	   │                                      │        │      │
//	   │                   load below the floor,       │      │
//	   │                   lock taken, mark taken      │      │
//	   │                                      ▼        │      │
//	   │    all below the mark have ended  Settling ───┼──────┘
//	   │   ┌──────────────────────────────────┘        │  too many bells
//	   │   ▼                                           │
//	   └ Asleep ───────────────────────────────────────┘
//
// In each state the listener waits in another way, and then reads: everything
// visible now that was not visible to the last complete read, in id order, in
// batches, followed by [Sink.Advance] (read.go). [State] names them:
//
//   - [Disconnected]: connect, LISTEN, position ([Log.Position]), in this order,
//     so that a change is either visible to the first read or rings a bell that
//     we hear. That read is the catch-up; with its end the stream is live.
//     After an error in any state there is a random wait (backoff.go), longer
//     each time until a read completes.
//   - [Rounds] (rounds.go): read, rest, read. Nobody rings for us. A
//     transaction that rings holds a lock of the whole server while it commits,
//     so under load silence is what makes writes fast.
//   - [Settling]: wait by the bell, but read without one, too, since somebody
//     may still commit who saw nobody asleep.
//   - [Asleep] (bell.go): wait by the bell. One that carries the next event
//     delivers it at once, without a query. Any other makes a read due, and so
//     does the safety interval.
//
// Bells are too many above a limit, or when writers are seen to wait for each
// other because they ring (queue.go). load.go says when the load is for rounds
// and when for sleep. A gap in the log
// changes the position, not the state.
//
// # The adaptive bell
//
// A writer rings only if somebody sleeps. It writes its event, which gives it a
// transaction id, and then tries the advisory lock [SleepLock] exclusively,
// letting go of it in the same expression (pgbell.must_ring). A listener that
// sleeps holds the lock shared, and so may any number of others. Why no wake-up
// is lost:
//
//   - A writer that asks while we hold the lock does not get it, and rings. It
//     also rings if it meets another writer's question, which does no harm.
//   - A writer that asked before we had the lock had its transaction id by then.
//     We take the lock, and look only then which transaction id comes next
//     (takeMark). So that writer's is below it, and we read without a bell
//     until a read sees no such transaction running: it has ended, and what it
//     committed is delivered.
//   - Whoever rolls back, is cancelled or dies took its event along. A bell
//     without an event costs a read.
//   - A listener that dies drops its lock with its connection. The others hold
//     it on their own account; each has its own proof.
//
// The lock is only ever tried, so neither a writer nor we wait for it. Who holds
// it without need, which any role may, makes bells ring that nobody needs, or
// keeps us on rounds.
//
// # Complete
//
// The bell decides only when an event comes, never whether. What is delivered
// follows from snapshots: each read starts from the snapshot of the last
// complete one, on the same connection or on the next, and skips what the
// cursor contains. A lost bell, a role that never rings or a pooler that allows
// no LISTEN therefore cost at most a safety interval.
//
// # Exact
//
// The cursor names exactly what was delivered, at every single event; each
// [pgbell.Event] carries its own. A read that is cut off is remembered in it as
// snapshot and id reached; see [pgbell.Cursor.Reached].
//
// # Ordered
//
// A read delivers in id order, which is commit order among the events of one
// row. What a bell carries may be delivered without a read only if no lower id
// can still be missing; see order.go for how that is known.
package listener
