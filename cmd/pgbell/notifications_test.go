package main

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/db/pgtest"
)

// device is a user's screen: what it shows of notifications follows from what
// it is sent, and from one list to begin with.
type device struct {
	*client
	at, token string
	cursor    string
	titles    []string // in the order of arrival
	ids       []int64
	read      map[int64]bool
	unread    int64
}

// open fetches the list, and connects where it ends.
func open(t *testing.T, at, user string) *device {
	t.Helper()
	d := &device{at: at, token: token(t, user), read: make(map[int64]bool)}
	var list struct {
		Notifications []struct {
			ID     int64
			Title  string
			ReadAt *string
		}
		Unread int64
		Cursor string
		Next   int64
	}
	status, text := d.ask(t, "GET", "/api/notifications?limit=100", "")
	require.Equal(t, http.StatusOK, status, text)
	require.NoError(t, json.Unmarshal([]byte(text), &list))
	for _, n := range slices.Backward(list.Notifications) {
		d.titles, d.ids = append(d.titles, n.Title), append(d.ids, n.ID)
		d.read[n.ID] = n.ReadAt != nil
	}
	d.cursor, d.unread = list.Cursor, list.Unread
	d.connect(t)
	return d
}

// connect goes on where the device stands.
func (d *device) connect(t *testing.T) {
	t.Helper()
	url := strings.Replace(d.at, "http", "ws", 1) + "/ws?cursor=" + d.cursor
	conn, response, err := websocket.DefaultDialer.DialContext(t.Context(), url, http.Header{"Authorization": {"Bearer " + d.token}})
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	t.Cleanup(func() { _ = conn.Close() })
	d.client = &client{conn, "a device"}
	m := d.next(t)
	require.Equal(t, "authenticated", m.Event)
	require.Contains(t, string(m.Data), `"recovered":true`)
}

// until takes messages until the device shows so many, and so many unread. The
// number that it is told may be ahead of what has come, but not for long.
func (d *device) until(t *testing.T, titles int, unread int64) {
	t.Helper()
	for len(d.titles) < titles || d.unread != unread || d.shown() != unread {
		d.take(t)
	}
	require.Len(t, d.titles, titles)
}

// shown is how many unread ones the device shows.
func (d *device) shown() (n int64) {
	for _, read := range d.read {
		if !read {
			n++
		}
	}
	return n
}

// take takes one message.
func (d *device) take(t *testing.T) {
	t.Helper()
	for {
		m := d.next(t)
		if m.Cursor != "" {
			d.cursor = m.Cursor
		}
		var data struct {
			ID     int64
			Title  string
			IDs    []int64
			Unread *int64
		}
		require.NoError(t, json.Unmarshal(m.Data, &data), m.Event)
		switch m.Event {
		case "notification":
			require.NotContains(t, d.read, data.ID, "it came twice")
			d.titles, d.ids, d.read[data.ID] = append(d.titles, data.Title), append(d.ids, data.ID), false
		case "notifications_read":
			for _, id := range data.IDs {
				require.False(t, d.read[id], "it was read twice")
				d.read[id] = true
			}
		default:
			require.Contains(t, []string{"ack", "cursor", "stream", "booking_update"}, m.Event)
			continue
		}
		require.NotNil(t, data.Unread)
		d.unread = *data.Unread
		return
	}
}

func (d *device) ask(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, d.at+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+d.token)
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text)
}

