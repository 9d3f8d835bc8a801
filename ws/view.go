package ws

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/ws/auth"
)

// view is what one kind of viewer sees of an event. Viewers with the same view
// share one encoded frame.
type view struct {
	// op is what happened as the viewer sees it. Empty: the viewer sees
	// nothing of this event.
	op pgbell.Op
	// now and was are the audiences whose own columns are in data and in old.
	now, was []string
	// id is equal for equal views of one event.
	id string
	// merged is how many changes the event stands for, and earlier the old
	// values by those before it, an object. Such a view has no equal.
	merged  int
	earlier json.RawMessage
	// unread is how many notifications of the user are unread, if somebody
	// counted. Equal views of one event have the same.
	unread *int64
}

// viewOf is the one place that decides what somebody may see. user is the
// viewer's id; watcher tells whether the viewer sees it by role or
// room, which [addresses] decides.
//
// A viewer's audiences are those in which the row is theirs: before the event
// by Was, or by Owners if no owner moved, and after it by Owners. A watcher
// sees every row, but no audience's own columns unless it is in that audience.
//
//	                 before  after  watcher
//	insert             –      yes     or yes   insert
//	update             no     yes      no      entered: the whole row
//	                   yes    no       no      left: the key alone
//	                   yes    yes    or yes    update, unless nothing in view changed
//	delete            yes      –      or yes   delete: the row as it was
//
// An earlier value of an audience's own column is shown only to those who were
// in that audience then.
func viewOf(e *pgbell.Event, user string, watcher bool) view {
	if isSignal(e) {
		return view{}
	}
	switch e.Op {
	case pgbell.Reset:
		if everybody(e) || user != "" && slices.Contains(e.Users, user) {
			return view{op: pgbell.Reset, id: string(pgbell.Reset)}
		}
		return view{}
	case pgbell.Publish:
		if watcher || user != "" && slices.Contains(e.Users, user) {
			return view{op: pgbell.Publish, id: string(pgbell.Publish)}
		}
		return view{}
	case pgbell.Insert:
		if owned := audiences(e.Owners, user); watcher || len(owned) > 0 {
			return newView(e, pgbell.Insert, owned, nil)
		}
		return view{}
	case pgbell.Delete:
		if owned := audiences(e.Owners, user); watcher || len(owned) > 0 {
			return newView(e, pgbell.Delete, nil, owned)
		}
		return view{}
	case pgbell.Update:
		return viewOfUpdate(e, user, watcher)
	}
	return view{}
}

func viewOfUpdate(e *pgbell.Event, user string, watcher bool) view {
	after := audiences(e.Owners, user)
	before := after
	if e.Was != nil {
		before = audiences(e.Was, user)
	}
	switch {
	case !watcher && len(before) == 0 && len(after) == 0:
		return view{}
	case !watcher && len(before) == 0:
		return newView(e, pgbell.Entered, after, nil)
	case !watcher && len(after) == 0:
		return newView(e, pgbell.Left, nil, nil)
	}
	kept := slices.DeleteFunc(slices.Clone(before), func(a string) bool { return !slices.Contains(after, a) })
	if slices.Equal(before, after) && !changed(e, kept) {
		return view{}
	}
	return newView(e, pgbell.Update, after, kept)
}

// audiences are those in which user owns the row, sorted.
func audiences(owners map[string]string, user string) []string {
	var in []string
	for audience, owner := range owners {
		if user != "" && owner == user {
			in = append(in, audience)
		}
	}
	slices.Sort(in)
	return in
}

// changed reports whether a column that was and is visible changed.
func changed(e *pgbell.Event, in []string) bool {
	if hasMembers(e.Old) {
		return true
	}
	return slices.ContainsFunc(in, func(a string) bool { return hasMembers(e.Only[a].Old) })
}

// newView drops the audiences without columns of their own, so that the others
// share a frame.
func newView(e *pgbell.Event, op pgbell.Op, now, was []string) view {
	plain := func(a string) bool { _, special := e.Only[a]; return !special }
	v := view{op: op, now: slices.DeleteFunc(slices.Clone(now), plain), was: slices.DeleteFunc(slices.Clone(was), plain)}
	v.id = string(op)
	if len(v.now)+len(v.was) > 0 {
		// An audience's name cannot contain a control character.
		v.id += "\x00" + strings.Join(v.now, "\x01") + "\x00" + strings.Join(v.was, "\x01")
	}
	return v
}

// data are the parts of the row as it is now; none if the view shows none.
func (v view) data(e *pgbell.Event) []json.RawMessage {
	if v.op == pgbell.Left || v.op == pgbell.Delete {
		return nil
	}
	parts := []json.RawMessage{e.Data}
	for _, a := range v.now {
		parts = append(parts, e.Only[a].Data)
	}
	return parts
}

// old are the parts of the row as it was; none if the view shows none.
func (v view) old(e *pgbell.Event) []json.RawMessage {
	if v.op != pgbell.Update && v.op != pgbell.Delete {
		return nil
	}
	parts := make([]json.RawMessage, 0, 2+len(v.was))
	if v.op == pgbell.Update && v.earlier != nil {
		parts = append(parts, v.earlier) // of two the first counts
	}
	parts = append(parts, e.Old)
	for _, a := range v.was {
		parts = append(parts, e.Only[a].Old)
	}
	return parts
}

// mergeOld is the old values of an update on top of earlier ones.
func (v view) mergeOld(e *pgbell.Event, earlier json.RawMessage) json.RawMessage {
	v.earlier = earlier
	return appendMerged(nil, v.old(e))
}

// action is the event's, or the transition's.
func (v view) action(e *pgbell.Event) string {
	if v.op == pgbell.Entered || v.op == pgbell.Left {
		return string(v.op)
	}
	return e.Action
}

// watches reports whether one of roles sees every row of the event's type.
func watches(e *pgbell.Event, roles []string) bool {
	return slices.ContainsFunc(e.Watchers, func(w string) bool { return slices.Contains(roles, w) })
}

// addresses reports whether somebody sees the event for what their token says
// beside who they are: a role that watches, or a room that is addressed.
func addresses(e *pgbell.Event, id auth.Identity) bool {
	return watches(e, id.Roles) || e.Op == pgbell.Publish && slices.ContainsFunc(e.Rooms, func(room string) bool {
		return room == pgbell.Everybody || slices.Contains(id.Rooms, room)
	})
}

// everybody reports whether the event is for all, whoever they are: a reset
// that is addressed to nobody in particular, or a broadcast to all.
func everybody(e *pgbell.Event) bool {
	return e.Op == pgbell.Reset && len(e.Users) == 0 || e.Op == pgbell.Publish && slices.Contains(e.Rooms, pgbell.Everybody)
}

// concerned are the users who own the row before or after the event, or to
// whom it is addressed, each once.
func concerned(e *pgbell.Event) []string {
	if e.Op == pgbell.Reset || e.Op == pgbell.Publish {
		users := slices.Clone(e.Users)
		slices.Sort(users)
		return slices.Compact(users)
	}
	var users []string
	for _, owners := range []map[string]string{e.Owners, e.Was} {
		for _, user := range owners {
			if user != "" && !slices.Contains(users, user) {
				users = append(users, user)
			}
		}
	}
	return users
}
