package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/cmd/pgbell/config"
)

const marketplace = `
listen: ":9000"
jwt:
  issuer: https://id.example
  algorithms: [RS256, ES256]
  leeway: 2s
origins: https://app.example
limits: {max_connections: 5000, message_bytes: 32KiB}
log: {level: debug}
tables:
  public.bookings:
    type: booking
    key: id
    owners: {client: client_id, provider: provider_id}
    watchers: [ADMIN]
    columns: [id, client_id, provider_id, status]
    only: {provider: [provider_note]}
    actions:
      zeta: OLD.status = 'PENDING' AND NEW.status = 'CONFIRMED'
      alpha: |
        OLD.status = 'PENDING'
        AND NEW.status = 'DECLINED'
    debounce: 250ms
  Billing.Pay.ments:
    type: payment
    key: [tenant, id]
    owners:
      client: {via: booking_id, table: public.bookings, column: client_id}
      payer: {via: person, table: public.people, column: user_id}
    columns: "*"
`

func TestParse(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("pgbell.yaml", []byte(marketplace))
	require.NoError(t, err)

	require.Equal(t, config.Settings{
		Listen:  ":9000",
		JWT:     config.JWT{Issuer: "https://id.example", Algorithms: []string{"RS256", "ES256"}, Leeway: 2 * time.Second},
		Origins: []string{"https://app.example"},
		Limits:  config.Limits{MaxConnections: 5000, MessageBytes: 32 << 10},
		Log:     config.Log{Level: "debug"},
	}, c.Settings)

	require.Equal(t, []config.Table{{
		Schema: "public", Name: "bookings", Type: "booking", Key: []string{"id"}, Line: 11, Debounce: 250 * time.Millisecond,
		Owners: []config.Owner{
			{Audience: "client", Column: "client_id", Line: 14},
			{Audience: "provider", Column: "provider_id", Line: 14},
		},
		Watchers: []string{"ADMIN"},
		Columns:  []string{"id", "client_id", "provider_id", "status"},
		Only:     map[string][]string{"provider": {"provider_note"}},
		Actions: []config.Action{ // in the file's order, not the alphabet's
			{Name: "zeta", When: "OLD.status = 'PENDING' AND NEW.status = 'CONFIRMED'", Line: 19},
			{Name: "alpha", When: "OLD.status = 'PENDING'\nAND NEW.status = 'DECLINED'", Line: 20},
		},
	}, {
		Schema: "Billing", Name: "Pay.ments", Type: "payment", Key: []string{"tenant", "id"}, Line: 24,
		Owners: []config.Owner{
			{Audience: "client", Via: "booking_id", Table: "public.bookings", Column: "client_id", Line: 28},
			{Audience: "payer", Via: "person", Table: "public.people", Column: "user_id", Line: 29},
		},
		AllColumns: true,
	}}, c.Tables)
}

// Rules belong to the table of their type, wherever in the file they stand.
func TestParseNotifications(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("f", []byte(`
notifications:
  - {on: booking.accepted, to: client, level: success, title: "Accepted!", message: "{{Booking}} {id}{{{price}}} of {the place}"}
  - on: note.deleted
    to: client
    title: "{text}"
  - {on: booking.created, to: provider, title: New, message: "{note}"}
tables:
  public.bookings:
    type: booking
    key: [id]
    owners: {client: client_id, provider: provider_id}
    columns: [price, the place]
    only: {provider: [note]}
    actions: {accepted: "true"}
  public.notes: {type: note, owners: {client: c}, columns: "*"}
`))
	require.NoError(t, err)
	require.Equal(t, []config.Notification{
		{Action: "accepted", To: "client", Level: "success", Line: 3, Title: []config.Part{{Text: "Accepted!"}}, Message: []config.Part{
			{Text: "{Booking} "}, {Column: "id"}, {Text: "{"}, {Column: "price"}, {Text: "} of "}, {Column: "the place"},
		}},
		{Action: "created", To: "provider", Line: 7, Title: []config.Part{{Text: "New"}}, Message: []config.Part{{Column: "note"}}},
	}, c.Tables[0].Notifications)
	require.Equal(t, []config.Notification{{Action: "deleted", To: "client", Line: 4, Title: []config.Part{{Column: "text"}}}}, c.Tables[1].Notifications)

	c, err = config.Parse("f", []byte("notifications: []\n"))
	require.NoError(t, err)
	require.Empty(t, c.Tables)
}

