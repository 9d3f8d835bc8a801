// Package triggers turns watches into SQL that a DBA can review: for each
// watched table one function in schema pgbell and four triggers that call it,
// after each INSERT, UPDATE, DELETE and TRUNCATE. It plans without changing
// anything, applies only what differs, finds what somebody changed, and removes
// all of it. The files in testdata show the SQL whole.
//
// # The function
//
// It fires once a statement. Most statements change one row: the function loads
// it before and after and writes its event by plain expressions, which cost a
// fraction of a query (docs/adr/0009). What is not as simple, such as several
// rows or another owner, it reads as sets, joins them by key, drops the rows in
// which nothing that anybody sees changed, writes the body of one event for
// each of the rest (docs/event-log.md) and hands them to pgbell.record. Both
// say the same in the same bytes.
//
//	old_rows ─┐ FULL JOIN on the key: update, or insert, or delete
//	          ├─▶ changed? ─▶ owners ─▶ body ─▶ pgbell.record ─▶ log, bell
//	new_rows ─┘
//
// It cannot fail a write. Everything that may raise an error, such as a column
// that somebody dropped or an action that divides by zero, happens in a block
// with an exception handler: that of the part for one row leaves it to the
// queries, and theirs replaces the events by a single reset. Such a block only
// reads, so its subtransaction takes no id; only statements with more than
// a megabyte of events write inside it, to keep memory bounded.
//
// It runs as its owner, with a fixed search_path and with every setting fixed
// that the text of a value depends on, so that writers need no grant and a
// session's settings change nothing.
//
// # Notifications
//
// A rule of a watch makes a notification for an owner out of an event: in the
// same function, so in the writer's transaction, once, and not at all if that
// rolls back. What it says is computed with the event, where errors are caught;
// pgbell.record_notifications keeps it afterwards, and cuts what the table would
// refuse. The functions of watches without rules have none of this.
//
// # Owners in another table
//
// A payment may belong to whoever owns its booking. Three rules keep what a
// client holds equal to the join of both tables:
//
//   - An event of a payment goes to the owner that its booking has when the
//     statement ends.
//   - When a booking changes hands, each of its payments gets an update whose
//     was and owners differ. So bookings has a function and triggers too,
//     watched or not. Where no foreign key forbids payments without booking,
//     a booking that comes or goes counts as well.
//   - When a foreign key's action takes payments along with a booking, the
//     booking is gone before the payments' trigger runs, but its own trigger
//     has run: it leaves the owners in a setting that lasts for the
//     transaction. If they are not found there either, the payments get a
//     reset.
//
// # Changes that miss each other
//
// One transaction changes a payment, another gives its booking to somebody
// else; neither sees the other before it commits. No lock that a writer could
// take without waiting would help: whichever of the two commits first has had
// its last word, and what it could say then would be heard too early. So it is
// found out afterwards:
//
//   - Every event of a payment tells the booking's key and the snapshot of the
//     look-up, in via.
//   - Whoever moves owners leaves a note in pgbell.owner_moves: which bookings,
//     the users before and after, its own snapshot.
//   - pgbell.settle_owner_moves, called by a node, waits until all who could
//     have missed the move have ended. If neither of two saw the other, it
//     records a reset for those users. It reads the log, so that also holds for
//     prepared transactions and after a restart.
//
// docs/event-log.md tells what that leaves open.
//
// # Rows written twice
//
// A trigger on the same table may write a row again before ours runs, and two
// foreign keys may both set a column of it to NULL. Then events tell the row as
// it stands in the table, so that the last one is the truth. The catalog says
// which tables need that; the others are spared the look-up.
//
// # Partitions
//
// A trigger with sets of rows does not fire for what is written straight into a
// partition. So a partitioned table has triggers for each row, which Postgres
// gives to every partition, and on each partition one for TRUNCATE, which it
// does not.
//
// # What is not seen
//
// Views, temporary and foreign tables are refused. Writes under
// session_replication_role = replica fire no triggers, unless somebody makes
// them ENABLE ALWAYS. Writes to a child by inheritance fire only the child's.
// Blind lists what applies to a database.
package triggers
