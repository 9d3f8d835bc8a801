package socketio

import "context"

// Recoverer lets clients that lost their connection come back as the sockets
// they were.
type Recoverer interface {
	// Restore says who a socket is. It is called for every client that passed
	// the middleware, so that a token is checked again, and before the client
	// is answered. If the client asks to resume and can, Restore writes what
	// it missed with [Socket.WriteWhenRoom], each event with the offset after
	// it, and from then on everything new.
	//
	// The offset is the client's word, and it keeps an old one when its pid
	// changes: nothing from before the session's start may be replayed. An
	// error refuses the client, as in middleware. What Restore holds for the
	// socket it gives up when [Socket.Context] ends.
	Restore(ctx context.Context, s *Socket, r Resume) (Session, error)
	// Forget is called for a socket that was left or ended on purpose: its pid
	// must not restore anything any more.
	Forget(s *Socket)
}

// Resume is what a client asks for that comes back. The zero value is a client
// that asks for nothing.
type Resume struct {
	// PID is the secret that the client was given.
	PID string
	// Offset is the last one that the client was told.
	Offset string
}

// Session is who a socket is.
type Session struct {
	// ID names the socket to clients. It is the earlier one if the socket
	// recovers. Default: a new one.
	ID string
	// PID is the secret with which the client comes back. It is the earlier
	// one if the socket recovers: by that the client knows.
	PID string
	// Offset is where the socket's stream starts, for events that come before
	// any that has an offset of its own. Default: none; such events then tell
	// an empty one.
	Offset string
	// Recovered is whether the client gets everything it missed.
	Recovered bool
}
