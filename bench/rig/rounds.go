package rig

import (
	"slices"
	"time"
)

// Rounds are the samples of one way, round by round.
type Rounds [][]time.Duration

// Percentile is of all rounds together; see [Percentile].
func (r Rounds) Percentile(p float64) time.Duration { return Percentile(slices.Concat(r...), p) }

// Medians is the lowest, the middle and the highest of the rounds' medians.
func (r Rounds) Medians() (low, mid, high time.Duration) {
	medians := r.medians()
	return Percentile(medians, 0), Median(medians), Percentile(medians, 100)
}

// Ratios is the lowest, the middle and the highest of the rounds' medians
// divided by those of the same rounds of another way.
func (r Rounds) Ratios(to Rounds) (low, mid, high float64) { return Ratios(r.medians(), to.medians()) }

func (r Rounds) medians() []time.Duration {
	medians := make([]time.Duration, len(r))
	for i, round := range r {
		medians[i] = Median(round)
	}
	return medians
}
