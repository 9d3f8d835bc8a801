package db_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/pgtest"
)

// grantTables is what the roles of these tests work on. Its schema is one that
// nobody may use by default.
var grantTables = []db.Table{{
	Type: "order", Schema: "Shop", Name: "orders", AllColumns: true,
	Owners: []db.TableOwner{{Audience: "buyer", Via: &db.TableVia{Column: "cart", Schema: "Shop", Name: "My Carts", Owner: "owner"}}},
}}

const grantSchema = `
CREATE SCHEMA "Shop";
CREATE TABLE "Shop"."My Carts" (id int PRIMARY KEY, owner text);
CREATE TABLE "Shop".orders (id int PRIMARY KEY, cart int REFERENCES "Shop"."My Carts");
INSERT INTO "Shop"."My Carts" VALUES (1, 'anna');
INSERT INTO "Shop".orders VALUES (1, 1)`

// duties is what each role does, whole.
var duties = map[db.Duty]func(t *testing.T, url string) error{
	db.Server: func(t *testing.T, url string) error {
		return firstError(
			func() error { return newMigrator(t, url).Check(t.Context()) },
			onConn(t, url, func(conn *pgx.Conn) error { _, _, err := db.Log{}.Position(t.Context(), conn); return err }),
			onConn(t, url, readLog(t)),
			onConn(t, url, func(conn *pgx.Conn) error { _, err := db.Log{}.SettleOwnerMoves(t.Context(), conn); return err }),
			onConn(t, url, func(conn *pgx.Conn) error {
				// Every partition has something to remove, in its turn.
				for turn := range 8 {
					done, err := db.Log{}.Rotate(t.Context(), conn, time.Now().Add(48*time.Hour+time.Duration(turn)*12*time.Hour))
					if err != nil {
						return err
					}
					require.Empty(t, done.Busy)
				}
				return nil
			}),
			func() error {
				pool, err := db.Open(t.Context(), url, db.Options{})
				if err != nil {
					return err
				}
				defer pool.Close()
				if _, err := db.Revocations(t.Context(), pool); err != nil {
					return err
				}
				if err := db.ReleaseCanary(t.Context(), pool, "node", 1); err != nil {
					return err
				}
				if _, err := db.Publish(t.Context(), pool, db.Publication{Type: "news", Action: "told", Rooms: []string{"*"}}); err != nil {
					return err
				}
				if err := useNotifications(t, pool); err != nil {
					return err
				}
				rows, err := db.NewRows(t.Context(), pool, grantTables, db.RowsOptions{})
				if err != nil {
					return err
				}
				_, err = rows.Read(t.Context(), db.RowsQuery{Type: "order", User: "anna"})
				return err
			},
		)
	},
	db.Reader: func(t *testing.T, url string) error {
		return firstError(
			func() error { return newMigrator(t, url).Check(t.Context()) },
			onConn(t, url, func(conn *pgx.Conn) error { _, err := db.ReadStatus(t.Context(), conn); return err }),
			onConn(t, url, func(conn *pgx.Conn) error {
				_, err := db.Onlooker{}.Since(t.Context(), conn, time.Now())
				return err
			}),
			onConn(t, url, readLog(t)),
			onConn(t, url, func(conn *pgx.Conn) error {
				_, err := db.RowEvents(t.Context(), conn, "Shop.orders", []string{"id"}, []string{"1"}, 5)
				return err
			}),
			func() error {
				pool, err := db.Open(t.Context(), url, db.Options{})
				if err != nil {
					return err
				}
				defer pool.Close()
				rows, err := db.NewRows(t.Context(), pool, grantTables, db.RowsOptions{})
				if err != nil {
					return err
				}
				_, err = rows.Ownership(t.Context(), "order", []string{"1"})
				return err
			},
		)
	},
}

// readLog reads as a listener does, with its mark.
func readLog(t *testing.T) func(*pgx.Conn) error {
	return func(conn *pgx.Conn) error {
		var id int64
		if err := conn.QueryRow(t.Context(), "SELECT last_value FROM pgbell.events_id_seq").Scan(&id); err != nil {
			return err
		}
		_, err := db.Log{}.Read(t.Context(), conn, nil, func(*pgbell.Snapshot, pgbell.Event) error { return nil })
		return err
	}
}

