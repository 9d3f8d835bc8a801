package listener

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgbell/pgbell"
)

// session is one connection, from connecting to its loss. What outlives it is
// in the Listener.
type session struct {
	*Listener
	conn     *pgx.Conn
	key      pgbell.BellKey
	order    order
	load     load
	state    State
	lastRead time.Time      // end of the last complete read
	lastMark time.Time      // start of the last mark
	batch    []pgbell.Event // waiting to be handed to the Sink
	bytes    int            // their bodies

	// While Settling: the transactions below unsettled may have ended without a
	// bell, and the log is read again this long after the last read.
	unsettled uint64
	again     time.Duration

	restarted bool // after a gap, and no read has completed since
}

// run connects, catches up and then alternates between waiting and reading
// until something fails or ctx ends; it always returns an error.
func (s *session) run(ctx context.Context) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	s.opts.Trace.connected()
	s.turn(Rounds)
	if err := s.read(ctx, s.opts.CatchUpTimeout); err != nil {
		return err
	}
	for {
		if err := s.adapt(ctx); err != nil {
			return err
		}
		if err := s.wait(ctx); err != nil {
			return err
		}
		if err := s.read(ctx, s.opts.ReadTimeout); err != nil {
			return err
		}
	}
}

// adapt changes the way of waiting, if that is due.
func (s *session) adapt(ctx context.Context) error {
	switch now := time.Now(); {
	case s.state == Rounds && s.load.light(now):
		return s.lieDown(ctx)
	case s.state != Rounds && s.load.heavy(now):
		return s.getUp(ctx)
	}
	return nil
}

// wait returns when a read is due.
func (s *session) wait(ctx context.Context) error {
	switch s.state {
	case Settling:
		return s.asleep(ctx, s.lastRead.Add(min(s.again, s.opts.SafetyInterval)))
	case Asleep:
		return s.asleep(ctx, s.lastRead.Add(s.opts.SafetyInterval))
	}
	return s.pause(ctx)
}

// turn goes over to another state.
func (s *session) turn(to State) {
	s.state = to
	s.opts.Trace.state(to)
	s.opts.Logger.Debug("the listener waits in another way", "state", to)
}

// connect listens first and looks at the log then: a change is visible to the
// first read, or else it commits after LISTEN did and we hear its bell.
func (s *session) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.ConnectTimeout)
	defer cancel()
	conn, err := s.opts.Connect(ctx)
	if err != nil {
		return err
	}
	s.conn = conn
	if _, err := conn.Exec(ctx, "LISTEN "+pgbell.Channel); err != nil {
		return fmt.Errorf("listen on %q: %w", pgbell.Channel, err)
	}
	at, key, err := s.opts.Log.Position(ctx, conn)
	if err != nil {
		return err
	}
	s.key = key
	switch {
	case s.cursor.IsZero():
		s.cursor = at
	case s.cursor.Epoch() != at.Epoch(), at.Snapshot().Xmax < s.cursor.Snapshot().Xmax:
		// Another history: failed over, restored, or set back by a crash, after
		// which transaction ids come a second time.
		s.skip(at, pgbell.Gap{Reason: pgbell.GapEpoch})
	}
	return nil
}

// closeTimeout bounds the farewell to the server.
const closeTimeout = time.Second

// close leaves nothing behind, if the server answers.
func (s *session) close() {
	if s.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = s.conn.Close(ctx)
	// A connection that broke off in a query cleans up behind our back.
	select {
	case <-s.conn.PgConn().CleanupDone():
	case <-ctx.Done():
	}
}

// permanent reports whether err is of a kind that trying again does not mend:
// somebody has to configure, grant or migrate something.
func permanent(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		var config *pgconn.ParseConfigError
		return errors.As(err, &config)
	}
	switch pg.Code {
	case "28000", // invalid_authorization_specification
		"28P01", // invalid_password
		"3D000", // invalid_catalog_name: no such database
		"3F000", // invalid_schema_name
		"42501", // insufficient_privilege
		"42703", // undefined_column
		"42883", // undefined_function
		"42P01": // undefined_table
		return true
	}
	return false
}
