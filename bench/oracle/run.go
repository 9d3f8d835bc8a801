package oracle

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Run plays one history and returns what came of it. The error is that of
// something the history itself needs; what pgbell did wrong is in the report.
func Run(ctx context.Context, config Config) (*Report, error) {
	config = config.withDefaults()
	began := time.Now()
	w, err := start(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("start the oracle: %w", err)
	}
	report := &Report{Config: config, Started: began}
	err = w.play(ctx, report)
	report.Took = time.Since(began)
	w.sum(report)
	if len(report.Violations) > 0 {
		for _, n := range w.nodes {
			fmt.Fprintf(config.Log, "--- the log of %s\n%s\n", n.name, n.log.String())
		}
	}
	return report, errors.Join(err, w.close())
}

func (w *world) play(ctx context.Context, report *Report) error {
	for ctx.Err() == nil {
		began, before := time.Now(), w.tally.changes.Load()
		if err := w.round(ctx, report.Rounds); err != nil {
			return fmt.Errorf("round %d: %w", report.Rounds+1, err)
		}
		wrote := time.Now()
		done, err := w.verify(ctx)
		if err != nil {
			return fmt.Errorf("verify round %d: %w", report.Rounds+1, err)
		}
		report.Rounds++
		report.Writing += wrote.Sub(began)
		report.Events += done.events
		report.Expected += done.expected
		report.Excepted += done.excepted
		report.Violations = append(report.Violations, done.violations...)
		changes := w.tally.changes.Load()
		fmt.Fprintf(w.config.Log, "round %d: %d changes in %.1f s, settled in %.1f s, verified in %.1f s; %d changes in all, %d deliveries, %d resets\n",
			report.Rounds, changes-before, wrote.Sub(began).Seconds(), done.settled.Seconds(), (time.Since(wrote) - done.settled).Seconds(), changes, report.Expected, w.counters.resets.Load())
		switch {
		case len(report.Violations) > 0,
			int(changes) >= w.config.Changes,
			w.config.Rounds > 0 && report.Rounds >= w.config.Rounds,
			w.config.Duration > 0 && time.Since(report.Started) >= w.config.Duration:
			return w.finish(ctx, report)
		}
	}
	return context.Cause(ctx)
}

// finish makes sure that the rounds read the whole log, and that nothing comes
// late: an event that arrives after the last round is one too many.
func (w *world) finish(ctx context.Context, report *Report) error {
	if len(report.Violations) > 0 {
		return nil
	}
	done, err := w.verify(ctx)
	if err != nil {
		return err
	}
	report.Events += done.events
	report.Expected += done.expected
	report.Violations = append(report.Violations, done.violations...)
	total, err := w.total(ctx)
	if err == nil && total != report.Events {
		report.Violations = append(report.Violations, fmt.Sprintf("the log holds %d events, the oracle read %d", total, report.Events))
	}
	return err
}
