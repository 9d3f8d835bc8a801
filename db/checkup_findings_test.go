package db

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Findings about states that no test can bring about at will.
func TestFindings(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	hours := func(n int) *time.Time { at := noon.Add(-time.Duration(n) * time.Hour); return &at }
	for name, test := range map[string]struct {
		got   Finding
		level Level
		what  string
	}{
		"old version":    {versionFinding(14, "14.9"), Error, "PostgreSQL 14.9 is too old: 15 to 18 are supported"},
		"oldest":         {versionFinding(15, "15.1"), OK, "PostgreSQL 15.1"},
		"newest":         {versionFinding(18, "18.0"), OK, "PostgreSQL 18.0"},
		"newer":          {versionFinding(19, "19beta1"), Note, "PostgreSQL 19beta1 is newer than what this version of pgbell was tested with: 15 to 18 are supported"},
		"queue":          {queueFinding(0.001), OK, "the NOTIFY queue is 0.1 % full"},
		"queue filling":  {queueFinding(0.2), Warning, "the NOTIFY queue is 20.0 % full"},
		"queue half":     {queueFinding(0.6), Error, "the NOTIFY queue is 60.0 % full, so pgbell rings no bell; when it is full, every commit that notifies fails"},
		"clock":          {clockFinding(noon, noon.Add(time.Second), noon.Add(2*time.Second)), OK, "the clocks of the database and of this machine agree"},
		"clock ahead":    {clockFinding(noon, noon.Add(time.Minute), noon), Warning, "the clocks of the database and of this machine differ by 1m0s, so latencies are wrong and revocations may refuse the wrong tokens"},
		"clock behind":   {clockFinding(noon, noon.Add(-3*time.Second), noon), Warning, "the clocks of the database and of this machine differ by 3s, so latencies are wrong and revocations may refuse the wrong tokens"},
		"room":           {connectionFindings([]connectionLimit{{"max_connections", 100, 20, ""}, {"role", -1, 500, ""}})[0], OK, "20 of 100 connections are in use"},
		"no room":        {connectionFindings([]connectionLimit{{"max_connections", 100, 92, "raise it"}})[0], Warning, "max_connections leaves 8 connections of 100, and a server takes up to 9"},
		"URL timeout":    {serverSettings{statementTimeout: 5000}.findings()[0], Warning, "the database URL sets statement_timeout to 5000 ms, which may cut off a listener that catches up"},
		"idle sessions":  {serverSettings{idleSessionTimeout: 2000}.findings()[0], Warning, "idle_session_timeout is 2000 ms, which ends connections that wait for a bell"},
		"tracking":       {serverSettings{trackFunctions: "pl"}.findings()[0], OK, "track_functions is pl, so pgbell.status tells what triggers cost"},
		"short":          {transactionFindings([]openTransaction{{"the transaction of pid 7 (app)", time.Minute, ""}})[0], OK, "no transaction has been open for 5m0s"},
		"long":           {transactionFindings([]openTransaction{{"the transaction of pid 7 (app)", 6 * time.Minute, ""}})[0], Note, "the transaction of pid 7 (app) has been open for 6m0s: resets for owners that changed wait for it, and vacuum does"},
		"very long":      {transactionFindings([]openTransaction{{"the prepared transaction 'x'", 2 * time.Hour, "COMMIT PREPARED 'x'"}})[0], Warning, "the prepared transaction 'x' has been open for 2h0m0s: resets for owners that changed wait for it, and vacuum does"},
		"log":            {logState{bytes: 5 << 20, first: hours(30), now: noon}.findings()[0], OK, "the event log holds 5 MB; its oldest event is 30h0m0s old, and 24h0m0s are kept"},
		"log overdue":    {logState{bytes: 3 << 30, first: hours(60), now: noon}.findings()[0], Warning, "the event log holds 3 GB and its oldest event is 60h0m0s old, though 24h0m0s are kept: nobody empties it"},
		"strays":         {logState{strays: 1, now: noon}.findings()[1], Warning, "pgbell.events_rest holds events: a partition of the log was missing when they were written"},
		"moves":          {logState{moves: 20_000, now: noon}.findings()[1], Warning, "about 20000 changes of owners wait in pgbell.owner_moves to be settled"},
		"missing table":  {tableFinding(Table{Schema: "s", Name: "t"}, "", "", false), Error, "the watched table s.t does not exist"},
		"view":           {tableFinding(Table{Schema: "s", Name: "t"}, "v", "p", false), Error, "s.t is no table, so it can have no triggers"},
		"no key":         {tableFinding(Table{Schema: "s", Name: "t"}, "r", "p", false), Error, "s.t has no primary key, so its rows cannot be told apart"},
		"unlogged":       {tableFinding(Table{Schema: "s", Name: "t"}, "r", "u", true), Note, "s.t is unlogged: a crash empties it, and no event tells"},
		"key in watch":   {tableFinding(Table{Schema: "s", Name: "t", Key: []string{"a"}}, "r", "p", false), "", ""},
		"pooler":         {poolerFinding(false, false, false), Error, "a pooler lends another connection for each transaction, so LISTEN does not last and pgbell would hear no bell"},
		"pooler changes": {poolerFinding(true, true, true), Error, "a pooler lends another connection for each transaction, so LISTEN does not last and pgbell would hear no bell"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.what, test.got.What)
			require.Equal(t, test.level, test.got.Level)
			if test.level == Warning || test.level == Error {
				require.NotEmpty(t, test.got.Remedy)
			}
		})
	}
	require.Equal(t, Warning, Worst([]Finding{{Level: OK}, {Level: Warning}, {Level: Note}}))
	require.Equal(t, OK, Worst(nil))
}
