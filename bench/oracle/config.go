package oracle

import (
	"cmp"
	"io"
	"slices"
	"strings"
	"time"
)

// Config is one history. The zero value is a short one with every fault.
type Config struct {
	// Seed decides the plan of the writers and of the faults. Default: 1.
	Seed uint64
	// Changes is how many rows are to be changed; the history ends after the
	// round in which that many were. Default: 20,000.
	Changes int
	// Duration ends the history early, after the round in which it passes.
	// Default: no limit.
	Duration time.Duration
	// Rounds ends the history after so many. Default: no limit.
	Rounds int

	// Writers is how many sessions write at once. Two more hold long
	// transactions. Default: 8.
	Writers int
	// Transactions is how many each writer runs in a round. Default: 300.
	Transactions int
	// Users, at most 6, each own rows and are client of some and provider of
	// others. Default: 6.
	Users int
	// ClientsPerUser is how many connections each user has. One more client
	// watches all. Default: 2.
	ClientsPerUser int
	// Nodes is how many pgbell processes there are. A client takes another one
	// each time it connects. Default: 2.
	Nodes int
	// Door is how the clients get the stream. Default: Mixed.
	Door Door
	// Faults are those that happen; an empty list is none. Default: all.
	Faults []Fault
	// Without are the shapes of change that the plan leaves out. Default: none.
	Without []Shape

	// Patience is how long nothing may arrive, after a round, while something
	// is missing. Default: 30 s.
	Patience time.Duration

	// Binary is the pgbell executable. Required.
	Binary string
	// Log gets a line a round, and the servers' logs when something is
	// violated. Default: nobody.
	Log io.Writer
}

func (c Config) withDefaults() Config {
	c.Seed = cmp.Or(c.Seed, 1)
	c.Changes = cmp.Or(c.Changes, 20_000)
	c.Writers = cmp.Or(c.Writers, 8)
	c.Transactions = cmp.Or(c.Transactions, 300)
	c.Users = min(cmp.Or(c.Users, len(names)), len(names))
	c.ClientsPerUser = cmp.Or(c.ClientsPerUser, 2)
	c.Nodes = cmp.Or(c.Nodes, 2)
	c.Door = cmp.Or(c.Door, Mixed)
	c.Patience = cmp.Or(c.Patience, 30*time.Second)
	if c.Faults == nil {
		c.Faults = Faults
	}
	if c.Log == nil {
		c.Log = io.Discard
	}
	return c
}

func (c Config) has(f Fault) bool { return slices.Contains(c.Faults, f) }

// names are the users. No name is a part of another.
var names = []string{"ada", "ben", "cleo", "dan", "eve", "finn"}

// watcherRole sees every order and all stock.
const watcherRole = "ADMIN"

// Fault is one way to break something.
type Fault string

// The faults.
const (
	CutClient      Fault = "cut client"       // a client's connection is cut at some byte
	StallClient    Fault = "stall client"     // it passes nothing for a while
	SlowClient     Fault = "slow client"      // it passes little, so that the server cuts it (4008)
	ExpireToken    Fault = "expire token"     // tokens live for seconds; most are refreshed in time
	KillServer     Fault = "kill server"      // pgbell is killed with -9 and started again
	StopServer     Fault = "stop server"      // pgbell gets SIGTERM and is started again
	FreezeServer   Fault = "freeze server"    // pgbell is stopped for a while (SIGSTOP)
	CutDatabase    Fault = "cut database"     // pgbell's connections to Postgres are cut at some byte
	StallDatabase  Fault = "stall database"   // they pass nothing for a while
	EndBackend     Fault = "end backend"      // a backend that serves pgbell is terminated
	RestartFast    Fault = "restart postgres" // Postgres is restarted in order
	RestartAtOnce  Fault = "stop postgres"    // Postgres is restarted without a checkpoint
	CrashPostgres  Fault = "crash postgres"   // its postmaster is killed with -9
	CrashBackend   Fault = "crash backend"    // a backend is killed with -9, and all others go with it
	KillEverything Fault = "kill everything"  // Postgres and every pgbell at once
	// QuietCrash comes before a round: a transaction is rolled back, pgbell has
	// time to see that, and Postgres crashes before it wrote it down. Postgres
	// then gives out the same transaction id again.
	QuietCrash Fault = "quiet crash"
)

// Faults are all of them.
var Faults = []Fault{
	CutClient, StallClient, SlowClient, ExpireToken,
	KillServer, StopServer, FreezeServer, CutDatabase, StallDatabase, EndBackend,
	RestartFast, RestartAtOnce, CrashPostgres, CrashBackend, KillEverything, QuietCrash,
}

// ParseFaults reads a list separated by commas: "all", "none", names, and names
// with a minus in front that are taken out.
func ParseFaults(list string) []Fault {
	faults := []Fault{}
	for word := range strings.SplitSeq(list, ",") {
		word = strings.TrimSpace(word)
		switch without, minus := strings.CutPrefix(word, "-"); {
		case word == "" || word == "none":
		case word == "all":
			faults = append(faults, Faults...)
		case minus:
			faults = slices.DeleteFunc(faults, func(f Fault) bool { return f == Fault(without) })
		default:
			faults = append(faults, Fault(word))
		}
	}
	return faults
}
