package main

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/listener"
)

// Quantiles are within the width of a bucket.
func TestSpread(t *testing.T) {
	t.Parallel()
	var s, other spread
	require.Equal(t, delays{}, s.delays())
	for i := 1; i <= 500; i++ {
		s.add(time.Duration(i) * time.Millisecond)
		other.add(time.Duration(500+i) * time.Millisecond)
	}
	s.merge(&other)
	got := s.delays()
	require.EqualValues(t, 1000, got.Count)
	require.InEpsilon(t, 500, got.P50, 0.1)
	require.InEpsilon(t, 950, got.P95, 0.1)
	require.InEpsilon(t, 990, got.P99, 0.1)
	require.InDelta(t, 1000, got.Max, 0)

	var odd spread
	odd.add(-time.Second) // clocks that disagree
	odd.add(0)
	odd.add(1000 * time.Hour)
	got = odd.delays()
	require.LessOrEqual(t, got.P50, 0.001)
	require.InDelta(t, 3.6e9, got.Max, 0)
	require.Less(t, got.P99, got.Max, "the last bucket has no end of its own")
}

func TestRecent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecent()
		// What fills the memory at the start is nobody's latency.
		r.events(0, time.Millisecond)
		r.arrived(time.Minute)
		r.live()
		r.turned(listener.Asleep)
		r.connections("websocket", 1)
		r.connections("websocket", 1)
		r.connections("sse", 1)
		r.connections("sse", -1)
		for range 4 {
			r.events(2, 50*time.Microsecond)
			r.arrived(0)
		}
		r.bell()
		r.failed()
		time.Sleep(sampleEvery / 2)
		r.turned(listener.Rounds)
		r.arrived(sampleEvery / 4)
		time.Sleep(sampleEvery / 2)
		r.sample(time.Now())
		first := time.Now()

		told := r.report(time.Time{})
		require.Len(t, told.Samples, 1)
		p := told.Samples[0]
		require.Equal(t, first.UnixMilli(), p.At)
		require.Equal(t, map[string]int{"websocket": 2, "sse": 0}, p.Connections)
		require.InDelta(t, 2, p.Events, 0)
		require.InDelta(t, 4, p.Delivered, 0)
		require.InDelta(t, 0.5, p.Bells, 0)
		require.InDelta(t, 0.5, p.Errors, 0)
		require.InDelta(t, 0.5, p.Rounds, 0.001)
		require.EqualValues(t, 5, p.Lag.Count)
		require.InDelta(t, 500, p.Behind, 0)
		require.Equal(t, "rounds", p.State)
		require.Equal(t, "rounds", told.State)
		require.EqualValues(t, 5, told.Lag.Count)

		// Without a connection it falls behind as time goes by.
		r.turned(listener.Disconnected)
		for range 3 {
			time.Sleep(sampleEvery)
			r.sample(time.Now())
		}
		told = r.report(first)
		require.Len(t, told.Samples, 3)
		require.InDelta(t, 2000, told.Samples[0].Behind, 1)
		require.InDelta(t, 6000, told.Samples[2].Behind, 1)

		// It is bounded, and the latencies are of the last minute alone.
		for range keptSamples + 5 {
			time.Sleep(sampleEvery)
			r.sample(time.Now())
		}
		told = r.report(time.Time{})
		require.Len(t, told.Samples, keptSamples)
		require.Equal(t, time.Now().UnixMilli(), told.Samples[keptSamples-1].At)
		require.Equal(t, told.Samples[0].At, time.Now().Add(-(keptSamples-1)*sampleEvery).UnixMilli())
		require.Zero(t, told.Lag.Count)
	})
}