// TestNotifications goes all the way: made by SQL and by HTTP, for somebody who
// is away, on two devices, over a restart of the server.
func TestNotifications(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	conn := pgtest.Connect(t, url)
	write := func(sql string) {
		t.Helper()
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	write("CREATE TABLE bookings (id int PRIMARY KEY, client_id text, provider_id text, status text)")
	env := []string{
		"DATABASE_URL", url, "PGBELL_API_SERVICE_ROLES", "SERVICE",
		"PGBELL_CONFIG", configuration(t, "tables: {public.bookings: {type: booking, owners: {client: client_id}, columns: [id, status]}}"),
	}
	succeed(t, env, "migrate", "up")
	succeed(t, env, "triggers", "apply")
	server, at := serve(t, env)

	// Anna is away.
	write("INSERT INTO pgbell.notifications (user_id, title) VALUES ('anna', 'one'), ('paul', 'his')")
	write("BEGIN; INSERT INTO pgbell.notifications (user_id, title) VALUES ('anna', 'never'); ROLLBACK")
	write("SELECT pgbell.notify(ARRAY['anna'], 'two')")
	phone, desk := open(t, at, "anna"), open(t, at, "anna")
	for _, d := range []*device{phone, desk} {
		require.Equal(t, []string{"one", "two"}, d.titles)
		require.EqualValues(t, 2, d.unread)
	}

	// Made in the same transaction as a row, and by a service.
	write("BEGIN; INSERT INTO bookings VALUES (1, 'anna', 'p', 'NEW'); INSERT INTO pgbell.notifications (user_id, title) VALUES ('anna', 'three'); COMMIT")
	service := &device{at: at, token: token(t, "app", "SERVICE")}
	status, text := service.ask(t, "POST", "/api/socket", `{"event": {"type": "notification", "action": "invoice_due"}, "data": {"title": "four"}, "targetUsers": ["anna", "paul"]}`)
	require.Equal(t, http.StatusAccepted, status, text)
	require.JSONEq(t, `{"notifications": 2}`, text)
	for _, d := range []*device{phone, desk} {
		d.until(t, 4, 4)
		require.Equal(t, []string{"one", "two", "three", "four"}, d.titles)
	}

	// Read on one, by either door, and the other knows.
	require.NoError(t, phone.WriteJSON(map[string]any{"event": "notification_read", "id": 1, "data": map[string]any{"ids": phone.ids[:1]}}))
	for _, d := range []*device{phone, desk} {
		d.until(t, 4, 3)
	}
	status, text = desk.ask(t, "POST", "/api/notifications/read", `{"all": true}`)
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"unread": 0}`, text)
	for _, d := range []*device{phone, desk} {
		d.until(t, 4, 0)
	}

	// What happens while nobody serves, and what is read elsewhere meanwhile.
	server.stop(t)
	write("INSERT INTO pgbell.notifications (user_id, title) SELECT 'anna', 'n' || i FROM generate_series(5, 30) AS i")
	write("SELECT pgbell.read_notifications('anna', ARRAY(SELECT id FROM pgbell.notifications WHERE title IN ('n5', 'n6')))")
	_, at = serve(t, env)
	for _, d := range []*device{phone, desk} {
		d.at = at
		d.connect(t)
		d.until(t, 30, 24)
	}
	late := open(t, at, "anna")
	require.EqualValues(t, 24, late.unread)
	require.Len(t, late.titles, 30)

	// What is muted is not made.
	status, text = phone.ask(t, "PUT", "/api/notifications/preferences", `{"preferences": [{"type": "invoice_due", "delivery": "muted"}]}`)
	require.Equal(t, http.StatusOK, status, text)
	service.at = at
	_, text = service.ask(t, "POST", "/api/socket", `{"event": {"type": "notification", "action": "invoice_due"}, "data": {"title": "muted"}, "targetUsers": ["anna", "paul"]}`)
	require.JSONEq(t, `{"notifications": 1}`, text)
	write("SELECT pgbell.notify(ARRAY['anna'], 'not muted')")
	for _, d := range []*device{phone, desk, late} {
		d.until(t, 31, 25)
		require.Equal(t, "not muted", d.titles[30])
	}
	paul := open(t, at, "paul")
	require.Equal(t, []string{"his", "four", "muted"}, paul.titles)
}

// TestNotificationsAtOnce: transactions that do not see each other, devices that
// mark while others come, and in the end all show the same.
func TestNotificationsAtOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	conn := pgtest.Connect(t, url)
	_, err := conn.Exec(t.Context(), "CREATE TABLE bookings (id int PRIMARY KEY, client_id text, status text)")
	require.NoError(t, err)
	env := []string{
		"DATABASE_URL", url,
		"PGBELL_CONFIG", configuration(t, "tables: {public.bookings: {type: booking, owners: {client: client_id}, columns: [id, status]}}"),
	}
	succeed(t, env, "migrate", "up")
	succeed(t, env, "triggers", "apply")
	_, at := serve(t, env)
	_, other := serve(t, env)
	phone, desk := open(t, at, "anna"), open(t, other, "anna")

	const writers, each = 4, 25
	done := make(chan error, writers)
	for range writers {
		own := pgtest.Connect(t, url)
		go func() {
			for range each {
				if _, err := own.Exec(t.Context(), `BEGIN; INSERT INTO pgbell.notifications (user_id, title) VALUES ('anna', 'n'); SELECT pg_sleep(0.001); COMMIT`); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	marked := make(chan error, 1)
	go func() {
		for range 10 {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, other+"/api/notifications/read", strings.NewReader(`{"all": true}`))
			if err == nil {
				request.Header.Set("Authorization", "Bearer "+desk.token)
				var response *http.Response
				if response, err = (&http.Transport{DisableKeepAlives: true}).RoundTrip(request); err == nil {
					_ = response.Body.Close()
				}
			}
			if err != nil {
				marked <- err
				return
			}
		}
		marked <- nil
	}()
	for range writers {
		require.NoError(t, <-done)
	}
	require.NoError(t, <-marked)
	var unread int64
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT pgbell.unread_notifications('anna')").Scan(&unread))
	for _, d := range []*device{phone, desk} {
		d.until(t, writers*each, unread)
	}
	// Nothing is on its way any more that would make it wrong.
	_, err = conn.Exec(t.Context(), "SELECT pgbell.notify(ARRAY['anna'], 'last')")
	require.NoError(t, err)
	for _, d := range []*device{phone, desk} {
		d.until(t, writers*each+1, unread+1)
	}
}

// TestNotificationsSurviveAKill: the server is killed amid them, and nothing is
// lost or comes twice.
func TestNotificationsSurviveAKill(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	conn := pgtest.Connect(t, url)
	_, err := conn.Exec(t.Context(), "CREATE TABLE bookings (id int PRIMARY KEY, client_id text, status text)")
	require.NoError(t, err)
	file := configuration(t, "tables: {public.bookings: {type: booking, owners: {client: client_id}, columns: [id, status]}}")
	env := []string{"DATABASE_URL", url, "PGBELL_CONFIG", file}
	succeed(t, env, "migrate", "up")
	succeed(t, env, "triggers", "apply")
	process, lines, said := process(t, []string{"DATABASE_URL=" + url, "PGBELL_CONFIG=" + file, "PGBELL_JWT_SECRET=" + secret}, "serve", "--listen", "127.0.0.1:0")
	at := strings.TrimSuffix(strings.Fields(find(t, lines, "pgbell serves", said))[2], ",")
	d := open(t, at, "anna")
	insert := func(n int) {
		for range n {
			_, err := conn.Exec(t.Context(), "INSERT INTO pgbell.notifications (user_id, title) VALUES ('anna', 'n')")
			require.NoError(t, err)
		}
	}
	insert(50)
	for range 20 {
		d.take(t) // the rest is in the socket, or will be
	}
	require.NoError(t, process.Process.Signal(syscall.SIGKILL))
	_ = process.Wait()
	insert(10)
	_, d.at = serve(t, env)
	d.connect(t)
	d.until(t, 60, 60)
}
