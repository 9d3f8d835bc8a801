package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/pgbell/pgbell"
)

// screen prints the stream beside a hub. A terminal may stand still for as long
// as somebody holds its scroll bar, and the hub must not wait for that: past
// screenLines what is waiting is counted instead of printed.
type screen struct {
	printer
	more chan struct{} // holds one when something waits

	mu      sync.Mutex // guards what follows
	waiting []arrival
	skipped int
}

// arrival is an event and when it reached us, or a note.
type arrival struct {
	event pgbell.Event
	at    time.Time
	note  string
}

// screenLines is how many lines wait for a slow terminal.
const screenLines = 1000

func newScreen(p printer) *screen {
	return &screen{printer: p, more: make(chan struct{}, 1)}
}

func (s *screen) Deliver(events []pgbell.Event) {
	now := time.Now()
	for _, e := range events {
		s.add(arrival{event: e, at: now})
	}
}

func (s *screen) Advance(pgbell.Cursor) {}
func (s *screen) Gap(gap pgbell.Gap)    { s.add(arrival{note: gap.Error()}) }
func (s *screen) Down(error)            { s.add(arrival{note: "the connection is lost, trying again"}) }

func (s *screen) add(a arrival) {
	s.mu.Lock()
	if len(s.waiting) < screenLines {
		s.waiting = append(s.waiting, a)
	} else {
		s.skipped++
	}
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// run prints until ctx ends.
func (s *screen) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.more:
		}
		s.mu.Lock()
		waiting, skipped := s.waiting, s.skipped
		s.waiting, s.skipped = nil, 0
		s.mu.Unlock()
		for _, a := range waiting {
			var err error
			if a.note != "" {
				err = s.note(a.note)
			} else {
				err = s.event(a.event, a.at)
			}
			if err != nil {
				return fmt.Errorf("print events: %w", err)
			}
		}
		if skipped > 0 {
			if err := s.note(fmt.Sprintf("%d events more, too fast to print", skipped)); err != nil {
				return fmt.Errorf("print events: %w", err)
			}
		}
	}
}
