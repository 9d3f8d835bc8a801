package oracle

import (
	"context"
	"fmt"
	"io"
	"slices"
)

// Shrink looks for a smaller history that is violated too, until nothing can be
// left out any more or ctx ends. It returns the smallest that it found, at worst
// the given one. What two processes do at once does not repeat, so each attempt
// is made twice.
func Shrink(ctx context.Context, failed *Report) *Report {
	log := failed.Config.Log
	for {
		smaller := shrinkOnce(ctx, failed)
		if smaller == nil {
			return failed
		}
		failed = smaller
		fmt.Fprintf(log, "fails too: %d writers, %d transactions, %d rounds, %d processes, %d clients a user, faults %v, without %d shapes\n",
			failed.Config.Writers, failed.Config.Transactions, failed.Rounds, failed.Config.Nodes, failed.Config.ClientsPerUser, failed.Config.Faults, len(failed.Config.Without))
	}
}

func shrinkOnce(ctx context.Context, failed *Report) *Report {
	for _, smaller := range candidates(failed) {
		smaller.Log = io.Discard
		for range 2 {
			if ctx.Err() != nil {
				return nil
			}
			r, err := Run(ctx, smaller)
			if err == nil && len(r.Violations) > 0 {
				r.Config.Log = failed.Config.Log
				return r
			}
		}
	}
	return nil
}

// candidates are smaller configurations, the boldest first.
func candidates(failed *Report) (all []Config) {
	c := failed.Config
	c.Rounds = failed.Rounds
	with := func(change func(*Config)) {
		smaller := c
		change(&smaller)
		all = append(all, smaller)
	}
	if len(c.Faults) > 0 {
		with(func(s *Config) { s.Faults = []Fault{} })
		half := len(c.Faults) / 2
		if half > 0 {
			with(func(s *Config) { s.Faults = c.Faults[:half] })
			with(func(s *Config) { s.Faults = c.Faults[half:] })
		}
	}
	if c.Rounds > 1 {
		with(func(s *Config) { s.Rounds = 1 })
	}
	if c.Nodes > 1 {
		with(func(s *Config) { s.Nodes = 1 })
	}
	if c.Writers > 1 {
		with(func(s *Config) { s.Writers = c.Writers / 2 })
	}
	if c.Transactions > 10 {
		with(func(s *Config) { s.Transactions = c.Transactions / 2 })
	}
	if c.ClientsPerUser > 1 {
		with(func(s *Config) { s.ClientsPerUser = 1 })
	}
	left := slices.DeleteFunc(Shapes(), func(s Shape) bool { return slices.Contains(c.Without, s) })
	for n := len(left) / 2; n > 0; n /= 2 {
		for part := range slices.Chunk(left, n) {
			if len(part) < len(left) {
				with(func(s *Config) { s.Without = slices.Concat(c.Without, part) })
			}
		}
	}
	return all
}
