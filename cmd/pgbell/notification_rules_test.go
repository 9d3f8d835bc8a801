package main

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/db/pgtest"
)

const ruled = `
tables:
  public.bookings:
    type: booking
    owners: {client: client_id, provider: provider_id}
    columns: [id, status]
    actions: {accepted: OLD.status = 'PENDING' AND NEW.status = 'CONFIRMED'}
notifications:
  - {on: booking.accepted, to: client, level: success, title: "Booking {id} is confirmed"}
  - {on: booking.created, to: provider, title: "Booking {id} is new"}
`

// TestNotificationsOfRules: an application writes rows and nothing else. Who is
// there hears of it on every device, who is away later, each once, over a kill
// of the server.
func TestNotificationsOfRules(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	conn := pgtest.Connect(t, url)
	_, err := conn.Exec(t.Context(), "CREATE TABLE bookings (id int PRIMARY KEY, client_id text, provider_id text, status text NOT NULL DEFAULT 'PENDING')")
	require.NoError(t, err)
	file := configuration(t, ruled)
	env := []string{"DATABASE_URL", url, "PGBELL_CONFIG", file}
	succeed(t, env, "migrate", "up")
	succeed(t, env, "triggers", "apply")
	server, lines, said := process(t, []string{"DATABASE_URL=" + url, "PGBELL_CONFIG=" + file, "PGBELL_JWT_SECRET=" + secret}, "serve", "--listen", "127.0.0.1:0")
	at := strings.TrimSuffix(strings.Fields(find(t, lines, "pgbell serves", said))[2], ",")
	phone, desk := open(t, at, "anna"), open(t, at, "anna")

	// The application goes on until it is stopped. Every fifth of its
	// transactions is rolled back.
	writer := pgtest.Connect(t, url)
	written, stop := make(chan error), make(chan struct{})
	var titles, requests []string
	go func() {
		defer close(written)
		for i := 1; ; i++ {
			end := "COMMIT"
			if i%5 == 0 {
				end = "ROLLBACK"
			}
			_, err := writer.Exec(t.Context(), fmt.Sprintf("INSERT INTO bookings (id, client_id, provider_id) VALUES (%d, 'anna', 'paul')", i))
			if err == nil {
				_, err = writer.Exec(t.Context(), fmt.Sprintf("BEGIN; UPDATE bookings SET status = 'CONFIRMED' WHERE id = %d; %s", i, end))
			}
			if requests = append(requests, fmt.Sprintf("Booking %d is new", i)); end == "COMMIT" {
				titles = append(titles, fmt.Sprintf("Booking %d is confirmed", i))
			}
			select {
			case written <- err:
			case <-stop:
				return
			}
		}
	}()
	write := func(n int) {
		t.Helper()
		for range n {
			require.NoError(t, <-written)
		}
	}
	write(30)
	for _, d := range []*device{phone, desk} {
		for range 10 {
			d.take(t) // the rest is in the socket, or will be
		}
	}
	require.NoError(t, server.Process.Signal(syscall.SIGKILL))
	_ = server.Wait()
	write(20)
	_, at = serve(t, env)
	write(10)
	for _, d := range []*device{phone, desk} {
		d.at = at
		d.connect(t)
	}
	write(5)
	close(stop)
	for range written { // the last one has ended
	}

	unread := int64(len(titles))
	for _, d := range []*device{phone, desk} {
		d.until(t, len(titles), unread)
		require.Equal(t, titles, d.titles)
	}
	// Paul was away all the time.
	paul := open(t, at, "paul")
	require.Equal(t, requests, paul.titles)
	require.EqualValues(t, len(requests), paul.unread)
	late := open(t, at, "anna")
	require.Equal(t, titles, late.titles)
	require.Equal(t, unread, late.unread)

	// Read on one device, and the others know.
	require.NoError(t, phone.WriteJSON(map[string]any{"event": "notification_read", "id": 1, "data": map[string]any{"ids": phone.ids[:7]}}))
	for _, d := range []*device{phone, desk, late} {
		d.until(t, len(titles), unread-7)
		for i, id := range d.ids {
			require.Equal(t, i < 7, d.read[id])
		}
	}
}

