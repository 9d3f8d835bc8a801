package oracle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/pgbell/pgbell"
)

// fact is one event of the log.
type fact struct {
	id   int64
	xid  uint64
	body body
}

// body is what stands in the log; docs/event-log.md describes it.
type body struct {
	Type     string            `json:"type"`
	Op       string            `json:"op"`
	Action   string            `json:"action"`
	Table    string            `json:"table"`
	Key      json.RawMessage   `json:"key"`
	Owners   map[string]string `json:"owners"`
	Was      map[string]string `json:"was"`
	Watchers []string          `json:"watchers"`
	Data     columns           `json:"data"`
	Old      columns           `json:"old"`
	Only     map[string]struct {
		Data columns `json:"data"`
		Old  columns `json:"old"`
	} `json:"only"`
	Users  []string `json:"users"`
	Reason string   `json:"reason"`
	Error  string   `json:"error"`
}

// byParent reports whether the row itself did not change, but the one that
// knows its owners. Between such an event and those of the row's own changes
// there is no lock and so no order; see docs/event-log.md. If they cross, a
// reset follows.
func (b *body) byParent() bool {
	if b.Type != "item" || b.Op != "update" || b.Was == nil || len(b.Old) > 0 {
		return false
	}
	for _, only := range b.Only {
		if len(only.Old) > 0 {
			return false
		}
	}
	return true
}

// columns are a row's columns by name.
type columns map[string]json.RawMessage

// sight is what one user may see of one event, put as the message says it.
type sight struct {
	op        string
	action    string
	data, old columns // nil where the message has none
}

// see is who may see what, in the plainest way. It returns nil for nothing.
func (b *body) see(user string, roles []string) *sight {
	watches := slices.ContainsFunc(b.Watchers, func(r string) bool { return slices.Contains(roles, r) })
	in := func(owners map[string]string) map[string]bool {
		audiences := map[string]bool{}
		for audience, owner := range owners {
			if owner == user {
				audiences[audience] = true
			}
		}
		return audiences
	}
	var before, after map[string]bool
	switch b.Op {
	case "insert":
		after = in(b.Owners)
	case "delete":
		before = in(b.Owners)
	case "update":
		before, after = in(b.Owners), in(b.Owners)
		if b.Was != nil {
			before = in(b.Was)
		}
	}
	sawBefore := b.Op != "insert" && (watches || len(before) > 0)
	seesAfter := b.Op != "delete" && (watches || len(after) > 0)
	data, old := columns{}, columns{}
	maps.Copy(data, b.Data)
	for audience := range after {
		maps.Copy(data, b.Only[audience].Data)
	}
	maps.Copy(old, b.Old)
	for audience := range before {
		if b.Op == "delete" || after[audience] {
			maps.Copy(old, b.Only[audience].Old)
		}
	}
	switch {
	case !sawBefore && !seesAfter:
		return nil
	case b.Op == "delete":
		return &sight{op: "delete", action: b.Action, old: old}
	case b.Op == "insert":
		return &sight{op: "insert", action: b.Action, data: data}
	case !sawBefore:
		return &sight{op: "entered", action: "entered", data: data}
	case !seesAfter:
		return &sight{op: "left", action: "left"}
	case maps.Equal(before, after) && len(old) == 0:
		return nil // nothing that this user sees has changed
	}
	return &sight{op: "update", action: b.Action, data: data, old: old}
}

// told is a message as it came.
type told struct {
	Event  string `json:"event"`
	Cursor string `json:"cursor"`
	Data   struct {
		ID      int64           `json:"id"`
		Type    string          `json:"type"`
		Action  string          `json:"action"`
		Op      string          `json:"op"`
		Table   string          `json:"table"`
		Key     json.RawMessage `json:"key"`
		Data    columns         `json:"data"`
		Old     columns         `json:"old"`
		Changed []string        `json:"changed"`
		At      string          `json:"at"`
	} `json:"data"`
}

// compare says how a message differs from what its reader should have been
// told; empty if it does not.
func (b *body) compare(raw []byte, want *sight) string {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	var got told
	if err := decoder.Decode(&got); err != nil {
		return err.Error()
	}
	changed := slices.Sorted(maps.Keys(want.old))
	if want.op != "update" {
		changed = nil
	}
	slices.Sort(got.Data.Changed)
	for _, part := range []struct {
		name string
		same bool
	}{
		{"event", got.Event == b.Type+"_update"},
		{"type", got.Data.Type == b.Type},
		{"table", got.Data.Table == b.Table},
		{"key", bytes.Equal(got.Data.Key, b.Key)},
		{"op", got.Data.Op == want.op},
		{"action", got.Data.Action == want.action},
		{"data", sameColumns(got.Data.Data, want.data)},
		{"old", sameColumns(got.Data.Old, want.old)},
		{"changed", slices.Equal(got.Data.Changed, changed)},
	} {
		if !part.same {
			wanted, _ := json.Marshal(map[string]any{"op": want.op, "action": want.action, "data": want.data, "old": want.old})
			return fmt.Sprintf("%s differs: got %s, want %s", part.name, raw, wanted)
		}
	}
	return ""
}

func sameColumns(a, b columns) bool {
	return maps.EqualFunc(a, b, func(x, y json.RawMessage) bool { return bytes.Equal(x, y) })
}

// stretch is what one reset stands for.
type stretch struct {
	from, to pgbell.Cursor
	reason   string
	top      int64
}

func (g gap) stretch() (stretch, error) {
	from, err := pgbell.ParseCursor(g.from)
	if err != nil {
		return stretch{}, err
	}
	to, err := pgbell.ParseCursor(g.to)
	return stretch{from, to, g.reason, g.top}, err
}

// holds reports whether the event is one that the reset stands for.
//
// If a crash of Postgres lies between, the first cursor can take an event after
// it for one before: transaction ids come again. Ids of events do not.
func (s stretch) holds(f *fact) bool {
	before := s.from.Contains(f.id, f.xid) && (s.from.Epoch() == s.to.Epoch() || f.id <= s.top)
	return !before && s.to.Contains(f.id, f.xid)
}
