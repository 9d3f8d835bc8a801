package triggers_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/triggers"
)

// short is an event in one line, for comparison: op action key owners was data old.
func short(e pgbell.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", e.Type, e.Op)
	if e.Action != "" {
		fmt.Fprintf(&b, "/%s", e.Action)
	}
	if e.Key != nil {
		fmt.Fprintf(&b, " %s", e.Key)
	}
	maps := func(m map[string]string) string {
		text, _ := json.Marshal(m)
		return string(text)
	}
	if e.Owners != nil {
		fmt.Fprintf(&b, " owners %s", maps(e.Owners))
	}
	if e.Was != nil {
		fmt.Fprintf(&b, " was %s", maps(e.Was))
	}
	if e.Reason != "" {
		fmt.Fprintf(&b, " %s", e.Reason)
		if e.Error != "" {
			fmt.Fprintf(&b, " %s", e.Error)
		}
	}
	return b.String()
}

func shorts(events []pgbell.Event) []string {
	var all []string
	for _, e := range events {
		all = append(all, short(e))
	}
	return all
}

func name(table string) triggers.Name { return triggers.Name{Schema: "public", Name: table} }

func TestBody(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, marketplace)
	d.apply(bookings)

	events := d.do(`INSERT INTO bookings (id, client_id, provider_id, price, starts_at, provider_note, secret)
		VALUES (1, 'u1', 'u7', 10.50, '2026-01-02 03:04:05+02', 'note', 'hidden')`)
	require.Len(t, events, 1)
	e := events[0]
	require.Equal(t, "booking", e.Type)
	require.Equal(t, pgbell.Insert, e.Op)
	require.Equal(t, "created", e.Action)
	require.Equal(t, "public.bookings", e.Table)
	require.JSONEq(t, `{"id":1}`, string(e.Key))
	require.Equal(t, map[string]string{"client": "u1", "provider": "u7"}, e.Owners)
	require.Nil(t, e.Was)
	require.Equal(t, []string{"ADMIN"}, e.Watchers)
	require.JSONEq(t, `{"id":1,"client_id":"u1","provider_id":"u7","status":"PENDING","price":10.50,"starts_at":"2026-01-02T01:04:05+00:00"}`, string(e.Data))
	require.Contains(t, string(e.Data), "10.50")
	require.Nil(t, e.Old)
	require.JSONEq(t, `{"provider_note":"note"}`, string(e.Only["provider"].Data))

	events = d.do(`UPDATE bookings SET status = 'CONFIRMED', price = NULL, provider_note = 'two'`)
	require.Equal(t, []string{`booking update/accepted {"id":1} owners {"client":"u1","provider":"u7"}`}, shorts(events))
	require.JSONEq(t, `{"status":"PENDING","price":10.50}`, string(events[0].Old))
	require.JSONEq(t, `{"provider_note":"two"}`, string(events[0].Only["provider"].Data))
	require.JSONEq(t, `{"provider_note":"note"}`, string(events[0].Only["provider"].Old))

	events = d.do(`UPDATE bookings SET status = 'CANCELLED', price = 1.0`)
	require.Equal(t, "status_changed", events[0].Action)
	require.JSONEq(t, `{"status":"CONFIRMED","price":null}`, string(events[0].Old))

	events = d.do(`UPDATE bookings SET price = 1.00`)
	require.Empty(t, events, "the column's scale makes 1.0 of it both times")

	require.Empty(t, d.do(`UPDATE bookings SET secret = 'x', price = price`))

	events = d.do(`UPDATE bookings SET client_id = 'u2'`)
	require.Equal(t, []string{`booking update/updated {"id":1} owners {"client":"u2","provider":"u7"} was {"client":"u1","provider":"u7"}`}, shorts(events))

	events = d.do(`UPDATE bookings SET provider_id = NULL`)
	require.Equal(t, []string{`booking update/updated {"id":1} owners {"client":"u2"} was {"client":"u2","provider":"u7"}`}, shorts(events))

	events = d.do(`UPDATE bookings SET id = 5, client_id = 'u3'`)
	require.ElementsMatch(t, []string{
		`booking delete/deleted {"id":1} owners {"client":"u2"}`,
		`booking insert/created {"id":5} owners {"client":"u3"}`,
	}, shorts(events))

	events = d.do(`DELETE FROM bookings`)
	require.Equal(t, []string{`booking delete/deleted {"id":5} owners {"client":"u3"}`}, shorts(events))
	require.JSONEq(t, `{"id":5,"client_id":"u3","provider_id":null,"status":"CANCELLED","price":1.00,"starts_at":"2026-01-02T01:04:05+00:00"}`, string(events[0].Old))
	require.JSONEq(t, `{"provider_note":"two"}`, string(events[0].Only["provider"].Old))
	require.Nil(t, events[0].Data)

	events = d.do(`TRUNCATE bookings CASCADE`)
	require.Equal(t, []string{`booking reset truncate`}, shorts(events))
}

