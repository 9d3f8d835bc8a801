package triggers_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/triggers"
)

const familySQL = `
CREATE TABLE bookings (id int PRIMARY KEY, client_id text, provider_id text, x int);
CREATE TABLE payments (id int PRIMARY KEY, booking_id int %s, amount int);
CREATE INDEX ON payments (booking_id);
`

var family = triggers.Watch{Table: name("payments"), Type: "payment", Owners: payments.Owners, AllColumns: true}

// replica is what every user holds who follows the events: by user, the data
// of each row by key.
type replica map[string]map[string]string

func (r replica) apply(t testing.TB, events []pgbell.Event) {
	t.Helper()
	for _, e := range events {
		users := func(owners map[string]string) []string {
			var all []string
			for _, u := range owners {
				all = append(all, u)
			}
			slices.Sort(all)
			return slices.Compact(all)
		}
		key := string(e.Key)
		switch e.Op {
		case pgbell.Insert, pgbell.Update:
			for _, u := range users(e.Was) {
				delete(r[u], key)
			}
			for _, u := range users(e.Owners) {
				if r[u] == nil {
					r[u] = make(map[string]string)
				}
				if e.Op == pgbell.Update && e.Was == nil {
					require.Contains(t, r[u], key, "an update of a row that %s does not have: %s", u, short(e))
				}
				r[u][key] = string(e.Data)
			}
		case pgbell.Delete:
			for _, u := range users(e.Owners) {
				require.Contains(t, r[u], key, "a delete of a row that %s does not have: %s", u, short(e))
				delete(r[u], key)
			}
		case pgbell.Reset:
			require.Failf(t, "reset", "%s", short(e))
		}
	}
}

// follow takes an event of rows that others write at the same time.
func (r replica) follow(e pgbell.Event) {
	key := string(e.Key)
	for _, owners := range []map[string]string{e.Was, e.Owners} {
		for _, u := range owners {
			delete(r[u], key)
		}
	}
	if e.Op == pgbell.Delete {
		return
	}
	for _, u := range e.Owners {
		if r[u] == nil {
			r[u] = make(map[string]string)
		}
		r[u][key] = string(e.Data)
	}
}

// truth is what every user should hold.
func (d *database) truth() replica {
	d.t.Helper()
	rows, err := d.conn.Query(d.t.Context(), `
SELECT owner, json_build_object('id', p.id)::text, row_to_json(p)::text
  FROM payments AS p JOIN bookings AS b ON b.id = p.booking_id CROSS JOIN LATERAL (VALUES (client_id), (provider_id)) AS o (owner)
 WHERE owner IS NOT NULL`)
	require.NoError(d.t, err)
	defer rows.Close()
	r := make(replica)
	for rows.Next() {
		var user, key, data string
		require.NoError(d.t, rows.Scan(&user, &key, &data))
		if r[user] == nil {
			r[user] = make(map[string]string)
		}
		r[user][strings.ReplaceAll(key, " ", "")] = data
	}
	require.NoError(d.t, rows.Err())
	return r
}

func (r replica) clean() replica {
	for user, rows := range r {
		if len(rows) == 0 {
			delete(r, user)
		}
	}
	return r
}

