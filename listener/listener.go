package listener

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgbell/pgbell"
)

// Options configure a [Listener]. Connect, Log and Sink are required.
type Options struct {
	// Connect opens a new connection to the database, or says in its error
	// what it tried. The listener closes the connection.
	// It should have no statement_timeout: catching up may take long, and the
	// listener has deadlines of its own. Required.
	Connect func(ctx context.Context) (*pgx.Conn, error)

	// Log reads the event log. Required.
	Log Log

	// Sink takes the stream. Required.
	Sink Sink

	// Start is where the stream begins. Default: the present.
	Start pgbell.Cursor

	// Logger hears of lost and regained connections and of gaps. Default: none.
	Logger *slog.Logger

	// Trace observes. Default: nobody.
	Trace *Trace

	// SafetyInterval is the longest time between two reads of the log: how
	// late an event can be whose bell never came, and how soon a dead
	// connection is looked at. Default: 1 second.
	SafetyInterval time.Duration

	// RoundsAbove is how many transactions a second may ring before the
	// listener silences the bell and goes on rounds. It does so earlier if it
	// sees writers wait for each other because they ring. It sleeps again at
	// half of the rate, or at less where the load comes in bursts. Default: 2000.
	RoundsAbove float64

	// RoundInterval is the time between two rounds. Default: 2 milliseconds.
	RoundInterval time.Duration

	// ConnectTimeout bounds one attempt to connect, LISTEN and find the log's
	// position. Default: 10 seconds.
	ConnectTimeout time.Duration

	// ReadTimeout is how long the database may be silent during a read of a
	// live stream before the connection counts as dead. Default: 3 seconds.
	ReadTimeout time.Duration

	// CatchUpTimeout is the same for the first read of a connection, for which
	// the database may have much to sort. Default: 1 minute.
	CatchUpTimeout time.Duration

	// MinBackoff bounds the random wait before the first new attempt after a
	// loss; the bound doubles with each attempt. Default: 100 milliseconds.
	MinBackoff time.Duration

	// MaxBackoff is where the bound stops growing. Default: 5 seconds.
	MaxBackoff time.Duration
}

func (o Options) withDefaults() Options {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.SafetyInterval = cmp.Or(o.SafetyInterval, time.Second)
	o.RoundsAbove = cmp.Or(o.RoundsAbove, 2000)
	o.RoundInterval = cmp.Or(o.RoundInterval, 2*time.Millisecond)
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, 10*time.Second)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, 3*time.Second)
	o.CatchUpTimeout = cmp.Or(o.CatchUpTimeout, time.Minute)
	o.MinBackoff = cmp.Or(o.MinBackoff, 100*time.Millisecond)
	o.MaxBackoff = cmp.Or(o.MaxBackoff, 5*time.Second)
	return o
}

// Listener delivers the event log of one database to a [Sink]. Make one with
// [New], then call Run.
type Listener struct {
	opts  Options
	ready chan struct{}
	waker waker

	// The rest belongs to the goroutine of Run.
	cursor  pgbell.Cursor // what was delivered
	backoff backoff
	live    bool      // the Sink knows us as live
	once    bool      // we were live at least once
	outage  time.Time // since when we try to connect; zero while we are live
}

// New makes a Listener. It does nothing until Run is called.
func New(opts Options) *Listener {
	opts = opts.withDefaults()
	return &Listener{
		opts:    opts,
		ready:   make(chan struct{}),
		cursor:  opts.Start,
		backoff: backoff{min: opts.MinBackoff, max: opts.MaxBackoff},
	}
}

// Ready is closed when the stream is live for the first time: every change
// committed from then on will be delivered. It stays closed.
func (l *Listener) Ready() <-chan struct{} { return l.ready }

// Run delivers until ctx ends; then it returns nil. Whatever happens to the
// connection, it reconnects and continues where it was.
//
// Only before the stream was live for the first time does it give up, on a
// mistake that somebody has to mend: an option is missing, the database, schema
// or table does not exist, the password is wrong, a privilege is missing. It
// returns that error. Later the same is taken for an outage.
//
// Run must be called once. It holds one connection.
func (l *Listener) Run(ctx context.Context) error {
	if l.opts.Connect == nil || l.opts.Log == nil || l.opts.Sink == nil {
		return errors.New("start listener: Connect, Log and Sink are required")
	}
	for ctx.Err() == nil {
		s := session{Listener: l, order: newOrder(), load: newLoad(l.opts.RoundsAbove)}
		err := s.run(ctx)
		if ctx.Err() == nil {
			l.down(err) // first of all: whoever asks must not think us live
		}
		s.close()
		switch {
		case ctx.Err() != nil:
		case !l.once && permanent(err):
			return err
		default:
			l.backoff.wait(ctx)
		}
	}
	return nil
}

// down notes a lost connection or a failed attempt. It logs the first of an
// outage only.
func (l *Listener) down(err error) {
	l.opts.Trace.state(Disconnected)
	l.opts.Trace.disconnected(err)
	if l.outage.IsZero() {
		l.outage = time.Now()
		l.opts.Logger.Warn("no connection to the event log, trying again", "error", err)
	}
	if l.live {
		l.live = false
		l.opts.Sink.Down(err)
	}
}

// advance notes that a read completed.
func (l *Listener) advance() {
	l.backoff.reset()
	if !l.outage.IsZero() {
		l.opts.Logger.Info("connected to the event log again", "after", time.Since(l.outage))
		l.outage = time.Time{}
	}
	l.live = true
	l.opts.Sink.Advance(l.cursor)
	if !l.once {
		l.once = true
		close(l.ready)
	}
}
