package listener

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgbell/pgbell"
)

// maxBells is how many separate runs of ids bells may have delivered since the
// last read, before one follows that shortens the cursor.
const maxBells = 64

// maxRung is how many bells are taken at most before looking at the clock again.
const maxRung = 1024

// straggler is how long we wait for the rest of a bell that was received in
// part, while bells before it wait to be handed on.
const straggler = 2 * time.Millisecond

// asleep waits by the bell and delivers what bells carry. It returns nil when a
// read is due: the time has come, a bell could not be delivered at once, there
// are too many of them, or somebody asked for it.
func (s *session) asleep(ctx context.Context, due time.Time) error {
	for now := time.Now(); now.Before(due) && s.cursor.Bells() <= maxBells && !s.load.heavy(now); now = time.Now() {
		n, err := s.hear(ctx, due)
		if n == nil || err != nil {
			return err
		}
		stale, err := s.ring(ctx, n)
		if err != nil {
			return err
		}
		if err := s.look(ctx); stale || err != nil {
			return err
		}
	}
	return nil
}

// ring takes the bell n and every other that is already here, so that many
// bells lead to one read. It reports whether the log has to be read.
func (s *session) ring(ctx context.Context, n *pgconn.Notification) (stale bool, err error) {
	taken := 0
	for n != nil && taken < maxRung && err == nil {
		stale = !s.take(n) || stale
		taken++
		n, err = s.queued(ctx)
	}
	s.flush()
	if stale {
		taken += queryCost
	}
	s.load.add(taken, time.Now())
	return stale, err
}

// take delivers what the bell n carries, if that is in order. It reports false
// if it leads to something in the log that is not delivered yet.
func (s *session) take(n *pgconn.Notification) bool {
	if n.Channel != pgbell.Channel {
		return true // Connect may have made the session listen to more
	}
	e, err := pgbell.DecodeBell(n.Payload, s.key)
	known := err == nil && s.cursor.Contains(e.ID, e.XID)
	direct := err == nil && !known && s.order.next(e.ID)
	if direct {
		s.order.delivered(e.ID)
		s.cursor = s.cursor.Rung(e.ID)
		e.Cursor = s.cursor
		s.add(e)
	}
	s.opts.Trace.bell(err == nil, direct)
	return known || direct
}

// hear waits for a bell until due, or until somebody asks for a read; then it
// returns nil.
func (s *session) hear(ctx context.Context, due time.Time) (*pgconn.Notification, error) {
	until, cancel := context.WithDeadline(ctx, due)
	defer cancel()
	if !s.waker.sleep(cancel) {
		return nil, nil
	}
	defer s.waker.wake()
	n, err := s.conn.WaitForNotification(until)
	switch {
	case n != nil:
		return n, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case until.Err() != nil && !s.conn.IsClosed():
		return nil, nil
	}
	return nil, fmt.Errorf("wait for the bell: %w", err)
}

// queued returns a bell that is already here, or nil.
func (s *session) queued(ctx context.Context) (*pgconn.Notification, error) {
	// Bells that came with the answer to a query wait in the connection: it
	// looks there before it looks at the context.
	if n, _ := s.conn.WaitForNotification(ended); n != nil {
		return n, nil
	}
	if s.conn.PgConn().Frontend().ReadBufferLen() == 0 {
		return nil, nil
	}
	return s.hear(ctx, time.Now().Add(straggler))
}

// ended is a context that is over.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()