func TestOwnersThroughForeignKey(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, fmt.Sprintf(familySQL, "REFERENCES bookings ON DELETE CASCADE ON UPDATE CASCADE"))
	d.apply(family)
	d.exec(`INSERT INTO bookings VALUES (1, 'u1', 'u7'), (2, 'u2', NULL)`)
	require.Empty(t, d.events(), "the parent is not watched")
	require.Equal(t, []string{`payment insert/created {"id":10} owners {"client":"u1","provider":"u7"}`}, shorts(d.do(`INSERT INTO payments VALUES (10, 1)`)))
	require.Equal(t, []string{`payment insert/created {"id":11} owners {}`}, shorts(d.do(`INSERT INTO payments VALUES (11, NULL)`)))
	require.Equal(t, []string{`payment update/updated {"id":10} owners {"client":"u2"} was {"client":"u1","provider":"u7"}`}, shorts(d.do(`UPDATE payments SET booking_id = 2 WHERE id = 10`)))
	require.Empty(t, d.do(`UPDATE bookings SET x = 1`))
	events := d.do(`UPDATE bookings SET client_id = 'u3' WHERE id = 2`)
	require.Equal(t, []string{`payment update/updated {"id":10} owners {"client":"u3"} was {"client":"u2"}`}, shorts(events))
	require.JSONEq(t, `{"id":10,"booking_id":2,"amount":null}`, string(events[0].Data))
	require.JSONEq(t, `{}`, string(events[0].Old))
	events = d.do(`UPDATE bookings SET id = 3 WHERE id = 2`)
	require.Equal(t, []string{`payment update/updated {"id":10} owners {"client":"u3"}`}, shorts(events))
	require.JSONEq(t, `{"booking_id":2}`, string(events[0].Old))
	require.Equal(t, []string{`payment update/updated {"id":10} owners {"client":"u4"} was {"client":"u3"}`}, shorts(d.do(`UPDATE bookings SET id = 4, client_id = 'u4' WHERE id = 3`)))
	require.Equal(t, []string{`payment delete/deleted {"id":10} owners {"client":"u4"}`}, shorts(d.do(`DELETE FROM bookings WHERE id = 4`)))

	d.exec(`INSERT INTO bookings SELECT n, 'c' || n, 'p' FROM generate_series(100, 399) AS n; INSERT INTO payments SELECT n, 100 + n % 300 FROM generate_series(100, 6099) AS n`)
	d.events()
	events = d.do(`DELETE FROM bookings WHERE id >= 100`)
	require.Len(t, events, 6000)
	for _, e := range events {
		var old struct{ Booking_ID int }
		require.NoError(t, json.Unmarshal(e.Old, &old))
		require.Equal(t, map[string]string{"client": fmt.Sprint("c", old.Booking_ID), "provider": "p"}, e.Owners)
	}
}

func TestParentGoes(t *testing.T) {
	t.Parallel()
	for action, want := range map[string]string{
		"ON DELETE SET NULL": `payment update/updated {"id":10} owners {} was {"client":"u1","provider":"u7"}`,
		"DEFAULT 2 REFERENCES bookings ON DELETE SET DEFAULT": `payment update/updated {"id":10} owners {"client":"u2"} was {"client":"u1","provider":"u7"}`,
		"ON DELETE CASCADE": `payment delete/deleted {"id":10} owners {"client":"u1","provider":"u7"}`,
		"ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED": `payment delete/deleted {"id":10} owners {"client":"u1","provider":"u7"}`,
		"": `payment update/updated {"id":10} owners {} was {"client":"u1","provider":"u7"}`,
	} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			if action != "" && !strings.Contains(action, "REFERENCES") {
				action = "REFERENCES bookings " + action
			}
			d := newDatabase(t, fmt.Sprintf(familySQL, action))
			d.apply(family)
			d.exec(`INSERT INTO bookings VALUES (1, 'u1', 'u7'), (2, 'u2', NULL); INSERT INTO payments VALUES (10, 1)`)
			d.events()
			require.Equal(t, []string{want}, shorts(d.do(`DELETE FROM bookings WHERE id = 1`)))
		})
	}
	t.Run("with its rows in one statement", func(t *testing.T) {
		t.Parallel()
		d := newDatabase(t, fmt.Sprintf(familySQL, "REFERENCES bookings"))
		d.apply(family)
		d.exec(`INSERT INTO bookings VALUES (1, 'u1', 'u7'); INSERT INTO payments VALUES (10, 1)`)
		d.events()
		events := d.do(`WITH x AS (DELETE FROM payments) DELETE FROM bookings`)
		require.Len(t, events, 1)
		require.True(t, events[0].Op == pgbell.Reset || short(events[0]) == `payment delete/deleted {"id":10} owners {"client":"u1","provider":"u7"}`, short(events[0]))
	})
	t.Run("down two levels", func(t *testing.T) {
		t.Parallel()
		d := newDatabase(t, `CREATE TABLE users (id text PRIMARY KEY);
			CREATE TABLE bookings (id int PRIMARY KEY, client_id text REFERENCES users ON DELETE CASCADE, provider_id text);
			CREATE TABLE payments (id int PRIMARY KEY, booking_id int REFERENCES bookings ON DELETE CASCADE);
			CREATE INDEX ON payments (booking_id)`)
		d.apply(family, triggers.Watch{Table: name("bookings"), Type: "booking", AllColumns: true, Owners: []triggers.Owner{{Audience: "client", Column: "client_id"}}})
		d.exec(`INSERT INTO users VALUES ('u1'), ('u2'); INSERT INTO bookings VALUES (1, 'u1', 'u7'), (2, 'u2', 'u7'); INSERT INTO payments VALUES (10, 1), (11, 1), (12, 2)`)
		d.events()
		require.ElementsMatch(t, []string{
			`booking delete/deleted {"id":1} owners {"client":"u1"}`, `booking delete/deleted {"id":2} owners {"client":"u2"}`,
			`payment delete/deleted {"id":10} owners {"client":"u1","provider":"u7"}`,
			`payment delete/deleted {"id":11} owners {"client":"u1","provider":"u7"}`,
			`payment delete/deleted {"id":12} owners {"client":"u2","provider":"u7"}`,
		}, shorts(d.do(`DELETE FROM users`)))
	})
	t.Run("truncated without a foreign key", func(t *testing.T) {
		t.Parallel()
		d := newDatabase(t, fmt.Sprintf(familySQL, ""))
		d.apply(family)
		require.Equal(t, []string{`payment reset truncate`}, shorts(d.do(`TRUNCATE bookings`)))
	})
}

