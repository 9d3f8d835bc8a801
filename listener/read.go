package listener

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pgbell/pgbell"
)

// A batch goes to the Sink when it holds this many events or, since one body
// may be large, this many bytes of them.
const (
	batchEvents = 256
	batchBytes  = 1 << 20
)

// markInterval is the least time between two marks, which cost a query each.
const markInterval = 100 * time.Millisecond

// errSilent ends a read whose answer stopped coming.
var errSilent = errors.New("read the event log: the database has gone silent")

// read delivers whatever the log holds that the cursor does not. Patience is
// the longest time that the database may say nothing. If the log has a gap,
// read makes the stream go on from the log's present position; the rest is for
// the next read, which is due at once.
func (s *session) read(ctx context.Context, patience time.Duration) error {
	began := time.Now()
	s.waker.answer()
	ctx, progress, stop := watch(ctx, patience)
	defer stop()

	if s.order.open() && began.Sub(s.lastMark) >= markInterval {
		m, err := takeMark(ctx, s.conn)
		if err != nil {
			return because(ctx, err)
		}
		s.order.mark, s.lastMark = m, began
		progress()
	}

	events, transactions, last := 0, 0, uint64(0)
	at, err := s.opts.Log.Read(ctx, s.conn, s.cursor.Snapshot(),
		func(next *pgbell.Snapshot, e pgbell.Event) error {
			progress()
			s.order.delivered(e.ID)
			if s.cursor.Contains(e.ID, e.XID) {
				return nil // by a bell, or by a read that was cut off
			}
			s.cursor = s.cursor.Reached(next, e.ID)
			e.Cursor = s.cursor
			s.add(e)
			events++
			if e.XID != last {
				transactions, last = transactions+1, e.XID
			}
			return nil
		})
	s.flush() // also when cut off: these are committed, and the cursor has them
	if gap := (pgbell.Gap{}); errors.As(err, &gap) {
		return s.restart(ctx, gap)
	}
	if err != nil {
		return because(ctx, err)
	}

	s.cursor = pgbell.NewCursor(s.cursor.Epoch(), at)
	s.order.read(at)
	s.restarted = false
	s.lastRead = time.Now()
	if s.state == Rounds { // else bells are counted
		s.load.add(transactions, s.lastRead)
	}
	s.opts.Trace.read(s.lastRead.Sub(began), events)
	s.advance()
	s.settle(at)
	return nil
}

// settle ends Settling if nobody is left who saw nobody asleep. Else the next
// read comes after twice the time, so what such a transaction wrote is late by
// no more than the time that it took.
func (s *session) settle(at *pgbell.Snapshot) {
	if s.state != Settling {
		return
	}
	if at.Xmin >= s.unsettled {
		s.turn(Asleep)
		return
	}
	s.again = max(s.opts.RoundInterval, 2*s.again)
}

// restart goes on from the present position. It is taken before anybody hears
// of the gap: what they fetch then is at least as new, so nothing falls between.
//
// A log with a gap even there is broken. That ends the connection, so that the
// backoff keeps us from asking, and the clients from fetching, in a tight loop.
func (s *session) restart(ctx context.Context, gap pgbell.Gap) error {
	if s.restarted {
		return fmt.Errorf("restart at the event log's present position: %w", gap)
	}
	s.restarted = true
	at, key, err := s.opts.Log.Position(ctx, s.conn)
	if err != nil {
		return because(ctx, err)
	}
	s.key = key
	s.skip(at, gap)
	return nil
}

// skip leaves everything before at undelivered and says so.
func (s *session) skip(at pgbell.Cursor, gap pgbell.Gap) {
	s.opts.Logger.Warn("the event stream has a gap", "reason", gap.Reason)
	s.cursor = at
	s.order = newOrder()
	s.lastRead, s.lastMark = time.Time{}, time.Time{}
	s.opts.Sink.Gap(gap)
}

// add puts e, with its cursor, into the batch.
func (s *session) add(e pgbell.Event) {
	s.batch = append(s.batch, e)
	s.bytes += e.Size
	if len(s.batch) >= batchEvents || s.bytes >= batchBytes {
		s.flush()
	}
}

// flush hands the batch to the Sink, which keeps it.
func (s *session) flush() {
	if len(s.batch) == 0 {
		return
	}
	batch := s.batch
	s.batch, s.bytes = nil, 0
	s.opts.Sink.Deliver(batch)
	s.opts.Trace.delivered(len(batch), time.Since(batch[len(batch)-1].At))
}

// watch cancels the context that it returns, with [errSilent], when progress
// was not called for longer than patience.
func watch(parent context.Context, patience time.Duration) (ctx context.Context, progress, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	timer := time.AfterFunc(patience, func() { cancel(errSilent) })
	return ctx, func() { timer.Reset(patience) }, func() { timer.Stop(); cancel(nil) }
}

// because names errSilent where err only says that the context ended.
func because(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errSilent) {
		return errSilent
	}
	return err
}
