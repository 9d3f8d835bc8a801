package triggers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// change is which rows a query has: as a trigger's operation, or none of them
// when rows stay as they are and only their parent changed hands.
type change int

const (
	inserted change = iota
	updated
	deleted
	moved
	// kept is an update that left a row its key, its owners and its parents.
	kept
)

// lines are SQL, a line each. An element may hold line breaks of its own: they
// stand inside somebody's expression, which must not be indented.
type lines []string

func (l lines) indent(n int) lines {
	out := make(lines, len(l))
	for i, s := range l {
		out[i] = strings.Repeat(" ", n) + s
	}
	return out
}

// after puts text before the first line and indents the rest to match.
func (l lines) after(text string) lines {
	out := l.indent(len([]rune(text)))
	out[0] = text + l[0]
	return out
}

// then puts text behind the last line.
func (l lines) then(text string) lines {
	out := append(lines(nil), l...)
	out[len(out)-1] += text
	return out
}

func (l lines) String() string { return strings.Join(l, "\n") }

// width is where a list breaks into another line.
const width = 110

// list joins items with commas and breaks them into lines.
func list(items []string) lines {
	var out lines
	for i, item := range items {
		if i < len(items)-1 {
			item += ","
		}
		if n := len(out); n > 0 && len(out[n-1])+1+len(item) <= width {
			out[n-1] += " " + item
		} else {
			out = append(out, item)
		}
	}
	return out
}

// jsonText is a JSON string.
func jsonText(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string has no error
	return strings.TrimSuffix(b.String(), "\n")
}

// eventQuery is a SELECT of event bodies, one a changed row, and of their notes
// if the function makes notifications.
func eventQuery(w *watched, ch change, notifies bool) lines {
	q := lines{"-- " + comment(w.Type) + ": " + map[change]string{
		inserted: "rows that are new.",
		updated:  "rows that changed. A changed key is a row that went and one that came.",
		deleted:  "rows that went.",
	}[ch]}
	q = append(q, selectBody(w, ch)...)
	if notifies {
		q = append(q.then(","), notesColumn(w, ch, nil, "").indent(7)...)
	}
	switch ch {
	case inserted:
		q = append(q, newRows(w.relation, w.key, "new").after("  FROM ")...)
		if len(w.Actions) > 0 {
			q = append(q, "       -- Actions may ask for OLD: it is NULL.", "  LEFT JOIN new_rows AS old ON false")
		}
		q = append(q, rowsShown(w, ch)...)
		q = append(q, lookups(w, "new", nil)...)
		q = append(q, actionJoin(w, ch)...)
	case deleted:
		q = append(q, "  FROM old_rows AS old")
		if len(w.Actions) > 0 {
			q = append(q, "       -- Actions may ask for NEW: it is NULL.", "  LEFT JOIN old_rows AS new ON false")
		}
		q = append(q, rowsShown(w, ch)...)
		q = append(q, lookups(w, "old", nil)...)
		q = append(q, actionJoin(w, ch)...)
	case updated:
		q = append(q, "  FROM old_rows AS old")
		q = append(q, newRows(w.relation, w.key, "new").after("  FULL JOIN ")...)
		q = append(q, joinKeys("    ON ", "old", "new", w.key)...)
		q = append(q, " CROSS JOIN LATERAL (SELECT CASE WHEN "+missing("old", w.key)+" THEN 'insert'")
		q = append(q, "                                 WHEN "+missing("new", w.key)+" THEN 'delete'")
		q = append(q, "                                 ELSE 'update' END) AS change(op)")
		q = append(q, rowsShown(w, ch)...)
		q = append(q, lookups(w, "new", nil)...)
		q = append(q, lookups(w, "old", nil)...)
		q = append(q, actionJoin(w, ch)...)
		q = append(q, " WHERE change.op <> 'update'")
		q = append(q, imagesDiffer("old", "new", w.seen()).after("    OR ")...)
	}
	return q
}

// newRows is the rows as the statement left them. Where one may have been
// written again since, what stands in the table is the truth, and the last
// event of a row must tell it.
func newRows(r *relation, key []column, alias string) lines {
	if !r.rewritten {
		return lines{"new_rows AS " + alias}
	}
	var names, same []string
	for _, c := range key {
		names, same = append(names, c.sql), append(same, fmt.Sprintf("row_now.%s = written.%s", c.sql, c.sql))
	}
	return lines{
		"(SELECT present.* -- as they stand now: other triggers or foreign keys may have written them again",
		"   FROM (SELECT DISTINCT " + strings.Join(names, ", ") + " FROM new_rows) AS written",
		"  CROSS JOIN LATERAL (SELECT * FROM " + r.sql + " AS row_now WHERE " + strings.Join(same, " AND ") + " OFFSET 0) AS present) AS " + alias,
	}
}

