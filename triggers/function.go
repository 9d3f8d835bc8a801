package triggers

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // function.sql.tmpl
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"github.com/jackc/pgx/v5"
)

//go:embed function.sql.tmpl
var functionText string

var functionTemplate = template.Must(template.New("function").Parse(functionText))

// operation is one branch of a function.
type operation struct {
	Name   string
	Before string // statements
	Moves  string // SELECTs of the notes for pgbell.owner_moves
	Query  string
}

// maxIdentifier is the length in bytes at which Postgres cuts a name.
const maxIdentifier = 63

// functionName is schema.name, with a hash of it where that would be too long
// or could be another table's. It always has a dot, and pgbell's own functions
// have none.
func functionName(n Name) string {
	name := n.String()
	if len(name) <= maxIdentifier && strings.Count(name, ".") == 1 {
		return name
	}
	sum := sha256.Sum256([]byte(n.Schema + "\x00" + n.Name))
	name = strings.ToValidUTF8(name[:min(len(name), maxIdentifier-9)], "")
	return name + "." + hex.EncodeToString(sum[:4])
}

// function is a target's function as it should be.
type function struct {
	name     string // in schema pgbell
	table    Name
	source   string   // pg_proc.prosrc
	settings []string // pg_proc.proconfig
	comment  string
}

// events are the operations that a target needs a trigger for.
func (t *target) events() []string {
	if t.watch != nil {
		return []string{"INSERT", "UPDATE", "DELETE", "TRUNCATE"}
	}
	events := []string{"UPDATE"}
	var loose, leaves bool
	for _, c := range t.children {
		loose = loose || !c.parent.immediate
		leaves = leaves || c.parent.leavesOwners()
	}
	if loose {
		return []string{"INSERT", "UPDATE", "DELETE", "TRUNCATE"}
	}
	if leaves {
		events = append(events, "DELETE")
	}
	return events
}

// function writes the target's function.
func (t *target) function() *function {
	var data struct {
		Title             string
		Declare           lines
		Truncate, Failure string
		Anywhere          string // notes of moves of nobody knows which parents
		MayLose           bool
		Operations        []operation
		Row               bool        // it is called for each row
		Carries           bool        // one row's part leaves events
		Notifies          bool        // some events make notifications
		Single            []operation // for one row, the most frequent first
	}
	table := t.relation.name
	what := "Records every change of " + table.String() + " as a " + watchType(t.watch) + " event."
	if t.watch == nil {
		what = "Records what a change of " + table.String() + " means for the owners of other tables' rows."
	}
	data.Title, data.Row, data.Notifies = comment(what), t.relation.partitioned(), t.notifies()

	var read lines
	if t.watch != nil {
		data.Declare, read = t.watch.readOwners()
		data.MayLose = lostParent(t.watch, deleted) != ""
	}
	var truncate, failure []string
	reset := func(w *watched, reason string) string {
		return `{"type":` + jsonText(w.Type) + `,"op":"reset","table":` + jsonText(w.Table.String()) + `,"reason":"` + reason + `"`
	}
	for i, w := range t.affected() {
		failure = append(failure, "            concat("+literal(reset(w, "capture_failed")+`,"error":`)+", to_json(body), '}')")
		if i == 0 && t.watch != nil || t.loose(w) {
			truncate = append(truncate, "            "+literal(reset(w, "truncate")+"}"))
		}
	}
	var anywhere []string
	for _, c := range t.children {
		if note := "            " + movedAnywhere(c.watched); !slices.Contains(anywhere, note) {
			anywhere = append(anywhere, note)
		}
	}
	data.Anywhere = strings.Join(anywhere, ",\n")
	data.Truncate, data.Failure = strings.Join(truncate, ",\n"), strings.Join(failure, ",\n")

	var single strings.Builder // all that is said for one row
	for _, event := range t.events() {
		ch, ok := map[string]change{"INSERT": inserted, "UPDATE": updated, "DELETE": deleted}[event]
		if !ok {
			continue
		}
		var before lines
		if ch != inserted {
			// Leave, then read: a table may be its own parent.
			before = append(t.leaveOwners(ch), read...)
		}
		var queries, moves []string
		if t.watch != nil {
			q := eventQuery(t.watch, ch, data.Notifies)
			if data.Row {
				q = append(lines{rowAsSets(ch)}, q...)
			}
			queries = append(queries, q.indent(16).String())
		}
		for _, c := range t.children {
			if ch == updated || !c.parent.immediate {
				queries = append(queries, movedQuery(c, ch, data.Notifies).indent(16).String())
				moves = append(moves, movesQuery(c, ch).indent(16).String())
			}
		}
		union := "\n" + strings.Repeat(" ", 16) + "UNION ALL\n"
		o := operation{Name: event, Before: before.indent(12).String(), Moves: strings.Join(moves, union), Query: strings.Join(queries, union)}
		if plain := t.single(ch); plain != nil {
			part := operation{Name: event, Query: plain.indent(12).String()}
			single.WriteString(part.Query)
			if ch == updated {
				data.Single = slices.Insert(data.Single, 0, part)
			} else {
				data.Single = append(data.Single, part)
			}
		}
		data.Operations = append(data.Operations, o)
	}
	if data.Carries = t.watch != nil; len(data.Single) > 0 {
		data.Declare = append(t.declareSingle(single.String()), data.Declare...)
	}

	var b bytes.Buffer
	if err := functionTemplate.Execute(&b, data); err != nil {
		panic(err) // the template is part of the program, and writing to memory does not fail
	}
	f := &function{name: functionName(table), table: table, source: b.String()}
	f.settings = t.settings(f.source)
	f.comment = fmt.Sprintf("pgbell: %s Definition %s.", strings.ToLower(what[:1])+what[1:], f.hash())
	return f
}

