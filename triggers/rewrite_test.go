package triggers_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/triggers"
)

// A row that a statement writes more than once before our trigger runs: the
// last event tells what stands in the table.
func TestRowsWrittenTwice(t *testing.T) {
	t.Parallel()
	last := func(t *testing.T, events []pgbell.Event) pgbell.Event {
		t.Helper()
		require.NotEmpty(t, events)
		for _, e := range events {
			require.NotEqual(t, pgbell.Reset, e.Op, short(e))
		}
		return events[len(events)-1]
	}
	t.Run("by another trigger", func(t *testing.T) {
		t.Parallel()
		d := newDatabase(t, `CREATE TABLE things (id int PRIMARY KEY, owner text, n int);
			CREATE FUNCTION total() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				IF NEW.n < 0 THEN DELETE FROM things WHERE id = NEW.id;
				ELSIF NEW.n < 5 THEN UPDATE things SET n = n + 1, owner = owner || 'x' WHERE id = NEW.id; END IF;
				RETURN NULL; END $$;
			CREATE TRIGGER total AFTER INSERT OR UPDATE ON things FOR EACH ROW EXECUTE FUNCTION total()`)
		d.apply(triggers.Watch{Table: name("things"), Type: "thing", AllColumns: true, Owners: []triggers.Owner{{Audience: "a", Column: "owner"}}})
		e := last(t, d.do(`INSERT INTO things VALUES (1, 'u', 3)`))
		require.JSONEq(t, `{"id":1,"owner":"uxx","n":5}`, string(e.Data))
		require.Equal(t, map[string]string{"a": "uxx"}, e.Owners)
		e = last(t, d.do(`UPDATE things SET n = 2, owner = 'v'`))
		require.JSONEq(t, `{"id":1,"owner":"vxxx","n":5}`, string(e.Data))
		e = last(t, d.do(`UPDATE things SET n = -1`))
		require.Equal(t, pgbell.Delete, e.Op)
		require.Equal(t, []string{"delete"}, ops(d.do(`INSERT INTO things VALUES (2, 'u', -1)`)))
	})
	t.Run("by two foreign keys", func(t *testing.T) {
		t.Parallel()
		d := newDatabase(t, `CREATE TABLE users (id text PRIMARY KEY);
			CREATE TABLE things (id int PRIMARY KEY, a text REFERENCES users ON DELETE SET NULL ON UPDATE CASCADE, b text REFERENCES users ON DELETE SET NULL ON UPDATE CASCADE)`)
		d.apply(triggers.Watch{Table: name("things"), Type: "thing", AllColumns: true, Owners: []triggers.Owner{{Audience: "a", Column: "a"}, {Audience: "b", Column: "b"}}})
		d.exec(`INSERT INTO users VALUES ('u'), ('v'); INSERT INTO things SELECT n, 'u', 'v' FROM generate_series(1, 20) AS n`)
		d.events()
		check := func(events []pgbell.Event, data string) {
			final := make(map[string]pgbell.Event)
			for _, e := range events {
				final[string(e.Key)] = e
			}
			require.Len(t, final, 20)
			for _, e := range final {
				require.Contains(t, string(e.Data), data)
			}
		}
		check(d.do(`UPDATE users SET id = id || 'x'`), `"a":"ux","b":"vx"`)
		check(d.do(`DELETE FROM users`), `"a":null,"b":null`)
	})
	t.Run("by a foreign key to itself", func(t *testing.T) {
		t.Parallel()
		d := newDatabase(t, `CREATE TABLE things (id int PRIMARY KEY, boss int REFERENCES things ON DELETE CASCADE ON UPDATE CASCADE, a text)`)
		w := triggers.Watch{Table: name("things"), Type: "thing", AllColumns: true, Owners: []triggers.Owner{{Audience: "a", Via: &triggers.Via{Column: "boss", Table: name("things"), Owner: "a"}}}}
		d.apply(w)
		d.exec(`INSERT INTO things VALUES (1, NULL, 'u'), (2, 1, 'v'), (3, 2, 'w')`)
		d.events()
		require.ElementsMatch(t, []string{
			`thing update/updated {"id":2} owners {"a":"x"} was {"a":"u"}`,
			`thing update/updated {"id":1} owners {}`,
		}, shorts(d.do(`UPDATE things SET a = 'x' WHERE id = 1`)))
		require.ElementsMatch(t, []string{
			`thing delete/deleted {"id":1} owners {}`,
			`thing delete/deleted {"id":2} owners {"a":"x"}`,
			`thing delete/deleted {"id":3} owners {"a":"v"}`,
		}, shorts(d.do(`DELETE FROM things WHERE id = 1`)))
	})
}