// movedQuery is a SELECT of event bodies for the rows whose parent changed
// hands. What happened to the parent says ch.
func movedQuery(c child, ch change, notifies bool) lines {
	p := c.parent
	verb := map[change]string{inserted: "came", updated: "changed hands", deleted: "went"}[ch]
	q := lines{
		fmt.Sprintf("-- %s: rows whose %s %s, found by %s.", comment(c.Type), comment(p.relation.name.String()), verb, comment(p.column.name)),
	}
	q = append(q, selectBody(c.watched, moved)...)
	if notifies {
		q = append(q.then(","), notesColumn(c.watched, moved, p, "after").indent(7)...)
	}
	q = append(q, movedRows(p, ch)...)
	key := movedKey(p, ch)
	q = append(q,
		"       -- OFFSET 0: found by index, also by a plan that was made for many.",
		fmt.Sprintf(" CROSS JOIN LATERAL (SELECT * FROM %s AS child WHERE child.%s = %s OFFSET 0) AS new", c.relation.sql, p.column.sql, key),
		" CROSS JOIN LATERAL (SELECT new.*) AS old")
	q = append(q, rowsShown(c.watched, moved)...)
	q = append(q, lookups(c.watched, "new", p)...)
	q = append(q, ownersJoin(c.watched, p)...)
	q = append(q, actionJoin(c.watched, moved)...)
	q = append(q, imagesDiffer("before", "after", p.owners).after(" WHERE ")...)
	return q
}

// selectBody is the SELECT clause that writes an event's body. Parts that are
// NULL are left out by concat_ws.
func selectBody(w *watched, ch change) lines {
	var parts []lines
	add := func(l ...string) { parts = append(parts, l) }

	head := `"type":` + jsonText(w.Type)
	switch ch {
	case inserted:
		add(literal(head + `,"op":"insert"`))
	case deleted:
		add(literal(head + `,"op":"delete"`))
	case moved:
		add(literal(head + `,"op":"update"`))
	case updated:
		add(literal(head+`,"op":"`) + ` || change.op || '"'`)
	}
	parts = append(parts, actionOf(w, ch, "what.action").after(`'"action":' || `))
	add(literal(`"table":` + jsonText(w.Table.String())))
	parts = append(parts, keyJSON(w, ch))

	switch {
	case len(w.owners) == 0:
		add(`'"owners":{}'`)
	case ch == inserted:
		parts = append(parts, ownersJSON(w, "new", nil, "").after(`'"owners":' || `))
	case ch == deleted:
		parts = append(parts, ownersJSON(w, "old", nil, "").after(`'"owners":' || `))
	case ch == moved:
		add(`'"owners":' || owner.now`)
		add(`CASE WHEN owner.was <> owner.now THEN '"was":' || owner.was END`)
	case ch == updated:
		parts = append(parts,
			append(ownersJSON(w, "old", nil, "").after(`'"owners":' || CASE change.op WHEN 'delete' THEN `),
				ownersJSON(w, "new", nil, "").after(`                                    ELSE `).then(" END")...),
			ownersJSON(w, "old", nil, "").after(`CASE WHEN change.op = 'update' AND (`+ownersDiffer(w)+`) THEN '"was":' || `).then(" END"))
	}
	if len(w.Watchers) > 0 {
		add(literal(watchersJSON(w)))
	}
	if len(w.parents) > 0 {
		parts = append(parts, viaJSON(w, ch))
	}
	parts = append(parts, columnsJSON(w.columns, w.key, 0, ch)...)
	if len(w.only) > 0 {
		parts = append(parts, onlyJSON(w.only, ch))
	}

	out := lines{"SELECT '{' || concat_ws(',',"}
	for i, part := range parts {
		if i < len(parts)-1 {
			part = part.then(",")
		}
		out = append(out, part.indent(11)...)
	}
	out = out.then(") || '}'")
	if lost := lostParent(w, ch); lost != "" {
		// NULL tells the loop that an owner is not to be found.
		out[0] = "SELECT CASE WHEN " + lost + " THEN NULL ELSE '{' || concat_ws(',',"
		out = out.then(" END")
	}
	return out
}

// watchersJSON is the part "watchers".
func watchersJSON(w *watched) string {
	roles := make([]string, len(w.Watchers))
	for i, role := range w.Watchers {
		roles[i] = jsonText(role)
	}
	return `"watchers":[` + strings.Join(roles, ",") + `]`
}

