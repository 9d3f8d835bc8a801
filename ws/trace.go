package ws

import "time"

// Trace observes a hub. Every function may be nil, must not block and must not
// call the hub; several may be called at once. A nil *Trace observes nothing.
type Trace struct {
	// Opened is called for each connection accepted, with the door it came
	// through: [TransportWebSocket], [TransportEvents], [TransportPoll] or
	// [TransportSocketIO].
	Opened func(transport string)
	// Closed is called when a connection is over, with its door, the close code
	// sent or received (1006 if neither) and how long it lasted.
	Closed func(transport string, code int, lasted time.Duration)
	// Refused is called for a connection that was not accepted, with the code
	// of [Errors].
	Refused func(code string)
	// AuthFailed is called for each token refused, with the code of [Errors].
	AuthFailed func(code string)
	// Joined is called when a session becomes live: whether it resumed
	// exactly, how many events it was sent for that, and how long it took.
	Joined func(recovered bool, replayed int, took time.Duration)
	// Received is called for each message of a client, with its size in bytes.
	Received func(bytes int)
	// Failed is called for each error told to a client, with the code of
	// [Errors].
	Failed func(code string)
	// Delivered is called for each event once it is in the queues of sessions
	// many sessions; took is since the hub got it.
	Delivered func(sessions int, took time.Duration)
	// Written is called after each write to a connection.
	Written func(frames, bytes int)
	// Slow is called when a session is cut because its queue is full.
	Slow func()
	// Live is called when the stream becomes live or stops to be.
	Live func(live bool)
	// Gap is called for each gap in the stream, with its reason.
	Gap func(reason string)
	// Merged is called for each event sent that stands for several changes of
	// its row, with how many.
	Merged func(changes int)
	// Rows is called for each request for rows that was tried, with the number of
	// rows, how long reading them took, and whether that failed.
	Rows func(rows int, took time.Duration, failed bool)
	// History is called for each page that was read from [History], with the
	// number of events, how long it took, and whether that failed. A gap is no
	// failure.
	History func(events int, took time.Duration, failed bool)
	// CanaryLanded is called for each canary, with how long it took and whether
	// it did not arrive in time.
	CanaryLanded func(took time.Duration, failed bool)
	// Window is called about once a second with the events and bytes that the
	// window holds.
	Window func(events int, bytes int64)
}

func (t *Trace) opened(transport string) {
	if t != nil && t.Opened != nil {
		t.Opened(transport)
	}
}

func (t *Trace) closed(transport string, code int, lasted time.Duration) {
	if t != nil && t.Closed != nil {
		t.Closed(transport, code, lasted)
	}
}

func (t *Trace) refused(code string) {
	if t != nil && t.Refused != nil {
		t.Refused(code)
	}
}

func (t *Trace) authFailed(code string) {
	if t != nil && t.AuthFailed != nil {
		t.AuthFailed(code)
	}
}

func (t *Trace) joined(recovered bool, replayed int, took time.Duration) {
	if t != nil && t.Joined != nil {
		t.Joined(recovered, replayed, took)
	}
}

func (t *Trace) received(bytes int) {
	if t != nil && t.Received != nil {
		t.Received(bytes)
	}
}

func (t *Trace) failed(code string) {
	if t != nil && t.Failed != nil {
		t.Failed(code)
	}
}

func (t *Trace) delivered(sessions int, took time.Duration) {
	if t != nil && t.Delivered != nil {
		t.Delivered(sessions, took)
	}
}

func (t *Trace) written(frames, bytes int) {
	if t != nil && t.Written != nil {
		t.Written(frames, bytes)
	}
}

func (t *Trace) slow() {
	if t != nil && t.Slow != nil {
		t.Slow()
	}
}

func (t *Trace) live(live bool) {
	if t != nil && t.Live != nil {
		t.Live(live)
	}
}

func (t *Trace) gap(reason string) {
	if t != nil && t.Gap != nil {
		t.Gap(reason)
	}
}

func (t *Trace) merged(changes int) {
	if t != nil && t.Merged != nil {
		t.Merged(changes)
	}
}

func (t *Trace) rows(rows int, took time.Duration, failed bool) {
	if t != nil && t.Rows != nil {
		t.Rows(rows, took, failed)
	}
}

func (t *Trace) history(events int, took time.Duration, failed bool) {
	if t != nil && t.History != nil {
		t.History(events, took, failed)
	}
}

func (t *Trace) canaryLanded(took time.Duration, failed bool) {
	if t != nil && t.CanaryLanded != nil {
		t.CanaryLanded(took, failed)
	}
}

func (t *Trace) window(events int, bytes int64) {
	if t != nil && t.Window != nil {
		t.Window(events, bytes)
	}
}
