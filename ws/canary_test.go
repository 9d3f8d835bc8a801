package ws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
)

// canarySignal is the signal of a canary that landed.
func canarySignal(node string, flight int64) func(*pgbell.Event) {
	return func(e *pgbell.Event) {
		e.Body = pgbell.Body{
			Type: signalCanary, Op: pgbell.Publish, Action: "released",
			Data: json.RawMessage(fmt.Sprintf(`{"node":%q,"flight":%d}`, node, flight)),
		}
	}
}

func TestCanaryIsShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s *server
		var flights atomic.Int64
		broken := errors.New("no database")
		mode := ""
		h := NewHub(Options{Canary: func(ctx context.Context, node string, flight int64) error {
			flights.Add(1)
			switch mode {
			case "broken":
				return broken
			case "stuck":
				<-ctx.Done()
				return ctx.Err()
			case "lost":
				s.change(canarySignal("another", flight))
				s.change(canarySignal(node, flight-1))
				s.change(func(e *pgbell.Event) { e.Body = pgbell.Body{Type: signalCanary, Op: pgbell.Publish} })
				return nil
			}
			time.Sleep(30 * time.Millisecond)
			s.change(canarySignal(node, flight)) // before the commit is known here
			time.Sleep(50 * time.Millisecond)
			return nil
		}})
		s = &server{feed: newFeed(newDatabase(), h)}
		defer func() { h.cancel(); h.wg.Wait() }()

		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				took, err := h.Canary(t.Context(), time.Second)
				assert.NoError(t, err)
				assert.Equal(t, 30*time.Millisecond, took)
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, flights.Load())
		time.Sleep(900 * time.Millisecond)
		_, err := h.Canary(t.Context(), time.Second)
		require.NoError(t, err)
		require.EqualValues(t, 1, flights.Load(), "at most one a second")
		time.Sleep(100 * time.Millisecond)
		_, err = h.Canary(t.Context(), time.Second)
		require.NoError(t, err)
		require.EqualValues(t, 2, flights.Load())

		for m, want := range map[string]string{"broken": "no database", "stuck": "deadline exceeded", "lost": "did not arrive within 1s"} {
			time.Sleep(time.Second)
			mode = m
			began := time.Now()
			_, err = h.Canary(t.Context(), time.Second)
			require.ErrorContains(t, err, want)
			require.LessOrEqual(t, time.Since(began), time.Second)
		}
		require.EqualValues(t, 5, flights.Load())

		// Whoever goes away lets the others have the result.
		mode = ""
		time.Sleep(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		wg.Go(func() {
			_, err := h.Canary(t.Context(), time.Second)
			assert.NoError(t, err)
		})
		_, err = h.Canary(ctx, time.Second)
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
		wg.Wait()
	})
}

func TestReadyz(t *testing.T) {
	t.Parallel()
	var s *server
	var lost atomic.Bool
	var flights atomic.Int64
	s = serve(t, Options{Canary: func(_ context.Context, node string, flight int64) error {
		flights.Add(1)
		if !lost.Load() {
			s.change(canarySignal(node, flight))
		}
		return nil
	}}, HandlerOptions{CanaryWithin: 50 * time.Millisecond, ReadyWithin: time.Hour})
	get := func() (int, map[string]any) {
		t.Helper()
		response, err := http.Get(s.url + "/readyz")
		require.NoError(t, err)
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		var body map[string]any
		require.NoError(t, json.Unmarshal(text, &body), "%s", text)
		return response.StatusCode, body
	}
	status, body := get()
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, body["message"], "not live")
	require.Zero(t, flights.Load(), "nobody flies while the stream is down")

	s.live()
	status, body = get()
	require.Equal(t, http.StatusOK, status, "%v", body)
	require.Equal(t, "ready", body["status"])
	require.Positive(t, body["canaryMs"])

	lost.Store(true)
	require.Eventually(t, func() bool {
		status, body = get()
		return status == http.StatusServiceUnavailable
	}, 10*time.Second, 50*time.Millisecond)
	require.Contains(t, body["message"], "within 50ms")
	s.hub.Down(errors.New("gone"))
	_, body = get()
	require.Contains(t, body["message"], "not live")
}
