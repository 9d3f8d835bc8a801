package pgtest

import (
	"context"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Role is a login role that may do nothing but connect.
type Role struct {
	Name string
	// URL reaches, as this role, the database that it was made for.
	URL string
}

// NewRole makes a role for the database at url. When the test ends it is
// dropped with all that it owns there.
func NewRole(t testing.TB, databaseURL string) Role {
	t.Helper()
	s := running(t)
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	role := Role{Name: s.newName()}
	u.User = url.UserPassword(role.Name, role.Name)
	role.URL = u.String()
	admin := Connect(t, databaseURL)
	if _, err := admin.Exec(t.Context(), "CREATE ROLE "+role.Name+" LOGIN PASSWORD '"+role.Name+"'"); err != nil {
		t.Fatalf("pgtest: create role: %v", err)
	}
	t.Cleanup(func() { dropRole(t, admin, role.Name) })
	return role
}

func dropRole(t testing.TB, admin *pgx.Conn, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if _, err := admin.Exec(ctx, "DROP OWNED BY "+name+" CASCADE; DROP ROLE "+name); err != nil {
		t.Errorf("pgtest: drop role: %v", err)
	}
}
