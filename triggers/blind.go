package triggers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Blindness is a way of changing a watched table that makes no event.
type Blindness string

// The ways that [Blind] knows.
const (
	// BlindTrigger is a trigger of ours that is missing or disabled, be it on
	// a partition.
	BlindTrigger Blindness = "trigger"
	// BlindReplica is session_replication_role = replica, set for a role or a
	// database: under it no ordinary trigger fires.
	BlindReplica Blindness = "replica_role"
	// BlindSubscription is a logical replication subscription that writes the
	// table; its workers run with session_replication_role = replica.
	BlindSubscription Blindness = "subscription"
	// BlindChild is a child by inheritance that is not watched itself.
	BlindChild Blindness = "inheritance_child"
	// BlindPartition is a partition that is a foreign table: others write it.
	BlindPartition Blindness = "foreign_partition"
	// BlindSwitch is pgbell.enabled, switched off for a role or a database.
	BlindSwitch Blindness = "switched_off"
)

// Finding is one way of changing a watched table that goes unseen now.
type Finding struct {
	// Table is the watched table, or the parent that its owners are found in.
	// Zero where it concerns all of them.
	Table Name
	// Kind is stable, for programs.
	Kind Blindness
	// Missed says what is not seen, in one sentence without a full stop.
	Missed string
	// Remedy says what to do about it, in one sentence without a full stop;
	// SQL where there is some.
	Remedy string
}

// Blind lists what would change the watched tables and make no event. It only
// reads. A watch with a mistake in it is left out; [NewPlan] tells the mistake.
// The connection must not be in a transaction.
//
// It cannot find everything: a session may set session_replication_role or
// pgbell.enabled for itself, and a partition that is attached or detached
// brings or takes its rows without an event.
func Blind(ctx context.Context, conn *pgx.Conn, watches []Watch) ([]Finding, error) {
	var all []Finding
	err := reading(ctx, conn, func(tx pgx.Tx) error {
		r, err := resolve(ctx, tx, watches)
		if err != nil {
			return err
		}
		p, _ := r.plan() // what may not be changed is blind all the same
		for _, c := range p.Changes {
			switch c.Kind {
			case Create:
				all = append(all, Finding{c.Table, BlindTrigger, c.Object + " is missing", "pgbell triggers apply"})
			case Enable:
				all = append(all, Finding{c.Table, BlindTrigger, c.Object + " is disabled", c.SQL})
			}
		}
		for _, t := range r.targets {
			all = append(all, t.blind(r)...)
		}
		subscribed, err := r.subscribed(ctx, tx)
		if err != nil {
			return err
		}
		settings, err := blindSettings(ctx, tx)
		all = append(append(all, subscribed...), settings...)
		return err
	})
	return all, err
}

// blind is what happens to tables below the target.
func (t *target) blind(r *resolution) []Finding {
	var all []Finding
	for _, child := range t.relation.children {
		if !r.check.watching[child] {
			all = append(all, Finding{
				t.relation.name, BlindChild,
				fmt.Sprintf("writes to %s, a child of %s by inheritance, are not seen", child, t.relation.name),
				fmt.Sprintf("watch %s too, with a type of its own", child),
			})
		}
	}
	for _, p := range t.relation.partitions {
		if p.foreign {
			all = append(all, Finding{
				t.relation.name, BlindPartition,
				fmt.Sprintf("partition %s is a foreign table: what is written where its rows are is not seen", p.name),
				"watch the table where its rows are, with a pgbell of its own",
			})
		}
	}
	return all
}

