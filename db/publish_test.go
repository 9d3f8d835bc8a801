package db_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/pgtest"
)

func TestPublish(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn, pool := pgtest.Connect(t, url), openPool(t, url)
	at := position(t, conn).Snapshot()
	id, err := db.Publish(t.Context(), pool, db.Publication{
		Type: "notice", Action: "sent", Data: []byte(`{"price": 1.50, "nothing": null, "text": "\u00e9\n"}`),
		Users: []string{"u1", `u"2`}, Roles: []string{"ADMIN"}, Rooms: []string{"lobby", pgbell.Everybody},
	})
	require.NoError(t, err)
	at, events := readAll(t, conn, at)
	require.Len(t, events, 1)
	e := events[0]
	require.Equal(t, id, e.ID)
	require.Equal(t, "notice", e.Type)
	require.Equal(t, pgbell.Publish, e.Op)
	require.Equal(t, "sent", e.Action)
	require.Equal(t, `{"price": 1.50, "nothing": null, "text": "\u00e9\n"}`, string(e.Data), "as it was written")
	require.Equal(t, []string{"u1", `u"2`}, e.Users)
	require.Equal(t, []string{"ADMIN"}, e.Watchers)
	require.Equal(t, []string{"lobby", "*"}, e.Rooms)

	// By SQL, with as little as possible, within a transaction.
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SELECT pgbell.publish(type => 'notice', action => 'sent', users => ARRAY['u1'])")
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SELECT pgbell.publish('notice', 'sent', 'null', roles => ARRAY['A'], users => '{}')")
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	at, events = readAll(t, conn, at)
	require.Len(t, events, 2)
	require.Equal(t, "{}", string(events[0].Data))
	require.Nil(t, events[1].Users)
	require.Equal(t, events[0].XID, events[1].XID)

	for name, mistake := range map[string]db.Publication{
		"no type":         {Action: "a", Users: []string{"u"}},
		"a signal":        {Type: "pgbell.revocation", Action: "revoked", Users: []string{"u"}},
		"a room's type":   {Type: "user", Action: "a", Users: []string{"u"}},
		"a long type":     {Type: strings.Repeat("x", 65), Action: "a", Users: []string{"u"}},
		"a line break":    {Type: "notice\n", Action: "a", Users: []string{"u"}},
		"no action":       {Type: "notice", Users: []string{"u"}},
		"nobody":          {Type: "notice", Action: "a"},
		"nobody at all":   {Type: "notice", Action: "a", Users: []string{}, Roles: []string{}, Rooms: []string{}},
		"an empty user":   {Type: "notice", Action: "a", Users: []string{""}},
		"a long room":     {Type: "notice", Action: "a", Rooms: []string{strings.Repeat("x", 257)}},
		"too many users":  {Type: "notice", Action: "a", Users: strings.Split(strings.Repeat("u,", 1001), ",")},
		"too much data":   {Type: "notice", Action: "a", Users: []string{"u"}, Data: []byte(`"` + strings.Repeat("x", 256<<10) + `"`)},
		"too deep":        {Type: "notice", Action: "a", Users: []string{"u"}, Data: []byte(strings.Repeat("[", 9001) + strings.Repeat("]", 9001))},
		"a long key":      {Type: "notice", Action: "a", Users: []string{"u"}, IdempotencyKey: strings.Repeat("k", 601)},
		"a user in roles": {Type: "notice", Action: "a", Roles: make([]string, 101)},
	} {
		_, err := db.Publish(t.Context(), pool, mistake)
		var told *db.PublicationMistake
		require.ErrorAs(t, err, &told, name)
		require.NotEmpty(t, told.Message)
	}
	// As deep as it may be, and the decoder still takes it.
	_, err = db.Publish(t.Context(), pool, db.Publication{Type: "n", Action: "a", Users: []string{"u"}, Data: []byte(strings.Repeat("[", 9000) + strings.Repeat("]", 9000))})
	require.NoError(t, err)
	_, events = readAll(t, conn, at)
	require.Len(t, events, 1)
	require.Equal(t, pgbell.Publish, events[0].Op)

	_, err = conn.Exec(t.Context(), "SET pgbell.enabled = off")
	require.NoError(t, err)
	var none *int64
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT pgbell.publish('n', 'a', users => ARRAY['u'])").Scan(&none))
	require.Nil(t, none)
}

