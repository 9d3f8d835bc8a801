package triggers

import (
	"fmt"
	"slices"
)

// Whoever gives a parent to somebody else and whoever writes one of its rows
// at the same time may miss each other's change. Both leave what they saw, and
// pgbell.settle_owner_moves finds out afterwards; see the package comment.

const (
	// maxMoved bounds how many parents and how many users a note names. More
	// are any parent, or everybody.
	maxMoved = 1000
	// maxSeen bounds the snapshot in an event, in bytes. Without it, the event
	// counts as one that saw nothing.
	maxSeen = 200
)

// movedRows is the FROM clause of the parent's rows before and after.
func movedRows(p *parent, ch change) lines {
	switch ch {
	case inserted:
		q := newRows(p.relation, []column{p.key}, "after").after("  FROM ")
		return append(q, "  LEFT JOIN new_rows AS before ON false")
	case deleted:
		return lines{"  FROM old_rows AS before", "  LEFT JOIN old_rows AS after ON false"}
	}
	join := "  JOIN "
	if !p.immediate {
		join = "  FULL JOIN "
	}
	q := append(lines{"  FROM old_rows AS before"}, newRows(p.relation, []column{p.key}, "after").after(join)...)
	return append(q, joinKeys("    ON ", "before", "after", []column{p.key})...)
}

// movedKey is the parent's key in these rows.
func movedKey(p *parent, ch change) string {
	switch {
	case ch == deleted:
		return "before." + p.key.sql
	case ch == updated && !p.immediate:
		return fmt.Sprintf("coalesce(after.%s, before.%s)", p.key.sql, p.key.sql)
	}
	return "after." + p.key.sql
}

// movesQuery is a SELECT of the note for pgbell.owner_moves, if a parent of c
// changed hands: which did, and the reset for the users who had or got it.
func movesQuery(c child, ch change) lines {
	p := c.parent
	var users []string
	for _, side := range []string{"before", "after"} {
		for _, o := range p.owners {
			users = append(users, fmt.Sprintf("(%s.%s::text)", side, o.sql))
		}
	}
	keys := "NULL"
	if key := movedKey(p, ch) + "::text"; p.key.exact && p.column.exact {
		keys = fmt.Sprintf("CASE WHEN count(DISTINCT %s) <= %d THEN jsonb_agg(DISTINCT %s) END", key, maxMoved, key)
	}
	q := lines{
		"SELECT jsonb_build_object(",
		"           'keys', " + keys + ",",
		"           'reset', " + resetJSON(c.watched) + " ||",
		fmt.Sprintf("                    CASE WHEN count(DISTINCT owner.id) <= %d THEN jsonb_build_object('users', jsonb_agg(DISTINCT owner.id)) ELSE '{}' END)", maxMoved),
	}
	q = append(q, movedRows(p, ch)...)
	q = append(q, list(users).after(" CROSS JOIN LATERAL (VALUES ").then(") AS owner (id)")...)
	q = append(q, imagesDiffer("before", "after", p.owners).after(" WHERE ").then(" AND owner.id IS NOT NULL")...)
	return append(q, "HAVING count(*) > 0")
}

// movedAnywhere is the note of a statement that could not be captured.
func movedAnywhere(w *watched) string {
	return "jsonb_build_object('keys', NULL, 'reset', " + resetJSON(w) + ")"
}

// resetJSON is the reset for those who missed each other.
func resetJSON(w *watched) string {
	return literal(`{"type":`+jsonText(w.Type)+`,"op":"reset","table":`+jsonText(w.Table.String())+`,"reason":"owner_race"}`) + "::jsonb"
}

// viaJSON is the part "via": the parents that the row's owners were looked for
// in, and what was visible then.
func viaJSON(w *watched, ch change) lines {
	exact := !slices.ContainsFunc(w.parents, func(p *parent) bool { return !p.key.exact || !p.column.exact })
	var keys []string
	for _, p := range w.parents {
		now, was := "new."+p.column.sql+"::text", "old."+p.column.sql+"::text"
		switch ch {
		case deleted:
			keys = append(keys, was)
		case updated:
			keys = append(keys, now, fmt.Sprintf("nullif(%s, %s)", was, now))
		default:
			keys = append(keys, now)
		}
	}
	out := lines{`'"via":{' || concat_ws(',',`}
	if exact {
		out = append(out, list(keys).after(`    '"keys":' || to_json(array_remove(ARRAY[`).then("], NULL))::text,")...)
	}
	return append(out, fmt.Sprintf(`    (SELECT '"seen":"' || s.seen || '"' FROM (SELECT pg_current_snapshot()::text) AS s (seen) WHERE length(s.seen) <= %d)) || '}'`, maxSeen))
}
