package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/pgbell/pgbell/bench/rig"
)

// line is what is told of one variant under one load.
type line struct {
	writers           int
	name              string
	rate              float64 // commits a second, the median of the rounds
	toBare, toNotify  ratio
	latency50         time.Duration
	latency99         time.Duration
	delay50, delay99  time.Duration
	heard             bool
	postgres, listens time.Duration // CPU for each commit, the median of the rounds
	listened          bool
}

// ratio is of rates, by round. The zero value is none.
type ratio struct{ low, mid, high float64 }

func (r ratio) String() string {
	if r == (ratio{}) {
		return "–"
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", r.mid, r.low, r.high)
}

// summarize makes lines of all variants' turns.
func summarize(writers int, of []variant, results [][]turn) []line {
	rates := func(turns []turn) []float64 {
		all := make([]float64, len(turns))
		for i, t := range turns {
			all[i] = t.rate()
		}
		return all
	}
	compare := func(turns []turn, name string) (r ratio) {
		if i := slices.IndexFunc(of, func(v variant) bool { return v.name == name }); i >= 0 {
			r.low, r.mid, r.high = rig.Ratios(rates(turns), rates(results[i]))
		}
		return r
	}
	lines := make([]line, len(of))
	for i, v := range of {
		turns := results[i]
		l := line{
			writers: writers, name: v.name, rate: rig.Median(rates(turns)),
			toBare: compare(turns, bare), toNotify: compare(turns, notify),
			listened: v.served || v.ear != "",
		}
		var latency, delay rig.Rounds
		var postgres, listens []time.Duration
		for _, t := range turns {
			latency, delay = append(latency, t.latency), append(delay, t.delay)
			postgres = append(postgres, t.cpu/time.Duration(max(t.all, 1)))
			listens = append(listens, t.hearing/time.Duration(max(t.all, 1)))
			l.heard = l.heard || len(t.delay) > 0
		}
		l.latency50, l.latency99 = latency.Percentile(50), latency.Percentile(99)
		l.delay50, l.delay99 = delay.Percentile(50), delay.Percentile(99)
		l.postgres, l.listens = rig.Median(postgres), rig.Median(listens)
		lines[i] = l
	}
	return lines
}

// report prints a table of Markdown.
func report(out io.Writer, rows int, lines []line) {
	what := "Statements of one row"
	if rows > 1 {
		what = fmt.Sprintf("Statements of %d rows", rows)
	}
	fmt.Fprintf(out, "\n%s:\n\n", what)
	fmt.Fprintln(out, "| writers | variant | commits/s | to bare | to notify | commit p50 | p99 | end to end p50 | p99 | Postgres CPU a commit | listener CPU a commit |")
	fmt.Fprintln(out, "|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, l := range lines {
		delay50, delay99, listens := "–", "–", "–"
		if l.heard {
			delay50, delay99 = ms(l.delay50), ms(l.delay99)
		}
		if l.listened {
			listens = ms(l.listens)
		}
		fmt.Fprintf(out, "| %d | %s | %.0f | %s | %s | %s | %s | %s | %s | %s | %s |\n",
			l.writers, l.name, l.rate, l.toBare, l.toNotify, ms(l.latency50), ms(l.latency99), delay50, delay99, ms(l.postgres), listens)
	}
}

func ms(d time.Duration) string {
	digits := 2
	if d >= 100*time.Millisecond {
		digits = 0
	}
	return fmt.Sprintf("%.*f ms", digits, float64(d.Microseconds())/1000)
}

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
