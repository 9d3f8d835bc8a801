package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/db/pgtest"
)

// An application that never heard of pgbell: columns have names of their own, a
// name is in mixed case, a key has two columns, and payments know their owners
// through the booking alone.
const existingSchema = `
CREATE SCHEMA shop;
CREATE TABLE shop."Reservation" (
    tenant   int  NOT NULL,
    "No"     int  NOT NULL,
    guest    uuid NOT NULL,
    "Host"   uuid,
    state    text NOT NULL DEFAULT 'open',
    secret   text,
    PRIMARY KEY (tenant, "No")
);
CREATE TABLE shop.bookings (
    booking_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    buyer      text NOT NULL,
    seller     text,
    state      text NOT NULL DEFAULT 'PENDING'
);
CREATE TABLE shop.pay (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    booking_no bigint NOT NULL REFERENCES shop.bookings ON DELETE CASCADE,
    cents      bigint NOT NULL,
    state      text NOT NULL DEFAULT 'HELD'
);
INSERT INTO shop.bookings (buyer, seller) VALUES ('beth', 'sam');
`

const existingConfiguration = `
tables:
  shop.Reservation:
    type: reservation
    owners: {guest: guest, host: Host}
    columns: [tenant, "No", guest, Host, state]
  shop.bookings:
    type: booking
    owners: {client: buyer, provider: seller}
    watchers: [AUDITOR]
    columns: "*"
    actions:
      accepted: OLD.state = 'PENDING' AND NEW.state = 'CONFIRMED'
  shop.pay:
    type: payment
    owners:
      client: {via: booking_no, table: shop.bookings, column: buyer}
      provider: {via: booking_no, table: shop.bookings, column: seller}
    columns: [id, booking_no, cents, state]
    actions:
      released: NEW.state = 'RELEASED' AND OLD.state IS DISTINCT FROM 'RELEASED'
`

func TestExistingDatabase(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	conn := pgtest.Connect(t, url)
	write := func(sql string, args ...any) {
		t.Helper()
		_, err := conn.Exec(t.Context(), sql, args...)
		require.NoError(t, err)
	}
	write(existingSchema)
	before := pgtest.ReadCatalog(t, url)
	env := []string{"DATABASE_URL", url, "PGBELL_CONFIG", configuration(t, existingConfiguration)}

	require.Contains(t, succeed(t, env, "migrate", "up"), "applied 00001 event_log\n")
	require.Equal(t, "nothing to apply: schema pgbell is up to date\n", succeed(t, env, "migrate", "up"))
	require.Contains(t, succeed(t, env, "migrate", "status"), "event_log")
	require.Contains(t, succeed(t, env, "triggers", "status"), "shop.Reservation  reservation  missing")

	plan := succeed(t, env, "triggers", "plan")
	require.Contains(t, plan, `ON shop."Reservation"`)
	require.Contains(t, succeed(t, env, "triggers", "status"), "missing", "a plan changes nothing")
	status, stdout, stderr := execute(t, env, "triggers", "verify")
	require.Equal(t, statusError, status)
	require.Contains(t, stdout, "it is missing")
	require.Empty(t, stderr)
	require.Contains(t, succeed(t, env, "triggers", "sql"), "CREATE")

	require.Contains(t, succeed(t, env, "triggers", "apply"), "created trigger pgbell_update on shop.pay: it is missing\n")
	require.Equal(t, "nothing to change: the triggers are as the configuration asks\n", succeed(t, env, "triggers", "apply"))
	require.Equal(t, "the triggers are as the configuration asks\n", succeed(t, env, "triggers", "verify"))
	require.Equal(t, "-- Nothing to change: the triggers are as the configuration asks.\n", succeed(t, env, "triggers", "plan"))

	server, at := serve(t, env)
	beth, sam := join(t, at, "beth", token(t, "beth")), join(t, at, "sam", token(t, "sam"))
	auditor := join(t, at, "auditor", token(t, "otto", "AUDITOR"))
	const guestID, hostID = "8d0e8c4a-0000-4000-8000-000000000001", "8d0e8c4a-0000-4000-8000-000000000002"
	guest, host := join(t, at, "guest", token(t, guestID)), join(t, at, "host", token(t, hostID))

	write(`UPDATE shop.bookings SET state = 'CONFIRMED'`)
	for _, c := range []*client{beth, sam, auditor} {
		got := c.change(t)
		require.Equal(t, "accepted", got.Action, c.user)
		require.Equal(t, map[string]any{"booking_no": 1.0}, got.Key)
		require.Equal(t, map[string]any{"state": "PENDING"}, got.Old)
	}
	write(`INSERT INTO shop.pay (booking_no, cents) VALUES (1, 995)`)
	write(`UPDATE shop.pay SET state = 'RELEASED'`)
	for _, c := range []*client{beth, sam} {
		require.Equal(t, "created", c.change(t).Action, c.user)
		got := c.change(t)
		require.Equal(t, "released", got.Action, c.user)
		require.Equal(t, "shop.pay", got.Table)
		require.EqualValues(t, 995, got.Data["cents"])
	}

	write(`INSERT INTO shop."Reservation" VALUES (7, 1, $1, $2, 'open', 'not for clients')`, guestID, hostID)
	for _, c := range []*client{guest, host} {
		got := c.change(t) // and nothing of bookings or payments came before it
		require.Equal(t, "created", got.Action)
		require.Equal(t, map[string]any{"tenant": 7.0, "No": 1.0}, got.Key)
		require.Equal(t, map[string]any{"tenant": 7.0, "No": 1.0, "guest": guestID, "Host": hostID, "state": "open"}, got.Data)
	}
	write(`UPDATE shop."Reservation" SET secret = 'nor this', "Host" = NULL`)
	require.Equal(t, "left", host.change(t).Op)
	require.Equal(t, "update", guest.change(t).Op)

	// The room of a row opens to its owners.
	for _, test := range []struct {
		c    *client
		room string
		want string
	}{
		{guest, "reservation:7,1", "ack"},
		{host, "reservation:7,1", "error"},
		{guest, "reservation:7", "error"},
		{guest, "reservation:seven,1", "error"},
		{beth, "booking:1", "ack"},
		{sam, "booking:1", "ack"},
		{beth, "booking:2", "error"},
		{guest, "booking:1", "error"},
		{auditor, "booking:1", "ack"},
		{guest, "nothing:1", "error"},
	} {
		require.NoError(t, test.c.WriteJSON(map[string]any{"event": "join_room", "id": "r", "data": map[string]string{"room": test.room}}))
		require.Equal(t, test.want, test.c.next(t).Event, "%s asks for %s", test.c.user, test.room)
	}

	metrics := get(t, at+"/metrics")
	require.Contains(t, metrics, "pgbell_connections{transport=\"websocket\"} 5\n")
	require.Contains(t, metrics, "pgbell_live 1\n")
	require.Contains(t, metrics, "pgbell_events_total 5\n")
	require.Contains(t, metrics, `pgbell_client_errors_total{code="room_forbidden"} 6`+"\n")

	server.stop(t)
	require.Contains(t, succeed(t, env, "triggers", "remove"), "dropped trigger pgbell_update on shop.pay")
	require.Equal(t, "nothing to remove: there are no triggers of pgbell\n", succeed(t, env, "triggers", "remove"))
	require.Contains(t, succeed(t, env, "migrate", "down"), "removed 00001 event_log\n")
	require.Empty(t, before.Difference(pgtest.ReadCatalog(t, url)))
}
