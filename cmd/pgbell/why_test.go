package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/db/pgtest"
)

// openMarket is a database with bookings and payments that are owned through
// them, watched.
func openMarket(t *testing.T) *shop {
	t.Helper()
	s := &shop{url: pgtest.Database(t)}
	s.conn = pgtest.Connect(t, s.url)
	s.exec(t, `
		CREATE TABLE bookings (id int PRIMARY KEY, client_id text, provider_id text, status text, note text, fee numeric);
		CREATE TABLE payments (day date, no int, booking_id int, amount numeric, PRIMARY KEY (day, no));
		CREATE TABLE plain (id int PRIMARY KEY)`)
	s.env = []string{"DATABASE_URL", s.url, "PGBELL_CONFIG", configuration(t, `
tables:
  public.bookings:
    type: booking
    owners: {client: client_id, provider: provider_id}
    watchers: [ADMIN]
    columns: [id, client_id, provider_id, status]
    only: {provider: [note]}
  public.payments:
    type: payment
    owners: {client: {via: booking_id, table: public.bookings, column: client_id}}
    columns: [day, no, amount]
`)}
	succeed(t, s.env, "triggers", "apply")
	s.exec(t, `INSERT INTO bookings VALUES (1, 'anna', 'paul', 'NEW', 'n', 1), (2, NULL, 'paul', 'NEW', 'n', 1)`)
	s.exec(t, `INSERT INTO payments VALUES ('2026-01-31', 1, 1, 10), ('2026-01-31', 2, 2, 10), ('2026-01-31', 3, 9, 10), ('2026-01-31', 4, NULL, 10)`)
	return s
}

func TestWhy(t *testing.T) {
	t.Parallel()
	s := openMarket(t)
	ask := func(t *testing.T, args ...string) (int, explanation) {
		t.Helper()
		status, stdout, stderr := execute(t, s.env, append([]string{"why", "--json"}, args...)...)
		require.Empty(t, stderr)
		var x explanation
		require.NoError(t, json.Unmarshal([]byte(stdout), &x))
		return status, x
	}
	for name, test := range map[string]struct {
		args   []string
		status int
		as     []string
		rule   whyRule
		sees   []string
	}{
		"owner":        {[]string{"--user", "anna", "--table", "public.bookings", "--key", "1"}, statusOK, []string{"client"}, whyRule{yes, "owner", "client: client_id is anna"}, []string{"id", "client_id", "provider_id", "status"}},
		"only":         {[]string{"--user", "paul", "--table", "public.bookings", "--key", "id=1"}, statusOK, []string{"provider"}, whyRule{yes, "only", "note: for provider alone"}, []string{"id", "client_id", "provider_id", "status", "note"}},
		"not theirs":   {[]string{"--user", "paul", "--role", "ADMIN", "--table", "public.bookings", "--key", "1"}, statusOK, []string{"provider", "ADMIN"}, whyRule{no, "owner", "client: client_id is anna"}, nil},
		"nobody":       {[]string{"--user", "zoe", "--table", "public.bookings", "--key", "1"}, statusError, nil, whyRule{no, "watchers", "ADMIN see every row, and no role of the token was named"}, nil},
		"another role": {[]string{"--user", "zoe", "--role", "GUEST", "--table", "public.bookings", "--key", "1"}, statusError, nil, whyRule{no, "watchers", "ADMIN see every row, and the token has only GUEST"}, nil},
		"watcher":      {[]string{"--user", "zoe", "--role", "ADMIN", "--table", "public.bookings", "--key", "1"}, statusOK, []string{"ADMIN"}, whyRule{yes, "watchers", "ADMIN see every row, and the token has ADMIN"}, []string{"id", "client_id", "provider_id", "status"}},
		"no owner":     {[]string{"--user", "anna", "--table", "public.bookings", "--key", "2"}, statusError, nil, whyRule{no, "owner", "client: client_id is NULL, so nobody owns the row as client"}, nil},
		"gone":         {[]string{"--user", "anna", "--table", "public.bookings", "--key", "3"}, statusError, nil, whyRule{no, "row", "there is no row id=3 now; its delete went to the owners that it had"}, nil},
		"via":          {[]string{"--user", "anna", "--table", "public.payments", "--key", `{"day":"2026-01-31","no":1}`}, statusOK, []string{"client"}, whyRule{yes, "owner", "client: client_id of public.bookings with id = 1 is anna"}, []string{"day", "no", "amount"}},
		"via NULL":     {[]string{"--user", "anna", "--table", "public.payments", "--key", "day=2026-01-31", "--key", "no=2"}, statusError, nil, whyRule{no, "owner", "client: client_id of public.bookings with id = 2 is NULL, so nobody owns the row as client"}, nil},
		"via nothing":  {[]string{"--user", "anna", "--table", "public.payments", "--key", "day=2026-01-31", "--key", "no=3"}, statusError, nil, whyRule{no, "owner", "client: booking_id is 9, and public.bookings has no row with that id"}, nil},
		"no reference": {[]string{"--user", "anna", "--table", "public.payments", "--key", "day=2026-01-31", "--key", "no=4"}, statusError, nil, whyRule{no, "owner", "client: booking_id is NULL, so nobody owns the row as client"}, nil},
		"unwatched":    {[]string{"--user", "anna", "--table", "public.plain", "--key", "1"}, statusError, nil, whyRule{no, "watched", "the configuration watches public.bookings, public.payments, and not this table"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, x := ask(t, test.args...)
			require.Equal(t, test.status, status)
			require.Equal(t, test.status == statusOK, x.Receives)
			require.Equal(t, test.as, x.As)
			require.Contains(t, x.Rules, test.rule)
			if test.sees != nil {
				require.Equal(t, test.sees, x.Sees)
			}
		})
	}
}

