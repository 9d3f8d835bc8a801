package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/ws/auth"
)

// shop is a database with bookings that are watched, and what serves it.
type shop struct {
	url  string
	conn *pgx.Conn
	env  []string
}

func openShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{url: pgtest.Empty(t)}
	s.conn = pgtest.Connect(t, s.url)
	s.exec(t, `
		CREATE TABLE bookings (id int PRIMARY KEY, client_id text, provider_id text, status text, version int NOT NULL DEFAULT 0, note text);
		CREATE INDEX ON bookings (status)`)
	s.env = []string{"DATABASE_URL", s.url, "PGBELL_CONFIG", configuration(t, `
tables:
  public.bookings:
    type: booking
    owners: {client: client_id, provider: provider_id}
    watchers: [ADMIN]
    columns: [id, client_id, provider_id, status, version]
    only: {provider: [note]}
`)}
	succeed(t, s.env, "migrate", "up")
	succeed(t, s.env, "triggers", "apply")
	return s
}

func (s *shop) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := s.conn.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

// dial opens a user's WebSocket at a cursor.
func dial(ctx context.Context, at, token, cursor string) (*websocket.Conn, error) {
	header := http.Header{"Authorization": {"Bearer " + token}}
	conn, response, err := websocket.DefaultDialer.DialContext(ctx, strings.Replace(at, "http", "ws", 1)+"/ws?cursor="+url.QueryEscape(cursor), header)
	if response != nil {
		_ = response.Body.Close()
	}
	return conn, err
}

// follower is a client that keeps what it got over many connections.
type follower struct {
	user, token string
	base        pgbell.Cursor // where its stream began
	cursor      string
	got         []int64
	versions    map[string]int
	recovered   int
}

// follow reads for a while from one connection: to the end of quiet if it is
// set, or until it was sent some events.
func (f *follower) follow(ctx context.Context, at string, events int, quiet time.Duration) error {
	conn, err := dial(ctx, at, f.token, f.cursor)
	if err != nil {
		return nil // the server may be down
	}
	defer conn.Close()
	for events > 0 {
		wait := patience
		if quiet > 0 {
			wait = quiet
		}
		if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return err
		}
		var m envelope
		if err := conn.ReadJSON(&m); err != nil {
			return nil // cut off
		}
		if m.Event == "reset" {
			return fmt.Errorf("%s: reset %s", f.user, m.Data)
		}
		if m.Cursor != "" {
			f.cursor = m.Cursor
		}
		switch m.Event {
		case "authenticated":
			var data struct{ Recovered bool }
			if err := json.Unmarshal(m.Data, &data); err != nil {
				return err
			}
			switch {
			case f.base.IsZero():
				if f.base, err = pgbell.ParseCursor(m.Cursor); err != nil {
					return err
				}
			case !data.Recovered:
				return fmt.Errorf("%s was not recovered", f.user)
			default:
				f.recovered++
			}
		case "booking_update":
			events--
			var data struct {
				ID   int64
				Op   string
				Key  json.RawMessage
				Data struct{ Version int }
			}
			if err := json.Unmarshal(m.Data, &data); err != nil {
				return err
			}
			f.got = append(f.got, data.ID)
			if data.Op == "left" || data.Op == "delete" {
				continue
			}
			if had := f.versions[string(data.Key)]; data.Data.Version <= had {
				return fmt.Errorf("%s: version %d of %s came after %d", f.user, data.Data.Version, data.Key, had)
			}
			f.versions[string(data.Key)] = data.Data.Version
		}
	}
	return nil
}

