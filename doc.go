// Package pgbell holds the nouns that every part of pgbell shares: what a
// change is ([Event], [Op]), where a stream stands ([Snapshot], [Cursor]) and
// what happens when it cannot go on ([Gap]). It imports only the standard
// library and does no I/O.
//
// Data flows one way:
//
//	trigger ─▶ pgbell.events (+ NOTIFY) ─▶ listener ─▶ Event, Cursor ─▶ ws hub ─▶ sessions
//
// A trigger writes an event's body, one JSON document, into the event log; the
// bell carries the same document. [Body] is that document, [NewEvent] its one
// decoder.
package pgbell
