package db

// Queries whose plans tests look at.
var (
	MissedQuery = queryMissed
	BodiesQuery = queryBodies
	RecentQuery = queryRecent
)

// Explain is the query that a request leads to, with its parameters.
func (r *Rows) Explain(q RowsQuery) (string, []any, error) {
	t := r.tables[q.Type]
	after, err := t.decodePage(q.Page)
	if err != nil {
		return "", nil, err
	}
	limit := r.opts.Rows
	if q.Limit > 0 {
		limit = q.Limit
	}
	s, err := t.query(q, after, limit+1)
	return s.text.String(), s.args, err
}
