package rig

import (
	"math"
	"slices"
	"time"
)

// Percentile is by the nearest rank. It is 0 without samples.
func Percentile[T time.Duration | float64](samples []T, p float64) T {
	if len(samples) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(samples))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}

// Median is the 50th [Percentile].
func Median[T time.Duration | float64](samples []T) T { return Percentile(samples, 50) }

// Ratios divides a by b, each by the one of the same round, and tells the
// lowest, the middle and the highest.
func Ratios[T time.Duration | float64](a, b []T) (low, mid, high float64) {
	ratios := make([]float64, min(len(a), len(b)))
	for i := range ratios {
		ratios[i] = float64(a[i]) / float64(b[i])
	}
	return Percentile(ratios, 0), Median(ratios), Percentile(ratios, 100)
}
