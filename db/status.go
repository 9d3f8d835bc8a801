package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Status is how pgbell stands in a database: the view pgbell.status, whose
// columns say what they mean.
type Status struct {
	Tables     []TableActivity `json:"tables"`
	Log        LogSize         `json:"log"`
	Partitions []LogSize       `json:"partitions"`
	Listeners  []ListenerState `json:"listeners"`
	// Queue is how full the NOTIFY queue of the cluster is, from 0 to 1.
	Queue float64 `json:"notify_queue"`
}

// TableActivity is one table with triggers of ours.
type TableActivity struct {
	Table string `json:"table"`
	// Triggers is enabled, disabled, replica, always or missing.
	Triggers        string     `json:"triggers"`
	EventsPerMinute float64    `json:"events_per_minute"`
	LastEventAt     *time.Time `json:"last_event_at"`
	// Calls and MeanMS, the mean time of one in milliseconds, are nil unless
	// track_functions is on.
	Calls  *int64   `json:"calls"`
	MeanMS *float64 `json:"mean_ms"`
}

// LogSize is the event log or one of its partitions.
type LogSize struct {
	Name  string `json:"name"`
	State string `json:"state"`
	Bytes int64  `json:"bytes"`
	Rows  int64  `json:"rows_estimate"`
	// Of the whole log only.
	EventsPerMinute *float64   `json:"events_per_minute,omitempty"`
	FirstEventAt    *time.Time `json:"first_event_at,omitempty"`
	LastEventAt     *time.Time `json:"last_event_at,omitempty"`
}

// ListenerState is a connection that listens.
type ListenerState struct {
	Name string `json:"name"`
	// State is asleep or on rounds.
	State string `json:"state"`
	// SilentMS is since when it has asked nothing, in milliseconds; nil if the
	// connected role may not see it.
	SilentMS *float64 `json:"silent_ms"`
}

// ReadStatus reads pgbell.status. The role needs USAGE on schema pgbell and
// SELECT on the view.
func ReadStatus(ctx context.Context, conn *pgx.Conn) (s Status, err error) {
	rows, err := conn.Query(ctx, `
SELECT part, name, state, events_per_minute::float8, first_event_at, last_event_at, bytes, rows_estimate, calls, mean_ms,
       extract(epoch FROM silent_for)::float8 * 1000, used
  FROM pgbell.status
 ORDER BY part, name`)
	if err != nil {
		return s, statusError(err)
	}
	var (
		part, name, state           string
		perMinute, mean, quiet, use *float64
		first, last                 *time.Time
		bytes, estimate, calls      *int64
	)
	_, err = pgx.ForEachRow(rows, []any{&part, &name, &state, &perMinute, &first, &last, &bytes, &estimate, &calls, &mean, &quiet, &use}, func() error {
		switch part {
		case "table":
			s.Tables = append(s.Tables, TableActivity{name, state, value(perMinute), last, calls, mean})
		case "log":
			s.Log = LogSize{name, state, value(bytes), value(estimate), perMinute, first, last}
		case "partition":
			s.Partitions = append(s.Partitions, LogSize{Name: name, State: state, Bytes: value(bytes), Rows: value(estimate)})
		case "listener":
			s.Listeners = append(s.Listeners, ListenerState{name, state, quiet})
		case "queue":
			s.Queue = value(use)
		}
		return nil
	})
	if err != nil {
		return Status{}, statusError(err)
	}
	return s, nil
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// statusError says what to do where it can.
func statusError(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pg.Code {
		case "42501": // insufficient_privilege
			return fmt.Errorf("read pgbell.status: %w; pgbell migrate grants prints what a reader needs", err)
		case "42P01", "3F000": // undefined_table, invalid_schema_name
			return fmt.Errorf("read pgbell.status: %w; run: pgbell migrate up", err)
		}
	}
	return fmt.Errorf("read pgbell.status: %w", err)
}
