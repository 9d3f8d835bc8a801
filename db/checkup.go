package db

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Level says how much a [Finding] matters.
type Level string

// The levels, from good to bad.
const (
	OK      Level = "ok"      // as it should be
	Note    Level = "note"    // good to know
	Warning Level = "warning" // it works, and will disappoint
	Error   Level = "error"   // something does not work
)

// Finding is what one look at the database found.
type Finding struct {
	Level Level `json:"level"`
	// Check is what was looked at, a stable word for programs.
	Check string `json:"check"`
	// What was found, and where, in one sentence without a full stop.
	What string `json:"what"`
	// Remedy is what to do, in one sentence without a full stop; SQL where
	// there is some. Empty if there is nothing to do.
	Remedy string `json:"remedy,omitempty"`
}

// Worst is the highest level among findings.
func Worst(findings []Finding) Level {
	levels := []Level{OK, Note, Warning, Error}
	worst := 0
	for _, f := range findings {
		worst = max(worst, slices.Index(levels, f.Level))
	}
	return levels[worst]
}

// CheckupOptions say what to look for.
type CheckupOptions struct {
	// Tables are the watched ones.
	Tables []Table
	// Duty of the connected role. Default: [Server].
	Duty Duty
}

// Checkup looks at a database as the connected role may, changes nothing, and
// goes on where a look fails: that is a finding, too. It holds no lock and
// reads of the log only what an index finds. The connection must not be in a
// transaction.
func Checkup(ctx context.Context, conn *pgx.Conn, opts CheckupOptions) ([]Finding, error) {
	if opts.Duty == "" {
		opts.Duty = Server
	}
	var all []Finding
	for _, c := range checks {
		findings, err := c.look(ctx, conn, opts)
		if ctx.Err() != nil || conn.IsClosed() {
			return all, fmt.Errorf("look at the %s: %w", c.name, err)
		}
		if err != nil {
			findings = append(findings, Finding{Level: Warning, What: "it could not be looked at: " + err.Error()})
		}
		for i := range findings {
			findings[i].Check = c.name
		}
		all = append(all, findings...)
	}
	return all, nil
}

// check is one look at the database.
type check struct {
	name string
	look func(context.Context, *pgx.Conn, CheckupOptions) ([]Finding, error)
}

// checks are all, in the order in which their findings are told: what the
// others rest on comes first.
var checks = []check{
	{"version", checkVersion},
	{"standby", checkStandby},
	{"privileges", checkPrivileges},
	{"switches", checkSwitches},
	{"settings", checkSettings},
	{"connections", checkConnections},
	{"clock", checkClock},
	{"queue", checkQueue},
	{"transactions", checkTransactions},
	{"log", checkLog},
	{"tables", checkTables},
	{"leftovers", checkLeftovers},
}