// action is what the part "action" says: the first of the watch that matches,
// or a built-in one.
func action(w *watched, ch change) lines {
	builtin := map[change]string{inserted: "created", deleted: "deleted", updated: "updated", moved: "updated", kept: "updated"}[ch]
	status := slices.IndexFunc(w.columns, func(c column) bool { return c.name == "status" })
	if len(w.Actions) == 0 && (ch == inserted || ch == deleted || ch == moved || ch == kept && status < 0) {
		return lines{literal(jsonText(builtin))}
	}
	out := lines{"CASE"}
	for _, a := range w.Actions {
		when := a.When
		if strings.Contains(when, "--") {
			when += "\n" // the end of a comment
		}
		out = append(out, "    WHEN ("+when+") THEN "+literal(jsonText(a.Name)))
	}
	if ch == updated {
		out = append(out, `    WHEN change.op = 'insert' THEN '"created"'`, `    WHEN change.op = 'delete' THEN '"deleted"'`)
	}
	if (ch == updated || ch == kept) && status >= 0 {
		out = append(out, "    WHEN "+differ(w.columns[status])+` THEN '"status_changed"'`)
	}
	return append(out, "    ELSE "+literal(jsonText(builtin)), "END")
}

// keyJSON is the part "key".
func keyJSON(w *watched, ch change) lines {
	out := lines{}
	open := `"key":{`
	for _, c := range w.key {
		value := "new." + c.sql
		switch ch {
		case deleted:
			value = "old." + c.sql
		case updated:
			value = fmt.Sprintf("coalesce(new.%s, old.%s)", c.sql, c.sql)
		}
		// Also a key that was NOT NULL when this was made.
		out = append(out, literal(open+jsonText(c.name)+":")+" || coalesce(to_json("+value+")::text, 'null') ||")
		open = ","
	}
	out[len(out)-1] += " '}'"
	return out
}

// ownersJSON is an object of user ids by audience; concat_ws leaves out those
// without. Side is new or old. By is the parent whose row is at hand as row.
func ownersJSON(w *watched, side string, by *parent, row string) lines {
	out := lines{}
	for i, o := range w.owners {
		end := ","
		if i == len(w.owners)-1 {
			end = ") || '}'"
		}
		out = append(out, literal(jsonText(o.audience)+":")+" || to_json("+o.value(side, by, row)+")::text"+end)
	}
	return out.after("'{' || concat_ws(',', ")
}

// value is the SQL of an owner's user id.
func (o owner) value(side string, by *parent, row string) string {
	switch o.parent {
	case nil:
		return side + "." + o.column.sql + "::text"
	case by:
		return row + "." + o.column.sql + "::text"
	default:
		return fmt.Sprintf("%s_parent_%d.%s", side, o.parent.number, o.column.sql)
	}
}

// ownersDiffer is the condition that a row has other owners than before.
func ownersDiffer(w *watched) string {
	conditions := make([]string, len(w.owners))
	for i, o := range w.owners {
		if o.parent == nil && o.column.exact {
			conditions[i] = differ(o.column)
		} else {
			conditions[i] = o.value("old", nil, "") + " IS DISTINCT FROM " + o.value("new", nil, "")
		}
	}
	return strings.Join(conditions, " OR ")
}

// ownersJoin adds owner.now and owner.was of a row whose parent changed hands.
// It stayed as it is itself: so did whatever else owns it.
func ownersJoin(w *watched, by *parent) lines {
	out := ownersJSON(w, "new", by, "after").then(",").after(" CROSS JOIN LATERAL (SELECT ")
	out = append(out, ownersJSON(w, "new", by, "before").indent(28)...)
	return append(out, "                      OFFSET 0) AS owner(now, was)")
}

// differ is the condition that a column changed. Where = is broader than the
// same bytes, as for numeric, or missing, as for json, it compares the bytes.
func differ(c column) string {
	if c.exact {
		return fmt.Sprintf("old.%s IS DISTINCT FROM new.%s", c.sql, c.sql)
	}
	return fmt.Sprintf("record_image_ne(ROW(old.%s), ROW(new.%s))", c.sql, c.sql)
}

// imagesDiffer is the condition that any of the columns changed, by their
// bytes.
func imagesDiffer(before, after string, columns []column) lines {
	side := func(alias string) lines {
		var items []string
		for _, c := range columns {
			items = append(items, alias+"."+c.sql)
		}
		return list(items).after("ROW(").then(")")
	}
	out := side(before).then(",")
	return append(out, side(after).then(")")...).after("record_image_ne(")
}

// joinKeys joins two row sets on key columns, text by text where = is broader.
func joinKeys(begin, a, b string, key []column) lines {
	out := lines{}
	for _, c := range key {
		on := fmt.Sprintf("%s.%s = %s.%s", a, c.sql, b, c.sql)
		if !c.exact {
			on = fmt.Sprintf("%s.%s::text COLLATE \"C\" = %s.%s::text COLLATE \"C\"", a, c.sql, b, c.sql)
		}
		out = append(out, on)
	}
	return lines{begin + strings.Join(out, " AND ")}
}

// missing is the condition that a side of a FULL JOIN has no row.
func missing(side string, key []column) string { return side + "." + key[0].sql + " IS NULL" }

// comment makes text safe behind --.
func comment(text string) string {
	return strings.NewReplacer("\n", " ", "\r", " ").Replace(text)
}
