package ws

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/ws/auth"
)

// row is what the naive specification knows of a row: values by column.
type row map[string]string

func (r row) json(columns ...string) json.RawMessage {
	part := row{}
	for _, c := range columns {
		if v, ok := r[c]; ok {
			part[c] = v
		}
	}
	if len(part) == 0 {
		return nil
	}
	text, _ := json.Marshal(part)
	return text
}

// shared and own are the columns of the specification's table.
var (
	shared = []string{"id", "status"}
	own    = map[string][]string{"client": {"rating"}, "provider": {"note", "rating"}}
)

// spec is what a viewer must get, said as plainly as possible.
type spec struct {
	op        pgbell.Op
	data, old row
}

func visible(audiences []string) []string {
	columns := slices.Clone(shared)
	for _, a := range audiences {
		columns = append(columns, own[a]...)
	}
	return columns
}

func only(r row, columns []string) row {
	out := row{}
	for _, c := range columns {
		if v, ok := r[c]; ok {
			out[c] = v
		}
	}
	return out
}

func intersect(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(x string) bool { return !slices.Contains(b, x) })
}

// specify decides from the rows before and after alone; nil is no row.
func specify(user string, watcher bool, was, is map[string]string, before, after row) spec {
	in := func(owners map[string]string) []string {
		var set []string
		for a, owner := range owners {
			if owner == user {
				set = append(set, a)
			}
		}
		slices.Sort(set)
		return set
	}
	had, has := in(was), in(is)
	switch {
	case before == nil && (watcher || len(has) > 0):
		return spec{op: pgbell.Insert, data: only(after, visible(has))}
	case before == nil:
		return spec{}
	case after == nil && (watcher || len(had) > 0):
		return spec{op: pgbell.Delete, old: only(before, visible(had))}
	case after == nil:
		return spec{}
	case !watcher && len(had) == 0 && len(has) == 0:
		return spec{}
	case !watcher && len(had) == 0:
		return spec{op: pgbell.Entered, data: only(after, visible(has))}
	case !watcher && len(has) == 0:
		return spec{op: pgbell.Left}
	}
	old := row{}
	for _, c := range visible(intersect(had, has)) {
		if before[c] != after[c] {
			old[c] = before[c]
		}
	}
	if len(old) == 0 && slices.Equal(had, has) {
		return spec{}
	}
	return spec{op: pgbell.Update, data: only(after, visible(has)), old: old}
}

// capture makes the event that the trigger would write.
func capture(was, is map[string]string, before, after row, watchers []string) pgbell.Event {
	e := pgbell.Event{ID: 7, XID: 9, At: time.UnixMicro(1), Body: pgbell.Body{
		Type: "booking", Table: "public.bookings", Key: json.RawMessage(`{"id":"1"}`), Watchers: watchers,
	}}
	changed := func(columns []string) json.RawMessage {
		diff := row{}
		for _, c := range columns {
			if before[c] != after[c] {
				diff[c] = before[c]
			}
		}
		return diff.json(columns...)
	}
	e.Only = map[string]pgbell.Columns{}
	switch {
	case before == nil:
		e.Op, e.Action, e.Owners = pgbell.Insert, "created", is
		e.Data = after.json(shared...)
		for a, columns := range own {
			e.Only[a] = pgbell.Columns{Data: after.json(columns...)}
		}
	case after == nil:
		e.Op, e.Action, e.Owners = pgbell.Delete, "deleted", was
		e.Old = before.json(shared...)
		for a, columns := range own {
			e.Only[a] = pgbell.Columns{Old: before.json(columns...)}
		}
	default:
		e.Op, e.Action, e.Owners = pgbell.Update, "updated", is
		if !maps.Equal(was, is) {
			e.Was = was
		}
		e.Data, e.Old = after.json(shared...), changed(shared)
		for a, columns := range own {
			e.Only[a] = pgbell.Columns{Data: after.json(columns...), Old: changed(columns)}
		}
	}
	return e
}

func drawRow(t *rapid.T, name string) row {
	r := row{"id": "1"}
	for _, c := range []string{"status", "note", "rating"} {
		r[c] = rapid.SampledFrom([]string{"a", "b"}).Draw(t, name+"."+c)
	}
	return r
}

func drawOwners(t *rapid.T, name string) map[string]string {
	owners := map[string]string{}
	for _, a := range []string{"client", "provider", "agent"} {
		if u := rapid.SampledFrom([]string{"", "u", "v"}).Draw(t, name+"."+a); u != "" {
			owners[a] = u
		}
	}
	return owners
}

