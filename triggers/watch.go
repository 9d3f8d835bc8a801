package triggers

import "strings"

// Name is a table's name, exact as in pg_class: no folding, no quotes.
type Name struct {
	Schema, Name string
}

// String is schema.name, as pgbell.yaml and events write it.
func (n Name) String() string { return n.Schema + "." + n.Name }

func (n Name) compare(other Name) int {
	if c := strings.Compare(n.Schema, other.Schema); c != 0 {
		return c
	}
	return strings.Compare(n.Name, other.Name)
}

// Watch is one table that pgbell watches: what it is called, who owns its rows
// and what of them may be seen. All names are exact as in the catalog.
type Watch struct {
	// Table is the watched table: a plain one, not a view.
	Table Name
	// Type names its events, such as "booking"; unique among the watches.
	Type string
	// Key is the columns that identify a row: NOT NULL and unique. Default:
	// the primary key.
	Key []string
	// Owners say whose row it is, one for each audience.
	Owners []Owner
	// Watchers are the token roles that see every row. Default: none.
	Watchers []string
	// Columns are what every audience sees. Required unless AllColumns.
	Columns []string
	// AllColumns stands for every column that the table has when the plan is
	// made, without those in Only. Default: false.
	AllColumns bool
	// Only is, by audience, the columns that this audience alone sees. They
	// are taken out of Columns. Default: none.
	Only map[string][]string
	// Actions name what happened; the first that matches wins, before the
	// built-in created, status_changed, updated and deleted. Default: none.
	Actions []Action
	// Notifications are the rules by which events make notifications, in this
	// order. Default: none.
	Notifications []Notification
}

// Owner binds an audience to the column that holds the owner's user id. A row
// in which it is NULL has no owner in this audience.
type Owner struct {
	// Audience is the name, such as "client".
	Audience string
	// Column is in the watched table. Empty when Via is set.
	Column string
	// Via finds the owner in another table. Default: nil.
	Via *Via
}

// Via is ownership through a foreign key.
type Via struct {
	// Column of the watched table that refers to Table: to the column that its
	// foreign key names or else to the primary key, which must be one column.
	Column string
	// Table is the one that knows the owner.
	Table Name
	// Owner is the column of Table that holds the user id.
	Owner string
}

// Action is a name for what happened and the SQL condition for it. When may
// use NEW and OLD; on an insert every column of OLD is NULL, on a delete every
// column of NEW. It runs as the function's owner, with search_path pg_catalog,
// so what lives in another schema must be qualified.
type Action struct {
	Name, When string
}

// literal is a text constant as SQL writes it. Functions that hold a backslash
// set standard_conforming_strings, so it stands for itself.
func literal(text string) string {
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}