// Whoever follows the events holds what the join says, after any history.
func TestReplica(t *testing.T) {
	t.Parallel()
	for i, reference := range []string{
		"",
		"REFERENCES bookings ON DELETE CASCADE ON UPDATE CASCADE",
		"REFERENCES bookings ON DELETE SET NULL ON UPDATE SET NULL",
		"REFERENCES bookings DEFERRABLE INITIALLY DEFERRED",
		"REFERENCES bookings ON DELETE CASCADE ON UPDATE CASCADE DEFERRABLE",
	} {
		t.Run(reference, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t, fmt.Sprintf(familySQL, reference))
			d.apply(family)
			seed := rand.Uint64()
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			t.Logf("seed %d", seed)
			user := func() string {
				if rnd.IntN(4) == 0 {
					return "NULL"
				}
				return fmt.Sprintf("'u%d'", rnd.IntN(3))
			}
			booking := func() string {
				if rnd.IntN(6) == 0 {
					return "NULL"
				}
				return fmt.Sprint(rnd.IntN(5))
			}
			statements := []func() string{
				func() string {
					return fmt.Sprintf("INSERT INTO bookings VALUES (%d, %s, %s) ON CONFLICT (id) DO UPDATE SET client_id = excluded.client_id", rnd.IntN(5), user(), user())
				},
				func() string {
					return fmt.Sprintf("INSERT INTO payments VALUES (%d, %s, 0) ON CONFLICT (id) DO UPDATE SET booking_id = excluded.booking_id", rnd.IntN(9), booking())
				},
				func() string {
					return fmt.Sprintf("UPDATE bookings SET client_id = %s, provider_id = %s WHERE id %% %d = 0", user(), user(), 1+rnd.IntN(3))
				},
				func() string {
					return fmt.Sprintf("UPDATE bookings SET id = %d, provider_id = %s WHERE id = %d", rnd.IntN(5), user(), rnd.IntN(5))
				},
				func() string { return fmt.Sprintf("DELETE FROM bookings WHERE id = %d", rnd.IntN(5)) },
				func() string { return "DELETE FROM bookings WHERE id % 2 = 0" },
				func() string {
					return fmt.Sprintf("UPDATE payments SET booking_id = %s, amount = %d WHERE id %% 2 = %d", booking(), rnd.IntN(3), rnd.IntN(2))
				},
				func() string {
					return fmt.Sprintf("UPDATE payments SET id = %d WHERE id = %d", rnd.IntN(9), rnd.IntN(9))
				},
				func() string { return fmt.Sprintf("DELETE FROM payments WHERE id = %d", rnd.IntN(9)) },
			}
			have := make(replica)
			var history []string
			for range 150 {
				var steps []string
				for range 1 + rnd.IntN(3) {
					steps = append(steps, statements[rnd.IntN(len(statements))]())
				}
				sql := strings.Join(steps, "; ")
				history = append(history, sql)
				if _, err := d.conn.Exec(t.Context(), "BEGIN; "+sql+"; COMMIT"); err != nil { // the tables' own constraints refuse some
					d.exec("ROLLBACK")
				}
				have.apply(t, d.events())
				require.Equal(t, d.truth(), have.clean(), "%v", slices.Clip(history[max(0, len(history)-5):]))
			}
		})
	}
}
