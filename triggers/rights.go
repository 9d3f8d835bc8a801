package triggers

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ErrRole says that the connected role may not do what was asked for, and that
// another may. The text names both.
var ErrRole = errors.New("the connected role is not the one for this")

// roleError is an [ErrRole] that says which role has to do what.
type roleError string

func (e roleError) Error() string { return string(e) }

// Is implements the errors.Is of [ErrRole].
func (e roleError) Is(target error) bool { return target == ErrRole }

// checkSchema finds schema pgbell, and that the connected role is the one that
// may own what triggers call: they run with its rights, so what it may not do
// would fail the application's writes. It returns the role's name.
func checkSchema(ctx context.Context, tx pgx.Tx) (role string, err error) {
	var owner string
	var migrated, mayCreate, mayRecord bool
	err = tx.QueryRow(ctx, schemaSQL).Scan(&role, &owner, &migrated, &mayCreate, &mayRecord)
	switch {
	case errors.Is(err, pgx.ErrNoRows), err == nil && !migrated:
		return "", errors.New("schema pgbell is missing or too old: run pgbell migrate up")
	case err != nil:
		return "", fmt.Errorf("look for schema pgbell: %w", err)
	case !mayCreate:
		return "", roleError(fmt.Sprintf("role %s may create nothing in schema pgbell: do this as role %s, which owns the schema", role, owner))
	case !mayRecord:
		return "", roleError(fmt.Sprintf("role %s may not write the event log, as the triggers do with the rights of the role that applies them: do this as role %s, which owns schema pgbell", role, owner))
	}
	return role, nil
}

// notOwner says why role cannot manage the triggers of something, a table or a
// partition, that belongs to owner.
func notOwner(what, role, owner string) roleError {
	return roleError(fmt.Sprintf("%s to role %s, and role %s is no member of it: only the owner of a table may manage its triggers; have an administrator run GRANT %s TO %s", what, owner, role, owner, role))
}

// checkOwned finds a function, a table's, that is to change and belongs to
// others.
func (r *resolution) checkOwned(table Name, f *installedFunction) {
	if !f.owned {
		r.check.deny(table, roleError(fmt.Sprintf("function %[1]s() belongs to role %[2]s, and role %[3]s is no member of it: do this as role %[2]s, or have an administrator run ALTER FUNCTION %[1]s() OWNER TO %[3]s",
			f.sql(), f.owner, r.check.role)))
	}
}

// mayRecordSQL is whether a role, an expression, may do what the functions do.
// Nothing here looks up a name in schema pgbell, which takes the right to use it.
const mayRecordSQL = `(
       SELECT coalesce(bool_and(has_table_privilege(%[1]s, c.oid, 'INSERT')), false) FROM pg_class AS c WHERE c.relnamespace = n.oid AND c.relname IN ('events', 'owner_moves', 'notifications'))
   AND (SELECT coalesce(bool_and(has_sequence_privilege(%[1]s, c.oid, 'SELECT')), false) FROM pg_class AS c WHERE c.relnamespace = n.oid AND c.relname = 'events_id_seq')
   AND (SELECT coalesce(bool_and(has_function_privilege(%[1]s, o.oid, 'EXECUTE')), false) FROM pg_proc AS o WHERE o.pronamespace = n.oid AND o.proname IN ('record', 'record_notifications', 'ring', 'must_ring', 'slot'))
   AND has_schema_privilege(%[1]s, n.oid, 'USAGE')`

var schemaSQL = `
SELECT quote_ident(current_user), n.nspowner::regrole::text,
       (SELECT count(*) = 3 FROM pg_proc AS p WHERE p.pronamespace = n.oid AND p.proname IN ('settle_owner_moves', 'must_ring', 'record_notifications')),
       has_schema_privilege(n.oid, 'CREATE'),
       ` + fmt.Sprintf(mayRecordSQL, "current_user") + `
  FROM pg_namespace AS n
 WHERE n.nspname = 'pgbell'`