// TestResumeMeetsTheStream has clients come and go while many write, through a
// whole server: with a window of a few events, so that they resume from the log
// nearly always, and with one that holds everything. The server is restarted in
// the midst of it. Each client got each event of its rows once, in order.
func TestResumeMeetsTheStream(t *testing.T) {
	t.Parallel()
	for name, window := range map[string]string{"log": "4KiB", "window": "64MiB"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const users, writers, rows, changes = 4, 4, 24, 150
			s := openShop(t)
			s.exec(t, `INSERT INTO bookings (id, client_id) SELECT i, 'u' || i % 4 FROM generate_series(1, 24) AS i`)
			env := append(s.env, "PGBELL_WINDOW_BYTES", window)
			server, at := serve(t, env)
			var mu sync.RWMutex // guards at
			address := func() string { mu.RLock(); defer mu.RUnlock(); return at }

			followers := make([]*follower, users)
			for i := range followers {
				user := fmt.Sprintf("u%d", i)
				followers[i] = &follower{user: user, token: token(t, user), versions: map[string]int{}}
				require.NoError(t, followers[i].follow(t.Context(), at, 1, 200*time.Millisecond))
				require.False(t, followers[i].base.IsZero())
			}

			writing, stop := context.WithCancel(t.Context())
			defer stop()
			var writes, reads errgroup.Group
			halfway := make(chan struct{})
			for w := range writers {
				conn := pgtest.Connect(t, s.url)
				writes.Go(func() error {
					for n := range changes {
						if w == 0 && n == changes/2 {
							close(halfway)
						}
						tx, err := conn.Begin(t.Context())
						if err != nil {
							return err
						}
						ids := rand.Perm(rows)[:1+rand.IntN(3)]
						slices.Sort(ids) // so that nobody waits in a circle
						for _, id := range ids {
							owner := any(fmt.Sprintf("u%d", rand.IntN(users)))
							if rand.IntN(4) > 0 {
								owner = nil // stays
							}
							if _, err := tx.Exec(t.Context(), `UPDATE bookings SET version = version + 1, client_id = coalesce($2, client_id) WHERE id = $1`, id+1, owner); err != nil {
								return err
							}
						}
						if rand.IntN(8) == 0 {
							err = tx.Rollback(t.Context())
						} else {
							err = tx.Commit(t.Context())
						}
						if err != nil {
							return err
						}
					}
					return nil
				})
			}
			for _, f := range followers {
				reads.Go(func() error {
					for writing.Err() == nil {
						if err := f.follow(t.Context(), address(), 1+rand.IntN(20), 500*time.Millisecond); err != nil {
							return err
						}
					}
					return nil
				})
			}
			select {
			case <-halfway:
			case <-time.After(patience):
				t.Fatal("nobody writes")
			}
			server.stop(t)
			_, again := serve(t, env)
			mu.Lock()
			at = again
			mu.Unlock()
			require.NoError(t, writes.Wait())
			stop()
			require.NoError(t, reads.Wait())

			recovered := 0
			for _, f := range followers {
				want := s.truth(t, f)
				for deadline := time.Now().Add(patience); len(f.got) < len(want) && time.Now().Before(deadline); {
					require.NoError(t, f.follow(t.Context(), at, len(want)-len(f.got), time.Second))
				}
				require.NoError(t, f.follow(t.Context(), at, 1, 100*time.Millisecond), "nothing more comes")
				got := slices.Sorted(slices.Values(f.got))
				require.Equal(t, want, got, f.user)
				recovered += f.recovered
			}
			require.Greater(t, recovered, users)
			t.Logf("%d resumes", recovered)
		})
	}
}

// truth is the ids of the events that a client should have got by now.
func (s *shop) truth(t *testing.T, f *follower) []int64 {
	t.Helper()
	rows, err := s.conn.Query(t.Context(), `
		SELECT id, xid::text::bigint FROM pgbell.events
		 WHERE body ->> 'type' = 'booking' AND $1 IN (body -> 'owners' ->> 'client', body -> 'was' ->> 'client', body -> 'owners' ->> 'provider', body -> 'was' ->> 'provider') ORDER BY id`, f.user)
	require.NoError(t, err)
	var want []int64
	var id, xid int64
	_, err = pgx.ForEachRow(rows, []any{&id, &xid}, func() error {
		if !f.base.Contains(id, uint64(xid)) {
			want = append(want, id)
		}
		return nil
	})
	require.NoError(t, err)
	return want
}

