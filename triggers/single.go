package triggers

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Most statements change one row. What the queries of this package cost is
// mostly that Postgres sets them up anew for each execution, so for one row the
// function does without: it loads the row before and after into records and
// tells the change by plain expressions, of which only those that are reached
// are set up. The event has the same bytes either way. Whatever is not plain is
// left to the queries: several rows, another key, owners or parents that
// changed, an error.

// single is one branch of the function's part for one row: statements that
// leave the event in body, leave the block by EXIT one, or return.
func (t *target) single(ch change) lines {
	if t.watch == nil {
		if ch != updated || t.relation.rewritten {
			return nil
		}
		guards := t.guards()
		out := loadBoth(guards)
		return append(out, "IF NOT ("+t.guarded(guards)+") THEN", "    RETURN NULL; -- as nearly always", "END IF;")
	}
	w := t.watch
	if len(w.parents) > 1 || t.relation.rewritten && ch != deleted || ch != updated && t.concernsChildren(ch) {
		return nil
	}
	side, rows := "new", "new_rows"
	if ch == deleted {
		side, rows = "old", "old_rows"
	}
	needed, all := w.needed()
	var out lines
	if ch == updated {
		if !t.relation.partitioned() {
			out = loadBoth(needed)
		}
		guards := t.guards()
		out = append(out, "EXIT one WHEN "+t.guarded(guards)+";")
		out = append(out, w.collectChanges(guards)...)
		ch = kept
	} else if !t.relation.partitioned() {
		out = load("STRICT "+side, needed, rows)
		if other := map[change]string{inserted: "old", deleted: "new"}[ch]; w.mentions(other) {
			out = append(out, "-- Actions may ask for "+strings.ToUpper(other)+": it is NULL.")
			out = append(out, load(other, needed, rows+" LIMIT 0")...)
		}
	}
	data := side
	if t.relation.partitioned() {
		data = "shown"
		items := make([]string, len(w.columns))
		for i, c := range w.columns {
			items[i] = side + "." + c.sql
		}
		if len(items) > 0 {
			out = append(out, list(items).after("SELECT ").then(" INTO shown;")...)
		}
	} else if all || len(needed) != len(w.columns) {
		data = "shown"
		if len(w.columns) > 0 {
			out = append(out, load("shown", w.columns, rows)...)
		}
	}
	if len(w.parents) == 1 {
		out = append(out, lookup(w.parents[0], side)...)
	}
	body := w.body(ch, side, data)
	if body == nil {
		return nil
	}
	if len(w.rulesFor(ch)) > 0 && !constantAction(w, ch) {
		out = append(out, action(w, ch).after("action := ").then(";")...)
	}
	return append(append(out, body...), w.notesStatements(ch, side)...)
}

// concernsChildren reports whether rows of other tables hear of ch.
func (t *target) concernsChildren(ch change) bool {
	return ch == deleted && len(t.leaveOwners(ch)) > 0 || slices.ContainsFunc(t.children, func(c child) bool { return !c.parent.immediate })
}

// guards are the columns whose change is not plain: who owns the row or others
// through it, and by which name.
func (t *target) guards() []column {
	var guards []column
	add := func(columns ...column) {
		for _, c := range columns {
			if !slices.ContainsFunc(guards, func(have column) bool { return have.name == c.name }) {
				guards = append(guards, c)
			}
		}
	}
	if w := t.watch; w != nil {
		add(w.key...)
		for _, o := range w.owners {
			if o.parent == nil {
				add(o.column)
			} else {
				add(o.parent.column)
			}
		}
	}
	for _, c := range t.children {
		add(c.parent.key)
		add(c.parent.owners...)
	}
	return guards
}

func (t *target) guarded(guards []column) string {
	conditions := make([]string, len(guards))
	for i, c := range guards {
		conditions[i] = differ(c)
	}
	return strings.Join(conditions, " OR ")
}

// load reads a row into a record. STRICT makes an error of several rows, or
// none.
func load(record string, columns []column, rows string) lines {
	items := make([]string, len(columns))
	for i, c := range columns {
		items[i] = c.sql
	}
	if len(items) == 0 {
		items = []string{"*"}
	}
	return list(items).after("SELECT ").then(" INTO " + record + " FROM " + rows + ";")
}

// loadBoth reads an updated row, or returns if there is none.
func loadBoth(columns []column) lines {
	out := append(load("old", columns, "old_rows"), "IF NOT FOUND THEN", "    RETURN NULL;", "END IF;")
	return append(out, load("STRICT new", columns, "new_rows")...)
}

