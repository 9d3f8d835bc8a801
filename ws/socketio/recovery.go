package socketio

import "encoding/json"

// Resume is what a client asks for that lost its connection. The zero value is
// a client that asks for nothing.
type Resume struct {
	// PID is the secret that the client was given.
	PID string
	// Offset is the last one that the client was told; empty if it was told
	// none. It is the client's word. A client keeps its offset when its pid
	// changes, so this may be of an earlier session.
	Offset string
}

// Session is as whom a socket is accepted. The zero value is a new one that
// cannot be recovered.
type Session struct {
	// ID names the socket to clients. It is the earlier one if the socket
	// recovers. Default: a new one.
	ID string
	// PID is the secret with which the client comes back. It is the earlier
	// one if the socket recovers: by that the client knows. A socket that has
	// one tells an offset with every event. Default: none.
	PID string
	// Offset is where the socket's stream starts, for events that come before
	// any that has an offset of its own. Default: those tell an empty one.
	Offset string
	// Recovered is whether the client gets everything it missed.
	Recovered bool
}

// resumeOf reads what a client that comes back adds to its auth.
func resumeOf(auth json.RawMessage) Resume {
	var asked struct {
		PID    string `json:"pid"`
		Offset string `json:"offset"`
	}
	if json.Unmarshal(auth, &asked) != nil || asked.PID == "" {
		return Resume{}
	}
	return Resume(asked)
}
