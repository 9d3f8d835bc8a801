package ws

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/ws/auth"
)

// rowsFunc is a RowReader.
type rowsFunc func(context.Context, auth.Identity, RowsQuery) (RowsPage, error)

func (f rowsFunc) ReadRows(ctx context.Context, id auth.Identity, q RowsQuery) (RowsPage, error) {
	return f(ctx, id, q)
}

// get asks for a path by HTTP.
func (s *server) get(t testing.TB, method, path string, header http.Header) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, http.NoBody)
	require.NoError(t, err)
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, string(text)
}

func TestRowsOverHTTP(t *testing.T) {
	t.Parallel()
	cursor := pgbell.NewCursor(1, &pgbell.Snapshot{Xmin: 7, Xmax: 9})
	var who auth.Identity
	var asked RowsQuery
	s := serve(t, Options{}, HandlerOptions{Rows: rowsFunc(func(_ context.Context, id auth.Identity, q RowsQuery) (RowsPage, error) {
		who, asked = id, q
		switch q.Filter["case"] {
		case "unknown":
			return RowsPage{}, ErrUnknownType
		case "mistake":
			return RowsPage{}, Mistake("Do it otherwise.")
		case "broken":
			return RowsPage{}, errors.New("the database's secret")
		case "none":
			return RowsPage{Cursor: cursor}, nil
		}
		return RowsPage{Cursor: cursor, Next: "n\"x", Rows: [][]json.RawMessage{
			{json.RawMessage(`{"id":1,"price":1.50}`)},
			{json.RawMessage(`{"id":2}`), json.RawMessage(`{"note":"n"}`), json.RawMessage(`{"note":"n","more":[1]}`)},
			{json.RawMessage(`{}`)},
			{json.RawMessage("{\"id\":\"\xff\"}")},
		}}, nil
	})}).live()

	response, text := s.get(t, "GET", "/api/rows/booking?status=A%26B&page=p&limit=5", bearer("u:ADMIN"))
	require.Equal(t, http.StatusOK, response.StatusCode, text)
	require.Equal(t, `{"type":"booking","rows":[{"id":1,"price":1.50},{"id":2,"note":"n","more":[1]},null,{"id":"`+"\uFFFD"+`"}],"cursor":"`+cursor.String()+`","next":"n\"x"}`+"\n", text)
	require.Equal(t, "application/json; charset=utf-8", response.Header.Get("Content-Type"))
	require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
	require.Equal(t, RowsQuery{Type: "booking", Filter: map[string]string{"status": "A&B"}, Page: "p", Limit: 5}, asked)
	require.Equal(t, "u", who.UserID)
	require.Equal(t, []string{"ADMIN"}, who.Roles)
	_, text = s.get(t, "GET", "/api/rows/booking?case=none", bearer("u"))
	require.Equal(t, `{"type":"booking","rows":[],"cursor":"`+cursor.String()+`"}`+"\n", text)

	for _, test := range []struct {
		query, token string
		status       int
		code         string
	}{
		{"?case=unknown", "u", 404, "unknown_type"},
		{"?case=mistake", "u", 400, "bad_request"},
		{"?case=broken", "u", 503, "unavailable"},
		{"?a=1&a=2", "u", 400, "bad_request"},
		{"?limit=0", "u", 400, "bad_request"},
		{"?limit=x", "u", 400, "bad_request"},
		{"?a=%zz", "u", 400, "bad_request"},
		{"", "bad", 401, "token_invalid"},
		{"", "old", 401, "token_expired"},
		{"", "unknown", 503, "auth_unavailable"},
		{"?token=u&access_token=u", "", 401, "auth_required"},
	} {
		header := http.Header{}
		if test.token != "" {
			header = bearer(test.token)
		}
		response, text := s.get(t, "GET", "/api/rows/booking"+test.query, header)
		require.Equal(t, test.status, response.StatusCode, "%+v", test)
		require.Contains(t, text, `"code":"`+test.code+`"`)
		require.NotContains(t, text, "secret")
		require.Equal(t, test.status == 401, response.Header.Get("WWW-Authenticate") != "")
	}
	response, _ = s.get(t, "POST", "/api/rows/booking", bearer("u"))
	require.NotEqual(t, http.StatusOK, response.StatusCode)
}

