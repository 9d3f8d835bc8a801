package ws

import (
	"encoding/json"

	"github.com/pgbell/pgbell"
)

// protocol turns what a session is told into the bytes of one wire protocol.
// An implementation has no state: a frame that it returns is shared by all
// sessions that see the same, and must not change afterwards.
type protocol interface {
	// update encodes an event in a view. The cursor is where the stream stands
	// after it; empty means that there is none to tell.
	update(e *pgbell.Event, v view, cursor string) []byte
	// signal encodes everything else: authenticated, ack, error and their like.
	// id is the request's, raw, or nil.
	signal(event string, data any, id json.RawMessage, cursor string) []byte
	// goodbye encodes the last frame of a connection.
	goodbye(code int, reason string) []byte
}

// peer is a session's connection.
type peer interface {
	// wake says that the session has something to send, after it had nothing.
	// It must not block and must not call the session.
	wake()
	// sweep is called about once a second to see to deadlines. It must not
	// block.
	sweep()
	// abort drops the connection without ceremony. It must not block.
	abort()
}

// cachedFrame is one encoding of an event.
type cachedFrame struct {
	protocol protocol
	view     string
	bytes    []byte
}
