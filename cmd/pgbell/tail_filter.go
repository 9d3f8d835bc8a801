package main

import (
	"maps"
	"slices"

	"github.com/pgbell/pgbell"
)

// ops are all that an event can be.
var ops = []pgbell.Op{pgbell.Insert, pgbell.Update, pgbell.Delete, pgbell.Reset, pgbell.Publish}

// tailFilter says which events are shown. An empty list asks for nothing.
type tailFilter struct {
	types, tables, actions, users []string
	ops                           []pgbell.Op
	key                           rowKey
}

func (c *tailCommand) filter() (tailFilter, error) {
	f := tailFilter{types: c.Type, tables: c.Table, actions: c.Action, users: c.User}
	for _, op := range c.Op {
		if !slices.Contains(ops, pgbell.Op(op)) {
			return f, usagef("--op: want insert, update, delete, reset or publish, not %q", op)
		}
		f.ops = append(f.ops, pgbell.Op(op))
	}
	var err error
	f.key, err = parseKey(c.Key)
	return f, err
}

// matches reports whether e is to be shown. What pgbell tells itself is shown to
// those alone who ask for its type.
func (f *tailFilter) matches(e *pgbell.Event) bool {
	asked := func(list []string, value string) bool { return list == nil || slices.Contains(list, value) }
	switch {
	case f.types == nil && isSignal(e), !asked(f.types, e.Type), !asked(f.tables, e.Table), !asked(f.actions, e.Action):
		return false
	case f.ops != nil && !slices.Contains(f.ops, e.Op):
		return false
	case !f.key.empty() && !f.key.matches(e.Key):
		return false
	}
	return f.users == nil || slices.ContainsFunc(f.users, func(user string) bool { return concerns(e, user) })
}

// concerns reports whether e goes to a user as themself, whatever roles they
// have.
func concerns(e *pgbell.Event, user string) bool {
	is := func(id string) bool { return id == user }
	owns := func(owners map[string]string) bool {
		return slices.ContainsFunc(slices.Collect(maps.Values(owners)), is)
	}
	return owns(e.Owners) || owns(e.Was) || slices.ContainsFunc(e.Users, is) ||
		slices.Contains(e.Rooms, "*") || e.Op == pgbell.Reset && len(e.Users) == 0
}