// subscribed are the targets that a subscription writes while their triggers do
// not fire for it: its workers fire those that are for each row, or for TRUNCATE,
// if they are ENABLE ALWAYS.
func (r *resolution) subscribed(ctx context.Context, tx pgx.Tx) ([]Finding, error) {
	var all []Finding
	for _, t := range r.targets {
		oids := []uint32{t.relation.oid}
		rows, _ := tx.Query(ctx, subscribedSQL, oids)
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, fmt.Errorf("look for subscriptions: %w", err)
		}
		if len(names) == 0 {
			continue
		}
		who := "what subscription " + strings.Join(names, " and ") + " writes"
		if !t.eachRow() {
			all = append(all, Finding{
				t.relation.name, BlindSubscription,
				who + " to " + t.relation.name.String() + " moves no owners: its workers fire no triggers for sets of rows, which a table has that others find their owners in",
				"have the owners in columns of the watched tables, or run pgbell on the publisher",
			})
			continue
		}
		var remedy []string
		only, first := "that are ENABLE ALWAYS", ""
		for _, have := range r.installed.triggers {
			if have.table != t.relation.name {
				continue
			}
			if have.enabled != "A" {
				remedy = append(remedy, fmt.Sprintf("ALTER TABLE %s ENABLE ALWAYS TRIGGER %s;", have.tableSQL, have.name))
			}
			if !have.row && have.event != "TRUNCATE" { // from before it was subscribed
				only, first = "for each row that are ENABLE ALWAYS", "pgbell triggers apply; then "
			}
		}
		if first != "" || len(remedy) > 0 {
			slices.Sort(remedy)
			all = append(all, Finding{t.relation.name, BlindSubscription, who + " is not seen: its workers fire only triggers " + only, first + strings.Join(remedy, " ")})
		}
	}
	return all, nil
}

// blindSettings are those that silence triggers for a role or a database.
func blindSettings(ctx context.Context, tx pgx.Tx) ([]Finding, error) {
	var all []Finding
	var who, name, reset string
	rows, _ := tx.Query(ctx, blindSettingsSQL)
	_, err := pgx.ForEachRow(rows, []any{&who, &name, &reset}, func() error {
		f := Finding{Kind: BlindReplica, Missed: "what " + who + " writes is not seen: session_replication_role is replica", Remedy: reset}
		if name == "pgbell.enabled" {
			f.Kind, f.Missed = BlindSwitch, "what "+who+" writes is not recorded: pgbell.enabled is off"
		}
		all = append(all, f)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for settings that silence triggers: %w", err)
	}
	return all, nil
}

const subscribedSQL = `
SELECT DISTINCT s.subname::text
  FROM pg_subscription_rel AS sr
  JOIN pg_subscription AS s ON s.oid = sr.srsubid
 WHERE sr.srrelid IN (SELECT unnest($1::oid[]) UNION SELECT p.relid FROM unnest($1::oid[]) AS top, pg_partition_tree(top) AS p)
 ORDER BY 1`

// Settings of this database and of all, for one role and for all.
const blindSettingsSQL = `
SELECT CASE WHEN r.rolname IS NULL THEN 'everybody' ELSE 'role ' || quote_ident(r.rolname) END
       || CASE WHEN s.setdatabase = 0 THEN ' in every database' ELSE '' END,
       c.name,
       CASE WHEN r.rolname IS NULL THEN 'ALTER DATABASE ' || quote_ident(current_database())
            ELSE 'ALTER ROLE ' || quote_ident(r.rolname) || CASE WHEN s.setdatabase = 0 THEN '' ELSE ' IN DATABASE ' || quote_ident(current_database()) END
       END || ' RESET ' || c.name || ';'
  FROM pg_db_role_setting AS s
  LEFT JOIN pg_roles AS r ON r.oid = s.setrole
 CROSS JOIN LATERAL unnest(s.setconfig) AS t (text)
 CROSS JOIN LATERAL (SELECT split_part(t.text, '=', 1), lower(substr(t.text, strpos(t.text, '=') + 1))) AS c (name, value)
 WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()))
   AND (c.name = 'session_replication_role' AND c.value = 'replica'
        OR c.name = 'pgbell.enabled' AND c.value IN ('off', 'false', 'no', '0'))
 ORDER BY 1, 2`
