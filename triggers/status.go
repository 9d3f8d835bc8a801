package triggers

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"
)

// TableStatus is how one watched table stands.
type TableStatus struct {
	Table Name
	// Type is the watch's event type.
	Type string
	// Installed says that all its triggers exist.
	Installed bool
	// Enabled says that they exist and none is disabled.
	Enabled bool
	// Drift is how the table differs from what the watch asks for.
	Drift []Change
	// Err is what is wrong with the watch itself, such as a column that is
	// gone; the rest is then unknown.
	Err error
}

// Status reports on each watch, in their order, whatever is wrong with
// the others. Changes that concern no watched table, such as what a former
// watch left, are in no status; a plan has them.
func Status(ctx context.Context, conn *pgx.Conn, watches []Watch) ([]TableStatus, error) {
	var all []TableStatus
	err := reading(ctx, conn, func(tx pgx.Tx) error {
		r, err := resolve(ctx, tx, watches)
		if err != nil {
			return err
		}
		p, _ := r.plan() // what is wrong is told for each watch
		for _, w := range watches {
			s := TableStatus{Table: w.Table, Type: w.Type, Err: errors.Join(r.check.errs[w.Table]...)}
			if s.Err == nil {
				s.Installed, s.Enabled = true, true
				for _, c := range p.Changes {
					if !r.concerns(w.Table, c.Table) {
						continue
					}
					s.Drift = append(s.Drift, c)
					s.Installed = s.Installed && c.Kind != Create
					s.Enabled = s.Enabled && c.Kind != Create && c.Kind != Enable
				}
			}
			all = append(all, s)
		}
		return nil
	})
	return all, err
}

// concerns reports whether a table is the watched one or one of its partitions.
func (r *resolution) concerns(watched, table Name) bool {
	found := r.check.catalog.relations[watched]
	return watched == table || found != nil && slices.ContainsFunc(found.partitions, func(p partition) bool { return p.name == table })
}
