package pgbell

// Gap says that the stream cannot go on without a hole: some events can no
// longer be delivered. Whoever holds state built from events must fetch it
// again. A session hears of it as a reset.
type Gap struct {
	// Type is the event type concerned; empty means every type.
	Type string
	// Reason is a word for programs: one of the constants below, or
	// the Reason of a Reset event.
	Reason string
}

// The reasons of a Gap that no event of the log stands behind.
const (
	GapEpoch     = "epoch"     // the cursor is from another cluster, timeline or database, or from before a crash
	GapRetention = "retention" // the log no longer holds what was missed
	GapTooMany   = "too_many"  // more was missed than a resume may replay
	GapCursor    = "cursor"    // the cursor could not be read
)

// Error makes a Gap the error of whoever cannot read on because of it.
func (g Gap) Error() string {
	if g.Type == "" {
		return "the stream has a gap: " + g.Reason
	}
	return "the stream of " + g.Type + " has a gap: " + g.Reason
}
