package triggers

import (
	"slices"
	"strings"
)

// body is the statement that writes the event: a template, and what goes into
// it.
func (w *watched) body(ch change, side, data string) lines {
	var template strings.Builder
	var values []lines
	text := func(s string) { template.WriteString(strings.ReplaceAll(s, "%", "%%")) }
	value := func(expression ...string) {
		template.WriteString("%s")
		values = append(values, expression)
	}

	op := map[change]string{inserted: "insert", kept: "update", deleted: "delete"}[ch]
	text(`{"type":` + jsonText(w.Type) + `,"op":"` + op + `","action":`)
	value(actionOf(w, ch, "action")...)
	text(`,"table":` + jsonText(w.Table.String()) + `,"key":{`)
	for i, c := range w.key {
		text(strings.Repeat(",", min(i, 1)) + jsonText(c.name) + ":")
		value("to_json(" + side + "." + c.sql + ")")
	}
	text(`},"owners":`)
	w.bodyOwners(side, text, value)
	if len(w.Watchers) > 0 {
		text(`,` + watchersJSON(w))
	}
	for _, p := range w.parents {
		text(`,"via":{`)
		if p.key.exact && p.column.exact {
			text(`"keys":[`)
			value("to_json(" + side + "." + p.column.sql + "::text)")
			text(`],`)
		}
		text(`"seen":"`)
		value("snapshot")
		text(`"}`)
	}

	everybody := func() {
		if len(w.columns) == 0 {
			text("{}")
			return
		}
		value("row_to_json(" + data + ")")
	}
	members := func(columns []column) {
		for i, c := range columns {
			text(strings.Repeat(",", min(i, 1)) + jsonText(c.name) + ":")
			json := "to_json(" + side + "." + c.sql + ")"
			if !c.notNull {
				json = "coalesce(" + json + ", 'null')"
			}
			value(json)
		}
	}
	switch ch {
	case inserted:
		text(`,"data":`)
		everybody()
	case deleted:
		text(`,"old":`)
		everybody()
	case kept:
		text(`,"data":`)
		everybody()
		text(`,"old":{`)
		value("substr(changed, 2)")
		text(`}`)
	}
	for i, o := range w.only {
		text([]string{`,"only":{`, `,`}[min(i, 1)] + jsonText(o.audience) + `:{`)
		text(map[change]string{inserted: `"data":{`, deleted: `"old":{`, kept: `"data":{`}[ch])
		members(o.columns)
		text(`}`)
		if ch == kept {
			text(`,"old":{`)
			value("substr(" + changedOnly(i) + ", 2)")
			text(`}`)
		}
		text([]string{`}`, `}}`}[min(max(0, i+2-len(w.only)), 1)])
	}
	text(`}`)
	if len(values) >= maxArguments {
		return nil
	}

	out := lines{"body := format(" + literal(template.String()) + ","}
	for i, v := range values {
		if i < len(values)-1 {
			v = v.then(",")
		}
		out = append(out, v.indent(4)...)
	}
	return out.then(");")
}

// maxArguments is how many a function can have.
const maxArguments = 100

// bodyOwners writes the object of owners. Where some may be absent, one
// expression leaves them out.
func (w *watched) bodyOwners(side string, text func(string), value func(...string)) {
	of := func(o owner) string { return w.valueOfOne(o, side) }
	absent := slices.ContainsFunc(w.owners, func(o owner) bool { return !o.column.notNull })
	escaped := slices.ContainsFunc(w.owners, func(o owner) bool { return strings.Contains(jsonText(o.audience), `\`) })
	switch {
	case absent && !escaped && len(w.owners)*2 < maxArguments:
		var members []string
		for _, o := range w.owners {
			members = append(members, literal(o.audience), of(o))
		}
		value(list(members).after("json_strip_nulls(json_build_object(").then("))")...)
	case absent:
		out := lines{}
		for i, o := range w.owners {
			end := strings.Repeat(",", min(len(w.owners)-1-i, 1))
			out = append(out, literal(jsonText(o.audience)+":")+" || to_json("+of(o)+")::text"+end)
		}
		value(out.after("'{' || concat_ws(',', ").then(") || '}'")...)
	default:
		text("{")
		for i, o := range w.owners {
			text(strings.Repeat(",", min(i, 1)) + jsonText(o.audience) + ":")
			value("to_json(" + of(o) + ")")
		}
		text("}")
	}
}

// valueOfOne is the SQL of an owner's user id.
func (w *watched) valueOfOne(o owner, side string) string {
	if o.parent == nil {
		return side + "." + o.column.sql + "::text"
	}
	return foundOwner(slices.IndexFunc(o.parent.owners, func(c column) bool { return c.name == o.column.name }))
}
