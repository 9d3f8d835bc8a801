package db

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// rowsSQL is a query and its parameters. Values are always parameters; what is
// written into the text are names from the catalog, quoted.
type rowsSQL struct {
	text strings.Builder
	args []any
}

func (q *rowsSQL) arg(v any) string {
	q.args = append(q.args, v)
	return fmt.Sprintf("$%d", len(q.args))
}

// query finds the keys of a page first: for each audience the first ones, by
// whatever index serves it, and of them all the first. Then it reads these
// rows. So no audience's index is lost to another's, as it would be to an OR.
//
//	WITH mine AS (
//	    (SELECT t."id" AS key_0 FROM public.bookings AS t WHERE t."client_id" = $1 … ORDER BY … LIMIT 1001)
//	    UNION
//	    (SELECT …)
//	), page AS (SELECT * FROM mine ORDER BY … LIMIT 1001)
//	SELECT t."id"::text, (SELECT row_to_json(r.*) …)::text, CASE WHEN t."provider_id" = $1 THEN … END
//	  FROM page JOIN public.bookings AS t ON … ORDER BY …
func (t *table) query(request RowsQuery, after []string, limit int) (rowsSQL, error) {
	var q rowsSQL
	user := q.arg(request.User)
	conditions, err := t.filter(&q, request.Filter)
	if err != nil {
		return q, err
	}
	if after != nil {
		var key, values []string
		for i, c := range t.key {
			key, values = append(key, c.order("t")), append(values, c.value(q.arg(after[i])))
		}
		conditions = append(conditions, fmt.Sprintf("ROW(%s) > ROW(%s)", strings.Join(key, ", "), strings.Join(values, ", ")))
	}
	most := q.arg(limit)

	var keys, byTable, byPage, join []string
	for i, c := range t.key {
		name := fmt.Sprintf("key_%d", i)
		keys = append(keys, "t."+c.sql+" AS "+name)
		byTable = append(byTable, c.order("t"))
		byPage = append(byPage, tableColumn{sql: name, sortable: c.sortable}.order("mine"))
		join = append(join, "t."+c.sql+" = page."+name)
	}
	branch := func(joined, condition string) string {
		where := append([]string{condition}, conditions...)
		return fmt.Sprintf("(SELECT %s FROM %s AS t%s WHERE %s ORDER BY %s LIMIT %s::bigint)",
			strings.Join(keys, ", "), t.sql, joined, strings.Join(where, " AND "), strings.Join(byTable, ", "), most)
	}
	var branches []string
	if slices.ContainsFunc(t.Watchers, func(role string) bool { return slices.Contains(request.Roles, role) }) {
		branches = []string{branch("", user+"::text IS NOT NULL")} // always
	} else {
		for _, o := range t.owners {
			if owned, possible := o.column.ownedBy(o.alias(), request.User, user); possible {
				branches = append(branches, branch(o.join(" JOIN"), owned))
			}
		}
	}
	if branches == nil {
		branches = []string{branch("", user+"::text IS NULL")} // never
	}

	fmt.Fprintf(&q.text, "WITH mine AS (\n    %s\n), page AS (SELECT * FROM mine ORDER BY %s LIMIT %s::bigint)\nSELECT ",
		strings.Join(branches, "\n    UNION\n    "), strings.Join(byPage, ", "), most)
	for _, c := range t.key {
		fmt.Fprintf(&q.text, "t.%s::text, ", c.sql)
	}
	q.text.WriteString(rowJSON(t.visible))
	var parents strings.Builder
	for _, o := range t.only {
		owned, possible := o.owner.column.ownedBy(o.owner.alias(), request.User, user)
		if possible {
			fmt.Fprintf(&q.text, ",\n       CASE WHEN %s THEN %s END", owned, rowJSON(o.columns))
			parents.WriteString(o.owner.join("\n  LEFT JOIN"))
		}
	}
	fmt.Fprintf(&q.text, "\n  FROM page JOIN %s AS t ON %s%s\n ORDER BY %s",
		t.sql, strings.Join(join, " AND "), parents.String(), strings.Join(byTable, ", "))
	return q, nil
}

// filter are the conditions that a request asks for.
func (t *table) filter(q *rowsSQL, filter map[string]string) ([]string, error) {
	var conditions []string
	for _, name := range slices.Sorted(maps.Keys(filter)) {
		c, ok := t.filters[name]
		switch {
		case !ok && len(t.filters) == 0:
			return nil, &RowsMistake{"Rows of this type cannot be filtered: no index begins with a column that all their owners see."}
		case !ok:
			return nil, &RowsMistake{fmt.Sprintf("Rows of this type cannot be filtered by %.64q, only by %s.", name, strings.Join(slices.Sorted(maps.Keys(t.filters)), ", "))}
		case hasZero(filter[name]):
			return nil, &RowsMistake{"A filter's value contains a zero byte."}
		}
		conditions = append(conditions, fmt.Sprintf("t.%s = %s::text::%s", c.sql, q.arg(filter[name]), c.typ))
	}
	return conditions, nil
}

// alias is what the table with the owner's column is called in a query.
func (o tableOwner) alias() string {
	if o.parent == nil {
		return "t"
	}
	return fmt.Sprintf("parent_%d", o.parent.number)
}

// join brings in the parent, if there is one. A row of it has a key of its own,
// so it makes no row of the table twice.
func (o tableOwner) join(kind string) string {
	if o.parent == nil {
		return ""
	}
	p := o.parent
	return fmt.Sprintf("%s %s AS %s ON %s.%s = t.%s", kind, p.sql, o.alias(), o.alias(), p.key.sql, p.column.sql)
}

// rowJSON writes columns of t as the triggers do.
func rowJSON(columns []tableColumn) string {
	if len(columns) == 0 {
		return "'{}'"
	}
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = "t." + c.sql
	}
	// r.* is the row, also where a column is called r.
	return "(SELECT row_to_json(r.*)::text FROM (SELECT " + strings.Join(names, ", ") + ") AS r)"
}
