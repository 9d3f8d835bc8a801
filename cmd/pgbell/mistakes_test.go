package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/db/pgtest"
)

func TestMistakesOnTheCommandLine(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(key, []byte("not a key"), 0o644))
	require.NoError(t, os.Chmod(key, 0o644)) // whatever the umask is
	broken := configuration(t, "tables:\n  public.bookings:\n    type: booking\n    colums: [id]\n")
	missing := filepath.Join(t.TempDir(), "nothing.yaml")
	good := []string{"DATABASE_URL", "postgres://somewhere.invalid/db", "PGBELL_JWT_SECRET", secret}

	for name, test := range map[string]struct {
		env  []string
		args string
		want string
	}{
		"no command":            {nil, "", `expected one of "demo", "serve", "migrate", "triggers", "tail", ...`},
		"unknown command":       {nil, "sreve", `unexpected argument sreve, did you mean "serve"?`},
		"unknown subcommand":    {nil, "triggers aply", `unexpected argument aply, did you mean "apply"?`},
		"unknown flag":          {nil, "serve --lisen :1", `unknown flag --lisen, did you mean "--listen"?`},
		"flag without value":    {nil, "serve --listen", `--listen: expected string value but got "EOL" (<EOL>)`},
		"no database":           {nil, "migrate up", `no database is named: give --database-url or set DATABASE_URL`},
		"not a URL":             {nil, "migrate up --database-url postgres://me:hush@host:port/db", `database URL cannot be read: want postgres://user:password@host:port/database, with special characters in user and password written as %XX`},
		"no configuration":      {nil, "serve --config " + missing, `read configuration ` + missing + `: no such file or directory`},
		"broken configuration":  {good, "serve --config " + broken, broken + `:4: table public.bookings has no key "colums"; did you mean "columns"?`},
		"wrong variable":        {[]string{"PGBELL_LIMITS_PER_USER", "x"}, "serve", `PGBELL_LIMITS_PER_USER: want a whole number above 0, not "x"`},
		"wrong level":           {good, "serve --log-level loud", `--log-level: want debug, info, warn, error, not "loud"`},
		"no key for tokens":     {good[:2], "serve", `there is no key to check tokens with: set PGBELL_JWT_SECRET, PGBELL_JWT_PUBLIC_KEY_FILE or PGBELL_JWT_JWKS_URL`},
		"short secret":          {append(good[:2:2], "PGBELL_JWT_SECRET", "short"), "serve", `set up tokens: the secret is too short: 5 bytes, at least 32`},
		"no key file":           {good[:2], "serve --jwt-public-key-file " + missing, `jwt.public_key_file ` + missing + `: no such file or directory`},
		"secret for everybody":  {append(good[:2:2], "PGBELL_JWT_SECRET_FILE", key), "serve", `jwt.secret_file ` + key + ` can be read by everybody: chmod o= it`},
		"two sources of keys":   {good[:2], "serve --jwt-jwks-url https://id.example --jwt-public-key-file " + key, `jwt.public_key_file and jwt.jwks_url are both set: choose one`},
		"JWKS without TLS":      {good[:2], "serve --jwt-jwks-url http://id.example/keys", `set up tokens: read JWKS URL "http://id.example/keys": plain http is accepted on a loopback address only: use https`},
		"address without port":  {good, "serve --listen localhost", `the address to listen at is "localhost", want host:port, such as 127.0.0.1:8080`},
		"token without secret":  {nil, "token --sub anna", `there is no secret to sign with: set PGBELL_JWT_SECRET to the one that the server has`},
		"token without subject": {good, "token", `missing flags: --sub=USER`},
		"token for no time":     {good, "token --sub anna --ttl 0s", `--ttl is 0s, which is no time at all`},
		"not a cursor":          {good, "tail --since yesterday", `--since: "yesterday" is neither a time such as 2026-01-31T08:00:00Z, nor a duration such as 10m, nor a cursor`},
		"in the future":         {good, "tail --since=-5m", `--since: -5m lies in the future`},
		"no such op":            {good, "tail --op upsert", `--op: want insert, update, delete, reset or publish, not "upsert"`},
		"grants for nobody":     {nil, "migrate grants", `no role is named: give --server ROLE, --reader ROLE or both`},
		"no such duty":          {good, "doctor --duty king", `--duty must be one of "server","reader" but got "king"`},
		"why without a key":     {good, "why --user anna --table public.bookings", `missing flags: --key=KEY`},
		"demo at no pace":       {nil, "demo --rate 0", `--rate is 0, want more than 0 and at most 10000; --no-traffic writes nothing`},
		"demo of two minds":     {nil, "demo --reset --database-url postgres://h/d", `--reset and --data are about the private Postgres, and --database-url names another one`},
		"health of what":        {[]string{"PGBELL_LISTEN", ":0"}, "healthcheck", `the server chose its port itself: give --url`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, stdout, stderr := execute(t, test.env, strings.Fields(test.args)...)
			require.Equal(t, "pgbell: "+test.want+"\n", stderr)
			require.Equal(t, statusUsage, status)
			require.Empty(t, stdout)
		})
	}
}

