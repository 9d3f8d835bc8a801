package rig_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/bench/rig"
)

func TestRounds(t *testing.T) {
	t.Parallel()
	a := rig.Rounds{{4, 1, 3}, {30, 10, 20}}
	require.Equal(t, []time.Duration{1, 4, 30, 30}, []time.Duration{a.Percentile(0), a.Percentile(50), a.Percentile(99), a.Percentile(100)})
	low, mid, high := a.Medians()
	require.Equal(t, []time.Duration{3, 3, 20}, []time.Duration{low, mid, high})
	b := rig.Rounds{{6}, {10}}
	l, m, h := a.Ratios(b)
	require.Equal(t, []float64{0.5, 0.5, 2}, []float64{l, m, h})
	require.Zero(t, rig.Rounds{}.Percentile(50))
}
