package triggers

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// typePattern keeps event names (booking_update) and rooms (booking:42) plain.
var typePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)

// reservedTypes would make rooms of rows that are the rooms of users and roles.
var reservedTypes = []string{"user", "role"}

// checker turns watches into targets and collects every mistake on the way.
type checker struct {
	catalog  *catalog
	role     string // that is connected, as SQL writes it
	errs     map[Name][]error
	watching map[Name]bool // the tables of all watches
	warnings []string
}

func (c *checker) fail(w Watch, format string, args ...any) {
	c.errs[w.Table] = append(c.errs[w.Table], fmt.Errorf("%s: "+format, append([]any{w.Table}, args...)...))
}

// deny is for mistakes of who is connected, not of the watch.
func (c *checker) deny(table Name, problem roleError) {
	if c.errs == nil {
		c.errs = make(map[Name][]error)
	}
	if table != (Name{}) {
		problem = roleError(table.String()+": ") + problem
	}
	if !slices.Contains(c.errs[table], error(problem)) {
		c.errs[table] = append(c.errs[table], problem)
	}
}

// ownership is why the connected role may not manage the triggers of a table,
// those of its partitions included.
func (c *checker) ownership(r *relation) roleError {
	if !r.owned {
		return notOwner("it belongs", c.role, r.owner)
	}
	for _, p := range r.partitions {
		if !p.owned && !p.foreign {
			return notOwner("its partition "+p.name.String()+" belongs", c.role, p.owner)
		}
	}
	return ""
}

// err is everything found so far, by table.
func (c *checker) err() error {
	var all []error
	for _, name := range slices.SortedFunc(maps.Keys(c.errs), Name.compare) {
		all = append(all, c.errs[name]...)
	}
	return errors.Join(all...)
}

