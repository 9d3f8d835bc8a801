// Package oracle puts pgbell to the proof: it runs a random history on a real
// Postgres and real pgbell processes, breaks whatever can break, and compares
// what clients received with the truth.
//
//	writers ──────────────▶ Postgres ◀── link ── pgbell ◀── link ── clients
//	(plan.go, writer.go)        ▲                  ▲                  (client.go)
//	                            └──── faults ──────┘
//	                             (fault.go, link.go)
//
// # History
//
// What the writers do and which faults happen when follows from the seed alone;
// how the two interleave does not. A history is made of rounds. In a round every
// writer runs its part of the plan while faults happen. Then everything is
// healed, each user gets a last event, and what was received is compared.
//
// # Truth
//
// The truth is computed from the event log and from the tables in the plainest
// way (truth.go), and nothing of the server's code takes part. Between rounds
// must hold, for each client:
//
//   - Complete, exactly once: the ids received are the ids of the log's events
//     that the user is entitled to, none twice. Events that a reset stands for
//     are excepted, exactly: those that the cursor after it contains and the one
//     before it does not.
//   - Ordered: of each row, ids rise.
//   - Convergent: the rows that the client has put together from what it
//     received are those of SELECT … WHERE owner = user.
//   - Confidential: each message holds what its user may see of the event, no
//     more and no less; and no byte of any message comes from a row or column of
//     somebody else. For the latter such text is marked in the database.
//
// Clients come by every door (door*.go): WebSocket, Socket.IO with recovery, by
// both of its transports (engine.go), server-sent events, long polls and polls.
// None of them drops what comes twice.
//
// The client keeps to docs/protocol.md and shares no code with the server. Only
// cursors, which are opaque to clients, are read with the server's own decoder,
// to know which events a reset stands for.
//
// # When it fails
//
// [Run] returns a [Report] with the violations and the seed, and [Shrink] looks
// for a smaller configuration that fails too.
package oracle
