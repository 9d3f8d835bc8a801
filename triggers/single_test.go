package triggers_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/triggers"
)

// edit changes the text of every installed function.
func (d *database) edit(old, replacement string) {
	d.t.Helper()
	rows, err := d.conn.Query(d.t.Context(), `SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'pgbell'::regnamespace AND proname LIKE '%.%'`)
	require.NoError(d.t, err)
	definitions, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(d.t, err)
	edited := 0
	for _, definition := range definitions {
		if strings.Contains(definition, old) {
			d.exec(strings.Replace(definition, old, replacement, 1))
			edited++
		}
	}
	require.NotZero(d.t, edited)
}

const (
	partForOneRow = "<<one>>\n    BEGIN\n"
	partForMany   = "-- subtransaction that only reads takes no transaction id.\n    BEGIN\n"
)

// bodies are the events of some SQL as they stand in the log.
func (d *database) bodies(sql string) []string {
	d.t.Helper()
	if _, err := d.conn.Exec(d.t.Context(), sql); err != nil { // the tables' own constraints refuse some
		return []string{"refused"}
	}
	rows, err := d.conn.Query(d.t.Context(), "SELECT body::text FROM pgbell.events WHERE id > $1 ORDER BY id", d.read)
	require.NoError(d.t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(d.t, err)
	for i := range all {
		all[i] = madeText.ReplaceAllString(seenText.ReplaceAllString(all[i], `"seen":""`), "${1}0${2}")
	}
	d.events()
	return all
}

// What a transaction saw depends on what else the server does, and so does when
// a notification was made.
var (
	seenText = regexp.MustCompile(`"seen":"[0-9:,]*"`)
	madeText = regexp.MustCompile(`(^{"type":"pgbell.notification".*"data":{"id":)[0-9]+(,.*"createdAt":)"[^"]*"`)
)

const manyTypes = `
CREATE TYPE mood AS ENUM ('sad', 'ok', 'so "so"');
CREATE TYPE pair AS (a int, b timestamptz);
CREATE TABLE owners (id int PRIMARY KEY, a text, b int NOT NULL DEFAULT 3, c timestamptz);
INSERT INTO owners VALUES (1, 'u1', 7, NULL), (2, NULL, 8, '2026-01-01'), (3, E'w"\\\n', 9, '2026-01-01 00:00+05');
CREATE TABLE things (
    id int, part text COLLATE "C", owner int REFERENCES owners ON DELETE SET NULL, u uuid, n numeric, p numeric(8,2), t text, m mood, ms mood[], j json, jb jsonb,
    b bytea, f float8, at timestamptz, dr daterange, i interval, pa pair, ip inet, bp char(5), status text, hidden text,
    body text, "new" text, changed text, one int, shown bool NOT NULL DEFAULT true, "100%" int, PRIMARY KEY (id, part));
`

// One row is told in the same bytes whether by the plain expressions or by the
// queries, and makes the same notifications.
func TestOneRowAsMany(t *testing.T) {
	t.Parallel()
	thing := triggers.Watch{Table: name("things"), Type: "thing", AllColumns: true}
	with := func(f func(*triggers.Watch)) triggers.Watch { w := thing; f(&w); return w }
	for title, watches := range map[string][]triggers.Watch{
		"nobody's": {thing},
		"owned": {with(func(w *triggers.Watch) {
			w.Owners = []triggers.Owner{{Audience: "t", Column: "t"}, {Audience: `p"`, Column: "p"}, {Audience: "at", Column: "at"}}
			w.Only = map[string][]string{"t": {"m", "j", "100%"}, "at": {"status"}}
			w.Watchers = []string{"ADMIN", `5 % "of"`}
		})},
		"not null": {with(func(w *triggers.Watch) {
			w.Columns, w.AllColumns = []string{"status", "id", "p", "100%"}, false
			w.Owners = []triggers.Owner{{Audience: "part", Column: "part"}, {Audience: "100%", Column: "shown"}}
			w.Actions = []triggers.Action{{Name: "100%", When: `NEW."100%" > old . "100%"`}, {Name: `"s"`, When: "New.STATUS = 'x'"}}
		})},
		"hidden": {with(func(w *triggers.Watch) {
			w.Columns, w.AllColumns = []string{"status", "t"}, false
			w.Owners = []triggers.Owner{{Audience: "t", Column: "t"}}
			w.Notifications = []triggers.Notification{
				{Action: "h", To: "t", Title: []triggers.Part{value("t"), words(" and "), value("id")}},
				{Action: "gone", To: "t", Title: []triggers.Part{value("status")}, Message: []triggers.Part{value("t")}},
				{Action: "updated", To: "t", Level: "warning", Title: []triggers.Part{words("é")}},
			}
			w.Actions = []triggers.Action{{Name: "h", When: "OLD.hidden IS NULL AND NEW.hidden IS NOT NULL"}, {Name: "gone", When: "(NEW.*) IS NULL"}, {Name: "q", When: "EXISTS (SELECT FROM pg_class WHERE relname = NEW.t)"}}
		})},
		"via": {with(func(w *triggers.Watch) {
			for _, c := range []string{"a", "b", "c"} {
				w.Owners = append(w.Owners, triggers.Owner{Audience: c, Via: &triggers.Via{Column: "owner", Table: name("owners"), Owner: c}})
			}
			w.Only = map[string][]string{"a": {"hidden"}}
			w.Notifications = []triggers.Notification{
				{Action: "created", To: "a", Title: []triggers.Part{value("t"), words(" "), value("status")}, Message: []triggers.Part{value("at"), value("dr"), value("b"), value("f"), value("i"), value("pa")}},
				{Action: "updated", To: "b", Level: "error", Title: []triggers.Part{words(`"100%" \ 'of' it`)}, Message: []triggers.Part{words("\n"), value("m"), value("ms"), value("shown"), value("n"), value("p")}},
				{Action: "status_changed", To: "c", Title: []triggers.Part{words("status")}},
				{Action: "deleted", To: "a", Title: []triggers.Part{value("t")}},
				{Action: "deleted", To: "b", Title: []triggers.Part{words("gone: "), value("jb"), value("id"), value("part")}},
			}
		}), {Table: name("owners"), Type: "owner", Owners: []triggers.Owner{{Audience: "a", Column: "a"}}, AllColumns: true}},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			plain, general := newDatabase(t, manyTypes), newDatabase(t, manyTypes)
			plain.apply(watches...)
			general.apply(watches...)
			general.edit(partForOneRow, partForOneRow+"        EXIT one;\n")

			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			rnd := rand.New(rand.NewPCG(seed, 1))
			pick := func(values ...string) string { return values[rnd.IntN(len(values))] }
			columns := map[string]func() string{
				"id":      func() string { return pick("1", "2", "3") },
				"part":    func() string { return pick("'x'", "'y'", `E'"\\'`) },
				"owner":   func() string { return pick("1", "2", "3", "NULL") },
				"u":       func() string { return pick("'7b2f9c9e-0000-4000-8000-000000000001'", "NULL") },
				"n":       func() string { return pick("1.0", "1.00", "'NaN'", "1e30", "NULL") },
				"p":       func() string { return pick("1", "1.0", "2.25", "'NaN'", "NULL") },
				"t":       func() string { return pick("'a'", `E'a"\n\\ é\u2028'`, "''", "NULL", "repeat('z', 9000)", "'100%s'") },
				"m":       func() string { return pick("'sad'", `'so "so"'`, "NULL") },
				"ms":      func() string { return pick("'{sad,ok}'", "'{}'", "NULL") },
				"j":       func() string { return pick(`'{"a":  1}'`, `'{"a": 1}'`, "'null'", "NULL") },
				"jb":      func() string { return pick(`'{"a":  1}'`, `'[]'`, "'null'", "NULL") },
				"b":       func() string { return pick(`'\xdead'`, "''", "NULL") },
				"f":       func() string { return pick("0.1", "'-0'", "0", "'NaN'", "'Infinity'", "NULL") },
				"at":      func() string { return pick("'2026-01-02 03:04:05.678+02'", "'infinity'", "'0044-03-15 BC'", "NULL") },
				"dr":      func() string { return pick("'[2026-01-02,2026-01-05)'", "'empty'", "NULL") },
				"i":       func() string { return pick("'1 day 2 hours'", "'26 hours'", "NULL") },
				"pa":      func() string { return pick("ROW(1, '2026-01-02 00:00+00')", "ROW(NULL, NULL)", "NULL") },
				"bp":      func() string { return pick("'a'", "'a  '", "NULL") },
				"status":  func() string { return pick("'x'", "'y'", "NULL") },
				"hidden":  func() string { return pick("'x'", "NULL") },
				`"new"`:   func() string { return pick("'x'", "NULL") },
				"body":    func() string { return pick("'x'", "NULL") },
				"changed": func() string { return pick("'x'", "NULL") },
				"shown":   func() string { return pick("true", "false") },
				`"100%"`:  func() string { return pick("1", "2", "NULL") },
			}
			names := make([]string, 0, len(columns))
			for name := range columns {
				names = append(names, name)
			}
			names = sorted(names)
			some := func() (list, values []string) {
				rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
				for _, name := range names[:1+rnd.IntN(4)] {
					list, values = append(list, name), append(values, columns[name]())
				}
				return list, values
			}
			where := func() string { return fmt.Sprintf("WHERE id = %s AND part = %s", columns["id"](), columns["part"]()) }
			events, notifications := 0, 0
			for range 400 {
				list, values := some()
				var sql string
				switch rnd.IntN(10) {
				case 0, 1:
					insert := []string{"id", "part"}
					row := []string{columns["id"](), columns["part"]()}
					for i, c := range list {
						if c != "id" && c != "part" {
							insert, row = append(insert, c), append(row, values[i])
						}
					}
					sql = fmt.Sprintf("INSERT INTO things (%s) VALUES (%s)", strings.Join(insert, ", "), strings.Join(row, ", "))
				case 2:
					sql = "DELETE FROM things " + where()
				case 3:
					sql = fmt.Sprintf("UPDATE owners SET a = %s, b = %s WHERE id = %s", pick("a", "'u1'", "'u2'", "NULL"), pick("b", "7", "8"), pick("1", "2", "3"))
				default:
					for i := range list {
						list[i] += " = " + values[i]
					}
					sql = "UPDATE things SET " + strings.Join(list, ", ") + " " + pick(where(), where(), where(), "WHERE id = 1")
				}
				want := general.bodies(sql)
				got := plain.bodies(sql)
				if len(got) > 1 {
					got, want = sorted(got), sorted(want)
				}
				require.Equal(t, want, got, sql)
				for _, body := range got {
					require.NotContains(t, body, "capture_failed", sql)
					if strings.HasPrefix(body, `{"type":"pgbell.notification"`) {
						notifications++
					}
				}
				events += len(got)
			}
			require.Greater(t, events, 100)
			if len(watches[0].Notifications) > 0 {
				require.NotZero(t, notifications)
			}
		})
	}
}

// An ordinary change of one row never runs the queries for many.
func TestOneRowIsPlain(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, marketplace)
	d.apply(bookings, payments)
	d.edit(partForMany, partForMany+"        RAISE 'many';\n")
	const payment = "7b2f9c9e-0000-4000-8000-000000000001"
	for _, sql := range []string{
		`INSERT INTO bookings (id, client_id) VALUES (1, 'u1')`,
		`UPDATE bookings SET status = 'CONFIRMED'`,
		`UPDATE bookings SET price = 3`,
		`INSERT INTO payments VALUES ('` + payment + `', 1, 5)`,
		`UPDATE payments SET amount = 6`,
		`DELETE FROM payments`,
	} {
		events := d.do(sql)
		require.Len(t, events, 1, sql)
		require.Empty(t, events[0].Reason, sql)
	}
	require.Empty(t, d.do(`UPDATE bookings SET secret = 'x'`))
	require.Empty(t, d.do(`UPDATE bookings SET price = 3`))
	require.Empty(t, d.do(`UPDATE bookings SET price = 4 WHERE false`))
	require.NotEmpty(t, d.do(`UPDATE bookings SET client_id = 'u2'`)[0].Reason, "what is not plain is left to the queries")
}
