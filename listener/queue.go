package listener

import (
	"context"
	_ "embed"
	"fmt"
	"time"
)

//go:embed queue.sql
var queueSQL string

// look counts the writers that wait for each other because they ring. It costs
// a query, so it is done now and then, and only while bells come.
func (s *session) look(ctx context.Context) error {
	if !s.load.looks(time.Now()) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.ReadTimeout)
	defer cancel()
	var n int
	if err := s.conn.QueryRow(ctx, queueSQL).Scan(&n); err != nil {
		return fmt.Errorf("count the writers that wait: %w", err)
	}
	s.load.saw(n, time.Now())
	return nil
}
