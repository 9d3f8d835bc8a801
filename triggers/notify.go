package triggers

import (
	"fmt"
	"slices"
	"strings"
)

// Rules make notifications of events, by the function that records the event,
// in the same transaction: so each is there exactly if the change is. What they
// say is computed where the event is, in the block that catches errors, and
// gathered as text in notes; pgbell.record_notifications takes it after the
// block, as pgbell.record takes the events. A watch without rules has none of
// this in its function.

// Notification is a rule: each event with an action makes a notification for
// the row's owner in one audience. Where the row has no owner in it, there is
// none.
type Notification struct {
	// Action is one of the watch, or created, updated, status_changed or
	// deleted. The notification's type is that of the watch, a dot and this.
	Action string
	// To is an audience of the watch.
	To string
	// Level is info, success, warning or error. Default: info.
	Level string
	// Title has at most 500 characters, more are cut off; where nothing is
	// left, the notification's type stands in its place. Required.
	Title []Part
	// Message has at most 4000 characters; more are cut off. Default: none.
	Message []Part
}

// Part is a piece of a text: words as they are, or what stands in a column.
type Part struct {
	// Text is the words. Default: none, it is a column.
	Text string
	// Column is one that the audience may see: after the change or, of a row
	// that went, before it. Its value is written as ::text does, times in UTC;
	// NULL is nothing.
	Column string
}

// rule is a notification whose every name was found.
type rule struct {
	Notification
	owner          owner
	title, message []piece
}

// piece is a part of a text; column is nil for words.
type piece struct {
	text   string
	column *column
}

// bounds of pgbell.notifications, in characters. The table's constraints and
// pgbell.record_notifications know them too.
const (
	maxTitle   = 500
	maxMessage = 4000
)

// builtinActions are those that a watch need not name.
var builtinActions = []string{"created", "status_changed", "updated", "deleted"}

// rulesFor are the rules that an event of ch may fire.
func (w *watched) rulesFor(ch change) []rule {
	switch ch {
	case inserted:
		return w.rulesOn("created")
	case updated:
		return w.rulesOn(builtinActions...)
	case deleted:
		return w.rulesOn("deleted")
	case moved:
		return w.rulesOn("updated")
	default:
		return w.rulesOn("updated", "status_changed")
	}
}

// rulesOn are the rules on these built-in actions, and on those of the watch:
// their conditions may be true of anything.
func (w *watched) rulesOn(builtin ...string) []rule {
	return slices.DeleteFunc(slices.Clone(w.rules), func(r rule) bool {
		return !slices.Contains(builtin, r.Action) && !w.hasAction(r.Action)
	})
}

func (w *Watch) hasAction(name string) bool {
	return slices.ContainsFunc(w.Actions, func(a Action) bool { return a.Name == name })
}

// told are the columns whose values notifications say, each as often as they do.
func (w *watched) told() (columns []column) {
	for _, r := range w.rules {
		for _, p := range slices.Concat(r.title, r.message) {
			if p.column != nil {
				columns = append(columns, *p.column)
			}
		}
	}
	return columns
}

// notifies reports whether the target's function makes notifications.
func (t *target) notifies() bool {
	return slices.ContainsFunc(t.affected(), func(w *watched) bool { return len(w.rules) > 0 })
}

// constantAction reports whether every event of ch has the same action.
func constantAction(w *watched, ch change) bool { return len(action(w, ch)) == 1 }

// actionOf is the SQL of the part "action": where rules ask for it, too, the
// name of what was found out before.
func actionOf(w *watched, ch change, known string) lines {
	if len(w.rulesFor(ch)) == 0 || constantAction(w, ch) {
		return action(w, ch)
	}
	return lines{known}
}

// actionJoin is the FROM item that finds the action out once for each row, for
// the event and for its rules.
func actionJoin(w *watched, ch change) lines {
	if len(w.rulesFor(ch)) == 0 || constantAction(w, ch) {
		return nil
	}
	return action(w, ch).after(" CROSS JOIN LATERAL (SELECT ").then(" OFFSET 0) AS what (action)")
}

