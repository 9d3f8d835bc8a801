package oracle

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Report is what came of a history.
type Report struct {
	Config  Config
	Started time.Time
	// Took is the whole time, Writing that in which the writers wrote.
	Took, Writing time.Duration
	Rounds        int

	// Changes is how many rows committed statements changed; a cascade's are
	// not counted. Committed, RolledBack, Failed and Interrupted are
	// transactions.
	Changes, Committed, RolledBack, Failed, Interrupted int64
	// Shapes counts the committed statements.
	Shapes map[Shape]int
	// Events is how many the log holds.
	Events int
	// Expected is how many messages all clients should have received together;
	// Excepted how many of them a reset stands for.
	Expected, Excepted int
	// Messages and Bytes are what the clients received, of every kind.
	Messages, Bytes int64

	// Faults counts those injected.
	Faults map[Fault]int64
	// Connections, and how many of them ended with which close code; 0 is
	// without one.
	Connections int64
	Closes      map[int]int
	// Cuts is how many connections the links cut.
	Cuts int64
	// Starts is how many pgbell processes were started. Surprises is how many
	// ended though nobody had asked them to.
	Starts, Surprises int64
	// Resets by reason, as clients received them; Fetches of rows; Refreshes
	// of tokens in a connection.
	Resets             map[string]int
	Fetches, Refreshes int64

	// Measured is how many times from the trigger to the client were taken,
	// while no fault was at work; P50 and P99 are of these.
	Measured int
	P50, P99 time.Duration

	// Violations are what must not be. There are none.
	Violations []string
}

// sum fills in what was counted on the way.
func (w *world) sum(r *Report) {
	r.Changes, r.Committed = w.tally.changes.Load(), w.tally.committed.Load()
	r.RolledBack, r.Failed, r.Interrupted = w.tally.rolledBack.Load(), w.tally.failed.Load(), w.tally.interrupted.Load()
	r.Shapes = w.tally.byShape()
	r.Messages, r.Bytes = w.counters.messages.Load(), w.counters.bytes.Load()
	r.Connections = w.counters.connections.Load()
	r.Fetches, r.Refreshes = w.counters.fetches.Load(), w.counters.refreshes.Load()
	w.counters.mu.Lock()
	r.Closes, r.Resets = maps.Clone(w.counters.closes), maps.Clone(w.counters.whys)
	w.counters.mu.Unlock()
	r.Faults = make(map[Fault]int64)
	for f, n := range w.faults.count {
		r.Faults[f] = n.Load()
	}
	for _, c := range w.clients {
		r.Cuts += c.link.cuts.Load()
	}
	for _, n := range w.nodes {
		r.Cuts += n.link.cuts.Load()
		r.Starts += n.starts.Load()
		r.Surprises += n.surprises.Load()
	}
	r.Measured, r.P50, r.P99 = w.latency.count(), w.latency.quantile(0.5), w.latency.quantile(0.99)
}

// String is the report in lines of Markdown.
func (r *Report) String() string {
	var b strings.Builder
	line := func(what string, format string, args ...any) {
		fmt.Fprintf(&b, "| %s | %s |\n", what, fmt.Sprintf(format, args...))
	}
	b.WriteString("| | |\n|---|---|\n")
	line("seed", "%d", r.Config.Seed)
	line("when", "%s, %s on %s with %d CPUs", r.Started.UTC().Format("2006-01-02 15:04 UTC"), r.Took.Round(time.Second), runtime.GOOS+"/"+runtime.GOARCH, runtime.NumCPU())
	line("shape", "%d writers and %d with long transactions, %d users, %d clients (%s), %d pgbell processes", r.Config.Writers, longWriters, r.Config.Users, r.Config.Users*r.Config.ClientsPerUser+1, r.Config.Door, r.Config.Nodes)
	line("rows changed", "%d, in %d rounds: %.0f a second while writing", r.Changes, r.Rounds, float64(r.Changes)/max(r.Writing.Seconds(), 1e-3))
	line("transactions", "%d committed, %d rolled back, %d failed (deadlocks, violated keys), %d interrupted by faults", r.Committed, r.RolledBack, r.Failed, r.Interrupted)
	line("events in the log", "%d", r.Events)
	line("deliveries due", "%d, of which resets stand for %d", r.Expected, r.Excepted)
	line("received", "%d messages, %.1f MB", r.Messages, float64(r.Bytes)/1e6)
	line("connections", "%d by clients; links cut %d", r.Connections, r.Cuts)
	line("ended with", "%s", counts(r.Closes, func(code int) string {
		if code == 0 {
			return "no code"
		}
		return strconv.Itoa(code)
	}))
	line("pgbell starts", "%d, ended by themselves %d", r.Starts, r.Surprises)
	line("resets received", "%s; rows fetched %d times; tokens refreshed %d times", counts(r.Resets, func(s string) string { return s }), r.Fetches, r.Refreshes)
	line("faults", "%s", counts(r.Faults, func(f Fault) string { return string(f) }))
	line("trigger to client, without faults", "median %s, p99 %s of %d", r.P50.Round(10*time.Microsecond), r.P99.Round(10*time.Microsecond), r.Measured)
	line("violations", "%d", len(r.Violations))
	return b.String()
}

func counts[K comparable, N int | int64](of map[K]N, name func(K) string) string {
	var parts []string
	for k, n := range of {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", name(k), n))
		}
	}
	if parts == nil {
		return "none"
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// Summary is the violations, at most so many, and how to see them again.
func (r *Report) Summary(most int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d violations with seed %d in round %d\n", len(r.Violations), r.Config.Seed, r.Rounds)
	for i, v := range r.Violations {
		if i == most {
			fmt.Fprintf(&b, "and %d more\n", len(r.Violations)-most)
			break
		}
		b.WriteString(v + "\n")
	}
	return b.String()
}
