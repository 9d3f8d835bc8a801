package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/cmd/pgbell/config"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/pgtest"
)

const initSchema = `
CREATE TABLE users (id uuid PRIMARY KEY, email text, password_hash text, reset_token text, api_key text);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id uuid REFERENCES users, courier uuid REFERENCES users, status text, internal_margin numeric, photo bytea);
CREATE TABLE order_lines (order_id bigint REFERENCES orders, no int, sku text, PRIMARY KEY (order_id, no));
CREATE TABLE countries (code text PRIMARY KEY, name text);
CREATE TABLE audit (customer_id text, what text);
CREATE VIEW v AS SELECT 1 AS id;
CREATE SCHEMA "Odd";
CREATE TABLE "Odd"."Line: Items" (id int PRIMARY KEY, "ownerId" text, "no" int, "a ""b""" text);
`

const initTables = `tables:
  "Odd.Line: Items":
    type: line_items
    owners:
      owner: ownerId
    columns: [id, ownerId, "no", "a \"b\""]
  public.order_lines:
    type: order_line
    owners:
      customer: {via: order_id, table: public.orders, column: customer_id}
      courier: {via: order_id, table: public.orders, column: courier}
    columns: [order_id, "no", sku]
  public.orders:
    type: order
    owners:
      customer: customer_id
      courier: courier
    columns: [id, customer_id, courier, status]
    # Left out, for they look secret: internal_margin
    # Left out, for clients can do nothing with them: photo
  public.users:
    type: users
    owners:
      self: id
    columns: [id, email]
    # Left out, for they look secret: password_hash, reset_token, api_key

# Left out:
#   public.audit: it has no primary key
#   public.countries: no column looks like a user's id; watch it for roles, or name the owner's column
`

func TestInit(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	_, err := pgtest.Connect(t, url).Exec(t.Context(), initSchema)
	require.NoError(t, err)
	env := []string{"DATABASE_URL", url}

	text := succeed(t, env, "init", "-o", "-")
	_, tables, _ := strings.Cut(text, "tables:\n")
	require.Equal(t, strings.TrimPrefix(strings.Replace(initTables, "line_items", "line_item", 1), "tables:\n"), tables)

	// It loads, plans and applies as it stands.
	file := filepath.Join(t.TempDir(), "pgbell.yaml")
	require.Equal(t, "wrote "+file+": 4 of 6 tables\nnext: read it, then pgbell migrate up and pgbell triggers plan\n", succeed(t, env, "init", "-o", file))
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, text, string(written))
	watching := append(env, "PGBELL_CONFIG", file)
	require.Contains(t, succeed(t, watching, "triggers", "plan"), `ON "Odd"."Line: Items"`)
	succeed(t, watching, "triggers", "apply")

	// It replaces nothing unless it is told to.
	status, _, stderr := execute(t, env, "init", "-o", file)
	require.Equal(t, statusUsage, status)
	require.Equal(t, "pgbell: "+file+" is there already; --force replaces it, and -o - writes to standard output\n", stderr)
	require.Contains(t, succeed(t, env, "init", "-o", file, "--force", "--schema", "Odd"), "1 of 1 tables")

	// Whoever names a table gets it, if only for a role.
	text = succeed(t, env, "init", "-o", "-", "--table", "public.countries")
	require.Contains(t, text, "  public.countries:\n    type: country\n    watchers: [ADMIN] # no column looks like a user's id\n    columns: [code, name]\n")
	status, _, stderr = execute(t, env, "init", "-o", "-", "--table", "public.contries")
	require.Equal(t, statusUsage, status)
	require.Equal(t, "pgbell: --table: there is no table \"public.contries\"; write schema.table, exact as in pg_class\n", stderr)
	status, _, stderr = execute(t, []string{"DATABASE_URL", pgtest.Empty(t)}, "init", "-o", "-")
	require.Equal(t, statusError, status)
	require.Equal(t, "pgbell: the database has no tables to watch\n", stderr)
}

func TestInitNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"bookings": "booking", "categories": "category", "boxes": "box", "statuses": "status", "bus": "bus",
		"Line Items": "line_item", "userEvents": "user_event", "2fa": "row_2fa", "news": "new", "people": "person", "users": "users", "рядки": "row",
	} {
		types := map[string]bool{"user": true}
		require.Equal(t, want, uniqueType(types, db.Candidate{Schema: "public", Name: name}), name)
	}
	types := map[string]bool{}
	require.Equal(t, "order", uniqueType(types, db.Candidate{Schema: "a", Name: "orders"}))
	require.Equal(t, "orders", uniqueType(types, db.Candidate{Schema: "b", Name: "orders"}))
	require.Equal(t, "c_orders", uniqueType(types, db.Candidate{Schema: "c", Name: "orders"}))
	require.Equal(t, "orders_2", uniqueType(types, db.Candidate{Schema: "c", Name: "Orders"}))
}

// Whatever a database calls its tables and columns, what init writes is read
// back as the same.
func FuzzInitYAML(f *testing.F) {
	for _, name := range []string{"orders", "no", "null", "1e3", "a: b", "#x", "'", `"`, "\\", "- a", "{", "é", " ", "a\nb", "~", "0x1f", "2026-01-31", ".inf"} {
		f.Add(name, name)
	}
	f.Fuzz(func(t *testing.T, table, column string) {
		if table == "" || column == "" || strings.ContainsRune(table+column, 0) || !utf8.ValidString(table) || !utf8.ValidString(column) || column == "*" {
			return
		}
		p := propose([]db.Candidate{{Schema: "public", Name: table, HasKey: true, Columns: []db.CandidateColumn{{Name: column, Type: "text", Key: true}}}}, true)
		cfg, err := config.Parse("f", []byte(p.yaml()))
		require.NoError(t, err, p.yaml())
		require.Len(t, cfg.Tables, 1)
		require.Equal(t, table, cfg.Tables[0].Name)
		require.Equal(t, []string{column}, cfg.Tables[0].Columns)
	})
}
