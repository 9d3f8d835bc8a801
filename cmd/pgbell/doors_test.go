package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/db/pgtest"
)

// TestDoors publishes and changes rows, by HTTP and by SQL, and follows by
// server-sent events and by polling, over a restart of the server.
func TestDoors(t *testing.T) {
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
		"DATABASE_URL", url, "PGBELL_API_SERVICE_ROLES", "SERVICE", "PGBELL_API_ADMIN_ROLES", "ADMIN",
		"PGBELL_CONFIG", configuration(t, `
tables:
  public.bookings: {type: booking, owners: {client: client_id}, columns: [id, status], debounce: 50ms}
`),
	}
	succeed(t, env, "migrate", "up")
	succeed(t, env, "triggers", "apply")
	server, at := serve(t, env)

	ask := func(method, path, token, body string, header ...string) (int, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, at+path, strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+token)
		for i := 0; i < len(header); i += 2 {
			request.Header.Set(header[i], header[i+1])
		}
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(text)
	}
	// stream reads messages until their data contain all of texts, in order,
	// and returns the last cursor.
	stream := func(cursor string, texts ...string) string {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+"/api/events", http.NoBody)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+token(t, "u1"))
		request.Header.Set("Accept", "text/event-stream")
		request.Header.Set("Last-Event-ID", cursor)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		require.Equal(t, http.StatusOK, response.StatusCode)
		lines := bufio.NewScanner(response.Body)
		seen := 0
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch {
			case name == "id":
				cursor = value
			case name == "data" && !strings.Contains(value, `"userId"`):
				require.Contains(t, value, texts[seen])
				seen++
			}
			if seen == len(texts) && lines.Text() == "" {
				return cursor
			}
		}
		require.Fail(t, "the stream ended")
		return ""
	}
	poll := func(query string) (events []json.RawMessage, cursor string) {
		t.Helper()
		status, text := ask("GET", "/api/events?"+query, token(t, "u1"), "")
		require.Equal(t, http.StatusOK, status, text)
		var answer struct {
			Events []json.RawMessage
			Cursor string
		}
		require.NoError(t, json.Unmarshal([]byte(text), &answer))
		return answer.Events, answer.Cursor
	}

	_, start := poll("")
	const notice = `{"event": {"type": "notice", "action": "sent"}, "data": {"n": 1}, "targetUsers": ["u1"]}`
	status, text := ask("POST", "/api/socket", token(t, "app"), notice)
	require.Equal(t, http.StatusForbidden, status, text)
	service := token(t, "app", "SERVICE")
	status, first := ask("POST", "/api/socket", service, notice, "Idempotency-Key", "k")
	require.Equal(t, http.StatusAccepted, status, first)
	_, second := ask("POST", "/api/socket", service, notice, "Idempotency-Key", "k")
	require.Equal(t, first, second)
	status, text = ask("POST", "/api/socket", service, strings.Replace(notice, "1", "2", 1), "Idempotency-Key", "k")
	require.Equal(t, http.StatusConflict, status, text)
	write("INSERT INTO bookings VALUES (1, 'u1', 'p1', 'PENDING'), (2, 'u2', 'p1', 'PENDING')")
	write(`SELECT pgbell.publish('maintenance', 'soon', '{"at": "22:00"}', rooms => ARRAY['*'])`)
	cursor := stream(start, `"type":"notice"`, `"action":"created"`, `"type":"maintenance"`)
	events, after := poll("cursor=" + start + "&wait=10")
	require.Len(t, events, 3)

	// What happens while nobody serves.
	server.stop(t)
	write("UPDATE bookings SET status = 'CONFIRMED'")
	write("SELECT pgbell.publish('notice', 'sent', users => ARRAY['u1', 'u2'])")
	_, at = serve(t, env)
	stream(cursor, `"CONFIRMED"`, `"type":"notice"`)
	events, _ = poll("cursor=" + after + "&wait=10")
	require.Len(t, events, 2)

	status, text = ask("GET", "/api/socket", token(t, "root", "ADMIN"), "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, text, `"live":true`)
	status, _ = ask("GET", "/api/socket/errors", token(t, "root", "ADMIN"), "")
	require.Equal(t, http.StatusOK, status)
	metrics := get(t, at+"/metrics")
	require.Contains(t, metrics, "pgbell_connections{transport=\"sse\"} ")
	require.Contains(t, metrics, "pgbell_history_read_seconds_count")
}