func TestRowsFromOtherOrigins(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{}, HandlerOptions{Origins: []string{"https://app.example"}, Rows: rowsFunc(func(context.Context, auth.Identity, RowsQuery) (RowsPage, error) {
		return RowsPage{}, nil
	})}).live()
	from := func(origin, token string) http.Header {
		h := http.Header{"Origin": {origin}}
		if token != "" {
			h.Set("Authorization", "Bearer "+token)
		}
		return h
	}
	response, _ := s.get(t, "OPTIONS", "/api/rows/booking", from("https://app.example", ""))
	require.Equal(t, http.StatusNoContent, response.StatusCode)
	require.Equal(t, "https://app.example", response.Header.Get("Access-Control-Allow-Origin"))
	require.Contains(t, response.Header.Get("Access-Control-Allow-Headers"), "Authorization")
	require.Empty(t, response.Header.Get("Access-Control-Allow-Credentials"))
	for _, status := range []struct {
		token string
		want  int
	}{{"u", 200}, {"bad", 401}} {
		response, _ = s.get(t, "GET", "/api/rows/booking", from("https://app.example", status.token))
		require.Equal(t, status.want, response.StatusCode)
		require.Equal(t, "https://app.example", response.Header.Get("Access-Control-Allow-Origin"), "errors can be read, too")
		require.Equal(t, "Origin", response.Header.Get("Vary"))
	}
	for _, method := range []string{"GET", "OPTIONS"} {
		response, text := s.get(t, method, "/api/rows/booking", from("https://evil.example", "u"))
		require.Equal(t, http.StatusForbidden, response.StatusCode)
		require.Contains(t, text, "origin_forbidden")
		require.Empty(t, response.Header.Get("Access-Control-Allow-Origin"))
	}
}

// One user's requests at once are bounded, and another's go on.
func TestRowsPerUser(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	s := serve(t, Options{}, HandlerOptions{Rows: rowsFunc(func(_ context.Context, id auth.Identity, _ RowsQuery) (RowsPage, error) {
		if id.UserID == "greedy" {
			entered <- struct{}{}
			<-leave
		}
		return RowsPage{}, nil
	})}).live()
	var wg sync.WaitGroup
	for range rowsPerUser {
		wg.Go(func() {
			response, text := s.get(t, "GET", "/api/rows/booking", bearer("greedy"))
			assert.Equal(t, http.StatusOK, response.StatusCode, text)
		})
	}
	for range rowsPerUser {
		<-entered
	}
	response, text := s.get(t, "GET", "/api/rows/booking", bearer("greedy"))
	require.Equal(t, http.StatusTooManyRequests, response.StatusCode)
	require.Contains(t, text, "rate_limited")
	response, _ = s.get(t, "GET", "/api/rows/booking", bearer("modest"))
	require.Equal(t, http.StatusOK, response.StatusCode)
	close(leave)
	wg.Wait()
}

func TestNoRowsWithoutReader(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{}, HandlerOptions{}).live()
	response, text := s.get(t, "GET", "/api/rows/booking", bearer("u"))
	require.Equal(t, http.StatusNotFound, response.StatusCode)
	require.Contains(t, text, "not_found")
}

// A window that begins in the past serves cursors since, also when nothing
// happened.
func TestWindowIsWarm(t *testing.T) {
	t.Parallel()
	for name, events := range map[string]int{"events": 3, "nothing": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := newDatabase()
			start := pgbell.NewCursor(database.epoch, database.snapshot())
			database.insert("u")
			client := pgbell.NewCursor(database.epoch, database.snapshot())
			for range events {
				database.insert("u")
			}
			s := serve(t, Options{Start: start}, HandlerOptions{})
			s.feed = &feed{db: database, hub: s.hub, cursor: start}
			s.read()
			c, m := s.connect(t, "u", client.String())
			require.Equal(t, true, m.Data["recovered"])
			for i := range events {
				require.EqualValues(t, i+2, c.expect("booking_update").Data["id"])
			}
			c.fence()
			_, m = s.connect(t, "u", pgbell.NewCursor(database.epoch, &pgbell.Snapshot{Xmin: 1, Xmax: 1}).String())
			require.Equal(t, false, m.Data["recovered"], "there is no history, and the window begins later")
		})
	}
}
