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
//	Run ─▶ connect ─▶ LISTEN ─▶ position ─▶ read ────▶ asleep
//	                               ▲         │ ▲         │
//	                               └── gap ──┘ └─────────┘
//	                                             a read is due
//
// The states are these:
//
//   - connect, LISTEN, position ([Log.Position]), in this order, so that a change
//     is either visible to the first read or rings a bell that we hear.
//   - read (rounds.go): everything visible now that was not visible to the last
//     complete read, in id order, in batches; then [Sink.Advance]. The first
//     one of a connection is the catch-up, and with its end the stream is live.
//   - asleep (bell.go): wait for a bell. One that carries the next event
//     delivers it at once, without a query. Any other makes a read due, and so
//     does the safety interval.
//   - backoff (backoff.go): after an error in any state, a random time, longer
//     each time until a read completes.
//
// Every other way of waiting, such as reading round after round while the bell
// is silenced under load, is one more state beside asleep: it ends when a read
// is due.
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
