package triggers

import (
	"fmt"
	"slices"
)

// columnsJSON is the parts "data" and "old". Columns of the key are the same
// before and after.
func columnsJSON(columns, key []column, only int, ch change) []lines {
	data := func() lines { return rowJSON(shownRow("new", only), columns).after(`'"data":' || `) }
	old := func() lines { return rowJSON(shownRow("old", only), columns).after(`'"old":' || `) }
	switch ch {
	case inserted:
		return []lines{data()}
	case deleted:
		return []lines{old()}
	case moved:
		return []lines{data(), {`'"old":{}'`}}
	}
	rest := slices.DeleteFunc(slices.Clone(columns), func(c column) bool {
		return slices.ContainsFunc(key, func(k column) bool { return k.name == c.name && k.exact })
	})
	out := lines{"CASE change.op", "    WHEN 'delete' THEN"}
	out = append(out, old().indent(8)...)
	out = append(out, "    WHEN 'update' THEN")
	out = append(out, changedJSON(rest).after(`'"old":{' || `).then(" || '}'").indent(8)...)
	out = append(out, "END")
	return []lines{
		data().after("CASE WHEN change.op <> 'delete' THEN ").then(" END"),
		out,
	}
}

// onlyJSON is the part "only".
func onlyJSON(only []onlyColumns, ch change) lines {
	out := lines{`'"only":{' || concat_ws(',',`}
	for i, o := range only {
		end := ","
		if i == len(only)-1 {
			end = ") || '}'"
		}
		inner := lines{literal(jsonText(o.audience)+":{") + " || concat_ws(',',"}
		parts := columnsJSON(o.columns, nil, i+1, ch)
		for j, part := range parts {
			if j < len(parts)-1 {
				part = part.then(",")
			}
			inner = append(inner, part.indent(4)...)
		}
		out = append(out, inner.then(") || '}'"+end).indent(4)...)
	}
	return out
}

// rowJSON is an object of columns: the JSON of a row of rowsShown, because
// functions take at most a hundred arguments.
func rowJSON(row string, columns []column) lines {
	if len(columns) == 0 {
		return lines{"'{}'"}
	}
	return lines{"row_to_json(" + row + ".*)::text"}
}

// shownRow names what an audience sees of a row, everybody without a number.
func shownRow(side string, only int) string {
	if only == 0 {
		return side + "_shown"
	}
	return fmt.Sprintf("%s_only_%d", side, only)
}

// rowsShown joins these rows. They cost nothing but their columns.
func rowsShown(w *watched, ch change) lines {
	sides := map[change][]string{inserted: {"new"}, deleted: {"old"}, updated: {"new", "old"}, moved: {"new"}}[ch]
	var out lines
	join := func(columns []column, only int) {
		if len(columns) == 0 {
			return
		}
		for _, side := range sides {
			items := make([]string, len(columns))
			for i, c := range columns {
				items[i] = side + "." + c.sql
			}
			out = append(out, list(items).after(" CROSS JOIN LATERAL (SELECT ").then(") AS "+shownRow(side, only))...)
		}
	}
	join(w.columns, 0)
	for i, o := range w.only {
		join(o.columns, i+1)
	}
	return out
}

// changedJSON is the members of an object with the old values of the columns
// that changed.
func changedJSON(columns []column) lines {
	if len(columns) == 0 {
		return lines{"''"}
	}
	out := lines{"array_to_string(ARRAY["}
	for i, c := range columns {
		// Also a column that was NOT NULL when this was made.
		item := fmt.Sprintf("    CASE WHEN %s THEN %s || coalesce(to_json(old.%s)::text, 'null') END", differ(c), literal(jsonText(c.name)+":"), c.sql)
		if i < len(columns)-1 {
			item += ","
		}
		out = append(out, item)
	}
	return append(out, "], ',')")
}