func firstError(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func onConn(t *testing.T, url string, f func(*pgx.Conn) error) func() error {
	return func() error {
		conn, err := db.Connect(t.Context(), url, db.Options{})
		if err != nil {
			return err
		}
		defer conn.Close(t.Context())
		return f(conn)
	}
}

// TestEachGrantIsNeeded lets a role do its whole duty with the grants of the
// list, and with each one of them missing: the duty fails, and a checkup names
// the very statement that helps.
func TestEachGrantIsNeeded(t *testing.T) {
	t.Parallel()
	for duty, do := range duties {
		t.Run(string(duty), func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t)
			admin := pgtest.Connect(t, url)
			exec := func(sql string) {
				t.Helper()
				_, err := admin.Exec(t.Context(), sql)
				require.NoError(t, err, sql)
			}
			exec(grantSchema)
			role := pgtest.NewRole(t, url)
			fill := func() {
				exec(`TRUNCATE pgbell.events`)
				exec(`INSERT INTO pgbell.events (slot, at, body)
				      SELECT i, now() - interval '3 days', '{"type":"order","op":"reset"}' FROM generate_series(0, 4) AS i`)
			}
			grants := db.Grants(duty, grantTables)
			for _, g := range grants {
				exec(g.SQL(role.Name))
			}
			fill()
			require.NoError(t, do(t, role.URL), "all is granted")
			require.NotEqual(t, db.Error, db.Worst(checkup(t, role.URL, duty)))

			for _, g := range grants {
				exec(strings.NewReplacer("GRANT ", "REVOKE ", " TO ", " FROM ").Replace(g.SQL(role.Name)))
				fill()
				require.Error(t, do(t, role.URL), "without %s on %s", g.Privilege, g.On())
				var errors []db.Finding
				for _, f := range checkup(t, role.URL, duty) {
					if f.Level == db.Error {
						errors = append(errors, f)
					}
				}
				require.Len(t, errors, 1, "without %s on %s", g.Privilege, g.On())
				require.Equal(t, "privileges", errors[0].Check)
				require.Contains(t, errors[0].What, "lacks "+g.Privilege+" on "+g.On()+", which a "+string(duty)+" needs to "+g.Why)
				exec(errors[0].Remedy)
			}
			fill()
			require.NoError(t, do(t, role.URL), "the remedies remedied")
		})
	}
}

func checkup(t *testing.T, url string, duty db.Duty) []db.Finding {
	t.Helper()
	findings, err := db.Checkup(t.Context(), pgtest.Connect(t, url), db.CheckupOptions{Tables: grantTables, Duty: duty})
	require.NoError(t, err)
	return findings
}

// A reader can neither forge a bell nor change anything.
func TestReaderOnlyReads(t *testing.T) {
	t.Parallel()
	for _, g := range db.Grants(db.Reader, grantTables) {
		require.Contains(t, []string{"USAGE", "SELECT", "EXECUTE"}, g.Privilege)
		require.NotEqual(t, "bell_key", g.Name)
		if g.Privilege == "EXECUTE" {
			require.Equal(t, "life_id()", g.Name)
		}
	}
}

// useNotifications is all that a server does with notifications.
func useNotifications(t *testing.T, pool *pgxpool.Pool) error {
	n := db.NewNotifications(pool, 0)
	return firstError(
		func() error {
			_, err := db.Notify(t.Context(), pool, db.Notice{Users: []string{"u"}, Title: "t"})
			return err
		},
		func() error { _, err := n.List(t.Context(), db.NotificationsQuery{User: "u", Limit: 1}); return err },
		func() error { _, err := n.MarkRead(t.Context(), "u", nil); return err },
		func() error { _, err := n.Unread(t.Context(), []string{"u"}); return err },
		func() error {
			return n.SetPreferences(t.Context(), "u", []db.Preference{{Type: "a", Audience: "*", Delivery: "muted"}})
		},
		func() error { _, err := n.Preferences(t.Context(), "u"); return err },
		func() error { _, err := n.Expire(t.Context(), time.Hour, time.Hour); return err },
	)
}
