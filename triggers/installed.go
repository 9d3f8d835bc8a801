package triggers

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// trigger is one trigger on a table, as it should be or as it is.
type trigger struct {
	name     string
	table    Name
	tableSQL string
	event    string // INSERT, UPDATE, DELETE or TRUNCATE
	row      bool   // fires for each row, not for each statement
	function string // in schema pgbell
	comment  string

	// Of an installed one only: pg_trigger.tgenabled, whether it has the form of
	// ours, and whether Postgres made it on a partition from the table's own.
	enabled string
	regular bool
	clone   bool
	owner   string // of the table
	owned   bool   // by us
}

// triggerType is pg_trigger.tgtype of a trigger that fires after a statement.
var triggerType = map[string]int16{"INSERT": 4, "DELETE": 8, "UPDATE": 16, "TRUNCATE": 32}

// triggerNames are what our triggers are called, by what they fire on.
var triggerNames = map[string]string{
	"INSERT": "pgbell_insert", "UPDATE": "pgbell_update", "DELETE": "pgbell_delete", "TRUNCATE": "pgbell_truncate",
}

// rowSets are the transition tables of each.
var rowSets = map[string]string{
	"INSERT": "REFERENCING NEW TABLE AS new_rows ",
	"UPDATE": "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows ",
	"DELETE": "REFERENCING OLD TABLE AS old_rows ",
}

// triggers are what a target's table should have, and its partitions: Postgres
// gives them the triggers that fire for each row, but not that for TRUNCATE.
func (t *target) triggers(f *function) []trigger {
	var all []trigger
	add := func(table Name, sql, event string, row bool) {
		each := ""
		if row {
			each = "row of an "
		}
		all = append(all, trigger{
			name: triggerNames[event], table: table, tableSQL: sql, event: event, row: row, function: f.name,
			comment: "pgbell: after each " + each + event + " calls pgbell." + f.name + ".",
		})
	}
	for _, event := range t.events() {
		add(t.relation.name, t.relation.sql, event, t.eachRow() && event != "TRUNCATE")
	}
	for _, p := range t.relation.partitions {
		if !p.foreign {
			add(p.name, p.sql, "TRUNCATE", false)
		}
	}
	return all
}

// create is the SQL that makes or replaces the trigger.
func (t trigger) create() string {
	each := rowSets[t.event] + "FOR EACH STATEMENT"
	if t.row {
		each = "FOR EACH ROW"
	}
	return fmt.Sprintf("CREATE OR REPLACE TRIGGER %s AFTER %s ON %s\n    %s EXECUTE FUNCTION pgbell.%s();\nCOMMENT ON TRIGGER %s ON %s IS %s;",
		t.name, t.event, t.tableSQL, each, pgx.Identifier{t.function}.Sanitize(), t.name, t.tableSQL, literal(t.comment))
}

func (t trigger) drop() string {
	return fmt.Sprintf("DROP TRIGGER %s ON %s;", pgx.Identifier{t.name}.Sanitize(), t.tableSQL)
}

// installedFunction is one of ours as the catalog holds it.
type installedFunction struct {
	function
	regular bool   // language, security and privileges are as we made them
	records bool   // its owner may write the event log
	owner   string // as SQL writes it
	owned   bool   // we may replace it, and drop it
}

// installation is everything of ours in the database.
type installation struct {
	functions []installedFunction
	triggers  []trigger
}

func (i *installation) function(name string) *installedFunction {
	at := slices.IndexFunc(i.functions, func(f installedFunction) bool { return f.name == name })
	if at < 0 {
		return nil
	}
	return &i.functions[at]
}

func (i *installation) trigger(table Name, name string) *trigger {
	at := slices.IndexFunc(i.triggers, func(t trigger) bool { return t.table == table && t.name == name })
	if at < 0 {
		return nil
	}
	return &i.triggers[at]
}