func TestWhyTellsOfEventsAndSwitches(t *testing.T) {
	t.Parallel()
	s := openMarket(t)
	s.exec(t, `UPDATE bookings SET client_id = 'bea', status = 'MOVED' WHERE id = 1`)
	s.exec(t, `DELETE FROM bookings WHERE id = 2`)
	text := succeed(t, s.env, "why", "--user", "bea", "--table", "public.bookings", "--key", "1")
	require.Regexp(t, `^bea receives the events of public.bookings id=1, as client\n\n  yes   watched   as type booking\n  yes   triggers  INSERT, UPDATE, DELETE\n  yes   enabled   pgbell.enabled is on\n  yes   row       id=1 is there\n`, text)
	require.Regexp(t, `\n  yes   \S+ \S+  update  status_changed  client bea, provider paul, ADMIN; no longer client anna\n  no    \S+ \S+  insert  created         client anna, provider paul, ADMIN\n$`, text)
	// Who had the row was told that it left.
	_, text, _ = execute(t, s.env, "why", "--user", "anna", "--table", "public.bookings", "--key", "1")
	require.Contains(t, text, "anna does not receive the events of public.bookings id=1\n")
	require.Regexp(t, `\n  yes   \S+ \S+  update  status_changed`, text)

	s.exec(t, `ALTER TABLE bookings DISABLE TRIGGER pgbell_update`)
	s.exec(t, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET pgbell.enabled = off', current_database()); END $$`)
	status, text, stderr := execute(t, s.env, "why", "--user", "bea", "--table", "public.bookings", "--key", "1")
	require.Equal(t, statusError, status, stderr)
	require.Contains(t, text, "no    triggers  none fires on UPDATE (disabled): run pgbell triggers apply\n")
	require.Contains(t, text, "no    enabled   pgbell.enabled is off for everybody in this database: ALTER DATABASE ")
}

func TestMistakesOfWhy(t *testing.T) {
	t.Parallel()
	s := openMarket(t)
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no schema":       {[]string{"--table", "bookings", "--key", "1"}, `--table: "bookings" has no schema, write "public.bookings"`},
		"impossible key":  {[]string{"--table", "public.bookings", "--key", "x"}, `--key: no row can have this key: invalid input syntax for type integer: "x"`},
		"wrong column":    {[]string{"--table", "public.bookings", "--key", "no=1"}, `--key: there is no value for id; the key has the columns id`},
		"half a key":      {[]string{"--table", "public.payments", "--key", "no=1"}, `--key: there is no value for day; the key has the columns day, no`},
		"bare key of two": {[]string{"--table", "public.payments", "--key", "1"}, `--key: the key has the columns day, no; give each as column=value, or one JSON object`},
		"two bare keys":   {[]string{"--table", "public.payments", "--key", "1", "--key", "2"}, `--key: a key of several columns is column=value for each, or one JSON object; "1" is neither`},
		"too many":        {[]string{"--table", "public.bookings", "--key", `{"id":1,"no":2}`}, `--key: no is no column of the key, which has id`},
		"twice":           {[]string{"--table", "public.bookings", "--key", "id=1", "--key", "id=2"}, `--key: id is given twice`},
		"broken JSON":     {[]string{"--table", "public.bookings", "--key", `{"id":`}, `--key: {"id": is no JSON object`},
		"empty object":    {[]string{"--table", "public.bookings", "--key", `{}`}, `--key: {} names no column`},
		"NULL":            {[]string{"--table", "public.bookings", "--key", `{"id":null}`}, `--key: the value of id must be a text, a number, true or false`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, stdout, stderr := execute(t, s.env, append([]string{"why", "--user", "anna"}, test.args...)...)
			require.Equal(t, "pgbell: "+test.want+"\n", stderr)
			require.Equal(t, statusUsage, status)
			require.Empty(t, stdout)
		})
	}
}
