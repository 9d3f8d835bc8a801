package db_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/pgtest"
)

// listen hears the bell on a connection of its own, as a listener that sleeps.
func listen(t *testing.T, url string) (conn *pgx.Conn, next func() string) {
	t.Helper()
	conn = pgtest.Connect(t, url)
	_, err := conn.Exec(t.Context(), "LISTEN pgbell; SELECT pg_advisory_lock_shared(123589334756460)")
	require.NoError(t, err)
	return conn, func() string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		n, err := conn.WaitForNotification(ctx)
		require.NoError(t, err)
		return n.Payload
	}
}

func TestBellCarriesWhatTheLogHolds(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn, ring := listen(t, url)
	cursor, key, err := db.Log{}.Position(t.Context(), conn)
	require.NoError(t, err)
	writer := pgtest.Connect(t, url)
	_, err = writer.Exec(t.Context(), `SELECT pgbell.record(ARRAY['{"type": "t", "op": "publish", "data": {"n": 1.50, "s": "naïve \"quoted\""}}'])`)
	require.NoError(t, err)
	rung, err := pgbell.DecodeBell(ring(), key)
	require.NoError(t, err)
	_, events := readAll(t, conn, cursor.Snapshot())
	require.Len(t, events, 1)
	require.Equal(t, events[0], rung)

	_, err = writer.Exec(t.Context(), `SELECT pgbell.record(ARRAY['{"type": "t", "op": "publish"}', '{"type": "t", "op": "publish"}'])`)
	require.NoError(t, err)
	require.Empty(t, ring(), "several events ring once, empty")
}

func TestForgedBells(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn, ring := listen(t, url)
	_, key, err := db.Log{}.Position(t.Context(), conn)
	require.NoError(t, err)
	admin := pgtest.Connect(t, url)
	_, err = admin.Exec(t.Context(), `SELECT pgbell.record(ARRAY['{"type": "t", "op": "publish", "users": ["u1"]}'])`)
	require.NoError(t, err)
	genuine := ring()

	// Any role may NOTIFY; none can read the key or ring through us.
	stranger := pgtest.Connect(t, pgtest.NewRole(t, url).URL)
	for _, sql := range []string{
		"TABLE pgbell.bell_key", "TABLE pgbell.events", "INSERT INTO pgbell.events (body) VALUES ('{}')",
		"SELECT pgbell.record(ARRAY['{}'])", "SELECT pgbell.ring(1, '1', now(), '{}')",
	} {
		_, err := stranger.Exec(t.Context(), sql)
		require.ErrorContains(t, err, "permission denied", sql)
	}
	for _, forged := range []string{
		strings.Replace(genuine, `"u1"`, `"u2"`, 1),
		strings.Replace(genuine, `"id":1`, `"id":2`, 1),
		strings.Replace(genuine, `"xid":`, `"xid":1`, 1),
		strings.Replace(genuine, `"at":`, `"at":1`, 1),
		`{"id":1,"xid":1,"at":1,"mac":"","body":{"type":"t","op":"publish"}}`,
		`{"type":"t","op":"publish"}`,
		"hello",
	} {
		require.NotEqual(t, genuine, forged)
		_, err := stranger.Exec(t.Context(), "SELECT pg_notify('pgbell', $1)", forged)
		require.NoError(t, err)
		_, err = pgbell.DecodeBell(ring(), key)
		require.ErrorIs(t, err, pgbell.ErrNoEvent, forged)
	}
	_, err = pgbell.DecodeBell(genuine, key)
	require.NoError(t, err)
}

