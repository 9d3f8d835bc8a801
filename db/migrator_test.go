package db_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/pgtest"
)

func newMigrator(t *testing.T, url string) *db.Migrator {
	t.Helper()
	m, err := db.NewMigrator(url, db.Options{})
	require.NoError(t, err)
	return m
}

func TestUpAndDownLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	conn := pgtest.Connect(t, url)
	_, err := conn.Exec(t.Context(), "CREATE TABLE bookings (id int PRIMARY KEY)")
	require.NoError(t, err)
	before := pgtest.ReadCatalog(t, url)
	m := newMigrator(t, url)

	// Looking changes nothing.
	require.ErrorIs(t, m.Check(t.Context()), db.ErrSchema)
	require.ErrorContains(t, m.Check(t.Context()), "pgbell migrate up")
	status, err := m.Status(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, status)
	require.Equal(t, "event_log", status[0].Name)
	require.True(t, status[0].AppliedAt.IsZero())
	require.Empty(t, before.Difference(pgtest.ReadCatalog(t, url)))

	applied, err := m.Up(t.Context())
	require.NoError(t, err)
	require.Len(t, applied, len(status))
	require.NoError(t, m.Check(t.Context()))
	again, err := m.Up(t.Context())
	require.NoError(t, err)
	require.Empty(t, again)
	status, err = m.Status(t.Context())
	require.NoError(t, err)
	require.False(t, status[0].AppliedAt.IsZero())
	require.NotEmpty(t, before.Difference(pgtest.ReadCatalog(t, url)))

	undone, err := m.Down(t.Context())
	require.NoError(t, err)
	require.Len(t, undone, len(status))
	require.Empty(t, before.Difference(pgtest.ReadCatalog(t, url)))
	undone, err = m.Down(t.Context())
	require.NoError(t, err)
	require.Empty(t, undone)
	_, err = m.Up(t.Context())
	require.NoError(t, err)
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	var g errgroup.Group
	for range 6 {
		m := newMigrator(t, url)
		g.Go(func() error {
			_, err := m.Up(t.Context())
			return err
		})
	}
	require.NoError(t, g.Wait())
	require.NoError(t, newMigrator(t, url).Check(t.Context()))
}

func TestNewerSchema(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	_, err := pgtest.Connect(t, url).Exec(t.Context(), "INSERT INTO pgbell.goose_db_version (version_id, is_applied) VALUES (9999, true)")
	require.NoError(t, err)
	err = newMigrator(t, url).Check(t.Context())
	require.ErrorIs(t, err, db.ErrSchema)
	require.ErrorContains(t, err, "version 9999")
}

func TestDownRefusesWhileTriggersAreThere(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	run := func(sql string) {
		t.Helper()
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	run(`CREATE TABLE "My Table" (id int)`)
	run(`CREATE FUNCTION pgbell.capture() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$`)
	run(`CREATE TRIGGER pgbell AFTER INSERT ON "My Table" EXECUTE FUNCTION pgbell.capture()`)
	m := newMigrator(t, url)
	_, err := m.Down(t.Context())
	require.ErrorContains(t, err, `the triggers of table "My Table" still in use; run pgbell triggers remove first`)
	require.NoError(t, m.Check(t.Context()))

	run(`DROP TABLE "My Table"`)
	_, err = m.Down(t.Context())
	require.ErrorContains(t, err, "the trigger function pgbell.capture() still in use")
	require.NoError(t, m.Check(t.Context()))

	run("DROP FUNCTION pgbell.capture()")
	run("CREATE TABLE pgbell.notes ()")
	_, err = m.Down(t.Context())
	require.ErrorContains(t, err, "pgbell.notes")
	run("DROP TABLE pgbell.notes")
	_, err = m.Down(t.Context())
	require.NoError(t, err)
}

func TestDownDoesNotWaitForALongTransaction(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t) + "&lock_timeout=20ms"
	tx, err := pgtest.Connect(t, url).Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SELECT FROM pgbell.events")
	require.NoError(t, err)
	m := newMigrator(t, url)
	_, err = m.Down(t.Context())
	require.ErrorContains(t, err, "try again")
	require.NoError(t, tx.Rollback(t.Context()))
	_, err = m.Down(t.Context())
	require.NoError(t, err)
}

// A role that may not create schemas in the database, given one by its DBA.
func TestSchemaMadeByADBA(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	conn := pgtest.Connect(t, url)
	role := pgtest.NewRole(t, url)
	_, err := newMigrator(t, role.URL).Up(t.Context())
	require.ErrorContains(t, err, "CREATE SCHEMA pgbell AUTHORIZATION")
	_, err = conn.Exec(t.Context(), "CREATE SCHEMA pgbell AUTHORIZATION "+role.Name)
	require.NoError(t, err)
	_, err = newMigrator(t, role.URL).Up(t.Context())
	require.NoError(t, err)
	require.NoError(t, newMigrator(t, role.URL).Check(t.Context()))
	_, err = newMigrator(t, role.URL).Down(t.Context())
	require.NoError(t, err)
}
