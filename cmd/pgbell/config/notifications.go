package config

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Notification is a rule: each event of its table with an action makes a
// notification for the row's owner in one audience.
type Notification struct {
	// Action is one of the table's, or built in.
	Action string
	// To is the audience.
	To string
	// Level is info, success, warning or error. Empty: info.
	Level string
	// Title and Message are what it says. The message may be empty.
	Title, Message []Part
	// Line is where the rule begins.
	Line int
}

// Part is a piece of a text: words, or a column whose value stands there.
type Part struct{ Text, Column string }

var (
	notificationKeys   = []string{"on", "to", "level", "title", "message"}
	notificationLevels = []string{"info", "success", "warning", "error"}
	builtinActions     = []string{"created", "status_changed", "updated", "deleted"}
)

// rule is a notification whose table is not yet known.
type rule struct {
	Notification
	on string // type.action
}

func (r *rule) String() string { return "notification on " + r.on + " to " + r.To }

func (d *document) notifications(e entry) ([]rule, error) {
	s, ok := e.value.(*ast.SequenceNode)
	if !ok {
		return nil, d.wrongType(e.value, e.line, "notifications", "a list")
	}
	rules := make([]rule, 0, len(s.Values))
	for _, n := range s.Values {
		r, err := d.notification(n, max(e.line, line(n)))
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(rules, func(other rule) bool { return other.String() == r.String() }); i >= 0 {
			return nil, d.errorf(r.Line, "%s stands twice, first in line %d", &r, rules[i].Line)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func (d *document) notification(n ast.Node, at int) (rule, error) {
	r := rule{Notification: Notification{Line: at}}
	entries, err := d.mapping(n, at, "a notification")
	if err != nil {
		return r, err
	}
	for _, f := range entries {
		of := f.key + " of a notification"
		switch f.key {
		case "on":
			r.on, err = d.text(f.value, f.line, of)
		case "to":
			r.To, err = d.text(f.value, f.line, of)
		case "level":
			r.Level, err = d.text(f.value, f.line, of)
			if err == nil && !slices.Contains(notificationLevels, r.Level) {
				err = d.errorf(f.line, "%s is %q, want %s%s", of, r.Level, strings.Join(notificationLevels, ", "), didYouMean(r.Level, notificationLevels))
			}
		case "title":
			r.Title, err = d.parts(f, of)
		case "message":
			r.Message, err = d.parts(f, of)
		default:
			err = d.unknown(f, "a notification", notificationKeys)
		}
		if err != nil {
			return r, err
		}
	}
	if r.on == "" || r.To == "" || r.Title == nil {
		return r, d.errorf(at, "a notification needs on, to and title, such as {on: booking.accepted, to: client, title: Accepted!}")
	}
	return r, nil
}

// parts reads words with {column} in them. A brace is written twice.
func (d *document) parts(e entry, what string) ([]Part, error) {
	text, err := d.text(e.value, e.line, what)
	if err != nil {
		return nil, err
	}
	var parts []Part
	var words strings.Builder
	flush := func() {
		if words.Len() > 0 {
			parts = append(parts, Part{Text: words.String()})
			words.Reset()
		}
	}
	for text != "" {
		i := strings.IndexAny(text, "{}")
		if i < 0 {
			words.WriteString(text)
			break
		}
		words.WriteString(text[:i])
		brace, rest := text[i], text[i+1:]
		switch {
		case strings.HasPrefix(rest, text[i:i+1]):
			words.WriteByte(brace)
			text = rest[1:]
			continue
		case brace == '}':
			return nil, d.errorf(e.line, "%s has a } that closes nothing; a brace is written }}", what)
		}
		end := strings.IndexAny(rest, "{}")
		if end < 0 || rest[end] == '{' {
			return nil, d.errorf(e.line, "%s has a { that is not closed; a brace is written {{", what)
		}
		if end == 0 {
			return nil, d.errorf(e.line, "%s has {} without the name of a column; braces are written {{}}", what)
		}
		flush()
		parts = append(parts, Part{Column: rest[:end]})
		text = rest[end+1:]
	}
	flush()
	return parts, nil
}

// attach gives the rules to their tables.
func (d *document) attach(rules []rule, tables []Table) error {
	types := make([]string, len(tables))
	for i := range tables {
		types[i] = tables[i].Type
	}
	for _, r := range rules {
		name, action, ok := strings.Cut(r.on, ".")
		if !ok {
			return d.errorf(r.Line, "%s: on is a table's type and an action, such as booking.accepted", &r)
		}
		i := slices.Index(types, name)
		if i < 0 {
			return d.errorf(r.Line, "%s: no table has the type %q%s", &r, name, didYouMean(name, types))
		}
		r.Action = action
		if err := d.checkRule(&r, &tables[i]); err != nil {
			return err
		}
		tables[i].Notifications = append(tables[i].Notifications, r.Notification)
	}
	return nil
}

// checkRule finds what the rule names in what the file says about the table.
// Whether columns exist is for the database to say.
func (d *document) checkRule(r *rule, t *Table) error {
	actions := slices.Clone(builtinActions)
	for _, a := range t.Actions {
		actions = append(actions, a.Name)
	}
	var audiences []string
	for _, o := range t.Owners {
		audiences = append(audiences, o.Audience)
	}
	switch {
	case !slices.Contains(actions, r.Action):
		return d.errorf(r.Line, "%s: table %s has no action %q%s", r, t, r.Action, didYouMean(r.Action, actions))
	case !slices.Contains(audiences, r.To):
		return d.errorf(r.Line, "%s: none of the owners of table %s is %q%s", r, t, r.To, didYouMean(r.To, audiences))
	case t.AllColumns:
		return nil
	}
	seen := slices.Concat(t.Columns, t.Key, t.Only[r.To])
	for _, p := range slices.Concat(r.Title, r.Message) {
		if p.Column != "" && !slices.Contains(seen, p.Column) {
			return d.errorf(r.Line, "%s: {%s} is no column that it may see%s", r, p.Column, didYouMean(p.Column, seen))
		}
	}
	return nil
}
