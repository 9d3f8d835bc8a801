package engineio

import (
	"encoding/json"
	"net/http"
)

// Refusal is why a request is not served. It is told as JSON, {code, message}.
type Refusal struct {
	// Status is the HTTP status. Default: 403.
	Status int
	// Message is for the client's author.
	Message string
	code    int
}

// Error implements error.
func (r *Refusal) Error() string { return r.Message }

// The codes are fixed by the protocol.
var (
	errTransport  = &Refusal{http.StatusBadRequest, "Transport unknown", 0}
	errUnknownID  = &Refusal{http.StatusBadRequest, "Session ID unknown", 1}
	errMethod     = &Refusal{http.StatusBadRequest, "Bad handshake method", 2}
	errBadRequest = &Refusal{http.StatusBadRequest, "Bad request", 3}
	errTooLarge   = &Refusal{http.StatusRequestEntityTooLarge, "Payload too large", 3}
	errOrigin     = &Refusal{http.StatusForbidden, "Origin not allowed", codeForbidden}
	errFull       = &Refusal{http.StatusServiceUnavailable, "Server is full", codeForbidden}
	errStopping   = &Refusal{http.StatusServiceUnavailable, "Server is stopping", codeForbidden}
	errVersion    = &Refusal{http.StatusBadRequest, "Unsupported protocol version", 5}
)

// codeForbidden is the code of whatever is not a mistake of the client's.
const codeForbidden = 4

func (s *Server) refuse(w http.ResponseWriter, r *Refusal) {
	s.o.Trace.refused(r.Status)
	body, err := json.Marshal(struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{r.code, r.Message})
	if err != nil {
		body = []byte("{}")
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(r.Status)
	_, _ = w.Write(body)
}

// Reason is why a socket ended.
type Reason string

// The reasons. The first five are named as the reference server names them.
const (
	// TransportClose is the client's end of the connection.
	TransportClose Reason = "transport close"
	// TransportError is a connection that broke.
	TransportError Reason = "transport error"
	// PingTimeout is a client that did not answer a ping.
	PingTimeout Reason = "ping timeout"
	// ParseError is a client that broke the protocol.
	ParseError Reason = "parse error"
	// ForcedClose is a call of [Socket.Close].
	ForcedClose Reason = "forced close"
	// Shutdown is the end of the server.
	Shutdown Reason = "server shutting down"
	// SlowClient is a client that did not take what waited for it.
	SlowClient Reason = "slow client"
	// RateLimited is a client that sent too many packets.
	RateLimited Reason = "rate limited"
)

// closeCode is what a WebSocket client is told.
func (r Reason) closeCode() uint16 {
	switch r {
	case ParseError:
		return 1002
	case Shutdown:
		return 1001
	case SlowClient:
		return 4008
	case RateLimited:
		return 4009
	default:
		return 1000
	}
}
