package listener

import "time"

// Trace observes a [Listener]. Every field may be nil. The functions are called
// from the listener's goroutine and must not block.
type Trace struct {
	// Connected is called when a new connection listens and knows its position.
	Connected func()

	// Disconnected is called when a connection, or an attempt at one, failed.
	// It is called after Connected, if that was, and never when the context
	// ended.
	Disconnected func(err error)

	// State is called when the listener goes over to another state.
	State func(State)

	// Bell is called for each bell: carried says that it carried a genuine
	// event, direct that this was delivered at once. Carried but not direct is
	// one that was already delivered, or for which the log had to be read.
	Bell func(carried, direct bool)

	// Read is called after each complete read of the log, with the time it
	// took and the number of events that it delivered.
	Read func(took time.Duration, events int)

	// Delivered is called after each batch, with its size and the age of its
	// last event: from the time of writing, by the database's clock, to now by
	// ours. It is negative when the clocks disagree by more.
	Delivered func(events int, lag time.Duration)
}

func (t *Trace) connected() {
	if t != nil && t.Connected != nil {
		t.Connected()
	}
}

func (t *Trace) disconnected(err error) {
	if t != nil && t.Disconnected != nil {
		t.Disconnected(err)
	}
}

func (t *Trace) state(s State) {
	if t != nil && t.State != nil {
		t.State(s)
	}
}

func (t *Trace) bell(carried, direct bool) {
	if t != nil && t.Bell != nil {
		t.Bell(carried, direct)
	}
}

func (t *Trace) read(took time.Duration, events int) {
	if t != nil && t.Read != nil {
		t.Read(took, events)
	}
}

func (t *Trace) delivered(events int, lag time.Duration) {
	if t != nil && t.Delivered != nil {
		t.Delivered(events, lag)
	}
}