func TestParseNothing(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "\n\n", "# only a comment\n", "---\n", "null\n"} {
		c, err := config.Parse("f", []byte(text))
		require.NoError(t, err, "%q", text)
		require.Empty(t, c.Tables)
	}
}

func TestParseMistakes(t *testing.T) {
	t.Parallel()
	// table puts lines below a table that is otherwise complete, from line 5 on.
	table := func(lines string) string {
		return "tables:\n  public.bookings:\n    type: booking\n    columns: \"*\"\n" + lines
	}
	// rules puts a rule into line 8, below a table.
	rules := func(rule string) string {
		return "tables:\n  public.bookings:\n    type: booking\n    owners: {client: c, provider: p}\n    columns: [id, price]\n" +
			"    actions: {accepted: 'true'}\nnotifications:\n  - {" + rule + "}\n"
	}
	for name, test := range map[string]struct{ text, want string }{
		"unknown key of the file":     {"tabels: {}\n", `f:1: the file has no key "tabels"; did you mean "tables"?`},
		"unknown key, nothing near":   {"xyzzy_plugh: 1\n", `f:1: the file has no key "xyzzy_plugh"`},
		"unknown key of a table":      {table("    owner: {client: c}\n"), `f:5: table public.bookings has no key "owner"; did you mean "owners"?`},
		"unknown key of an owner":     {table("    owners:\n      client: {via: a, tabel: public.b, column: c}\n"), `f:6: client in owners of table public.bookings has no key "tabel"; did you mean "table"?`},
		"unknown key of a group":      {"limits:\n  per_adress: 3\n", `f:2: limits has no key "per_adress"; did you mean "per_address"?`},
		"key twice":                   {"listen: a\nlisten: b\n", `f:2: the file has "listen" twice, first in line 1`},
		"table twice":                 {table("  public.bookings:\n    type: other\n"), `f:5: tables has "public.bookings" twice, first in line 2`},
		"type twice":                  {table("  public.other:\n    type: booking\n    columns: [id]\n"), `f:5: tables public.bookings and public.other have the same type "booking"`},
		"column twice":                {table("    key: [id, id]\n"), `f:5: key of table public.bookings names "id" twice`},
		"not YAML":                    {"tables: [\n", `f:1: this is not valid YAML: sequence end token ']' not found`},
		"tab":                         {"limits:\n\tper_user: 3\n", `f:2: this is not valid YAML: found character '\t' that cannot start any token`},
		"second document":             {"listen: a\n---\nlisten: b\n", `f:3: the file has a second document; put everything into one`},
		"anchor":                      {"listen: &a x\n", `f:1: listen uses a YAML anchor or alias, which this file may not; write it out`},
		"alias":                       {table("    watchers: *a\n"), `f:5: watchers of table public.bookings uses a YAML anchor or alias, which this file may not; write it out`},
		"tag":                         {"listen: !!str x\n", `f:1: listen has a YAML tag, which this file may not`},
		"list for the file":           {"- a\n", `f:1: the file is a list, want keys with values`},
		"text for tables":             {"tables: bookings\n", `f:1: tables is text, want keys with values`},
		"number for text":             {table("    key: 7\n"), `f:5: key of table public.bookings is a number, want text; put it in quotes if it is meant so`},
		"boolean in a list":           {table("    watchers: [ADMIN, true]\n"), `f:5: an element of watchers of table public.bookings is true or false, want text; put it in quotes if it is meant so`},
		"list for text":               {table("    owners:\n      client: [a]\n"), `f:6: client in owners of table public.bookings is a list, want text`},
		"mapping for a list":          {table("    watchers: {a: b}\n"), `f:5: watchers of table public.bookings is keys with values, want text`},
		"no value":                    {table("    owners:\n"), `f:5: owners of table public.bookings has no value, want keys with values`},
		"empty list":                  {table("    watchers: []\n"), `f:5: watchers of table public.bookings is an empty list`},
		"empty text":                  {table("    key: ''\n"), `f:5: key of table public.bookings is empty`},
		"table without schema":        {"tables:\n  bookings:\n    type: b\n", `f:2: table "bookings" has no schema, write "public.bookings"`},
		"table without type":          {"tables:\n  a.b:\n    columns: [id]\n", `f:2: table a.b has no type; type: booking makes events named booking_update`},
		"table without columns":       {"tables:\n  a.b:\n    type: b\n", `f:2: table a.b has no columns; list those that its owners may see, or write columns: "*"`},
		"star among columns":          {"tables:\n  a.b:\n    type: b\n    columns: [id, '*']\n", `f:4: columns of table a.b has "*" among names; write either`},
		"type with a dash":            {"tables:\n  a.b:\n    type: pay-out\n", `f:3: type of table a.b is "pay-out", want letters, digits and underscores`},
		"type that names other rooms": {"tables:\n  a.b:\n    type: user\n", `f:3: type of table a.b is "user", which names other rooms; choose another word`},
		"owner without column":        {table("    owners:\n      client: {via: a, table: public.b}\n"), `f:6: client in owners of table public.bookings needs via, table and column`},
		"owner's table has no schema": {table("    owners:\n      client: {via: a, table: b, column: c}\n"), `f:6: table of client in owners of table public.bookings is "b", which has no schema, write "public.b"`},
		"audience with a space":       {table("    owners: {the client: a}\n"), `f:5: the audience "the client" in owners of table public.bookings is no word of letters, digits and underscores`},
		"only for nobody":             {table("    owners: {client: a}\n    only: {cleint: [x]}\n"), `f:6: only of table public.bookings names the audience "cleint", which is none of its owners; did you mean "client"?`},
		"action with a dash":          {table("    actions:\n      a-b: 'true'\n"), `f:6: the action "a-b" in actions of table public.bookings is no word of letters, digits and underscores`},
		"debounce":                    {table("    debounce: 2m\n"), `f:5: debounce of table public.bookings is "2m", at most 1m0s are waited`},
		"debounce, no duration":       {table("    debounce: soon\n"), `f:5: debounce of table public.bookings is "soon", want a duration such as 250ms`},
		"no list of notifications":    {"notifications: {on: x}\n", `f:1: notifications is keys with values, want a list`},
		"no notification":             {"notifications:\n  - x\n", `f:2: a notification is text, want keys with values`},
		"notification without title":  {"notifications:\n  - {on: booking.accepted, to: client}\n", `f:2: a notification needs on, to and title, such as {on: booking.accepted, to: client, title: Accepted!}`},
		"notification's key":          {rules(`on: a.b, tilte: x`), `f:8: a notification has no key "tilte"; did you mean "title"?`},
		"notification's on":           {rules(`on: accepted, to: client, title: x`), `f:8: notification on accepted to client: on is a table's type and an action, such as booking.accepted`},
		"notification's type":         {rules(`on: boking.accepted, to: client, title: x`), `f:8: notification on boking.accepted to client: no table has the type "boking"; did you mean "booking"?`},
		"notification's action":       {rules(`on: booking.acepted, to: client, title: x`), `f:8: notification on booking.acepted to client: table public.bookings has no action "acepted"; did you mean "accepted"?`},
		"notification's audience":     {rules(`on: booking.accepted, to: cleint, title: x`), `f:8: notification on booking.accepted to cleint: none of the owners of table public.bookings is "cleint"; did you mean "client"?`},
		"notification's level":        {rules(`on: booking.accepted, to: client, level: warn, title: x`), `f:8: level of a notification is "warn", want info, success, warning, error`},
		"notification's column":       {rules(`on: booking.accepted, to: client, title: "{pirce}"`), `f:8: notification on booking.accepted to client: {pirce} is no column that it may see; did you mean "price"?`},
		"another's column":            {rules(`on: booking.accepted, to: client, title: "{provider_note}"`), `f:8: notification on booking.accepted to client: {provider_note} is no column that it may see`},
		"brace closes nothing":        {rules(`on: booking.accepted, to: client, title: "{id}}"`), `f:8: title of a notification has a } that closes nothing; a brace is written }}`},
		"brace not closed":            {rules(`on: booking.accepted, to: client, title: x, message: "{id"`), `f:8: message of a notification has a { that is not closed; a brace is written {{`},
		"brace in a brace":            {rules(`on: booking.accepted, to: client, title: x, message: "{id{id}"`), `f:8: message of a notification has a { that is not closed; a brace is written {{`},
		"braces without a column":     {rules(`on: booking.accepted, to: client, title: x, message: "{}"`), `f:8: message of a notification has {} without the name of a column; braces are written {{}}`},
		"notification twice":          {rules(`on: booking.accepted, to: client, title: x`) + "  - {to: client, on: booking.accepted, title: y}\n", `f:9: notification on booking.accepted to client stands twice, first in line 8`},
		"secret in the file":          {"jwt:\n  secret: hush\n", `f:2: jwt.secret does not belong into a configuration file; set PGBELL_JWT_SECRET or jwt.secret_file`},
		"limit of zero":               {"limits: {per_user: 0}\n", `f:1: limits.per_user: want a whole number above 0, not "0"`},
		"size":                        {"window:\n  bytes: 5 parsecs\n", `f:2: window.bytes: want a size such as 64KiB or 1MiB, not "5 parsecs"`},
		"size too large":              {"window:\n  bytes: 9999999999GiB\n", `f:2: window.bytes: want a size such as 64KiB or 1MiB, not "9999999999GiB"`},
		"duration":                    {"window: {age: 5}\n", `f:1: window.age: want a duration such as 30s or 5m, not "5"`},
		"level":                       {"log: {level: loud}\n", `f:1: log.level: want debug, info, warn, error, not "loud"`},
		"jwks":                        {"jwt: {jwks_url: keys.json}\n", `f:1: jwt.jwks_url: want a URL that starts with https://`},
		"origin with a path":          {"origins: [https://a.example/x]\n", `f:1: origins: want an origin such as https://app.example, without a path, not "https://a.example/x"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Parse("f", []byte(test.text))
			require.EqualError(t, err, test.want)
			var mistake *config.Error
			require.ErrorAs(t, err, &mistake)
		})
	}
}

func TestParseTooLong(t *testing.T) {
	t.Parallel()
	_, err := config.Parse("f", []byte(strings.Repeat("#\n", 1<<19+1)))
	require.EqualError(t, err, "f: the file has 1048578 bytes, at most 1048576 are read")
}

func TestRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pgbell.yaml")
	_, err := config.Read(path)
	require.EqualError(t, err, "read configuration "+path+": no such file or directory")
	require.ErrorIs(t, err, os.ErrNotExist)

	require.NoError(t, os.WriteFile(path, []byte(marketplace), 0o600))
	c, err := config.Read(path)
	require.NoError(t, err)
	require.Equal(t, path, c.File)
}

func TestBuiltin(t *testing.T) {
	t.Parallel()
	c := config.Builtin()
	require.Empty(t, c.File)
	var names []string
	for _, table := range c.Tables {
		names = append(names, table.String())
	}
	require.Equal(t, []string{"public.bookings", "public.payments", "public.payouts"}, names)
	require.Zero(t, c.Settings)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(marketplace))
	f.Add([]byte(config.BuiltinText()))
	f.Add([]byte("tables:\n  a.b: {type: t, owners: {o: c}, columns: [x]}\nnotifications:\n  - {on: t.created, to: o, title: '{{{x}}}', message: '{x'}\n"))
	for _, seed := range []string{"a: &a [*a]", "? [x]\n: y", "<<: {a: b}", "tables: {? {} : x}", "- - -", "a: |2\n b", "\x00", "tables:\n  a.b: !!map {}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := config.Parse("f", text)
		if err != nil {
			var mistake *config.Error
			require.ErrorAs(t, err, &mistake)
			require.NotContains(t, err.Error(), "\n")
			return
		}
		for _, table := range c.Tables {
			require.NotEmpty(t, table.Type)
			require.NotEmpty(t, table.Schema)
			require.NotEmpty(t, table.Name)
			require.NotEqual(t, table.AllColumns, len(table.Columns) > 0, "all columns or some")
			require.Positive(t, table.Line)
		}
	})
}