func TestViewIsTheSpecification(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		before, after := drawRow(t, "before"), drawRow(t, "after")
		was, is := drawOwners(t, "was"), drawOwners(t, "is")
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			before, was = nil, nil
		case 1:
			after, is = nil, nil
		}
		watcher := rapid.Bool().Draw(t, "watcher")
		want := specify("u", watcher, was, is, before, after)
		e := capture(was, is, before, after, []string{"ADMIN"})

		v := viewOf(&e, "u", watcher)
		require.Equal(t, want.op, v.op)
		if v.op == "" {
			return
		}
		got := decodeUpdate(t, jsonProtocol{}.update(&e, v, "c"))
		require.Equal(t, "booking_update", got.Event)
		require.Equal(t, want.op, got.Data.Op)
		require.JSONEq(t, `{"id":"1"}`, string(got.Data.Key))
		require.Equal(t, want.data, got.Data.Data)
		if want.op == pgbell.Left || want.op == pgbell.Entered {
			require.Equal(t, string(want.op), got.Data.Action)
		}
		if len(want.old) == 0 {
			require.Empty(t, got.Data.Old)
		} else {
			require.Equal(t, want.old, got.Data.Old)
		}
		if want.op == pgbell.Update {
			require.ElementsMatch(t, slices.Collect(maps.Keys(want.old)), got.Data.Changed)
		} else {
			require.Nil(t, got.Data.Changed)
		}
	})
}

// TestViewsWithOneIDAreOneFrame holds what sharing rests on.
func TestViewsWithOneIDAreOneFrame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := capture(drawOwners(t, "was"), drawOwners(t, "is"), drawRow(t, "before"), drawRow(t, "after"), nil)
		frames := map[string]string{}
		for _, user := range []string{"u", "v", ""} {
			for _, watcher := range []bool{false, true} {
				v := viewOf(&e, user, watcher)
				if v.op == "" {
					continue
				}
				frame := string(jsonProtocol{}.update(&e, v, "c"))
				if had, ok := frames[v.id]; ok {
					require.Equal(t, had, frame)
				}
				frames[v.id] = frame
			}
		}
	})
}

func TestViewOfOtherEvents(t *testing.T) {
	t.Parallel()
	publish := pgbell.Event{Body: pgbell.Body{Type: "booking", Op: pgbell.Publish, Action: "hello", Users: []string{"u"}, Data: json.RawMessage(`[1, 2.50]`)}}
	require.Equal(t, pgbell.Publish, viewOf(&publish, "u", false).op)
	require.Empty(t, viewOf(&publish, "v", addresses(&publish, auth.Identity{Roles: []string{"ADMIN"}, Rooms: []string{"lobby"}})).op, "watching a table is not watching broadcasts")
	for _, e := range []pgbell.Body{{Watchers: []string{"ADMIN"}}, {Rooms: []string{"lobby"}}, {Rooms: []string{pgbell.Everybody}}} {
		e.Op = pgbell.Publish
		event := pgbell.Event{Body: e}
		require.Equal(t, pgbell.Publish, viewOf(&event, "v", addresses(&event, auth.Identity{Roles: []string{"ADMIN"}, Rooms: []string{"lobby"}})).op)
		require.Equal(t, everybody(&event), addresses(&event, auth.Identity{Roles: []string{"USER"}}))
		event.Op = pgbell.Insert
		require.False(t, everybody(&event))
		require.Equal(t, len(e.Watchers) > 0, addresses(&event, auth.Identity{Roles: []string{"ADMIN"}, Rooms: []string{"lobby"}}), "rooms are for broadcasts")
	}
	frame := jsonProtocol{}.update(&publish, viewOf(&publish, "u", false), "")
	require.Contains(t, string(frame), `"op":"publish","data":[1, 2.50],"at"`)

	reset := pgbell.Event{Body: pgbell.Body{Type: "booking", Op: pgbell.Reset, Reason: "truncate", Error: "secret"}}
	require.Equal(t, pgbell.Reset, viewOf(&reset, "anybody", false).op)
	require.Equal(t, `{"event":"reset","data":{"type":"booking","reason":"truncate"},"cursor":"c"}`,
		string(payload(jsonProtocol{}.update(&reset, viewOf(&reset, "", false), "c"))))

	unknown := pgbell.Event{Body: pgbell.Body{Op: "other", Owners: map[string]string{"a": "u"}}}
	require.Empty(t, viewOf(&unknown, "u", true).op)
	nobody := pgbell.Event{Body: pgbell.Body{Op: pgbell.Insert, Owners: map[string]string{"a": ""}}}
	require.Empty(t, viewOf(&nobody, "", false).op, "no user owns what nobody owns")
}

// A reset that names users is theirs alone; one that names nobody is for all.
func TestResetOfSomeUsers(t *testing.T) {
	t.Parallel()
	e := pgbell.Event{Body: pgbell.Body{Type: "payment", Op: pgbell.Reset, Reason: "owner_race", Users: []string{"u2", "u1"}}}
	require.Equal(t, pgbell.Reset, viewOf(&e, "u1", false).op)
	require.Empty(t, viewOf(&e, "u3", true).op)
	require.Empty(t, viewOf(&e, "", false).op)
	require.Equal(t, []string{"user:u1", "user:u2"}, newEntry(e).rooms)
	e.Users = nil
	require.Equal(t, pgbell.Reset, viewOf(&e, "u3", false).op)
	require.Equal(t, []string{everyone}, newEntry(e).rooms)
}