// tableNames are all that the watches name, each once.
func tableNames(watches []Watch) []Name {
	set := make(map[Name]bool)
	for _, w := range watches {
		set[w.Table] = true
		for _, o := range w.Owners {
			if o.Via != nil {
				set[o.Via.Table] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(set), Name.compare)
}

// targets resolves the watches. A watch with a mistake has none.
func (c *checker) targets(watches []Watch) []*target {
	types, tables := make(map[string]Name), make(map[Name]bool)
	c.watching = make(map[Name]bool)
	for _, w := range watches {
		c.watching[w.Table] = true
	}
	byName := make(map[Name]*target)
	at := func(r *relation) *target {
		if byName[r.name] == nil {
			byName[r.name] = &target{relation: r}
		}
		return byName[r.name]
	}
	for _, w := range slices.SortedFunc(slices.Values(watches), func(a, b Watch) int { return a.Table.compare(b.Table) }) {
		if tables[w.Table] {
			c.fail(w, "is watched twice")
			continue
		}
		tables[w.Table] = true
		if other, taken := types[w.Type]; taken && w.Type != "" {
			c.fail(w, "type %q is already that of %s", w.Type, other)
		}
		types[w.Type] = w.Table
		resolved := c.watch(w)
		if len(c.errs[w.Table]) > 0 {
			continue
		}
		at(resolved.relation).watch = resolved
		for _, p := range resolved.parents {
			t := at(p.relation)
			t.children = append(t.children, child{resolved, p})
		}
	}
	return slices.SortedFunc(maps.Values(byName), func(a, b *target) int { return a.relation.name.compare(b.relation.name) })
}

func (c *checker) watch(w Watch) *watched {
	switch {
	case w.Type == "":
		c.fail(w, "type is missing")
	case !typePattern.MatchString(w.Type):
		c.fail(w, "type %q must be letters, digits, _ and -, beginning with a letter", w.Type)
	case slices.Contains(reservedTypes, w.Type):
		c.fail(w, "type %q is reserved, its rooms are those of users or roles; choose another", w.Type)
	}
	r := c.table(w, "", w.Table)
	if r == nil {
		return nil
	}
	resolved := &watched{Watch: w, relation: r}
	resolved.key = c.key(w, r)
	c.owners(resolved)
	c.visible(resolved)
	c.notifications(resolved)
	switch {
	case !r.rewritten:
	case !r.maySelect:
		c.fail(w, "this role may not read the table, which it must because triggers or foreign keys may write a row twice; GRANT SELECT")
	case r.rowSecurity:
		c.fail(w, "row security hides rows from this role, which must read them because triggers or foreign keys may write a row twice; connect as a role with BYPASSRLS")
	}
	names := make(map[string]bool)
	for _, a := range w.Actions {
		switch {
		case a.Name == "":
			c.fail(w, "an action has no name")
		case names[a.Name]:
			c.fail(w, "action %s is named twice", a.Name)
		case strings.TrimSpace(a.When) == "":
			c.fail(w, "action %s has no expression", a.Name)
		}
		names[a.Name] = true
	}
	return resolved
}

// table finds a table that triggers may stand on. What it is for, such as
// "owner client: ", begins the error.
func (c *checker) table(w Watch, purpose string, name Name) *relation {
	r := c.catalog.relations[name]
	var problem string
	switch {
	case name.Schema == "pgbell", name.Schema == "information_schema", strings.HasPrefix(name.Schema, "pg_"):
		problem = "belongs to the system and cannot be watched"
	case r == nil:
		c.fail(w, "%sno table %q%s", purpose, name, suggest(name.String(), c.catalog.names))
		return nil
	case r.kind == "v", r.kind == "m":
		problem = "is a view; watch the tables under it"
	case r.kind == "f":
		problem = "is a foreign table, whose changes made elsewhere no trigger sees; watch it where it is"
	case r.root != (Name{}):
		problem = "is a partition; watch " + r.root.String()
	case r.partitioned() && purpose != "":
		problem = "is partitioned; owners are found in plain tables only"
	case r.persistence == "t":
		problem = "is a temporary table"
	default:
		if problem := c.ownership(r); problem != "" {
			c.deny(name, problem)
			return nil
		}
	}
	switch {
	case problem == "" && purpose == "":
		for _, child := range r.children {
			if !c.watching[child] {
				c.warnings = append(c.warnings, fmt.Sprintf("writes to %s, a child of %s by inheritance, are not seen; watch it too", child, name))
			}
		}
	case problem != "" && name == w.Table:
		c.fail(w, "%s%s", purpose, problem)
	case problem != "":
		c.fail(w, "%stable %s %s", purpose, name, problem)
	}
	if problem != "" {
		return nil
	}
	return r
}

// column finds one column that a trigger can read.
func (c *checker) column(w Watch, r *relation, purpose, name string) (column, bool) {
	col, ok := r.column(name)
	switch {
	case !ok && r.name == w.Table:
		c.fail(w, "%s: no column %q%s", purpose, name, suggest(name, r.columnNames()))
	case !ok:
		c.fail(w, "%s: table %s has no column %q%s", purpose, r.name, name, suggest(name, r.columnNames()))
	case col.virtual:
		c.fail(w, "%s: column %q is a virtual generated column, which triggers cannot see", purpose, name)
		ok = false
	}
	return col, ok
}

func (c *checker) key(w Watch, r *relation) []column {
	names := w.Key
	if len(names) == 0 {
		if !r.hasPrimary {
			c.fail(w, "has no primary key; name NOT NULL columns with a unique index as its key")
			return nil
		}
		names = r.unique[0]
	}
	var key []column
	for i, name := range names {
		col, ok := c.column(w, r, "key", name)
		switch {
		case !ok:
			return nil
		case slices.Contains(names[:i], name):
			c.fail(w, "key: column %q is named twice", name)
		case !col.notNull:
			c.fail(w, "key: column %q may be NULL; it must be NOT NULL", name)
		}
		key = append(key, col)
	}
	covered := slices.ContainsFunc(r.unique, func(index []string) bool {
		return !slices.ContainsFunc(index, func(column string) bool { return !slices.Contains(names, column) })
	})
	if !covered {
		c.fail(w, "key: no unique index covers (%s), so it may name several rows", strings.Join(names, ", "))
	}
	return key
}

func (c *checker) owners(w *watched) {
	have := make(map[string]bool)
	for _, o := range w.Owners {
		purpose := "owner " + o.Audience
		switch {
		case o.Audience == "":
			c.fail(w.Watch, "an owner has no audience")
			continue
		case have[o.Audience]:
			c.fail(w.Watch, "%s: the audience is named twice", purpose)
			continue
		}
		have[o.Audience] = true
		switch {
		case o.Via != nil && o.Column != "":
			c.fail(w.Watch, "%s: give a column or via, not both", purpose)
		case o.Via != nil:
			if p, col, ok := c.via(w, purpose, *o.Via); ok {
				w.owners = append(w.owners, owner{o.Audience, col, p})
			}
		case o.Column == "":
			c.fail(w.Watch, "%s: the column is missing", purpose)
		default:
			if col, ok := c.column(w.Watch, w.relation, purpose, o.Column); ok {
				w.owners = append(w.owners, owner{o.Audience, col, nil})
			}
		}
	}
}

// via finds the parent that knows the owner, one for each column that refers
// to it.
func (c *checker) via(w *watched, purpose string, v Via) (*parent, column, bool) {
	col, ok := c.column(w.Watch, w.relation, purpose, v.Column)
	r := c.table(w.Watch, purpose+": ", v.Table)
	if !ok || r == nil {
		return nil, column{}, false
	}
	own, ok := c.column(w.Watch, r, purpose, v.Owner)
	if !ok {
		return nil, column{}, false
	}
	i := slices.IndexFunc(w.parents, func(p *parent) bool { return p.column.name == v.Column && p.relation == r })
	if i < 0 {
		p := c.parent(w, purpose, col, r)
		if p == nil {
			return nil, column{}, false
		}
		p.number = len(w.parents) + 1
		w.parents = append(w.parents, p)
		i = len(w.parents) - 1
	}
	p := w.parents[i]
	if !slices.ContainsFunc(p.owners, func(o column) bool { return o.name == own.name }) {
		p.owners = append(p.owners, own)
	}
	return p, own, true
}

func (c *checker) parent(w *watched, purpose string, col column, r *relation) *parent {
	p := &parent{column: col, relation: r}
	referenced := ""
	for _, fk := range w.relation.foreign {
		if fk.column == col.name && fk.references == r.oid {
			referenced = fk.referenced
			p.immediate = fk.immediate
			p.cascadesDelete, p.cascadesUpdate = cascades(fk.onDelete), cascades(fk.onUpdate)
		}
	}
	switch {
	case referenced != "":
	case r.hasPrimary && len(r.unique[0]) == 1:
		referenced = r.unique[0][0]
	default:
		c.fail(w.Watch, "%s: column %q has no foreign key to %s, which has no primary key of one column either", purpose, col.name, r.name)
		return nil
	}
	p.key, _ = r.column(referenced)
	switch {
	case !r.maySelect:
		c.fail(w.Watch, "%s: this role may not read %s, where the owner is found; GRANT SELECT", purpose, r.name)
	case r.rowSecurity:
		c.fail(w.Watch, "%s: row security hides rows of %s from this role, so owners would be missed; connect as a role with BYPASSRLS", purpose, r.name)
	case !w.relation.maySelect:
		c.fail(w.Watch, "%s: this role may not read the table, which it must when %s changes hands; GRANT SELECT", purpose, r.name)
	case w.relation.rowSecurity:
		c.fail(w.Watch, "%s: row security hides rows from this role, so some would be missed when %s changes hands; connect as a role with BYPASSRLS", purpose, r.name)
	}
	if !w.relation.leading[col.name] {
		c.warnings = append(c.warnings, fmt.Sprintf("%s has no index that begins with %q: a change of owner in %s scans the whole table", w.Table, col.name, r.name))
	}
	return p
}

func (c *checker) visible(w *watched) {
	for _, audience := range slices.Sorted(maps.Keys(w.Only)) {
		purpose := "only " + audience
		if !slices.ContainsFunc(w.Owners, func(o Owner) bool { return o.Audience == audience }) {
			names := make([]string, len(w.Owners))
			for i, o := range w.Owners {
				names[i] = o.Audience
			}
			c.fail(w.Watch, "%s: no owner has this audience%s", purpose, suggest(audience, names))
		}
		columns := c.columns(w, purpose, w.Only[audience])
		for _, col := range columns {
			if slices.ContainsFunc(w.key, func(k column) bool { return k.name == col.name }) {
				c.fail(w.Watch, "%s: column %q is part of the key, which every audience sees", purpose, col.name)
			}
		}
		w.only = append(w.only, onlyColumns{audience, columns})
	}
	// In the order in which the audiences stand in the watch.
	slices.SortFunc(w.only, func(a, b onlyColumns) int {
		index := func(audience string) int {
			return slices.IndexFunc(w.Owners, func(o Owner) bool { return o.Audience == audience })
		}
		return cmp.Compare(index(a.audience), index(b.audience))
	})
	isOnly := func(name string) bool {
		return slices.ContainsFunc(w.only, func(o onlyColumns) bool {
			return slices.ContainsFunc(o.columns, func(c column) bool { return c.name == name })
		})
	}
	switch {
	case w.AllColumns && len(w.Columns) > 0:
		c.fail(w.Watch, "columns: give a list or all, not both")
	case w.AllColumns:
		for _, col := range w.relation.columns {
			if !col.virtual && !isOnly(col.name) {
				w.columns = append(w.columns, col)
			}
		}
	case len(w.Columns) == 0:
		c.fail(w.Watch, `columns: name the columns that may be seen, or "*" for all`)
	default:
		for _, col := range c.columns(w, "columns", w.Columns) {
			if !isOnly(col.name) {
				w.columns = append(w.columns, col)
			}
		}
	}
}

// columns finds each of a list, once.
func (c *checker) columns(w *watched, purpose string, names []string) []column {
	var found []column
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			c.fail(w.Watch, "%s: column %q is named twice", purpose, name)
			continue
		}
		if col, ok := c.column(w.Watch, w.relation, purpose, name); ok {
			found = append(found, col)
		}
	}
	return found
}
