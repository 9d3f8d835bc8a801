package ws

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"

	"github.com/pgbell/pgbell/ws/auth"
)

// The doors to the stream, as [Trace] and the server's status name them.
const (
	TransportWebSocket = "websocket"
	TransportEvents    = "sse"
	TransportPoll      = "poll"
	TransportSocketIO  = "socketio"
)

// place is one of the connections that there may be, and whose it is.
type place struct {
	address string
	release func() // gives it back
}

// knock decides by what is known before a token whether somebody gets a place.
func (h *Handler) knock(r *http.Request) (place, *Error) {
	if !h.allowsOrigin(r) {
		return place{}, errOriginForbidden
	}
	if err := h.hub.vacancy(); err != nil {
		return place{}, err
	}
	// Memory that a connection keeps must not hold on to the request's.
	address := strings.Clone(h.o.ClientAddress(r))
	if !h.hub.attempts.allow(address) {
		return place{}, errTooManyAttempts
	}
	return h.sit(address)
}

// sit takes a place.
func (h *Handler) sit(address string) (place, *Error) {
	if !h.hub.perAddress.acquire(address, h.hub.o.MaxPerAddress) {
		return place{}, errConnectionLimit
	}
	return place{address, func() { h.hub.perAddress.release(address) }}, nil
}

// identify verifies the token of a request.
func (h *Handler) identify(r *http.Request, token, transport string) (auth.Identity, *Error) {
	ctx, cancel := context.WithTimeout(r.Context(), h.hub.o.RequestTimeout)
	defer cancel()
	id, err := h.hub.verify(ctx, h.o.ClientAddress(r), token)
	if err != nil {
		h.hub.authFailed(err, transport, "")
	}
	return id, err
}

// newSession is what every session is at the beginning.
func newSession(h *Hub, proto protocol, p peer, transport, address string) session {
	return session{hub: h, proto: proto, peer: p, transport: transport, address: address, id: rand.Text(), opened: h.now()}
}
