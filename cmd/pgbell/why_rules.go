package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/triggers"
)

// verdict is what one rule says.
type verdict string

const (
	yes  verdict = "yes"
	no   verdict = "no"
	note verdict = "note" // says something and decides nothing
)

// explanation is the answer of why.
type explanation struct {
	User     string            `json:"user"`
	Roles    []string          `json:"roles"`
	Table    string            `json:"table"`
	Type     string            `json:"type,omitempty"`
	Key      map[string]string `json:"key,omitempty"`
	Receives bool              `json:"receives"`
	// As are the audiences and roles through which.
	As     []string   `json:"as"`
	Rules  []whyRule  `json:"rules"`
	Sees   []string   `json:"columns"` // columns that the user may see
	Events []whyEvent `json:"events"`
}

// whyRule is one rule and what it says about this user and row.
type whyRule struct {
	Verdict verdict `json:"verdict"`
	// Rule is watched, triggers, enabled, row, owner, watchers, columns or only.
	Rule string `json:"rule"`
	// Text is the reason, without a full stop.
	Text string `json:"text"`
}

// whyEvent is an event of the row and whether the user was among its
// addressees.
type whyEvent struct {
	ID     int64             `json:"id"`
	At     time.Time         `json:"at"`
	Op     pgbell.Op         `json:"op"`
	Action string            `json:"action,omitempty"`
	Reason string            `json:"reason,omitempty"`
	Owners map[string]string `json:"owners,omitempty"`
	Was    map[string]string `json:"was,omitempty"`
	Roles  []string          `json:"watchers,omitempty"`
	To     bool              `json:"to_user"`

	event *pgbell.Event
}

func newWhyEvent(e *pgbell.Event, user string, roles []string) whyEvent {
	to := concerns(e, user) || slices.ContainsFunc(e.Watchers, func(role string) bool { return slices.Contains(roles, role) })
	return whyEvent{ID: e.ID, At: e.At, Op: e.Op, Action: e.Action, Reason: e.Reason, Owners: e.Owners, Was: e.Was, Roles: e.Watchers, To: to, event: e}
}

func (x *explanation) rule(v verdict, rule, text string) {
	x.Rules = append(x.Rules, whyRule{v, rule, text})
}

// row judges by the row itself: who owns it, and what of it is seen.
func (x *explanation) row(owned db.Owned, w triggers.Watch) {
	if owned.Exists {
		x.rule(yes, "row", keyOf(x.Key)+" is there")
	} else {
		x.rule(no, "row", "there is no row "+keyOf(x.Key)+" now; its delete went to the owners that it had")
	}
	x.Sees = slices.Clone(owned.Columns)
	for _, o := range owned.Owners {
		mine := false
		if owned.Exists {
			mine = x.owner(o)
		}
		if mine {
			x.As = append(x.As, o.Audience)
		}
		if len(o.Only) > 0 {
			text := strings.Join(o.Only, ", ") + ": for " + o.Audience + " alone"
			if mine {
				x.Sees = append(x.Sees, o.Only...)
				x.rule(yes, "only", text)
			} else {
				x.rule(note, "only", text)
			}
		}
	}
	x.watchers(w.Watchers)
	if x.As == nil {
		x.Sees = nil
		return
	}
	x.rule(note, "columns", strings.Join(x.Sees, ", ")+": an update that changes none of them, nor an owner, makes no event for this user")
}

