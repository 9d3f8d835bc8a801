package config

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// Table is one watched table. Names are exact, as in pg_class and
// pg_attribute; whether they exist is for the database to say.
type Table struct {
	// Schema and Name come from the key "schema.table", cut at its first dot:
	// a table's name may contain dots, a schema's may not.
	Schema, Name string
	// Type is the event type: letters, digits and underscores. No two tables
	// have the same.
	Type string
	// Key are the columns that identify a row. Default: the primary key.
	Key []string
	// Owners are the audiences, in the file's order.
	Owners []Owner
	// Watchers are token roles that see every row.
	Watchers []string
	// Columns are those that every audience sees. It is nil if AllColumns.
	Columns []string
	// AllColumns is set by columns: "*".
	AllColumns bool
	// Only has, by audience, the columns that it alone sees besides.
	Only map[string][]string
	// Actions are tried in this order.
	Actions []Action
	// Debounce is for how long after a change of a row a session gets no other
	// of that row, but at the end the latest. At most a minute. Default: 0,
	// every change is sent at once.
	Debounce time.Duration
	// Notifications are the rules that begin with the table's type, in the
	// file's order.
	Notifications []Notification
	// Line is where the table's key stands.
	Line int
}

// Owner binds an audience to the column whose value is the user's id.
type Owner struct {
	Audience string
	// Column is in the watched table, or in Table if Via is set.
	Column string
	// Via is the column of the watched table that refers to the row of Table
	// (schema.table) that names the owner. Both are empty or neither.
	Via   string
	Table string
	Line  int
}

// Action names a change. When is an SQL condition over OLD and NEW.
type Action struct {
	Name, When string
	Line       int
}

// String is the table as the file names it.
func (t *Table) String() string { return t.Schema + "." + t.Name }

// SplitName cuts "schema.table" at the first dot.
func SplitName(name string) (schema, table string, ok bool) {
	schema, table, ok = strings.Cut(name, ".")
	return schema, table, ok && schema != "" && table != ""
}

var (
	word = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// Rooms are named user:<id>, role:<role> and <type>:<key>.
	reservedTypes = []string{"user", "role", "room"}

	tableKeys = []string{"type", "key", "owners", "watchers", "columns", "only", "actions", "debounce"}
	ownerKeys = []string{"via", "table", "column"}
)

func (d *document) tables(n ast.Node, at int) ([]Table, error) {
	entries, err := d.mapping(n, at, "tables")
	if err != nil {
		return nil, err
	}
	tables := make([]Table, 0, len(entries))
	types := make(map[string]string, len(entries))
	for _, e := range entries {
		t, err := d.table(e)
		if err != nil {
			return nil, err
		}
		if other, twice := types[t.Type]; twice {
			return nil, d.errorf(t.Line, "tables %s and %s have the same type %q", other, t.String(), t.Type)
		}
		types[t.Type] = t.String()
		tables = append(tables, t)
	}
	return tables, nil
}

func (d *document) table(e entry) (Table, error) {
	t := Table{Line: e.line}
	var ok bool
	if t.Schema, t.Name, ok = SplitName(e.key); !ok {
		return t, d.errorf(e.line, "table %q has no schema, write %q", e.key, "public."+strings.Trim(e.key, "."))
	}
	what := "table " + e.key
	entries, err := d.mapping(e.value, e.line, what)
	if err != nil {
		return t, err
	}
	for _, f := range entries {
		of := f.key + " of " + what
		switch f.key {
		case "type":
			t.Type, err = d.eventType(f, of)
		case "key":
			t.Key, err = d.list(f.value, f.line, of)
		case "owners":
			t.Owners, err = d.owners(f, of)
		case "watchers":
			t.Watchers, err = d.list(f.value, f.line, of)
		case "columns":
			t.Columns, t.AllColumns, err = d.columns(f, of)
		case "only":
			t.Only, err = d.only(f, of)
		case "actions":
			t.Actions, err = d.actions(f, of)
		case "debounce":
			t.Debounce, err = d.debounce(f, of)
		default:
			err = d.unknown(f, what, tableKeys)
		}
		if err != nil {
			return t, err
		}
	}
	err = d.checkTable(&t, what, entries)
	return t, err
}

// checkTable looks at what no single key can show.
func (d *document) checkTable(t *Table, what string, entries []entry) error {
	if t.Type == "" {
		return d.errorf(t.Line, "%s has no type; type: booking makes events named booking_update", what)
	}
	if t.Columns == nil && !t.AllColumns {
		return d.errorf(t.Line, `%s has no columns; list those that its owners may see, or write columns: "*"`, what)
	}
	var audiences []string
	for _, o := range t.Owners {
		audiences = append(audiences, o.Audience)
	}
	for _, e := range entries {
		if e.key != "only" {
			continue
		}
		for audience := range t.Only {
			if !slices.Contains(audiences, audience) {
				return d.errorf(e.line, "only of %s names the audience %q, which is none of its owners%s", what, audience, didYouMean(audience, audiences))
			}
		}
	}
	return nil
}

