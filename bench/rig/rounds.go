package rig

import (
	"math"
	"slices"
	"time"
)

// Rounds are the samples of one way, round by round.
type Rounds [][]time.Duration

// Percentile is of all rounds together, by the nearest rank. It is 0 without
// samples.
func (r Rounds) Percentile(p float64) time.Duration { return percentile(slices.Concat(r...), p) }

// Medians is the lowest, the middle and the highest of the rounds' medians.
func (r Rounds) Medians() (low, mid, high time.Duration) {
	medians := make([]time.Duration, len(r))
	for i, round := range r {
		medians[i] = percentile(round, 50)
	}
	return percentile(medians, 0), percentile(medians, 50), percentile(medians, 100)
}

// Ratios is the lowest, the middle and the highest of the rounds' medians
// divided by those of the same rounds of another way.
func (r Rounds) Ratios(to Rounds) (low, mid, high float64) {
	ratios := make([]float64, min(len(r), len(to)))
	for i := range ratios {
		ratios[i] = float64(percentile(r[i], 50)) / float64(percentile(to[i], 50))
	}
	return percentile(ratios, 0), percentile(ratios, 50), percentile(ratios, 100)
}

func percentile[T time.Duration | float64](samples []T, p float64) T {
	if len(samples) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(samples))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}
