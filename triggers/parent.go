package triggers

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// setting is the name of the setting in which a parent's trigger leaves the
// owners of the rows that go. A foreign key's cascade removes the parent
// before the trigger of its rows runs, but the parent's trigger runs first.
// Nobody gains by forging it: where it is read, a parent that is not to be
// found is one whose trigger has just written it.
func (p *parent) setting() string {
	sum := sha256.Sum256([]byte(p.relation.name.Schema + "\x00" + p.relation.name.Name + "\x00" + p.key.name))
	return "pgbell.gone_" + hex.EncodeToString(sum[:4])
}

// lookups joins, for each parent but skip, the row that knows the owners.
// LIMIT 1 also keeps the planner to one look-up a row: a plan that reads the
// whole parent for a large statement would be kept for the small ones.
func lookups(w *watched, side string, skip *parent) lines {
	var out lines
	for _, p := range w.parents {
		if p == skip {
			continue
		}
		var found, left []string
		for _, o := range p.owners {
			found = append(found, fmt.Sprintf("parent.%s::text AS %s", o.sql, o.sql))
			left = append(left, fmt.Sprintf("gone_%d -> %s.%s::text ->> %s", p.number, side, p.column.sql, literal(o.name)))
		}
		out = append(out, "  LEFT JOIN LATERAL (")
		out = append(out, list(found).after("       SELECT true AS found, ")...)
		out = append(out, fmt.Sprintf("         FROM %s AS parent WHERE parent.%s = %s.%s", p.relation.sql, p.key.sql, side, p.column.sql))
		if side == "old" && p.leavesOwners() {
			out = append(out,
				"        UNION ALL -- or it went in this statement, and left its owners")
			out = append(out, list(left).after("       SELECT true, ")...)
			out = append(out,
				fmt.Sprintf("        WHERE jsonb_exists(gone_%d, %s.%s::text)", p.number, side, p.column.sql))
		}
		out = append(out, fmt.Sprintf("        LIMIT 1) AS %s_parent_%d ON true", side, p.number))
	}
	return out
}

// lostParent is the condition that a row refers to a parent that must have
// been there and is not to be found; empty if that cannot be.
func lostParent(w *watched, ch change) string {
	var conditions []string
	for _, p := range w.parents {
		if p.immediate && (ch == updated || ch == deleted) {
			conditions = append(conditions, fmt.Sprintf("old.%s IS NOT NULL AND old_parent_%d.found IS NULL", p.column.sql, p.number))
		}
	}
	return strings.Join(conditions, " OR ")
}

// leaveOwners are the statements by which a parent leaves its owners for the
// rows that go with it: one for each column that they refer to.
func (t *target) leaveOwners(ch change) lines {
	var parents []*parent // one for each such column, with the owners of all
	for _, c := range t.children {
		if !c.parent.leavesOwners() || ch == updated && !c.parent.cascadesUpdate {
			continue
		}
		i := slices.IndexFunc(parents, func(p *parent) bool { return p.key.name == c.parent.key.name })
		if i < 0 {
			parents = append(parents, &parent{relation: t.relation, key: c.parent.key})
			i = len(parents) - 1
		}
		for _, o := range c.parent.owners {
			if !slices.ContainsFunc(parents[i].owners, func(have column) bool { return have.name == o.name }) {
				parents[i].owners = append(parents[i].owners, o)
			}
		}
	}
	var out lines
	for _, p := range parents {
		members := make([]string, len(p.owners))
		for i, o := range p.owners {
			members[i] = literal(o.name) + ", old." + o.sql + "::text"
		}
		out = append(out,
			"-- Rows that go with these ask for their owners when these are gone.",
			fmt.Sprintf("PERFORM set_config(%s, gone.owners::text, true)", literal(p.setting())),
			fmt.Sprintf("   FROM (SELECT jsonb_object_agg(old.%s::text, jsonb_build_object(%s)) AS owners", p.key.sql, strings.Join(members, ", ")),
			"           FROM old_rows AS old")
		if ch == updated {
			out = append(out, joinKeys("           LEFT JOIN new_rows AS new ON ", "old", "new", []column{p.key})...)
			out = append(out, fmt.Sprintf("          WHERE new.%s IS NULL", p.key.sql))
		}
		out = append(out, "        ) AS gone", "  WHERE gone.owners IS NOT NULL;")
	}
	return out
}

// readOwners declares what the parents left, for those who read it.
func (w *watched) readOwners() (declare, read lines) {
	for _, p := range w.parents {
		if p.leavesOwners() {
			declare = append(declare, fmt.Sprintf("gone_%d jsonb; -- owners of the rows of %s that went in this statement", p.number, comment(p.relation.name.String())))
			read = append(read, fmt.Sprintf("gone_%d := nullif(current_setting(%s, true), '')::jsonb;", p.number, literal(p.setting())))
		}
	}
	return declare, read
}