// rowAsSets makes of a trigger's row what the queries expect: sets of one.
func rowAsSets(ch change) string {
	return map[change]string{
		inserted: "WITH new_rows AS (SELECT new.*)",
		updated:  "WITH old_rows AS (SELECT old.*), new_rows AS (SELECT new.*)",
		deleted:  "WITH old_rows AS (SELECT old.*)",
	}[ch]
}

func watchType(w *watched) string {
	if w == nil {
		return ""
	}
	return w.Type
}

// affected are the watches that lose something when this function fails: the
// table's own first.
func (t *target) affected() []*watched {
	var all []*watched
	if t.watch != nil {
		all = append(all, t.watch)
	}
	for _, c := range t.children {
		if !slices.Contains(all, c.watched) {
			all = append(all, c.watched)
		}
	}
	return all
}

// loose reports whether rows of w may stand without their parent here.
func (t *target) loose(w *watched) bool {
	return slices.ContainsFunc(t.children, func(c child) bool { return c.watched == w && !c.parent.immediate })
}

// settings fix what the function's result would otherwise take from the
// session, as pg_proc.proconfig holds them.
func (t *target) settings(source string) []string {
	values := map[string]string{
		"TimeZone": "UTC", "DateStyle": "ISO, YMD", "IntervalStyle": "iso_8601", "bytea_output": "hex",
		"lc_monetary": "C", "extra_float_digits": "1",
	}
	// jit: a plan made for a large statement would be compiled anew for each
	// small one that follows.
	settings := []string{"search_path=pg_catalog, pg_temp", "jit=off"}
	if strings.Contains(source, `\`) {
		settings = append(settings, "standard_conforming_strings=on")
	}
	var names []string
	use := func(columns []column, isText bool) {
		for _, c := range columns {
			names = append(names, c.settings...)
			if isText && (c.typ == "date" || strings.HasPrefix(c.typ, "timestamp")) {
				names = append(names, "DateStyle")
			}
		}
	}
	for _, w := range t.affected() {
		use(w.key, true)
		use(w.seen(), false)
		use(w.told(), true)
		if len(w.Actions) > 0 {
			use(w.relation.columns, false)
		}
		for _, o := range w.owners {
			use([]column{o.column}, true)
		}
		for _, p := range w.parents {
			use([]column{p.column, p.key}, true)
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		settings = append(settings, name+"="+values[name])
	}
	return settings
}

// hash tells definitions apart.
func (f *function) hash() string {
	sum := sha256.Sum256([]byte(strings.Join(f.settings, "\n") + "\x00" + f.source))
	return hex.EncodeToString(sum[:8])
}

// sql is the name as SQL writes it.
func (f *function) sql() string { return "pgbell." + pgx.Identifier{f.name}.Sanitize() }

// create is the SQL that makes or replaces the function.
func (f *function) create() string {
	tag := "$pgbell$"
	for i := 1; strings.Contains(f.source, tag); i++ {
		tag = fmt.Sprintf("$pgbell%d$", i)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE OR REPLACE FUNCTION %s() RETURNS trigger\nLANGUAGE plpgsql SECURITY DEFINER\n", f.sql())
	for _, s := range f.settings {
		name, value, _ := strings.Cut(s, "=")
		if name != "search_path" {
			value = literal(value)
		}
		fmt.Fprintf(&b, "SET %s = %s\n", name, value)
	}
	fmt.Fprintf(&b, "AS %s%s%s;\n", tag, f.source, tag)
	fmt.Fprintf(&b, "COMMENT ON FUNCTION %s() IS %s;\n", f.sql(), literal(f.comment))
	fmt.Fprintf(&b, "REVOKE ALL ON FUNCTION %s() FROM PUBLIC;", f.sql())
	return b.String()
}