func (d *document) eventType(e entry, what string) (string, error) {
	name, err := d.text(e.value, e.line, what)
	if err != nil {
		return "", err
	}
	if !word.MatchString(name) {
		return "", d.errorf(e.line, "%s is %q, want letters, digits and underscores", what, name)
	}
	if slices.Contains(reservedTypes, name) {
		return "", d.errorf(e.line, "%s is %q, which names other rooms; choose another word", what, name)
	}
	return name, nil
}

func (d *document) owners(e entry, what string) ([]Owner, error) {
	entries, err := d.mapping(e.value, e.line, what)
	if err != nil {
		return nil, err
	}
	owners := make([]Owner, 0, len(entries))
	for _, f := range entries {
		o := Owner{Audience: f.key, Line: f.line}
		if !word.MatchString(f.key) {
			return nil, d.errorf(f.line, "the audience %q in %s is no word of letters, digits and underscores", f.key, what)
		}
		audience := f.key + " in " + what
		if _, ok := f.value.(*ast.MappingNode); ok {
			err = d.ownerVia(&o, f, audience)
		} else {
			o.Column, err = d.text(f.value, f.line, audience)
		}
		if err != nil {
			return nil, err
		}
		owners = append(owners, o)
	}
	return owners, nil
}

func (d *document) ownerVia(o *Owner, e entry, what string) error {
	entries, err := d.mapping(e.value, e.line, what)
	if err != nil {
		return err
	}
	for _, f := range entries {
		of := f.key + " of " + what
		switch f.key {
		case "via":
			o.Via, err = d.text(f.value, f.line, of)
		case "table":
			o.Table, err = d.text(f.value, f.line, of)
			if _, _, ok := SplitName(o.Table); err == nil && !ok {
				err = d.errorf(f.line, "%s is %q, which has no schema, write %q", of, o.Table, "public."+strings.Trim(o.Table, "."))
			}
		case "column":
			o.Column, err = d.text(f.value, f.line, of)
		default:
			err = d.unknown(f, what, ownerKeys)
		}
		if err != nil {
			return err
		}
	}
	if o.Via == "" || o.Table == "" || o.Column == "" {
		return d.errorf(e.line, "%s needs via, table and column", what)
	}
	return nil
}

func (d *document) columns(e entry, what string) (names []string, all bool, err error) {
	names, err = d.list(e.value, e.line, what)
	if err != nil {
		return nil, false, err
	}
	if slices.Contains(names, "*") {
		if len(names) > 1 {
			return nil, false, d.errorf(e.line, `%s has "*" among names; write either`, what)
		}
		return nil, true, nil
	}
	return names, false, nil
}

func (d *document) only(e entry, what string) (map[string][]string, error) {
	entries, err := d.mapping(e.value, e.line, what)
	if err != nil {
		return nil, err
	}
	only := make(map[string][]string, len(entries))
	for _, f := range entries {
		only[f.key], err = d.list(f.value, f.line, f.key+" in "+what)
		if err != nil {
			return nil, err
		}
	}
	return only, nil
}

func (d *document) actions(e entry, what string) ([]Action, error) {
	entries, err := d.mapping(e.value, e.line, what)
	if err != nil {
		return nil, err
	}
	actions := make([]Action, 0, len(entries))
	for _, f := range entries {
		when, err := d.text(f.value, f.line, f.key+" in "+what)
		if err != nil {
			return nil, err
		}
		if !word.MatchString(f.key) {
			return nil, d.errorf(f.line, "the action %q in %s is no word of letters, digits and underscores", f.key, what)
		}
		actions = append(actions, Action{Name: f.key, When: when, Line: f.line})
	}
	return actions, nil
}

// maxDebounce bounds how long a session may be kept from a row's state.
const maxDebounce = time.Minute

func (d *document) debounce(e entry, what string) (time.Duration, error) {
	text, err := d.scalar(e.value, e.line, what)
	if err != nil || text == "0" {
		return 0, err
	}
	window, err := time.ParseDuration(text)
	if err != nil || window < 0 {
		return 0, d.errorf(e.line, "%s is %q, want a duration such as 250ms", what, text)
	}
	if window > maxDebounce {
		return 0, d.errorf(e.line, "%s is %q, at most %s are waited", what, text, maxDebounce)
	}
	return window, nil
}
