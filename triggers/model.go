package triggers

// watched is a watch whose every name was found in the catalog.
type watched struct {
	Watch
	relation *relation
	key      []column
	columns  []column // what every audience sees
	only     []onlyColumns
	owners   []owner
	parents  []*parent
	rules    []rule
}

// onlyColumns are what one audience alone sees.
type onlyColumns struct {
	audience string
	columns  []column
}

// owner is where a row's owner in one audience is found: in a column of the
// row itself, or in one of the parent's row.
type owner struct {
	audience string
	column   column
	parent   *parent // nil for a column of the row itself
}

// parent is a table that the owners of another are found in.
type parent struct {
	number   int // from 1, among the parents of one watch
	column   column
	relation *relation
	key      column   // of the parent, what column refers to
	owners   []column // of the parent, each once
	// immediate says that a foreign key holds at the end of each statement: a
	// row never stands without its parent.
	immediate bool
	// cascades says that the foreign key's actions change or delete rows.
	cascadesDelete, cascadesUpdate bool
}

// leavesOwners reports whether a parent that goes can take rows with it, so
// that its trigger must leave its owners behind for theirs.
func (p *parent) leavesOwners() bool { return p.immediate || p.cascadesDelete || p.cascadesUpdate }

// child is a watch whose owners are found in the table at hand.
type child struct {
	*watched
	parent *parent
}

// target is a table that gets a function and triggers: because it is watched,
// because it is the parent of a watched one, or both.
type target struct {
	relation *relation
	watch    *watched // nil if it is only a parent
	children []child
}

// seen are the columns whose change makes an event: all that anybody sees, and
// those that decide who sees it.
func (w *watched) seen() []column {
	var all []column
	have := make(map[string]bool)
	add := func(columns ...column) {
		for _, c := range columns {
			if !have[c.name] {
				have[c.name] = true
				all = append(all, c)
			}
		}
	}
	add(w.columns...)
	for _, o := range w.only {
		add(o.columns...)
	}
	for _, o := range w.owners {
		if o.parent == nil {
			add(o.column)
		} else {
			add(o.parent.column)
		}
	}
	return all
}
