package db

import (
	"context"
	_ "embed" // the query
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Duty is what a database role is there for. A third one, the role that
// migrates and applies triggers, owns what it makes and needs no list.
type Duty string

// The duties. Neither role needs any attribute beyond LOGIN.
const (
	// Server runs pgbell serve.
	Server Duty = "server"
	// Reader runs pgbell doctor, tail, why and triggers status, and reads
	// pgbell.status. It can change nothing and forge nothing.
	Reader Duty = "reader"
)

// Grant is one privilege on one object.
type Grant struct {
	// Privilege as GRANT names it, such as SELECT.
	Privilege string
	// Kind of the object as GRANT names it: SCHEMA, TABLE, SEQUENCE, FUNCTION.
	Kind string
	// Schema is exact, as in the catalog.
	Schema string
	// Name in the schema; of a function with the types of its arguments.
	// Empty for the schema itself.
	Name string
	// Why is what the role needs it for, as an infinitive.
	Why string
}

// On is the object as SQL writes it, with its kind.
func (g Grant) On() string {
	switch {
	case g.Schema != ours:
		parts := pgx.Identifier{g.Schema}
		if g.Name != "" {
			parts = append(parts, g.Name)
		}
		return g.Kind + " " + parts.Sanitize()
	case g.Name == "":
		return g.Kind + " " + ours
	}
	return g.Kind + " " + ours + "." + g.Name
}

// SQL is the statement that grants it to a role.
func (g Grant) SQL(role string) string {
	return fmt.Sprintf("GRANT %s ON %s TO %s;", g.Privilege, g.On(), pgx.Identifier{role}.Sanitize())
}

// ours is the schema in which everything of pgbell lies. Its names need no
// quotes.
const ours = "pgbell"

// follow is what everybody needs who reads the log as it grows.
var follow = []Grant{
	{"USAGE", "SCHEMA", ours, "", "reach anything of pgbell"},
	{"SELECT", "TABLE", ours, "goose_db_version", "tell whether the schema fits this version"},
	{"SELECT", "TABLE", ours, "installation", "tell its cursors from those of another database"},
	{"EXECUTE", "FUNCTION", ours, "life_id()", "tell its cursors from those of before a crash"},
	{"SELECT", "TABLE", ours, "events", "read the event log"},
	{"SELECT", "TABLE", ours, "horizon", "tell whether retention removed what it has not read"},
	{"SELECT", "SEQUENCE", ours, "events_id_seq", "deliver in order what bells carry"},
}

// serve is what a server needs besides.
var serve = []Grant{
	{"SELECT", "TABLE", ours, "bell_key", "tell true bells from forged ones, and seal the sessions of Socket.IO clients"},
	{"SELECT", "TABLE", ours, "revocations", "refuse revoked tokens"},
	{"EXECUTE", "FUNCTION", ours, "settle_owner_moves()", "tell owners whose rows changed while they changed hands"},
	{"EXECUTE", "FUNCTION", ours, "release_canary(text, bigint)", "answer /readyz"},
	{"EXECUTE", "FUNCTION", ours, "publish(text, text, json, text[], text[], text[], text)", "publish what services send it"},
	{"EXECUTE", "FUNCTION", ours, "notify(text[], text, text, text, text, json, text, text)", "make notifications that services send it"},
	{"SELECT", "TABLE", ours, "notifications", "list notifications"},
	{"EXECUTE", "FUNCTION", ours, "notification_json(pgbell.notifications)", "list notifications"},
	{"EXECUTE", "FUNCTION", ours, "unread_notifications(text)", "count unread notifications"},
	{"EXECUTE", "FUNCTION", ours, "read_notifications(text, bigint[])", "mark notifications as read"},
	{"SELECT", "TABLE", ours, "notification_preferences", "keep notification preferences"},
	{"INSERT", "TABLE", ours, "notification_preferences", "keep notification preferences"},
	{"DELETE", "TABLE", ours, "notification_preferences", "keep notification preferences"},
	{"EXECUTE", "FUNCTION", ours, "expire_notifications(interval, interval, integer)", "remove old notifications"},
	{"EXECUTE", "FUNCTION", ours, "slot(timestamp with time zone)", "keep the event log from growing"},
	{"UPDATE", "TABLE", ours, "horizon", "keep the event log from growing"},
	{"SELECT", "TABLE", ours, "events_0", "keep the event log from growing"},
	{"TRUNCATE", "TABLE", ours, "events_0", "keep the event log from growing"},
	{"SELECT", "TABLE", ours, "events_1", "keep the event log from growing"},
	{"TRUNCATE", "TABLE", ours, "events_1", "keep the event log from growing"},
	{"SELECT", "TABLE", ours, "events_2", "keep the event log from growing"},
	{"TRUNCATE", "TABLE", ours, "events_2", "keep the event log from growing"},
	{"SELECT", "TABLE", ours, "events_3", "keep the event log from growing"},
	{"TRUNCATE", "TABLE", ours, "events_3", "keep the event log from growing"},
	{"SELECT", "TABLE", ours, "events_rest", "keep the event log from growing"},
	{"TRUNCATE", "TABLE", ours, "events_rest", "keep the event log from growing"},
}

// Grants are what a role of that duty needs, and nothing more: in schema
// pgbell, and on the watched tables with those that owners are found in.
func Grants(duty Duty, tables []Table) []Grant {
	all := slices.Clone(follow)
	why := "explain who receives the events of a row"
	if duty == Server {
		all = append(all, serve...)
		why = "answer /api/rows, and open the rooms of rows"
	} else {
		all = append(all, Grant{"SELECT", "TABLE", ours, "status", "show how everything stands"})
	}
	var onSchemas, onTables []Grant
	add := func(schema, name string) {
		if g := (Grant{"USAGE", "SCHEMA", schema, "", why}); !slices.Contains(onSchemas, g) {
			onSchemas = append(onSchemas, g)
		}
		if g := (Grant{"SELECT", "TABLE", schema, name, why}); !slices.Contains(onTables, g) {
			onTables = append(onTables, g)
		}
	}
	for _, t := range tables {
		add(t.Schema, t.Name)
		for _, o := range t.Owners {
			if o.Via != nil {
				add(o.Via.Schema, o.Via.Name)
			}
		}
	}
	return slices.Concat(all, onSchemas, onTables)
}

//go:embed queries/missing_grants.sql
var queryMissingGrants string

// missingGrants are those of the list that the connected role lacks. What does
// not exist is not missing here.
func missingGrants(ctx context.Context, conn *pgx.Conn, grants []Grant) ([]Grant, error) {
	var kinds, schemas, names, privileges []string
	for _, g := range grants {
		kinds, schemas, names, privileges = append(kinds, g.Kind), append(schemas, g.Schema), append(names, g.Name), append(privileges, g.Privilege)
	}
	rows, err := conn.Query(ctx, queryMissingGrants, kinds, schemas, names, privileges)
	if err != nil {
		return nil, fmt.Errorf("look at privileges: %w", err)
	}
	missing, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Grant, error) {
		var position int
		err := row.Scan(&position)
		return grants[max(position, 1)-1], err
	})
	if err != nil {
		return nil, fmt.Errorf("look at privileges: %w", err)
	}
	return missing, nil
}