// notesColumn is the expression of a row's notes in the queries for many: NULL
// if there are none. By is the parent whose row is at hand as row.
func notesColumn(w *watched, ch change, by *parent, row string) lines {
	if len(w.rulesFor(ch)) == 0 {
		return lines{"NULL"}
	}
	of := func(side string, rules []rule) lines {
		return notesOf(w, ch, rules, side, func(o owner) string { return o.value(side, by, row) })
	}
	switch ch {
	case deleted:
		return of("old", w.rulesFor(ch))
	case updated: // a changed key is a row that went and one that came
		went, rest := w.rulesOn("deleted"), w.rulesOn("created", "updated", "status_changed")
		switch {
		case len(went) == 0:
			return of("new", rest)
		case len(rest) == 0:
			return of("old", went)
		}
		out := append(lines{"CASE WHEN change.op = 'delete' THEN"}, of("old", went).indent(4)...)
		return append(append(out, "ELSE"), of("new", rest).indent(4).then(" END")...)
	}
	return of("new", w.rulesFor(ch))
}

// notesOf is that expression for a row as it stands at side.
func notesOf(w *watched, ch change, rules []rule, side string, value func(owner) string) lines {
	var actions []string
	notes := make(map[string]lines)
	for _, r := range rules {
		note := append(lines{fmt.Sprintf("CASE WHEN %s IS NOT NULL THEN", value(r.owner))}, noteJSON(w, r, side, value).indent(4).then(" END")...)
		if have, ok := notes[r.Action]; ok {
			notes[r.Action] = append(have.then(","), note...)
		} else {
			actions, notes[r.Action] = append(actions, r.Action), note
		}
	}
	all := func(action string) lines {
		return append(lines{"nullif(concat_ws(',',"}, notes[action].indent(4).then("), '')")...)
	}
	if constantAction(w, ch) {
		return all(actions[0])
	}
	out := lines{"CASE what.action"}
	for _, a := range actions {
		out = append(append(out, "    WHEN "+literal(jsonText(a))+" THEN"), all(a).indent(8)...)
	}
	return append(out, "END")
}

// notesStatements are the same in the part for one row.
func (w *watched) notesStatements(ch change, side string) lines {
	var out lines
	for _, r := range w.rulesFor(ch) {
		condition := w.valueOfOne(r.owner, side) + " IS NOT NULL"
		if !constantAction(w, ch) {
			condition = "action = " + literal(jsonText(r.Action)) + " AND " + condition
		}
		out = append(out, "IF "+condition+" THEN")
		out = append(out, noteJSON(w, r, side, func(o owner) string { return w.valueOfOne(o, side) }).after("    notes := notes || ").then(";")...)
		out = append(out, "END IF;")
	}
	return out
}

// noteJSON is one notification as pgbell.record_notifications takes it.
func noteJSON(w *watched, r rule, side string, value func(owner) string) lines {
	level := r.Level
	if level == "" {
		level = "info"
	}
	var items []string
	var fixed strings.Builder
	add := func(expression string) {
		items = append(items, literal(fixed.String()), expression)
		fixed.Reset()
	}
	text := func(pieces []piece, most int) {
		if words, ok := onlyWords(pieces); ok {
			fixed.WriteString(jsonText(words))
			return
		}
		add("to_json(" + textSQL(pieces, side, most) + ")")
	}
	fixed.WriteString(`{"user_id":`)
	add("to_json(" + value(r.owner) + ")")
	fixed.WriteString(`,"type":` + jsonText(w.Type+"."+r.Action) + `,"audience":` + jsonText(r.To) + `,"level":` + jsonText(level) + `,"title":`)
	text(r.title, maxTitle)
	fixed.WriteString(`,"message":`)
	text(r.message, maxMessage)
	fixed.WriteString(`,"data":{"type":` + jsonText(w.Type) + `,"key":{`)
	for i, c := range w.key {
		fixed.WriteString(strings.Repeat(",", min(i, 1)) + jsonText(c.name) + ":")
		add("coalesce(to_json(" + side + "." + c.sql + "), 'null')")
	}
	fixed.WriteString(`}}}`)
	return list(append(items, literal(fixed.String()))).after("concat(").then(")")
}

// onlyWords is the text of pieces without columns.
func onlyWords(pieces []piece) (string, bool) {
	var words strings.Builder
	for _, p := range pieces {
		if p.column != nil {
			return "", false
		}
		words.WriteString(p.text)
	}
	return words.String(), true
}

// textSQL is a text with values in it. It is cut here, so that what is kept
// until the statement ends stays small.
func textSQL(pieces []piece, side string, most int) string {
	items := make([]string, len(pieces))
	for i, p := range pieces {
		if p.column == nil {
			items[i] = literal(p.text)
		} else {
			items[i] = "coalesce(" + side + "." + p.column.sql + "::text, '')"
		}
	}
	return fmt.Sprintf("left(%s, %d)", strings.Join(items, " || "), most)
}