func TestMistakesThatTheDatabaseFinds(t *testing.T) {
	t.Parallel()
	fresh := pgtest.Empty(t)
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	_, err := conn.Exec(t.Context(), `
		CREATE TABLE bookings (id int PRIMARY KEY, client_id text, status text);
		CREATE TABLE keyless (note text)`)
	require.NoError(t, err)
	watching := func(text string) []string {
		return []string{"DATABASE_URL", url, "PGBELL_JWT_SECRET", secret, "PGBELL_CONFIG", configuration(t, "tables:\n"+text)}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, taken.Close()) })
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, refused.Close())
	nobody := refused.Addr().String()

	for name, test := range map[string]struct {
		env  []string
		args string
		want string // after "pgbell: ", with FILE for the configuration
	}{
		"serve without schema": {[]string{"DATABASE_URL", fresh, "PGBELL_JWT_SECRET", secret}, "serve --listen 127.0.0.1:0", "schema pgbell does not fit: it is not installed in database"},
		"tail without schema":  {[]string{"DATABASE_URL", fresh}, "tail", "schema pgbell does not fit: it is not installed in database"},
		"nothing to watch":     {[]string{"DATABASE_URL", fresh}, "triggers plan", "there is no pgbell.yaml, and the database has none of the tables that are watched without one: public.bookings, public.payments, public.payouts\n"},
		"no table in the file": {[]string{"DATABASE_URL", fresh, "PGBELL_CONFIG", configuration(t, "listen: ':1'\n")}, "triggers plan", "FILE: no table is watched; name some under tables\n"},
		"address taken":        {watching("  public.bookings: {type: b, columns: [id]}\n"), "serve --listen " + taken.Addr().String(), "listen at " + taken.Addr().String() + ": somebody else does already; choose another address with --listen\n"},
		"nobody there":         {[]string{"DATABASE_URL", "postgres://me:hush@" + nobody + "/db"}, "migrate up", `migrate up: connect to database "db" at ` + nobody + ` as "me": dial tcp ` + nobody + `: connect: connection refused; is the server running there?` + "\n"},
		"unknown table":        {watching("  public.boookings: {type: b, columns: [id]}\n"), "triggers plan", `FILE:2: public.boookings: no table "public.boookings"`},
		"unknown column":       {watching("  public.bookings:\n    type: b\n    columns: [id, stauts]\n"), "triggers apply", `FILE:2: public.bookings: columns: no column "stauts"`},
		"table without key":    {watching("  public.keyless: {type: k, columns: [note]}\n"), "triggers plan", "FILE:2: public.keyless: has no primary key; name NOT NULL columns with a unique index as its key\n"},
		"broken action":        {watching("  public.bookings:\n    type: b\n    columns: [id]\n    actions: {gone: OLD.status = }\n"), "triggers plan", "FILE:2: public.bookings: action gone: "},
		"unknown column of a rule": {
			watching("  public.bookings: {type: b, owners: {c: client_id}, columns: '*'}\nnotifications:\n  - {on: b.created, to: c, title: fine}\n  - {on: b.updated, to: c, title: '{stauts}'}\n"), "triggers apply",
			`FILE:5: public.bookings: notification on b.updated to c: title says column "stauts", which c cannot see, for the table has none; did you mean "status"?`,
		},
		"healthcheck of nobody": {nil, "healthcheck --url http://" + nobody, `ask the server: Get "http://` + nobody + `/healthz": dial tcp ` + nobody + ": connect: connection refused\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, stdout, stderr := execute(t, test.env, strings.Fields(test.args)...)
			file, _ := environment(test.env...)("PGBELL_CONFIG")
			want := "pgbell: " + strings.ReplaceAll(test.want, "FILE", file)
			require.True(t, strings.HasPrefix(stderr, want), "got  %swant %s", stderr, want)
			require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
			require.NotContains(t, stderr, "hush")
			require.Empty(t, stdout)
			require.NotEqual(t, statusOK, status)
		})
	}
}