// TestRestartServesFromMemory brings clients back to a server that was just
// started: none of them causes a query.
func TestRestartServesFromMemory(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	server, at := serve(t, s.env)
	f := &follower{user: "u", token: token(t, "u"), versions: map[string]int{}}
	require.NoError(t, f.follow(t.Context(), at, 1, 200*time.Millisecond))
	s.exec(t, `INSERT INTO bookings (id, client_id, version) SELECT i, 'u', 1 FROM generate_series(1, 100) AS i`)
	require.NoError(t, f.follow(t.Context(), at, 10, 0))
	server.stop(t)
	s.exec(t, `INSERT INTO bookings (id, client_id, version) SELECT i, 'u', 1 FROM generate_series(101, 200) AS i`)
	_, at = serve(t, s.env)
	var g errgroup.Group
	for range 20 {
		one := &follower{user: "u", token: f.token, base: f.base, cursor: f.cursor, versions: map[string]int{}}
		g.Go(func() error {
			if err := one.follow(t.Context(), at, 190, 0); err != nil {
				return err
			}
			if one.recovered != 1 || len(one.got) != 190 {
				return fmt.Errorf("got %d, recovered %d", len(one.got), one.recovered)
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	var queries []string
	require.NoError(t, s.conn.QueryRow(t.Context(), `SELECT array_agg(query) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'pgbell reader'`).Scan(&queries))
	require.NotEmpty(t, queries)
	for _, q := range queries {
		require.NotContains(t, q, "pgbell.events")
	}
}

// rows asks for rows as a user.
func rows(t *testing.T, at, path, token string) (status int, keys []int, cursor, next, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+"/api/rows/"+path, http.NoBody)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	require.NoError(t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	var page struct {
		Rows         []struct{ ID int }
		Cursor, Next string
	}
	require.NoError(t, json.Unmarshal(raw, &page), "%s", raw)
	for _, r := range page.Rows {
		keys = append(keys, r.ID)
	}
	return response.StatusCode, keys, page.Cursor, page.Next, string(raw)
}

// TestPaintAndFollow fetches rows and goes on from their cursor.
func TestPaintAndFollow(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	s.exec(t, `INSERT INTO bookings (id, client_id, provider_id, status, note) SELECT i, 'c' || i % 2, 'p', 'S' || i % 3, 'n' FROM generate_series(1, 10) AS i`)
	_, at := serve(t, s.env)
	status, keys, cursor, next, text := rows(t, at, "booking?limit=3", token(t, "c1"))
	require.Equal(t, http.StatusOK, status, text)
	require.Equal(t, []int{1, 3, 5}, keys)
	require.NotContains(t, text, "note")
	s.exec(t, `UPDATE bookings SET status = 'late' WHERE id IN (1, 9, 10)`)
	_, keys, _, next, _ = rows(t, at, "booking?limit=3&page="+next, token(t, "c1"))
	require.Equal(t, []int{7, 9}, keys)
	require.Empty(t, next)

	// Of the first page, what was changed since comes, and once.
	conn, err := dial(t.Context(), at, token(t, "c1"), cursor)
	require.NoError(t, err)
	c := &client{conn, "c1"}
	defer c.Close()
	require.Equal(t, "authenticated", c.next(t).Event)
	require.EqualValues(t, 1, c.change(t).Key["id"])
	require.EqualValues(t, 9, c.change(t).Key["id"])
	s.exec(t, `UPDATE bookings SET status = 'later' WHERE id = 3`)
	require.EqualValues(t, 3, c.change(t).Key["id"])

	_, keys, _, _, text = rows(t, at, "booking?status=S0", token(t, "p"))
	require.Equal(t, []int{6}, keys)
	require.Contains(t, text, `"version":0,"note":"n"`)
	_, keys, _, _, _ = rows(t, at, "booking", token(t, "x", "ADMIN"))
	require.Len(t, keys, 10)
	for path, want := range map[string]int{"booking?version=1": http.StatusBadRequest, "nothing": http.StatusNotFound, "pgbell.canary": http.StatusNotFound, "booking?page=x": http.StatusBadRequest} {
		status, _, _, _, text = rows(t, at, path, token(t, "c1"))
		require.Equal(t, want, status, text)
	}
}

// TestRevocationReachesEveryNode revokes while two nodes serve.
func TestRevocationReachesEveryNode(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	_, one := serve(t, s.env)
	_, other := serve(t, s.env)
	issued := time.Now().Add(-time.Minute)
	mint := func(user, id string) string {
		text, err := auth.Mint([]byte(secret), auth.Claims{Subject: user, TokenID: id, IssuedAt: issued, TTL: time.Hour})
		require.NoError(t, err)
		return text
	}
	closed := func(c *client) int {
		t.Helper()
		for {
			require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
			if _, _, err := c.ReadMessage(); err != nil {
				var end *websocket.CloseError
				require.ErrorAs(t, err, &end)
				return end.Code
			}
		}
	}
	stolen, spared := join(t, one, "stolen", mint("u", "1")), join(t, other, "spared", mint("u", "2"))
	began := time.Now()
	s.exec(t, `SELECT pgbell.revoke(token_id => '1', reason => 'stolen')`)
	require.Equal(t, 4010, closed(stolen))
	t.Logf("closed after %v", time.Since(began))
	require.Eventually(t, func() bool {
		status, _, _, _, text := rows(t, other, "booking", mint("u", "1"))
		return status == http.StatusUnauthorized && strings.Contains(text, "token_revoked")
	}, patience, 5*time.Millisecond)
	s.exec(t, `SELECT pgbell.revoke(subject => 'u')`)
	require.Equal(t, 4010, closed(spared))
	again := join(t, one, "again", token(t, "v"))
	require.NoError(t, again.Close())

	// A node that comes later knows, until it is taken back.
	_, third := serve(t, s.env)
	status, _, _, _, _ := rows(t, third, "booking", mint("u", "3"))
	require.Equal(t, http.StatusUnauthorized, status)
	s.exec(t, `DELETE FROM pgbell.revocations`)
	require.Eventually(t, func() bool {
		status, _, _, _, _ = rows(t, third, "booking", mint("u", "3"))
		return status == http.StatusOK
	}, patience, 10*time.Millisecond)
}

// TestReadyzTravels breaks the way of a change at its first step.
func TestReadyzTravels(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	_, at := serve(t, s.env)
	ready := func() (int, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+"/readyz", http.NoBody)
		require.NoError(t, err)
		response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
		require.NoError(t, err)
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(text)
	}
	status, text := ready()
	require.Equal(t, http.StatusOK, status, text)
	require.Contains(t, text, `"canaryMs":`)
	t.Log(text)
	s.exec(t, `ALTER TABLE pgbell.canaries DISABLE TRIGGER tell`)
	require.Eventually(t, func() bool {
		status, text = ready()
		return status == http.StatusServiceUnavailable
	}, patience, 100*time.Millisecond)
	require.Contains(t, text, "no change of the database reached this server within 2s")
	s.exec(t, `ALTER TABLE pgbell.canaries ENABLE TRIGGER tell`)
	require.Eventually(t, func() bool {
		status, text = ready()
		return status == http.StatusOK
	}, patience, 100*time.Millisecond)
}
