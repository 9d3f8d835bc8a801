package ws

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/ws/auth"
)

// Authenticator says who the bearer of a token is. Its errors wrap
// [auth.ErrExpired], [auth.ErrInvalid] or [auth.ErrUnavailable]; any other
// counts as the last. [*auth.Verifier] is one.
type Authenticator interface {
	Verify(ctx context.Context, token string) (auth.Identity, error)
}

// RowAuthorizer says whether somebody may enter the room of one row: key is
// the row's key values in column order, joined by commas. It is asked after
// the session was entered, so an owner lost in between is not missed. An
// unknown type is no error, the answer is no.
type RowAuthorizer interface {
	MayJoin(ctx context.Context, id auth.Identity, typ, key string) (bool, error)
}

// History serves cursors that are too old for the window.
type History interface {
	// Since returns up to limit events that c does not contain and that are
	// visible now, such that the changes of one row are in commit order, each
	// with the Cursor of a session that had c and got the events up to it. It
	// also returns the cursor after all of them. Fewer than limit events mean
	// that these are all. The error is a [pgbell.Gap] if they cannot be told.
	Since(ctx context.Context, c pgbell.Cursor, limit int) ([]pgbell.Event, pgbell.Cursor, error)
}

// Options of a [Hub]. The zero value refuses every token and is otherwise
// ready for production.
type Options struct {
	// Authenticator verifies tokens. Default: none, every token is refused.
	Authenticator Authenticator
	// Rows decides who may enter the room of a row. Default: nobody.
	Rows RowAuthorizer
	// History serves cursors that are too old for the window. Default: none,
	// such sessions get a reset.
	History History
	// Notifications keeps what users are told. Default: none, events about
	// notifications come without the number of those unread.
	Notifications Notifications
	// Revocations reads all revocations that hold now, in one statement. Later
	// ones come with the stream. No token is believed before they were read.
	// Default: none, tokens are good until they expire.
	Revocations func(ctx context.Context) ([]Revocation, error)
	// Canary changes the row of a node such that an event of type
	// pgbell.canary with {node, flight} comes with the stream; see
	// [Hub.Canary]. Default: none.
	Canary func(ctx context.Context, node string, flight int64) error
	// Start is where the stream begins that the hub will be fed, if not at the
	// present: the window then serves every cursor since. Default: the window
	// begins with the first complete read.
	Start pgbell.Cursor
	// Wake asks whoever feeds the hub to read now: a session that comes from
	// another node waits until this node has caught up with its cursor. It
	// must not block. Default: wait for the next read.
	Wake func()

	// Debounce is, by event type, for how long after a change of a row a
	// session gets no other of that row, but at the end the latest. Requests of
	// [TransportPoll] get every change, and so does a session that resumes, of
	// what it missed. Default: none, every change is sent at once.
	Debounce map[string]time.Duration

	// QueueBytes is how much may wait for one session. Over it the session is
	// closed with [CloseSlow]. A single frame of any size fits in an empty
	// queue. Default: 1 MiB.
	QueueBytes int
	// WindowBytes and WindowAge bound the memory window. Default: 64 MiB and
	// 5 minutes.
	WindowBytes int64
	WindowAge   time.Duration
	// HistoryEvents is how many events of everybody History may be read for
	// one session; beyond it the session gets a reset. Default: 10000.
	HistoryEvents int
	// HistoryReaders is how many sessions read History at once. Default: 4.
	HistoryReaders int

	// MaxConnections is how many connections there may be. Default: 100000.
	MaxConnections int
	// MaxPerAddress is how many may come from one client address.
	// Default: as many as there may be, since a proxy's clients share one.
	MaxPerAddress int
	// Attempts bounds how often one client address may try to open a
	// connection. Requests of [TransportPoll] are bounded by user instead.
	// Default: no bound, for the same reason.
	Attempts Rate
	// Failures bounds how many tokens of one client address may be refused.
	// Over it none is looked at for a while, good or bad.
	// Default: no bound, for the same reason.
	Failures Rate
	// MaxPerUser is how many sessions one user may have. Default: 100.
	MaxPerUser int
	// MaxRooms is how many rooms one session may be in, those of its token
	// included. Default: 256.
	MaxRooms int
	// MaxMessage is the size of a client's message in bytes. Default: 64 KiB.
	MaxMessage int64
	// MessageRate and MessageBurst bound a client's messages and pings: so
	// many a second, so many at once. Default: 20 and 60.
	MessageRate  float64
	MessageBurst int

	// AuthTimeout is how long a connection may stay without a good token.
	// Default: 10 s.
	AuthTimeout time.Duration
	// RequestTimeout bounds what one request of a client may wait for.
	// Default: 10 s.
	RequestTimeout time.Duration
	// PingInterval is after how long a silence the server pings. Default: 25 s.
	PingInterval time.Duration
	// PongTimeout is how long after that a silent connection is dropped.
	// Default: 20 s.
	PongTimeout time.Duration
	// WriteTimeout is how long one write may take. Default: 10 s.
	WriteTimeout time.Duration
	// CloseTimeout is how long the other side may take to close. Default: 5 s.
	CloseTimeout time.Duration
	// DrainJitter is over how long a time the clients of a hub that stops are
	// told to spread their return. Default: 5 s.
	DrainJitter time.Duration

	// Logger hears of what an operator should know. Default: none.
	Logger *slog.Logger
	// Trace observes. Default: nothing.
	Trace *Trace
}

func (o Options) withDefaults() Options {
	o.QueueBytes = cmp.Or(o.QueueBytes, 1<<20)
	o.WindowBytes = cmp.Or(o.WindowBytes, 64<<20)
	o.WindowAge = cmp.Or(o.WindowAge, 5*time.Minute)
	o.HistoryEvents = cmp.Or(o.HistoryEvents, 10_000)
	o.HistoryReaders = cmp.Or(o.HistoryReaders, 4)
	o.MaxConnections = cmp.Or(o.MaxConnections, 100_000)
	o.MaxPerAddress = cmp.Or(o.MaxPerAddress, o.MaxConnections)
	o.MaxPerUser = cmp.Or(o.MaxPerUser, 100)
	o.MaxRooms = cmp.Or(o.MaxRooms, 256)
	o.MaxMessage = cmp.Or(o.MaxMessage, 64<<10)
	o.MessageRate = cmp.Or(o.MessageRate, 20)
	o.MessageBurst = cmp.Or(o.MessageBurst, 60)
	o.AuthTimeout = cmp.Or(o.AuthTimeout, 10*time.Second)
	o.RequestTimeout = cmp.Or(o.RequestTimeout, 10*time.Second)
	o.PingInterval = cmp.Or(o.PingInterval, 25*time.Second)
	o.PongTimeout = cmp.Or(o.PongTimeout, 20*time.Second)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 10*time.Second)
	o.CloseTimeout = cmp.Or(o.CloseTimeout, 5*time.Second)
	o.DrainJitter = cmp.Or(o.DrainJitter, 5*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
