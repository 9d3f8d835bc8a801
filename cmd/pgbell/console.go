package main

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgbell/pgbell/cmd/pgbell/config"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/triggers"
	"github.com/pgbell/pgbell/ws"
)

// tablesEvery is for how long one look at the tables is good, whoever asks: to
// find drift is a good part of a plan.
const tablesEvery = 5 * time.Second

// console answers operators in the words of package ws.
type console struct {
	recent *recent
	pool   *pgxpool.Pool
	tables *config.Config

	mu     sync.Mutex // guards what follows
	report *consoleTables
}

// consoleTables is what triggers status prints, and the switches.
type consoleTables struct {
	CheckedAt time.Time `json:"checked_at"`
	// Unknown is why the drift is not known; empty if it is.
	Unknown string `json:"unknown,omitempty"`
	statusReport
	Switches []switchReport `json:"switches"`
}

// switchReport is a setting of pgbell that somebody set for more than a session.
type switchReport struct {
	Setting string `json:"setting"`
	Value   string `json:"value"`
	Scope   string `json:"scope"`
	Undo    string `json:"undo"`
	// Off says that it keeps events from being recorded.
	Off bool `json:"off"`
}

// Recent implements [ws.Console].
func (c *console) Recent(after time.Time) any { return c.recent.report(after) }

// Tables implements [ws.Console]. The handler asks one question at a time.
func (c *console) Tables(ctx context.Context) (any, error) {
	c.mu.Lock()
	report := c.report
	c.mu.Unlock()
	if report != nil && time.Since(report.CheckedAt) < tablesEvery {
		return report, nil
	}
	report, err := c.look(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.report = report
	c.mu.Unlock()
	return report, nil
}

// look asks the database.
func (c *console) look(ctx context.Context) (report *consoleTables, err error) {
	err = c.pool.AcquireFunc(ctx, func(pooled *pgxpool.Conn) error {
		conn := pooled.Conn()
		watched, err := watches(ctx, conn, c.tables)
		if err != nil {
			return err
		}
		status, err := db.ReadStatus(ctx, conn)
		if err != nil {
			return err
		}
		report = &consoleTables{Switches: []switchReport{}}
		drift, err := triggers.Status(ctx, conn, watched)
		if err != nil {
			report.Unknown = oneLine(err)
		}
		report.statusReport = *newStatusReport(status, watched, drift)
		switches, err := db.Switches(ctx, conn)
		for _, s := range switches {
			report.Switches = append(report.Switches, switchReport{s.Setting, s.Value, s.Scope(), s.Undo(), s.Off()})
		}
		report.CheckedAt = time.Now().UTC()
		return err
	})
	return report, err
}

// Why implements [ws.Console].
func (c *console) Why(ctx context.Context, q ws.WhyQuery) (any, error) {
	question := whyCommand{User: q.User, Role: q.Roles, Table: q.Table, Key: q.Key}
	answer, err := question.explain(ctx, c.pool, c.tables)
	if usage, ok := errors.AsType[*usageError](err); ok {
		// The parameters are named like the flags.
		return nil, ws.Mistake(strings.TrimPrefix(usage.message, "--"))
	}
	if err != nil {
		return nil, err
	}
	return answer, nil
}
