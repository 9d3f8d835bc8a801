package main

import (
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/pgtest"
)

// TestLeastPrivilege gives three roles what the guide says and has each do its
// work: nobody is a superuser, and nobody has what is another's. That each
// single grant is needed, and missed by the doctor, is TestEachGrantIsNeeded's
// to show.
func TestLeastPrivilege(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	admin := pgtest.Connect(t, url)
	exec := func(sql string) {
		t.Helper()
		_, err := admin.Exec(t.Context(), sql)
		require.NoError(t, err, sql)
	}
	owner, server, reader, application := pgtest.NewRole(t, url), pgtest.NewRole(t, url), pgtest.NewRole(t, url), pgtest.NewRole(t, url)
	exec(`CREATE SCHEMA pgbell AUTHORIZATION ` + owner.Name)
	exec(`CREATE SCHEMA shop AUTHORIZATION ` + owner.Name)
	exec(`SET ROLE ` + owner.Name + `;
		CREATE TABLE shop.bookings (id int PRIMARY KEY, client_id text, status text);
		CREATE TABLE shop.payments (id int PRIMARY KEY, booking_id int REFERENCES shop.bookings, amount int);
		GRANT USAGE ON SCHEMA shop TO ` + application.Name + `; GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA shop TO ` + application.Name + `;
		RESET ROLE`)
	file := configuration(t, `
tables:
  shop.bookings: {type: booking, owners: {client: client_id}, columns: [id, status]}
  shop.payments:
    type: payment
    owners: {client: {via: booking_id, table: shop.bookings, column: client_id}}
    columns: [id, amount]
`)
	as := func(role pgtest.Role) []string { return []string{"DATABASE_URL", role.URL, "PGBELL_CONFIG", file} }

	// The owner migrates, applies and grants.
	succeed(t, as(owner), "migrate", "up")
	succeed(t, as(owner), "triggers", "apply")
	grants := succeed(t, as(owner), "migrate", "grants", "--server", server.Name, "--reader", reader.Name)
	_, err := pgtest.Connect(t, owner.URL).Exec(t.Context(), grants)
	require.NoError(t, err, grants)

	// The server serves, as a process of its own.
	process, lines, said := process(t, []string{"DATABASE_URL=" + server.URL, "PGBELL_CONFIG=" + file, "PGBELL_JWT_SECRET=" + secret}, "serve", "--listen", "127.0.0.1:0")
	at := strings.TrimSuffix(strings.Fields(find(t, lines, "pgbell serves", said))[2], ",")
	anna := join(t, at, "anna", token(t, "anna"))
	write := pgtest.Connect(t, application.URL)
	_, err = write.Exec(t.Context(), `INSERT INTO shop.bookings VALUES (1, 'anna', 'NEW'); INSERT INTO shop.payments VALUES (1, 1, 10)`)
	require.NoError(t, err)
	require.Equal(t, "booking", anna.change(t).Type)
	require.Equal(t, "payment", anna.change(t).Type)
	get(t, at+"/readyz")
	status, keys, _, _, text := rows(t, at, "payment", token(t, "anna"))
	require.Equal(t, http.StatusOK, status, text)
	require.Equal(t, []int{1}, keys)
	_, findings := diagnose(t, as(server))
	require.NotEqual(t, db.Error, db.Worst(findings), worse(findings))

	exec(`ALTER TABLE shop.bookings DISABLE TRIGGER pgbell_update`)
	_, findings = diagnose(t, as(server))
	require.Contains(t, worse(findings), "triggers: no event comes of UPDATE on shop.bookings: its trigger is disabled")
	exec(`ALTER TABLE shop.bookings ENABLE TRIGGER pgbell_update`)

	// The reader reads, and sees the listener.
	_, findings = diagnose(t, as(reader), "--duty", "reader")
	require.NotEqual(t, db.Error, db.Worst(findings), worse(findings))
	require.Contains(t, succeed(t, as(reader), "why", "--user", "anna", "--table", "shop.payments", "--key", "1"), "anna receives the events of shop.payments id=1, as client")
	require.Regexp(t, `\npid \d+, pgbell listener +(asleep|on rounds) +not for this role to see\n`, succeed(t, as(reader), "triggers", "status"))
	tail := start(t, as(reader), "tail", "--since", "1h")
	tail.stdout.await(t, `payment_update  created`)
	tail.stop(t)

	// Neither may do the other's work, and the application none of it.
	for _, test := range []struct {
		role pgtest.Role
		sql  string
	}{
		{reader, `SELECT FROM pgbell.bell_key`},
		{reader, `TRUNCATE pgbell.events_0`},
		{reader, `INSERT INTO pgbell.events (body) VALUES ('{}')`},
		{server, `INSERT INTO pgbell.events (body) VALUES ('{}')`},
		{server, `SELECT pgbell.revoke('u')`},
		{server, `UPDATE shop.bookings SET status = ''`},
		{application, `SELECT FROM pgbell.events`},
	} {
		_, err := pgtest.Connect(t, test.role.URL).Exec(t.Context(), test.sql)
		require.ErrorContains(t, err, "permission denied", test.sql)
	}
	require.NoError(t, process.Process.Signal(syscall.SIGTERM))
	require.NoError(t, process.Wait(), said.String())
	require.NotContains(t, said.String(), "permission denied")

	for _, command := range []string{"plan", "apply", "verify", "sql"} {
		status, _, stderr := execute(t, as(reader), "triggers", command)
		require.Equal(t, statusError, status)
		require.Equal(t, "pgbell: role "+reader.Name+" may create nothing in schema pgbell: do this as role "+owner.Name+", which owns the schema\n", stderr)
	}
	status, _, stderr := execute(t, as(reader), "triggers", "remove")
	require.Equal(t, statusError, status)
	require.Contains(t, stderr, "shop.bookings: it belongs to role "+owner.Name+", and role "+reader.Name+" is no member of it")

	// Who owns the schema and not a table hears it from the doctor, too.
	exec(`ALTER TABLE shop.bookings OWNER TO postgres; GRANT SELECT ON shop.bookings TO ` + owner.Name)
	_, findings = diagnose(t, as(owner))
	var told []string
	for _, f := range findings {
		if f.Check == "triggers" && f.Level == db.Note {
			told = append(told, f.What)
		}
	}
	require.Len(t, told, 1)
	require.Contains(t, told[0], "shop.bookings: it belongs to role postgres, and role "+owner.Name+" is no member of it")
}