// TestNotificationsByEveryDoor writes bookings with psql and follows what rules
// make of them with real clients, through every door, over a cut and a kill. What
// one device marks as read the others hear, and what is muted nobody.
func TestNotificationsByEveryDoor(t *testing.T) {
	t.Parallel()
	installClients(t)
	url := pgtest.Empty(t)
	psql(t, url, "CREATE TABLE bookings (id int PRIMARY KEY, client_id text, provider_id text, status text NOT NULL DEFAULT 'PENDING')")
	env := []string{"DATABASE_URL", url, "PGBELL_CONFIG", configuration(t, ruled)}
	succeed(t, env, "migrate", "up")
	succeed(t, env, "triggers", "apply")
	line := newLink(t)
	server := spawn(t, env)
	line.lead(server.address)
	book := func(ids string) {
		t.Helper()
		psql(t, url, "INSERT INTO bookings (id, client_id, provider_id) SELECT id, 'anna', 'paul' FROM unnest(ARRAY["+ids+"]) AS id")
	}
	accept := func(ids string) {
		t.Helper()
		psql(t, url, "UPDATE bookings SET status = 'CONFIRMED' WHERE id IN ("+ids+")")
	}
	book("1, 2, 3, 4")
	devices := []*guest{
		startNode(t, "socket.io-client, websocket", "socketio.js", line.url(), token(t, "anna"), "auth", "websocket"),
		startNode(t, "socket.io-client, polling", "socketio.js", line.url(), token(t, "anna"), "auth", "polling"),
		startNode(t, "eventsource", "eventsource.js", line.url(), token(t, "anna")),
		startCurl(t, line, token(t, "anna")),
	}
	paul := startNode(t, "paul", "eventsource.js", line.url(), token(t, "paul"))
	carl := startNode(t, "carl", "socketio.js", line.url(), token(t, "carl"), "auth", "websocket")
	for _, g := range append(devices, paul, carl) {
		g.awaitLive(t)
	}
	phone := open(t, "http://"+server.address, "anna")
	told := func(unread int64, want ...string) {
		t.Helper()
		for _, g := range devices {
			g.awaitTold(t, unread, want...)
		}
	}

	accept("1")
	told(1, "Booking 1 is confirmed")
	phone.until(t, 1, 1)
	status, text := phone.ask(t, "POST", "/api/notifications/read", fmt.Sprintf(`{"ids": [%d]}`, phone.ids[0]))
	require.Equal(t, http.StatusOK, status, text)
	require.JSONEq(t, `{"unread": 0}`, text)
	read := fmt.Sprint("read ", phone.ids)
	told(0, "Booking 1 is confirmed", read)
	phone.until(t, 1, 0)

	line.cut()
	accept("2")
	server.kill(t)
	accept("3")
	server = spawn(t, env)
	line.lead(server.address)
	all := []string{"Booking 1 is confirmed", read, "Booking 2 is confirmed", "Booking 3 is confirmed"}
	told(2, all...)
	phone.at = "http://" + server.address
	phone.connect(t)
	phone.until(t, 3, 2)

	// A rule's notification has its event's name, by which it is muted.
	status, text = phone.ask(t, "PUT", "/api/notifications/preferences", `{"preferences": [{"type": "booking.accepted", "delivery": "muted"}]}`)
	require.Equal(t, http.StatusOK, status, text)
	accept("4")
	psql(t, url, "INSERT INTO bookings (id, client_id, provider_id) VALUES (5, 'carl', 'anna'), (6, 'anna', 'carl')")
	told(3, append(all, "Booking 5 is new")...)
	phone.until(t, 4, 3)
	late := open(t, phone.at, "anna")
	require.Equal(t, phone.titles, late.titles)
	require.EqualValues(t, 3, late.unread)

	// Whoever else is there hears of his own alone.
	book("7")
	paul.awaitTold(t, 5, "Booking 7 is new")
	carl.awaitTold(t, 1, "Booking 6 is new")
	for _, g := range append(devices, paul, carl) {
		require.Empty(t, g.resets, g.name)
	}
}
