package listener

import (
	"context"
	"time"
)

// pause waits between two rounds. A database that has much to do answers late,
// so there are fewer of them when it matters.
func (s *session) pause(ctx context.Context) error {
	// What bells say now, because another node sleeps, the next round reads.
	for {
		if n, _ := s.conn.WaitForNotification(ended); n == nil {
			break
		}
	}
	timer := time.NewTimer(s.opts.RoundInterval)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
