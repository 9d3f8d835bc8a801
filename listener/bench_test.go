package listener_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/listener"
)

// From the start of a writer's transaction of one event, which commits and
// rings, to the Sink; and the same to a bare LISTEN loop. The database does
// nothing else.
func BenchmarkBell(b *testing.B) {
	b.Run("pgbell", func(b *testing.B) {
		url := pgtest.Database(b)
		s := stopwatch{heard: make(chan time.Time, 1)}
		l := listener.New(listener.Options{Log: eventLog{}, Sink: s, Connect: func(ctx context.Context) (*pgx.Conn, error) {
			return db.Connect(ctx, url, db.Options{})
		}})
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- l.Run(ctx) }()
		<-l.Ready()
		measure(b, url, s.heard)
		cancel()
		require.NoError(b, <-ended)
	})
	b.Run("bare", func(b *testing.B) {
		url := pgtest.Database(b)
		conn := pgtest.Connect(b, url)
		run(b, conn, "LISTEN pgbell")
		ctx, cancel := context.WithCancel(context.Background())
		heard, ended := make(chan time.Time, 1), make(chan struct{})
		go func() {
			defer close(ended)
			for {
				if _, err := conn.WaitForNotification(ctx); err != nil {
					return
				}
				heard <- time.Now()
			}
		}()
		measure(b, url, heard)
		cancel()
		<-ended
	})
}

func measure(b *testing.B, url string, heard <-chan time.Time) {
	conn := pgtest.Connect(b, url)
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		record(b, conn, body(1, 1))
		took = append(took, (<-heard).Sub(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
}

// stopwatch is a Sink that tells the time of each event.
type stopwatch struct{ heard chan time.Time }

func (s stopwatch) Deliver(events []pgbell.Event) {
	for range events {
		s.heard <- time.Now()
	}
}
func (stopwatch) Advance(pgbell.Cursor) {}
func (stopwatch) Gap(pgbell.Gap)        {}
func (stopwatch) Down(error)            {}