// needed are the columns that the records must have; nil, and more than is
// known, for all of the table's. They are w.columns if these do.
func (w *watched) needed() (columns []column, all bool) {
	columns = slices.Clone(w.columns)
	add := func(more ...column) {
		for _, c := range more {
			if !slices.ContainsFunc(columns, func(have column) bool { return have.name == c.name }) {
				columns = append(columns, c)
			}
		}
	}
	add(w.key...)
	add(w.seen()...)
	for _, a := range w.Actions {
		names, ok := rowReferences(a.When)
		if !ok {
			return nil, true
		}
		for _, name := range names {
			c, ok := w.relation.column(name)
			if !ok {
				return nil, true
			}
			add(c)
		}
	}
	return columns, false
}

var (
	rowWord      = regexp.MustCompile(`(?i)\b(?:new|old)\b`)
	rowReference = regexp.MustCompile(`(?i)\b(?:new|old)\b\s*\.\s*("(?:[^"]|"")*"|[a-z_][a-z0-9_$]*)`)
)

// rowReferences are the columns that an action reads. It is false if that
// cannot be told at a glance, such as for NEW without a column.
func rowReferences(when string) (names []string, ok bool) {
	found := rowReference.FindAllStringSubmatch(when, -1)
	if len(found) != len(rowWord.FindAllString(when, -1)) {
		return nil, false
	}
	for _, m := range found {
		if name := m[1]; name[0] == '"' {
			names = append(names, strings.ReplaceAll(name[1:len(name)-1], `""`, `"`))
		} else {
			names = append(names, strings.ToLower(name))
		}
	}
	return names, true
}

// mentions reports whether an action may read the row before or after.
func (w *watched) mentions(side string) bool {
	word := regexp.MustCompile(`(?i)\b` + side + `\b`)
	return slices.ContainsFunc(w.Actions, func(a Action) bool { return word.MatchString(a.When) })
}

// collectChanges gathers the earlier values of the columns that changed, each
// behind a comma, for everybody and for each audience that sees more. It
// returns if there are none.
func (w *watched) collectChanges(guards []column) lines {
	var out lines
	names := []string{"changed"}
	collect := func(name string, columns []column) {
		for _, c := range columns {
			if slices.ContainsFunc(guards, func(g column) bool { return g.name == c.name }) {
				continue // as it was
			}
			value := "to_json(old." + c.sql + ")"
			if !c.notNull {
				value = "coalesce(" + value + ", 'null')"
			}
			out = append(out,
				"IF "+differ(c)+" THEN",
				fmt.Sprintf("    %s := concat(%s, %s, %s);", name, name, literal(","+jsonText(c.name)+":"), value),
				"END IF;")
		}
	}
	collect("changed", w.columns)
	for i, o := range w.only {
		names = append(names, changedOnly(i))
		collect(names[len(names)-1], o.columns)
	}
	return append(out, "IF "+strings.Join(names, " IS NULL AND ")+" IS NULL THEN", "    RETURN NULL; -- nothing that anybody sees", "END IF;")
}

func changedOnly(i int) string { return fmt.Sprintf("changed_%d", i+1) }

// lookup finds the row that knows the owners, and what was visible then. What
// is not found, or not told in short, is left to the queries.
func lookup(p *parent, side string) lines {
	var values, into []string
	for i, o := range p.owners {
		values, into = append(values, "parent."+o.sql+"::text"), append(into, foundOwner(i))
	}
	values, into = append(values, "pg_current_snapshot()::text"), append(into, "snapshot")
	out := append(list(values).after("SELECT "), list(into).after("  INTO ")...)
	return append(out,
		fmt.Sprintf("  FROM %s AS parent WHERE parent.%s = %s.%s;", p.relation.sql, p.key.sql, side, p.column.sql),
		fmt.Sprintf("EXIT one WHEN NOT FOUND OR length(snapshot) > %d;", maxSeen))
}

func foundOwner(i int) string { return fmt.Sprintf("owner_%d", i+1) }

// declareSingle are the variables of the part for one row.
func (t *target) declareSingle(part string) lines {
	if t.watch == nil {
		return nil
	}
	out := lines{
		"event   json;             -- the body of the only one",
		"at      timestamptz;      -- when it was written",
	}
	declare := func(name, typ, why string) {
		if regexp.MustCompile(`\b` + name + `\b`).MatchString(part) {
			out = append(out, fmt.Sprintf("%-7s %-17s -- %s", name, typ+";", why))
		}
	}
	declare("changed", "text", "what the columns that changed held before")
	for i, o := range t.watch.only {
		declare(changedOnly(i), "text", "those that "+comment(o.audience)+" alone sees")
	}
	if strings.Contains(part, "action := ") {
		declare("action", "text", "what happened, as JSON")
	}
	declare("shown", "record", "of the row, the columns that every audience sees")
	for _, p := range t.watch.parents {
		for i, o := range p.owners {
			declare(foundOwner(i), "text", comment(o.name+" of "+p.relation.name.String()))
		}
		declare("snapshot", "text", "what was visible when they were looked up")
	}
	return out
}