// TestBellAtTheLimit records bodies of every size around what NOTIFY takes:
// 7999 bytes, in the server's encoding.
func TestBellAtTheLimit(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"UTF8", "LATIN1", "EUC_JP"} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			url := pgtest.DatabaseIn(t, encoding)
			conn, ring := listen(t, url)
			cursor, key, err := db.Log{}.Position(t.Context(), conn)
			require.NoError(t, err)
			text := map[string]string{"UTF8": "€", "LATIN1": "é", "EUC_JP": "あ"}[encoding]
			writer := pgtest.Connect(t, url)
			// One transaction each: equal bells of one transaction are rung once.
			_, err = writer.Exec(t.Context(), `
				CREATE PROCEDURE fill(piece text, low int, high int) LANGUAGE plpgsql AS $$
				DECLARE
					head text := '{"type":"t","op":"publish","action":"';
					room int;
				BEGIN
					FOR size IN low..high LOOP
						room := size - octet_length(head) - 2;
						PERFORM pgbell.record(ARRAY[head || repeat(piece, room / octet_length(piece)) || repeat('x', room % octet_length(piece)) || '"}']);
						COMMIT;
					END LOOP;
				END $$`)
			require.NoError(t, err)
			const low, high = 7600, 8100
			_, err = writer.Exec(t.Context(), "SELECT pg_notify('pgbell', repeat('x', 8000))")
			require.ErrorContains(t, err, "payload string too long")
			at := cursor.Snapshot()
			for _, piece := range []string{"x", text} {
				_, err = writer.Exec(t.Context(), "CALL fill($1, $2, $3)", piece, low, high)
				require.NoError(t, err)
				var logged []pgbell.Event
				at, logged = readAll(t, conn, at)
				require.Len(t, logged, high-low+1)
				carried, longest := 0, 0
				for _, e := range logged {
					payload := ring()
					if payload == "" {
						continue
					}
					rung, err := pgbell.DecodeBell(payload, key)
					require.NoError(t, err)
					require.Equal(t, e, rung)
					carried, longest = carried+1, max(longest, len(payload))
				}
				if encoding == "UTF8" { // else the payload has another length there
					require.InDelta(t, 7999, longest, float64(len(piece)-1), "as long as can be")
				}
				require.Greater(t, carried, 50, "small bodies are carried")
				require.Less(t, carried, 400, "large ones are not")
			}
		})
	}
}

// A transaction of many statements rings with the first of its events and once
// more for all others, so that its bells take no room.
func TestBellsOfOneTransactionAreFew(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn, ring := listen(t, url)
	cursor, key, err := db.Log{}.Position(t.Context(), conn)
	require.NoError(t, err)
	writer := pgtest.Connect(t, url)
	for _, sql := range []string{
		`DO $$ BEGIN
		     FOR i IN 1..500 LOOP
		         PERFORM pgbell.record(ARRAY[format('{"type":"t","op":"publish","action":"a%s"}', i)]);
		     END LOOP;
		 END $$`,
		`SELECT pgbell.record(ARRAY['{"type":"t","op":"publish","action":"next"}'])`,
		// Whoever touches what is counted only loses bells.
		`SET pgbell.rung = 'as often as I like'; SELECT pgbell.record(ARRAY['{"type":"t","op":"publish"}'])`,
	} {
		_, err := writer.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	_, logged := readAll(t, conn, cursor.Snapshot())
	require.Len(t, logged, 502)
	for _, e := range append(logged[:16:16], logged[500]) {
		if e.ID == logged[500].ID {
			require.Empty(t, ring(), "for the rest of the 500")
		}
		rung, err := pgbell.DecodeBell(ring(), key)
		require.NoError(t, err)
		require.Equal(t, e, rung)
	}
	require.Empty(t, ring())
}

// A bell that nobody may ring: the log has the event all the same.
func TestBellNever(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn, ring := listen(t, url)
	at := position(t, conn).Snapshot()
	writer := pgtest.Connect(t, url)
	for _, sql := range []string{
		"SET pgbell.bell = never",
		`SELECT pgbell.record(ARRAY['{"type": "t", "op": "publish"}'])`,
		"NOTIFY pgbell, 'last'",
	} {
		_, err := writer.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	require.Equal(t, "last", ring())
	_, events := readAll(t, conn, at)
	require.Len(t, events, 1)
}
