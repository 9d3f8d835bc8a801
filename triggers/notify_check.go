package triggers

import (
	"fmt"
	"regexp"
	"slices"
	"unicode/utf8"
)

// notificationType is what pgbell.notifications takes.
var notificationType = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]{0,128}$`)

// maxAudience is too, in bytes.
const maxAudience = 256

var levels = []string{"info", "success", "warning", "error"}

// name is how errors call a rule.
func (n *Notification) name(w *Watch) string {
	return fmt.Sprintf("notification on %s.%s to %s", w.Type, n.Action, n.To)
}

// notifications finds what the rules name.
func (c *checker) notifications(w *watched) {
	have := make(map[string]bool)
	for _, n := range w.Notifications {
		name := n.name(&w.Watch)
		if have[name] {
			c.fail(w.Watch, "%s: there are two; one event makes one for an audience", name)
		}
		have[name] = true
		r := rule{Notification: n}
		o := slices.IndexFunc(w.owners, func(o owner) bool { return o.audience == n.To })
		if o < 0 {
			audiences := make([]string, len(w.Owners))
			for i, o := range w.Owners {
				audiences[i] = o.Audience
			}
			if !slices.Contains(audiences, n.To) { // else it has a mistake of its own
				c.fail(w.Watch, "%s: no owner has this audience%s", name, suggest(n.To, audiences))
			}
			continue
		}
		r.owner = w.owners[o]
		switch {
		case !c.happens(w, name, n.Action):
		case !notificationType.MatchString(w.Type + "." + n.Action):
			c.fail(w.Watch, "%s: a notification's type is at most 129 letters, digits and underscores, here with a dot", name)
		}
		if len(n.To) > maxAudience {
			c.fail(w.Watch, "%s: an audience that is notified has at most %d bytes", name, maxAudience)
		}
		if n.Level != "" && !slices.Contains(levels, n.Level) {
			c.fail(w.Watch, "%s: level %q is none of info, success, warning and error%s", name, n.Level, suggest(n.Level, levels))
		}
		if len(n.Title) == 0 {
			c.fail(w.Watch, "%s: the title is missing", name)
		}
		r.title = c.pieces(w, name, "title", n.To, n.Title, maxTitle)
		r.message = c.pieces(w, name, "message", n.To, n.Message, maxMessage)
		w.rules = append(w.rules, r)
	}
}

// happens reports whether the watch has such an action.
func (c *checker) happens(w *watched, name, action string) bool {
	switch {
	case w.hasAction(action):
	case !slices.Contains(builtinActions, action):
		all := slices.Clone(builtinActions)
		for _, a := range w.Actions {
			all = append(all, a.Name)
		}
		c.fail(w.Watch, "%s: no action has this name%s", name, suggest(action, all))
		return false
	case action == "status_changed" && !slices.ContainsFunc(w.columns, func(c column) bool { return c.name == "status" }):
		c.fail(w.Watch, `%s: this never happens, for no column "status" is among those that every audience sees`, name)
		return false
	}
	return true
}

// pieces finds the columns of a text.
func (c *checker) pieces(w *watched, name, purpose, audience string, parts []Part, most int) []piece {
	seen := slices.Concat(w.columns, w.key)
	for _, o := range w.only {
		if o.audience == audience {
			seen = append(seen, o.columns...)
		}
	}
	pieces := make([]piece, 0, len(parts))
	length := 0
	for _, p := range parts {
		if p.Column == "" {
			length += utf8.RuneCountInString(p.Text)
			pieces = append(pieces, piece{text: p.Text})
			continue
		}
		i := slices.IndexFunc(seen, func(c column) bool { return c.name == p.Column })
		if i < 0 {
			var names []string
			for _, c := range seen {
				names = append(names, c.name)
			}
			why := "does not see"
			if _, exists := w.relation.column(p.Column); !exists {
				why = "cannot see, for the table has none"
			}
			c.fail(w.Watch, "%s: %s says column %q, which %s %s%s", name, purpose, p.Column, audience, why, suggest(p.Column, names))
			continue
		}
		pieces = append(pieces, piece{column: &seen[i]})
	}
	if length > most {
		c.fail(w.Watch, "%s: %s has %d characters, at most %d are kept", name, purpose, length, most)
	}
	return pieces
}
