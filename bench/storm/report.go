package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// outcome is one storm.
type outcome struct {
	returned
	name         string
	clients      int
	missed       int // events by each client
	lasted       time.Duration
	queries      map[string]int
	cpu          time.Duration // of pgbell
	before, peak int64         // memory of pgbell in bytes
}

// report prints a table of Markdown.
func report(out io.Writer, outcomes []outcome) {
	fmt.Fprintln(out, "| case | live p50 | p99 | all | all caught up | recovered | missed by each, delivered once | attempts refused | queries | pgbell CPU | memory before | peak |")
	fmt.Fprintln(out, "|---|--:|--:|--:|--:|--:|--:|---|---|--:|--:|--:|")
	for _, o := range outcomes {
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %d of %d | %d | %s | %s in %s | %s | %s | %s |\n",
			o.name, seconds(o.Live50), seconds(o.Live99), seconds(o.Live), seconds(o.Whole), o.clients-o.Fresh, o.clients,
			o.missed, list(o.Refused), list(o.queries), seconds(o.lasted), seconds(o.cpu), mib(o.before), mib(o.peak))
	}
}

// list sums up what is counted by name.
func list(counts map[string]int) string {
	sum := 0
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		sum += counts[name]
		parts = append(parts, fmt.Sprintf("%s %d", name, counts[name]))
	}
	if sum == 0 {
		return "0"
	}
	return fmt.Sprintf("%d (%s)", sum, strings.Join(parts, ", "))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
