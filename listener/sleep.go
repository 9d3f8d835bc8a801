package listener

import (
	"context"
	"fmt"
	"time"
)

// SleepLock is the key of the advisory lock that a sleeping listener holds,
// shared: the bytes of "pgbell". A writer that could take it rings no bell; see
// pgbell.must_ring() in db/migrations.
const SleepLock int64 = 0x706762656c6c

// lieDown begins to sleep: from now on writers ring.
//
// The lock is only tried. A writer may be asking for it at this instant, and
// anybody may hold it for as long as they like. Then there is another round.
//
// A writer that asked before we had the lock rings no bell. It had its
// transaction id by then, because it wrote its event first. So once we have the
// lock we look which transaction id comes next: until all below have ended and
// are delivered, sleep is not settled and the log is read without a bell.
func (s *session) lieDown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.ReadTimeout)
	defer cancel()
	var held bool
	if err := s.conn.QueryRow(ctx, "SELECT pg_try_advisory_lock_shared($1)", SleepLock).Scan(&held); err != nil {
		return fmt.Errorf("take the lock of those who sleep: %w", err)
	}
	if !held {
		return nil
	}
	m, err := takeMark(ctx, s.conn)
	if err != nil {
		return err
	}
	s.unsettled, s.again = m.xid, 0
	s.load.sleep(time.Now())
	s.turn(Settling)
	return nil
}

// getUp ends the sleep: nobody rings for us any more.
func (s *session) getUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.ReadTimeout)
	defer cancel()
	if _, err := s.conn.Exec(ctx, "SELECT pg_advisory_unlock_shared($1)", SleepLock); err != nil {
		return fmt.Errorf("release the lock of those who sleep: %w", err)
	}
	s.load.wake(time.Now())
	s.turn(Rounds)
	return nil
}
