package listener

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
)

func TestBackoff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const rounds = 300
		b := backoff{min: 100 * time.Millisecond, max: 5 * time.Second}
		bounds := []time.Duration{100, 200, 400, 800, 1600, 3200, 5000, 5000}
		longest := make([]time.Duration, len(bounds))
		for range rounds {
			for i, bound := range bounds {
				began := time.Now()
				b.wait(t.Context())
				took := time.Since(began)
				require.LessOrEqual(t, took, bound*time.Millisecond)
				longest[i] = max(longest[i], took)
			}
			b.reset()
		}
		for i, bound := range bounds {
			require.Greater(t, longest[i], bound*time.Millisecond/2, "the whole range is used")
		}
	})
}

func TestBackoffEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		b := backoff{min: 1000 * time.Hour, max: 1000 * time.Hour}
		began := time.Now()
		b.wait(ctx)
		require.LessOrEqual(t, time.Since(began), time.Second)
	})
}

type deaf struct{}

func (deaf) Deliver([]pgbell.Event) {}
func (deaf) Advance(pgbell.Cursor)  {}
func (deaf) Gap(pgbell.Gap)         {}
func (deaf) Down(error)             {}

type nowhere struct{ Log }

// An unreachable database is tried again, ever more rarely, for as long as the
// context lasts.
func TestRunKeepsTrying(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		l := New(Options{Sink: deaf{}, Log: nowhere{}, Connect: func(context.Context) (*pgx.Conn, error) {
			attempts++
			return nil, errors.New("connection refused")
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		require.NoError(t, l.Run(ctx))
		// Waits of 2.5 seconds on average once the bound has grown to 5.
		require.InDelta(t, 1440, attempts, 200)
		select {
		case <-l.Ready():
			t.Fatal("never live, but ready")
		default:
		}
	})
}

func TestRunGivesUpOnAMistake(t *testing.T) {
	t.Parallel()
	wrong := &pgconn.PgError{Code: "28P01", Message: "password authentication failed"}
	l := New(Options{Sink: deaf{}, Log: nowhere{}, Connect: func(context.Context) (*pgx.Conn, error) { return nil, wrong }})
	require.ErrorIs(t, l.Run(t.Context()), wrong)

	require.ErrorContains(t, New(Options{}).Run(t.Context()), "required")
}