// Every way of writing gives the events of the rows that it wrote.
func TestWaysOfWriting(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, `CREATE TABLE things (id int PRIMARY KEY, owner text, n int)`)
	d.apply(triggers.Watch{Table: name("things"), Type: "thing", Owners: []triggers.Owner{{Audience: "a", Column: "owner"}}, AllColumns: true})

	require.Equal(t, []string{`thing insert/created {"id":1} owners {"a":"u"}`},
		shorts(d.do(`INSERT INTO things VALUES (1, 'u', 1) ON CONFLICT (id) DO UPDATE SET n = 9`)))
	require.ElementsMatch(t, []string{`thing insert/created {"id":2} owners {"a":"u"}`, `thing update/updated {"id":1} owners {"a":"u"}`},
		shorts(d.do(`INSERT INTO things VALUES (1, 'u', 1), (2, 'u', 1) ON CONFLICT (id) DO UPDATE SET n = 9`)))
	require.Empty(t, d.do(`INSERT INTO things VALUES (1, 'u', 1) ON CONFLICT DO NOTHING`))

	require.ElementsMatch(t, []string{
		`thing insert/created {"id":3} owners {}`,
		`thing update/updated {"id":1} owners {"a":"u"}`,
		`thing delete/deleted {"id":2} owners {"a":"u"}`,
	}, shorts(d.do(`MERGE INTO things USING (VALUES (1), (2), (3)) AS v (id) ON things.id = v.id
		WHEN MATCHED AND v.id = 1 THEN UPDATE SET n = 10
		WHEN MATCHED THEN DELETE
		WHEN NOT MATCHED THEN INSERT VALUES (v.id, NULL, 0)`)))

	_, err := d.conn.CopyFrom(t.Context(), pgx.Identifier{"things"}, []string{"id", "owner"}, pgx.CopyFromRows([][]any{{10, "c"}, {11, "c"}}))
	require.NoError(t, err)
	require.Equal(t, []string{`thing insert/created {"id":10} owners {"a":"c"}`, `thing insert/created {"id":11} owners {"a":"c"}`}, shorts(d.events()))

	require.Len(t, d.do(`UPDATE things SET n = coalesce(n, 0) + 1`), 4)
	d.exec(`ALTER TABLE things DROP CONSTRAINT things_pkey, ADD PRIMARY KEY (id) DEFERRABLE`)
	require.Equal(t, []string{"delete", "delete", "delete", "insert", "insert", "insert"}, ops(d.do(`UPDATE things SET id = id + 1`)),
		"keys 1 3 10 11 become 2 4 11 12, and the new 11 is as the old one was")
	require.Len(t, d.do(`WITH x AS (INSERT INTO things VALUES (20, 'u') RETURNING id) DELETE FROM things WHERE id = 2`), 2)

	require.Equal(t, []string{`thing insert/created {"id":31} owners {}`}, shorts(d.do(`BEGIN; SAVEPOINT a; INSERT INTO things VALUES (30); ROLLBACK TO a; INSERT INTO things VALUES (31); COMMIT`)))
	require.Empty(t, d.do(`BEGIN; DELETE FROM things; ROLLBACK`))
	require.Empty(t, d.do(`SET pgbell.enabled = off; INSERT INTO things VALUES (40); SET pgbell.enabled = on`))
	require.Equal(t, []string{`thing reset truncate`}, shorts(d.do(`TRUNCATE things`)))
}

