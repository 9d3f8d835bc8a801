package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/db/pgtest"
)

// section is what the guide for DBAs says under a heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	guide, err := os.ReadFile("../../docs/dba-guide.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(guide), "\n## "+heading+"\n")
	require.True(t, found, "the guide has no section %q", heading)
	text, _, _ := strings.Cut(rest, "\n## ")
	return text
}

// TestGuideHasTheGrants keeps the SQL in the guide what the command prints.
func TestGuideHasTheGrants(t *testing.T) {
	t.Parallel()
	file := configuration(t, `
tables:
  public.bookings: {type: booking, owners: {client: client_id}, columns: [id]}
`)
	printed := succeed(t, []string{"PGBELL_CONFIG", file}, "migrate", "grants", "--server", "pgbell_server", "--reader", "pgbell_reader")
	require.Contains(t, section(t, "Roles"), "```sql\n"+printed+"```\n")
}

// TestGuideHasTheObjects keeps the guide's list of what is installed what
// migrations install: each table, view and function once, with a comment.
func TestGuideHasTheObjects(t *testing.T) {
	t.Parallel()
	var listed []string
	for line := range strings.Lines(section(t, "What is installed")) {
		if object, _, found := strings.Cut(strings.TrimPrefix(line, "| "), " | "); found && strings.HasPrefix(line, "| `") {
			for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(object, -1) {
				listed = append(listed, name[1])
			}
		}
	}
	slices.Sort(listed)

	conn := pgtest.Connect(t, pgtest.Database(t))
	rows, _ := conn.Query(t.Context(), `
		SELECT c.relname::text, c.relispartition OR obj_description(c.oid, 'pg_class') IS NOT NULL
		  FROM pg_class AS c WHERE c.relnamespace = 'pgbell'::regnamespace AND c.relkind NOT IN ('i', 'I', 'S')
		UNION ALL
		SELECT p.proname || '()', obj_description(p.oid, 'pg_proc') IS NOT NULL
		  FROM pg_proc AS p WHERE p.pronamespace = 'pgbell'::regnamespace`)
	type object struct {
		Name      string
		Explained bool
	}
	objects, err := pgx.CollectRows(rows, pgx.RowToStructByPos[object])
	require.NoError(t, err)
	var installed []string
	for _, o := range objects {
		require.Equal(t, o.Name != "goose_db_version", o.Explained, "%s: a comment", o.Name)
		installed = append(installed, o.Name)
	}
	slices.Sort(installed)
	require.Equal(t, installed, listed)

	var others int
	require.NoError(t, conn.QueryRow(t.Context(), `
		SELECT count(*) FROM pg_depend AS d
		 WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = 'pgbell'::regnamespace
		   AND d.classid NOT IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass, 'pg_rewrite'::regclass)`).Scan(&others))
	require.Zero(t, others, "the schema has no other kind of object")
}
