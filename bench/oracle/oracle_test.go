package oracle_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/bench/oracle"
)

var (
	seed     = flag.Uint64("oracle.seed", 0, "seed of the history; 0 takes one from the clock")
	changes  = flag.Int("oracle.changes", 20_000, "rows to change")
	round    = flag.Int("oracle.transactions", 0, "transactions of a writer in a round")
	duration = flag.Duration("oracle.duration", 0, "end the history after so long")
	faults   = flag.String("oracle.faults", "all", "faults, separated by commas: all, none, names, -names")
	without  = flag.String("oracle.without", "", "shapes to leave out, separated by commas; a word leaves out those that contain it")
	nodes    = flag.Int("oracle.nodes", 0, "pgbell processes")
	door     = flag.String("oracle.door", "mixed", "how clients get the stream: websocket, socketio, sse, longpoll, poll, or mixed")
	module   = flag.String("oracle.module", "../..", "directory of the module whose pgbell is put to the proof")
	race     = flag.Bool("oracle.race", false, "build pgbell with the race detector")
	report   = flag.String("oracle.report", "", "file for the report")
	shrink   = flag.Duration("oracle.shrink", time.Minute, "how long to look for a smaller history that fails")
)

// logger writes to the test's log.
type logger struct{ t *testing.T }

func (l logger) Write(p []byte) (int, error) {
	l.t.Log(string(bytes.TrimRight(p, "\n")))
	return len(p), nil
}

// shapes are those that contain a word of the list.
func shapes(list string) (found []oracle.Shape) {
	for word := range strings.SplitSeq(list, ",") {
		for _, s := range oracle.Shapes() {
			if word != "" && strings.Contains(string(s), word) {
				found = append(found, s)
			}
		}
	}
	return found
}

func TestOracle(t *testing.T) {
	ctx := t.Context()
	binary := filepath.Join(t.TempDir(), "pgbell")
	require.NoError(t, oracle.Build(ctx, *module, binary, *race))
	entrance, err := oracle.ParseDoor(*door)
	require.NoError(t, err)
	config := oracle.Config{
		Door: entrance,
		Seed: *seed, Changes: *changes, Transactions: *round, Duration: *duration, Nodes: *nodes,
		Faults: oracle.ParseFaults(*faults), Without: shapes(*without), Binary: binary, Log: logger{t},
	}
	if config.Seed == 0 {
		config.Seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", config.Seed)
	r, err := oracle.Run(ctx, config)
	require.NoError(t, err)
	t.Logf("the history:\n%s", r)
	if *report != "" {
		require.NoError(t, os.WriteFile(*report, []byte(r.String()), 0o644))
	}
	if len(r.Violations) > 0 {
		t.Error(r.Summary(20))
		ctx, cancel := context.WithTimeout(ctx, *shrink)
		defer cancel()
		small := oracle.Shrink(ctx, r)
		t.Errorf("the smallest history found that fails:\n%s\n%s", small, small.Summary(20))
	}
}
