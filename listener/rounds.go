package listener

import (
	"context"
	"time"
)

// pause waits between two rounds: for as long as the last one took, so that
// half of the time at least the database has rest from us.
func (s *session) pause(ctx context.Context) error {
	// What bells say now, because another node sleeps, the next round reads.
	for {
		if n, _ := s.conn.WaitForNotification(ended); n == nil {
			break
		}
	}
	timer := time.NewTimer(max(s.opts.RoundInterval, min(s.took, maxPause)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// maxPause bounds the wait between two rounds.
const maxPause = 10 * time.Millisecond
