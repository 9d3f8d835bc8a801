package socketio

import (
	"cmp"
	"net/http"
	"net/url"
	"time"

	"github.com/pgbell/pgbell/ws/socketio/engineio"
)

// Options of a [Server]. The zero value is ready for production on one origin.
type Options struct {
	// Engine are the options of the connections.
	Engine engineio.Options

	// Handshake keeps what middleware and handlers will need of the request
	// that opened the connection. Whatever it returns lives as long as the
	// connection, so it should keep little, and nothing of the request's own
	// memory. Default: everything that [Handshake] has.
	Handshake func(*http.Request) Handshake

	// ConnectTimeout is how long a connection may stay without being in, or
	// asking for, any namespace, how long middleware may take, and how long the
	// binary data of one packet. Default: 45 s.
	ConnectTimeout time.Duration
	// AckTimeout is how long a client may take to acknowledge. Default: 30 s.
	AckTimeout time.Duration

	// MaxNamespaces is how many namespaces one connection may use at once.
	// Default: 16.
	MaxNamespaces int
	// MaxRooms is how many rooms one socket may be in. Default: 256.
	MaxRooms int
	// MaxAcks is how many acknowledgements of one socket may be outstanding.
	// Default: 256.
	MaxAcks int
	// MaxAttachments is how many pieces of binary data one packet of a client
	// may have. Default: 10.
	MaxAttachments int
	// MaxPacket is the size in bytes of a client's packet with its binary data.
	// Default: 4,000,000.
	MaxPacket int

	// Trace observes. Default: nothing.
	Trace *Trace
}

func (o Options) withDefaults() Options {
	if o.Handshake == nil {
		o.Handshake = fullHandshake
	}
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, 45*time.Second)
	o.AckTimeout = cmp.Or(o.AckTimeout, 30*time.Second)
	o.MaxNamespaces = cmp.Or(o.MaxNamespaces, 16)
	o.MaxRooms = cmp.Or(o.MaxRooms, 256)
	o.MaxAcks = cmp.Or(o.MaxAcks, 256)
	o.MaxAttachments = cmp.Or(o.MaxAttachments, 10)
	o.MaxPacket = cmp.Or(o.MaxPacket, 4_000_000)
	return o
}

// Handshake is the request that opened a connection.
type Handshake struct {
	// URL is what was asked for, without scheme and host.
	URL string
	// Query are the parameters of URL.
	Query url.Values
	// Header are the request's headers.
	Header http.Header
	// Address is the other end of the TCP connection.
	Address string
	// Secure is true if the request came by TLS to this server.
	Secure bool
	// Time is when it came.
	Time time.Time
	// Value is whatever Options.Handshake puts there. Default: nil.
	Value any
}

func fullHandshake(r *http.Request) Handshake {
	return Handshake{
		URL: r.URL.RequestURI(), Query: r.URL.Query(), Header: r.Header.Clone(),
		Address: r.RemoteAddr, Secure: r.TLS != nil, Time: time.Now(),
	}
}

// Trace observes a server. Every function may be nil, must not block and must
// not call the server; several may be called at once. A nil *Trace observes
// nothing.
type Trace struct {
	// Connected is called when a socket was accepted in a namespace.
	Connected func(namespace string, recovered bool)
	// Refused is called when one was not, with what the client was told.
	Refused func(message string)
	// Disconnected is called when an accepted socket is over.
	Disconnected func(namespace string, r Reason)
	// Malformed is called when a client broke the protocol.
	Malformed func()
}

func (t *Trace) connected(namespace string, recovered bool) {
	if t != nil && t.Connected != nil {
		t.Connected(namespace, recovered)
	}
}

func (t *Trace) refused(message string) {
	if t != nil && t.Refused != nil {
		t.Refused(message)
	}
}

func (t *Trace) disconnected(namespace string, r Reason) {
	if t != nil && t.Disconnected != nil {
		t.Disconnected(namespace, r)
	}
}

func (t *Trace) malformed() {
	if t != nil && t.Malformed != nil {
		t.Malformed()
	}
}
