package db_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/pgtest"
)

func TestRevoke(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn, pool := pgtest.Connect(t, url), openPool(t, url)
	at := position(t, conn).Snapshot()
	exec := func(sql string, args ...any) []pgbell.Event {
		t.Helper()
		_, err := conn.Exec(t.Context(), sql, args...)
		require.NoError(t, err)
		var events []pgbell.Event
		at, events = readAll(t, conn, at)
		for _, e := range events {
			require.Equal(t, "pgbell.revocation", e.Type)
			require.Equal(t, pgbell.Publish, e.Op)
			require.Empty(t, e.Users)
		}
		return events
	}
	all := func() (list []db.Revocation) {
		t.Helper()
		list, err := db.Revocations(t.Context(), pool)
		require.NoError(t, err)
		return list
	}

	began := time.Now()
	_, err := conn.Exec(t.Context(), "SET TimeZone = 'Asia/Kathmandu'; SET DateStyle = 'German'")
	require.NoError(t, err)
	events := exec("SELECT pgbell.revoke(subject => 'u1', reason => 'laptop lost')")
	require.Equal(t, []string{"revoked"}, actions(events))
	var data struct {
		Subject, TokenID     string
		RevokedAt, ExpiresAt time.Time
	}
	require.NoError(t, json.Unmarshal(events[0].Data, &data))
	require.Equal(t, "u1", data.Subject)
	require.WithinDuration(t, began, data.RevokedAt, time.Minute)
	require.Zero(t, data.ExpiresAt)
	require.NotContains(t, string(events[0].Data), "laptop")
	list := all()
	require.Len(t, list, 1)
	require.True(t, list[0].RevokedAt.Equal(data.RevokedAt))
	require.Equal(t, db.Revocation{Subject: "u1", RevokedAt: list[0].RevokedAt}, list[0])

	expires := began.Add(time.Hour).Truncate(time.Microsecond)
	events = exec("SELECT pgbell.revoke(token_id => 't1', expires_at => $1)", expires)
	require.NoError(t, json.Unmarshal(events[0].Data, &data))
	require.Equal(t, "t1", data.TokenID)
	require.True(t, data.ExpiresAt.Equal(expires))

	// Many at once, and what changes otherwise.
	require.Len(t, exec("INSERT INTO pgbell.revocations (subject) VALUES ('a'), ('b'), ('c')"), 3)
	require.Empty(t, exec("INSERT INTO pgbell.revocations (subject) SELECT 'd' WHERE false"))
	require.Equal(t, []string{"changed"}, actions(exec("DELETE FROM pgbell.revocations WHERE subject = 'a'")))
	require.Equal(t, []string{"changed"}, actions(exec("UPDATE pgbell.revocations SET expires_at = clock_timestamp() WHERE subject = 'b'")))
	require.Len(t, all(), 3)

	// What expired is not listed, and goes with the next.
	require.Equal(t, []string{"revoked"}, actions(exec("SELECT pgbell.revoke(subject => 'e')")))
	var left int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM pgbell.revocations").Scan(&left))
	require.Equal(t, 4, left)
	require.Equal(t, []string{"changed"}, actions(exec("TRUNCATE pgbell.revocations")))
	require.Empty(t, all())

	for _, sql := range []string{
		"SELECT pgbell.revoke()",
		"SELECT pgbell.revoke(subject => 'u', token_id => 't')",
		"SELECT pgbell.revoke(subject => '')",
		"SELECT pgbell.revoke(subject => repeat('x', 257))",
		"SELECT pgbell.revoke(subject => 'u', expires_at => 'infinity')",
	} {
		_, err := conn.Exec(t.Context(), sql)
		require.Error(t, err, sql)
	}
}

// An application's role may revoke without seeing anything else.
func TestRevokeAndReleaseWithoutPrivileges(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	admin := pgtest.Connect(t, url)
	role := pgtest.NewRole(t, url)
	conn, pool := pgtest.Connect(t, role.URL), openPool(t, role.URL)
	_, err := conn.Exec(t.Context(), "SELECT pgbell.revoke(subject => 'u1')")
	require.ErrorContains(t, err, "permission denied")
	_, err = admin.Exec(t.Context(), "GRANT USAGE ON SCHEMA pgbell TO "+role.Name)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "SELECT pgbell.revoke(subject => 'u1')")
	require.ErrorContains(t, err, "permission denied")
	require.ErrorContains(t, db.ReleaseCanary(t.Context(), pool, "n", 1), "permission denied")
	_, err = admin.Exec(t.Context(), "GRANT EXECUTE ON FUNCTION pgbell.revoke, pgbell.release_canary TO "+role.Name)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "SELECT pgbell.revoke(subject => 'u1')")
	require.NoError(t, err)
	require.NoError(t, db.ReleaseCanary(t.Context(), pool, "n", 1))
	_, err = db.Revocations(t.Context(), pool)
	require.ErrorContains(t, err, "permission denied")
}

func TestReleaseCanary(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn, pool := pgtest.Connect(t, url), openPool(t, url)
	_, err := conn.Exec(t.Context(), "INSERT INTO pgbell.canaries VALUES ('gone', 7, now() - interval '2 days')")
	require.NoError(t, err)
	at := position(t, conn).Snapshot()
	for flight := range int64(3) {
		require.NoError(t, db.ReleaseCanary(t.Context(), pool, "a", flight))
	}
	require.NoError(t, db.ReleaseCanary(t.Context(), pool, "b", 9))
	_, events := readAll(t, conn, at)
	require.Len(t, events, 4)
	for i, want := range []string{`{"node":"a","flight":0}`, `{"node":"a","flight":1}`, `{"node":"a","flight":2}`, `{"node":"b","flight":9}`} {
		require.Equal(t, "pgbell.canary", events[i].Type)
		require.Equal(t, pgbell.Publish, events[i].Op)
		require.Empty(t, events[i].Users)
		require.JSONEq(t, want, string(events[i].Data))
	}
	var nodes []string
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT array_agg(node ORDER BY node) FROM pgbell.canaries").Scan(&nodes))
	require.Equal(t, []string{"a", "b"}, nodes)
}