// TestPublishGivesOutItsIDLate: readers rely on a transaction having its own
// id before an event's.
func TestPublishGivesOutItsIDLate(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Database(t))
	_, err := conn.Exec(t.Context(), `
		ALTER TABLE pgbell.events ALTER COLUMN xid SET DEFAULT pg_current_xact_id_if_assigned()`)
	require.NoError(t, err)
	// With this default the column would be NULL if nobody had assigned it before.
	_, err = conn.Exec(t.Context(), "SELECT pgbell.publish('n', 'a', users => ARRAY['u'])")
	require.NoError(t, err)
}

func TestPublishOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn, pool := pgtest.Connect(t, url), openPool(t, url)
	at := position(t, conn).Snapshot()
	p := db.Publication{Type: "n", Action: "a", Users: []string{"u"}, IdempotencyKey: "k"}
	ids := make([]int64, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			id, err := db.Publish(t.Context(), pool, p)
			if err == nil {
				ids[i] = id
			}
		})
	}
	wg.Wait()
	require.NotZero(t, ids[0])
	for _, id := range ids {
		require.Equal(t, ids[0], id)
	}
	_, events := readAll(t, conn, at)
	require.Len(t, events, 1)
	other := p
	other.Action = "b"
	_, err := db.Publish(t.Context(), pool, other)
	require.ErrorIs(t, err, db.ErrIdempotencyKey)

	// One that was rolled back was never published.
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SELECT pgbell.publish('n', 'a', users => ARRAY['u'], idempotency_key => 'r')")
	require.NoError(t, err)
	require.NoError(t, tx.Rollback(t.Context()))
	p.IdempotencyKey = "r"
	id, err := db.Publish(t.Context(), pool, p)
	require.NoError(t, err)
	require.Greater(t, id, ids[0])

	// Old keys go, and may be used again.
	_, err = conn.Exec(t.Context(), "UPDATE pgbell.publications SET at = at - interval '25 hours'")
	require.NoError(t, err)
	p.IdempotencyKey = "s"
	_, err = db.Publish(t.Context(), pool, p)
	require.NoError(t, err)
	var left int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM pgbell.publications").Scan(&left))
	require.Equal(t, 1, left)
}

// TestPublishWithoutPrivileges: a grant on the function is all that an
// application needs, and keys of two roles are two keys.
func TestPublishWithoutPrivileges(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	admin := pgtest.Connect(t, url)
	role := pgtest.NewRole(t, url)
	conn := pgtest.Connect(t, role.URL)
	const publish = "SELECT pgbell.publish('n', 'a', users => ARRAY['u'], idempotency_key => 'k')"
	_, err := conn.Exec(t.Context(), publish)
	require.ErrorContains(t, err, "permission denied")
	_, err = admin.Exec(t.Context(), fmt.Sprintf("GRANT USAGE ON SCHEMA pgbell TO %[1]s; GRANT EXECUTE ON FUNCTION pgbell.publish TO %[1]s", role.Name))
	require.NoError(t, err)
	ids := map[int64]bool{}
	for _, c := range []*pgx.Conn{admin, conn, conn} {
		var id int64
		require.NoError(t, c.QueryRow(t.Context(), publish).Scan(&id))
		ids[id] = true
	}
	require.Len(t, ids, 2)
	_, err = conn.Exec(t.Context(), "SELECT * FROM pgbell.publications")
	require.ErrorContains(t, err, "permission denied")
}
