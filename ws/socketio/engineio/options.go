package engineio

import (
	"cmp"
	"net/http"
	"time"
)

// Transport is how a client is connected.
type Transport string

// The two transports, as clients name them.
const (
	Polling   Transport = "polling"
	WebSocket Transport = "websocket"
)

// Options of a [Server]. The zero value is ready for production on one origin.
type Options struct {
	// Origins are the web origins whose pages may connect, as
	// https://app.example.com, beside the server's own; "*" means all. Clients
	// that send no Origin are no browsers and always may.
	// Default: the server's own alone.
	Origins []string
	// Credentials lets pages of other origins send cookies. Default: no.
	Credentials bool
	// Admit is asked before a socket is opened, and may count, limit and
	// refuse. The error may be a [*Refusal]; any other is told as 403. The
	// function it returns, if any, is called once when the socket is over.
	// Default: everybody is admitted.
	Admit func(*http.Request) (release func(), err error)
	// Transports are those that clients may use. Default: both.
	Transports []Transport

	// PingInterval is how long after the last answer the next ping is sent.
	// Default: 25 s.
	PingInterval time.Duration
	// PingTimeout is how long an answer may take. Default: 20 s.
	PingTimeout time.Duration
	// UpgradeTimeout is how long the move to WebSocket may take. Without it
	// the socket stays on polling. Default: 10 s.
	UpgradeTimeout time.Duration
	// ReadTimeout is how long the body of a request may take. Default: 10 s.
	ReadTimeout time.Duration
	// WriteTimeout is how long one write or answer may take. Default: 10 s.
	WriteTimeout time.Duration
	// CloseTimeout is how long a socket that closes waits for the other side:
	// for the end of the WebSocket, or for the request that fetches the last
	// packets. Default: 5 s.
	CloseTimeout time.Duration

	// MaxPayload is the size in bytes of a client's message by WebSocket and of
	// its request by polling. Default: 1,000,000.
	MaxPayload int64
	// QueueBytes is how much may wait for one client; over it the client is
	// cut. A single message of any size fits in an empty queue. Default: 1 MiB.
	QueueBytes int
	// MaxSockets is how many sockets there may be. Default: 100,000.
	MaxSockets int
	// PacketRate is how many packets a second a client may send, the pings of
	// WebSocket included, and as many at once; over it the client is cut.
	// Default: 1000.
	PacketRate float64

	// Trace observes. Default: nothing.
	Trace *Trace
}

func (o Options) withDefaults() Options {
	if len(o.Transports) == 0 {
		o.Transports = []Transport{Polling, WebSocket}
	}
	o.PingInterval = cmp.Or(o.PingInterval, 25*time.Second)
	o.PingTimeout = cmp.Or(o.PingTimeout, 20*time.Second)
	o.UpgradeTimeout = cmp.Or(o.UpgradeTimeout, 10*time.Second)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, 10*time.Second)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 10*time.Second)
	o.CloseTimeout = cmp.Or(o.CloseTimeout, 5*time.Second)
	o.MaxPayload = cmp.Or(o.MaxPayload, 1_000_000)
	o.QueueBytes = cmp.Or(o.QueueBytes, 1<<20)
	o.MaxSockets = cmp.Or(o.MaxSockets, 100_000)
	o.PacketRate = cmp.Or(o.PacketRate, 1000)
	return o
}

// sweepInterval keeps heartbeats to within a twentieth, and the shortest
// deadline to within a quarter.
func (o Options) sweepInterval() time.Duration {
	beat := min(o.PingInterval, o.PingTimeout) / 20
	rest := min(o.UpgradeTimeout, o.WriteTimeout, o.CloseTimeout) / 4
	return min(max(min(beat, rest), 10*time.Millisecond), time.Second)
}

// Trace observes a server. Every function may be nil, must not block and must
// not call the server or its sockets; several may be called at once. A nil
// *Trace observes nothing.
type Trace struct {
	// Opened is called for each socket, with the transport it began with.
	Opened func(Transport)
	// Upgraded is called when a socket has moved to WebSocket.
	Upgraded func()
	// Closed is called when a socket has ended, with the transport it had last
	// and how long it lasted.
	Closed func(t Transport, r Reason, lasted time.Duration)
	// Refused is called for each request that was refused, with the status.
	Refused func(status int)
	// Received is called for each message of a client, with its size in bytes.
	Received func(bytes int)
	// Written is called after each write or answer.
	Written func(frames, bytes int)
}

func (t *Trace) opened(by Transport) {
	if t != nil && t.Opened != nil {
		t.Opened(by)
	}
}

func (t *Trace) upgraded() {
	if t != nil && t.Upgraded != nil {
		t.Upgraded()
	}
}

func (t *Trace) closed(by Transport, r Reason, lasted time.Duration) {
	if t != nil && t.Closed != nil {
		t.Closed(by, r, lasted)
	}
}

func (t *Trace) refused(status int) {
	if t != nil && t.Refused != nil {
		t.Refused(status)
	}
}

func (t *Trace) received(bytes int) {
	if t != nil && t.Received != nil {
		t.Received(bytes)
	}
}

func (t *Trace) written(frames, bytes int) {
	if t != nil && t.Written != nil {
		t.Written(frames, bytes)
	}
}
