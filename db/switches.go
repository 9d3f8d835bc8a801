package db

import (
	"context"
	_ "embed" // the queries
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed queries/switches.sql
	querySwitches string
	//go:embed queries/trigger_states.sql
	queryTriggerStates string
)

// Switch is a setting of pgbell that somebody set for more than a session.
type Switch struct {
	// Setting is pgbell.enabled or pgbell.bell, and Value as it was set.
	Setting, Value string
	// Role and Database that it was set for; empty for all. If both are, it is
	// from the server's configuration.
	Role, Database string
}

// Off reports whether s keeps events from being recorded.
func (s Switch) Off() bool {
	return s.Setting == "pgbell.enabled" && slices.Contains([]string{"off", "false", "no", "0"}, strings.ToLower(s.Value))
}

// Scope says for whom, as a phrase: role "app" in this database.
func (s Switch) Scope() string {
	switch {
	case s.Role != "" && s.Database != "":
		return fmt.Sprintf("role %q in this database", s.Role)
	case s.Role != "":
		return fmt.Sprintf("role %q in every database", s.Role)
	case s.Database != "":
		return "everybody in this database"
	}
	return "everybody on this server"
}

// Undo is the SQL that takes the switch back.
func (s Switch) Undo() string {
	role, database := pgx.Identifier{s.Role}.Sanitize(), pgx.Identifier{s.Database}.Sanitize()
	switch {
	case s.Role != "" && s.Database != "":
		return fmt.Sprintf("ALTER ROLE %s IN DATABASE %s RESET %s", role, database, s.Setting)
	case s.Role != "":
		return fmt.Sprintf("ALTER ROLE %s RESET %s", role, s.Setting)
	case s.Database != "":
		return fmt.Sprintf("ALTER DATABASE %s RESET %s", database, s.Setting)
	}
	return fmt.Sprintf("ALTER SYSTEM RESET %s, or take it out of postgresql.conf, and reload", s.Setting)
}

// Switches lists what is set in this database. Who set something for a session
// alone is not to be seen.
func Switches(ctx context.Context, conn *pgx.Conn) ([]Switch, error) {
	rows, err := conn.Query(ctx, querySwitches)
	if err != nil {
		return nil, fmt.Errorf("look for settings of pgbell: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Switch])
	if err != nil {
		return nil, fmt.Errorf("look for settings of pgbell: %w", err)
	}
	return all, nil
}

// TriggerState is how triggers of ours stand on one table for one operation.
type TriggerState struct {
	// Operation is INSERT, UPDATE or DELETE.
	Operation string
	// State is missing, disabled, replica (fires for replication alone),
	// always or enabled.
	State string
}

// Fires reports whether an ordinary session's writes are seen.
func (s TriggerState) Fires() bool { return s.State == "enabled" || s.State == "always" }

// TriggerStates are those of one table; nil if there is no such table.
func TriggerStates(ctx context.Context, conn *pgx.Conn, schema, table string) ([]TriggerState, error) {
	rows, err := conn.Query(ctx, queryTriggerStates, schema, table)
	if err != nil {
		return nil, fmt.Errorf("look at the triggers of %s.%s: %w", schema, table, err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[TriggerState])
	if err != nil {
		return nil, fmt.Errorf("look at the triggers of %s.%s: %w", schema, table, err)
	}
	return all, nil
}