func (x *explanation) owner(o db.Ownership) (mine bool) {
	where := o.Column
	if v := o.Via; v != nil {
		switch {
		case v.Value == nil:
			x.rule(no, "owner", fmt.Sprintf("%s: %s is NULL, so nobody owns the row as %s", o.Audience, v.Column, o.Audience))
			return false
		case !v.Found:
			x.rule(no, "owner", fmt.Sprintf("%s: %s is %s, and %s has no row with that %s", o.Audience, v.Column, *v.Value, v.Parent, v.Key))
			return false
		}
		where = fmt.Sprintf("%s of %s with %s = %s", o.Column, v.Parent, v.Key, *v.Value)
	}
	switch {
	case o.Owner == nil:
		x.rule(no, "owner", fmt.Sprintf("%s: %s is NULL, so nobody owns the row as %s", o.Audience, where, o.Audience))
	case *o.Owner != x.User:
		x.rule(no, "owner", fmt.Sprintf("%s: %s is %s", o.Audience, where, *o.Owner))
	default:
		x.rule(yes, "owner", fmt.Sprintf("%s: %s is %s", o.Audience, where, *o.Owner))
		return true
	}
	return false
}

func (x *explanation) watchers(roles []string) {
	if len(roles) == 0 {
		x.rule(no, "watchers", "no role watches the table")
		return
	}
	list := strings.Join(roles, ", ")
	var held []string
	for _, r := range roles {
		if slices.Contains(x.Roles, r) {
			held = append(held, r)
		}
	}
	switch {
	case held != nil:
		x.As = append(x.As, held...)
		x.rule(yes, "watchers", list+" see every row, and the token has "+strings.Join(held, ", "))
	case len(x.Roles) == 0:
		x.rule(no, "watchers", list+" see every row, and no role of the token was named")
	default:
		x.rule(no, "watchers", list+" see every row, and the token has only "+strings.Join(x.Roles, ", "))
	}
}

// conclude weighs the rules: all that are about the table must hold, and one
// that makes the user an addressee.
func (x *explanation) conclude() {
	x.Receives = x.As != nil
	for _, r := range x.Rules {
		if r.Verdict == no && slices.Contains([]string{"watched", "triggers", "enabled", "row"}, r.Rule) {
			x.Receives = false
		}
	}
}

// keyOf is a key for people.
func keyOf(key map[string]string) string {
	var parts []string
	for _, c := range slices.Sorted(maps.Keys(key)) {
		parts = append(parts, c+"="+key[c])
	}
	return strings.Join(parts, " ")
}

// print writes the answer for people.
func (x *explanation) print(p *printer) error {
	colours := map[verdict]string{yes: green, no: red, note: faint}
	var b strings.Builder
	who := x.User
	if len(x.Roles) > 0 {
		who += " (" + strings.Join(x.Roles, ", ") + ")"
	}
	answer := "does not receive"
	if x.Receives {
		answer = "receives"
	}
	fmt.Fprintf(&b, "%s %s the events of %s %s", printable(who), p.paint(bold, answer), printable(x.Table), printable(keyOf(x.Key)))
	if x.Receives {
		b.WriteString(", as " + printable(strings.Join(x.As, ", ")))
	}
	b.WriteString("\n\n")
	for _, r := range x.Rules {
		fmt.Fprintf(&b, "  %s  %-8s  %s\n", p.paint(colours[r.Verdict], fmt.Sprintf("%-4s", r.Verdict)), r.Rule, printable(r.Text))
	}
	if len(x.Events) > 0 {
		b.WriteString("\nThe last events of the row:\n\n")
	} else if x.Key != nil {
		b.WriteString("\nThe newest 100,000 events of the log have none of this row.\n")
	}
	for _, e := range x.Events {
		what := e.Action
		if e.Op == pgbell.Reset {
			what = "reset " + e.Reason
		}
		to := no
		if e.To {
			to = yes
		}
		fmt.Fprintf(&b, "  %s  %s  %-6s  %-14s  %s\n", p.paint(colours[to], fmt.Sprintf("%-4s", to)),
			e.At.Local().Format(time.DateTime), e.Op, printable(what), printable(receivers(e.event)))
		if e.event.Error != "" {
			fmt.Fprintf(&b, "        %s\n", printable(e.event.Error))
		}
	}
	_, err := fmt.Fprint(p.w, b.String())
	return err
}