// readInstallation finds our functions, which are told from the static ones of
// schema pgbell by the dot in their names, and every trigger that calls one.
func readInstallation(ctx context.Context, q querier) (*installation, error) {
	i := new(installation)
	rows, _ := q.Query(ctx, functionsSQL)
	var f installedFunction
	_, err := pgx.ForEachRow(rows, []any{&f.name, &f.source, &f.settings, &f.comment, &f.regular, &f.records, &f.owner, &f.owned}, func() error {
		found := f
		found.settings = slices.Clone(f.settings)
		i.functions = append(i.functions, found)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read installed functions: %w", err)
	}
	rows, _ = q.Query(ctx, triggersSQL)
	var t trigger
	var typ int16
	var plain bool
	var oldRows, newRows string
	_, err = pgx.ForEachRow(rows, []any{&t.name, &t.table.Schema, &t.table.Name, &t.tableSQL, &t.function, &t.comment, &t.enabled, &typ, &plain, &oldRows, &newRows, &t.clone, &t.owner, &t.owned}, func() error {
		found := t
		for event, want := range triggerType {
			if typ&^1 == want {
				found.event, found.row = event, typ&1 == 1
			}
		}
		var sets string
		switch {
		case oldRows != "" && newRows != "":
			sets = "REFERENCING OLD TABLE AS " + oldRows + " NEW TABLE AS " + newRows + " "
		case newRows != "":
			sets = "REFERENCING NEW TABLE AS " + newRows + " "
		case oldRows != "":
			sets = "REFERENCING OLD TABLE AS " + oldRows + " "
		}
		want := rowSets[found.event]
		if found.row {
			want = ""
		}
		found.regular = plain && found.event != "" && found.name == triggerNames[found.event] && sets == want
		i.triggers = append(i.triggers, found)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read installed triggers: %w", err)
	}
	return i, nil
}

var functionsSQL = `
SELECT p.proname, p.prosrc, coalesce(p.proconfig, '{}'), coalesce(obj_description(p.oid, 'pg_proc'), ''),
       p.prosecdef AND l.lanname = 'plpgsql' AND NOT has_function_privilege('public', p.oid, 'EXECUTE'),
       ` + fmt.Sprintf(mayRecordSQL, "p.proowner") + `,
       p.proowner::regrole::text, pg_has_role(p.proowner, 'USAGE')
  FROM pg_proc AS p
  JOIN pg_namespace AS n ON n.oid = p.pronamespace
  JOIN pg_language AS l ON l.oid = p.prolang
 WHERE n.nspname = 'pgbell' AND p.proname LIKE '%.%' AND p.pronargs = 0 AND p.prorettype = 'trigger'::regtype
 ORDER BY p.proname`

const triggersSQL = `
SELECT t.tgname, tn.nspname, c.relname, quote_ident(tn.nspname) || '.' || quote_ident(c.relname),
       p.proname, coalesce(obj_description(t.oid, 'pg_trigger'), ''),
       t.tgenabled::text, t.tgtype, t.tgqual IS NULL AND t.tgnargs = 0 AND cardinality(t.tgattr) = 0,
       coalesce(t.tgoldtable, ''), coalesce(t.tgnewtable, ''), t.tgparentid <> 0,
       c.relowner::regrole::text, pg_has_role(c.relowner, 'USAGE')
  FROM pg_trigger AS t
  JOIN pg_proc AS p ON p.oid = t.tgfoid
  JOIN pg_namespace AS n ON n.oid = p.pronamespace
  JOIN pg_class AS c ON c.oid = t.tgrelid
  JOIN pg_namespace AS tn ON tn.oid = c.relnamespace
 WHERE n.nspname = 'pgbell' AND p.proname LIKE '%.%' AND NOT t.tgisinternal
 ORDER BY tn.nspname, c.relname, t.tgname`

// strangersSQL are triggers that bear our names but call something else.
const strangersSQL = `
SELECT quote_ident(tn.nspname) || '.' || quote_ident(c.relname), t.tgname
  FROM pg_trigger AS t
  JOIN pg_proc AS p ON p.oid = t.tgfoid
  JOIN pg_namespace AS n ON n.oid = p.pronamespace
  JOIN pg_class AS c ON c.oid = t.tgrelid
  JOIN pg_namespace AS tn ON tn.oid = c.relnamespace
 WHERE c.oid = ANY ($1) AND t.tgname = ANY ($2) AND (n.nspname <> 'pgbell' OR p.proname NOT LIKE '%.%')
 ORDER BY 1, 2`