// Names are as in the catalog, types of every kind keep their text, and what
// the session has set changes nothing.
func TestTypesAndNames(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, `
CREATE SCHEMA "My App";
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (a int, b timestamptz);
CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%');
CREATE DOMAIN amount AS numeric(12,3) NOT NULL DEFAULT 0;
CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE "My App"."Every ""Type"". é \ x" (
    "Id" uuid, "select" numeric, "it's" timestamptz,
    "na\me" text, m mood, ms mood[], j json, jb jsonb, n numeric, b bytea, e email, a amount, p point, tr tstzrange,
    dr daterange, i interval, f float8, mo money, pa pair, pas pair[], bp char(5), ip inet, lo text COLLATE loose,
    g int GENERATED ALWAYS AS (length(e) * 2) STORED, d date, "body" text, "bodies" text, "new" text, "old" int,
    PRIMARY KEY ("Id", "select"))`)
	w := triggers.Watch{
		Table: triggers.Name{Schema: "My App", Name: `Every "Type". é \ x`}, Type: "thing", AllColumns: true,
		Owners:  []triggers.Owner{{Audience: "it's", Column: "d"}, {Audience: `a"b`, Column: "Id"}},
		Only:    map[string][]string{`a"b`: {"na\\me"}},
		Actions: []triggers.Action{{Name: `it's \ "so"`, When: `NEW."na\me" LIKE '%\\%' -- a comment`}},
	}
	d.apply(w)
	require.True(t, d.plan(w).Empty())
	const id = "7b2f9c9e-0000-4000-8000-000000000001"
	insert := `INSERT INTO "My App"."Every ""Type"". é \ x" VALUES ('` + id + `', 1.50, '2026-01-02 00:00+00',
		e'back\\slash', 'ok', '{sad,ok}', '{"a":  1}', '{"a":  1}', 12345678901234567890.1230, '\xdeadbeef', 'a@b', 1.5, '(0.1,2)',
		'[2026-01-02 00:00+00,2026-01-03 00:00+00)', '[2026-01-02,2026-01-05)', '1 day 2 hours', 0.1, '1.5',
		ROW(1, '2026-01-02 00:00+00'), ARRAY[ROW(1, '2026-01-02 00:00+00')::pair], 'ab', '::1', 'X', DEFAULT, '2026-01-02', 'body', NULL, 'n', 3)`
	remove := `DELETE FROM "My App"."Every ""Type"". é \ x"`
	first := d.do(insert)
	require.Len(t, first, 1)
	require.Equal(t, `it's \ "so"`, first[0].Action)
	require.Equal(t, map[string]string{"it's": "2026-01-02", `a"b`: id}, first[0].Owners)
	require.Equal(t, `{"Id":"`+id+`","select":1.50}`, string(first[0].Key))
	require.JSONEq(t, `{"na\\me":"back\\slash"}`, string(first[0].Only[`a"b`].Data))
	var data map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(first[0].Data, &data))
	for column, want := range map[string]string{
		"it's": `"2026-01-02T00:00:00+00:00"`, "m": `"ok"`, "ms": `["sad","ok"]`, "j": `{"a":  1}`, "n": "12345678901234567890.1230",
		"b": `"\\xdeadbeef"`, "e": `"a@b"`, "a": "1.500", "f": "0.1", "g": "6", "pa": `{"a":1,"b":"2026-01-02T00:00:00+00:00"}`,
		"pas": `[{"a":1,"b":"2026-01-02T00:00:00+00:00"}]`, "i": `"P1DT2H"`, "dr": `"[2026-01-02,2026-01-05)"`, "body": `"body"`, "bodies": "null", "new": `"n"`, "old": "3",
	} {
		require.Equal(t, want, string(data[column]), column)
	}
	deletion := d.do(remove)

	// The same again by a session that has everything set otherwise.
	d.exec(`CREATE SCHEMA evil; CREATE FUNCTION evil.concat_ws(text, VARIADIC text[]) RETURNS text LANGUAGE sql AS $$ SELECT 'evil' $$;
		CREATE FUNCTION evil.to_json(int) RETURNS json LANGUAGE sql AS $$ SELECT '"evil"'::json $$`)
	other := pgtest.Connect(t, d.url)
	_, err := other.Exec(t.Context(), `SET standard_conforming_strings = on; SET search_path = evil, public, pg_catalog; CREATE TEMP TABLE new_rows (x int); CREATE TEMP TABLE pg_class (x int)`)
	require.NoError(t, err)
	_, err = other.Exec(t.Context(), `SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German'; SET IntervalStyle = 'sql_standard'; SET bytea_output = 'escape';
		SET extra_float_digits = -10; SET standard_conforming_strings = off; SET escape_string_warning = off`)
	require.NoError(t, err)
	_, err = other.Exec(t.Context(), strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(insert, `'\xdead`, `E'\\xdead`), "'[2026-01-02,2026-01-05)'", "daterange(date '2026-01-02', '2026-01-05')"), "'[2026-01-02 00:00+00,2026-01-03 00:00+00)'", "tstzrange('2026-01-02 00:00+00', '2026-01-03 00:00+00')"))
	require.NoError(t, err)
	second := d.events()
	require.Len(t, second, 1)
	require.Equal(t, first[0].Body, second[0].Body)
	_, err = other.Exec(t.Context(), remove)
	require.NoError(t, err)
	require.Equal(t, deletion[0].Body, d.events()[0].Body)

	// Comparison is by bytes where = is broader, also for the key.
	d.do(insert)
	table := `UPDATE "My App"."Every ""Type"". é \ x" SET `
	for set, want := range map[string]string{
		`n = 12345678901234567890.12300`: `{"n":12345678901234567890.1230}`,
		`j = '{"a": 1}'`:                 `{"j":{"a":  1}}`,
		`lo = 'x'`:                       `{"lo":"X"}`,
		`p = '(0.10000000001,2)'`:        `{"p":"(0.1,2)"}`,
	} {
		events := d.do(table + set)
		require.Len(t, events, 1, set)
		require.Equal(t, want, string(events[0].Old))
	}
	require.Empty(t, d.do(table+`j = j, jb = '{"a":1}', n = n, p = p, pas = pas`))
	require.Equal(t, []string{"delete", "insert"}, ops(d.do(table+`"select" = 1.500`)))
}

func ops(events []pgbell.Event) []string {
	all := make([]string, len(events))
	for i, e := range events {
		all[i] = string(e.Op)
	}
	return sorted(all)
}
