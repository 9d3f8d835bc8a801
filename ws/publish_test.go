package ws

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
)

// publisherFunc is a Publisher.
type publisherFunc func(context.Context, Publication) (int64, error)

func (f publisherFunc) Publish(ctx context.Context, p Publication) (int64, error) { return f(ctx, p) }

// Notify is told apart by its type.
func (f publisherFunc) Notify(ctx context.Context, n Notice) (int, error) {
	text, err := json.Marshal(n)
	if err != nil {
		return 0, err
	}
	made, err := f(ctx, Publication{Type: notificationType, Data: text})
	return int(made), err
}

func (s *server) post(t testing.TB, body string, header http.Header) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/api/socket", strings.NewReader(body))
	require.NoError(t, err)
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text)
}

func TestPublishByHTTP(t *testing.T) {
	t.Parallel()
	var got Publication
	s := serve(t, Options{MessageRate: 1000, MessageBurst: 1000}, HandlerOptions{ServiceRoles: []string{"SERVICE"}, Publisher: publisherFunc(func(_ context.Context, p Publication) (int64, error) {
		got = p
		switch p.Event() {
		case "conflict":
			return 0, ErrIdempotencyKey
		case "mistake":
			return 0, Mistake("Do it otherwise.")
		case "broken":
			return 0, errors.New("the database's secret")
		}
		return 81, nil
	})}).live()
	service := bearer("app:USER,SERVICE")
	status, text := s.post(t, `{"event": {"type": "notice", "action": "sent"}, "data": {"price": 1.50}, "targetUsers": ["u1"], "targetRoles": ["A"], "targetRooms": ["*"]}`, with(service, "Idempotency-Key", "k 1"))
	require.Equal(t, http.StatusAccepted, status, text)
	require.JSONEq(t, `{"id":81}`, text)
	require.Equal(t, Publication{
		Type: "notice", Action: "sent", Data: json.RawMessage(`{"price": 1.50}`),
		Users: []string{"u1"}, Roles: []string{"A"}, Rooms: []string{"*"}, IdempotencyKey: "app\nk 1",
	}, got)
	status, _ = s.post(t, `{"event": {"type": "notice", "action": "sent"}, "targetUsers": ["u1"]}`, service)
	require.Equal(t, http.StatusAccepted, status)
	require.Equal(t, "{}", string(got.Data))
	require.Empty(t, got.IdempotencyKey)

	for _, token := range []string{"app", "app:USER"} {
		status, text = s.post(t, `{}`, bearer(token))
		require.Equal(t, http.StatusForbidden, status)
		require.Contains(t, text, `"forbidden"`)
	}
	status, _ = s.post(t, `{}`, http.Header{})
	require.Equal(t, http.StatusUnauthorized, status)

	const event = `"event":{"type":"n","action":"a"}`
	for name, test := range map[string]struct {
		body, key string
		status    int
		says      string
	}{
		"no JSON":        {"{", "", 400, "body is not"},
		"two":            {`{` + event + `,"targetUsers":["u"]} {}`, "", 400, "more than one"},
		"unknown field":  {`{` + event + `,"targetUser":["u"]}`, "", 400, `targetUser`},
		"no type":        {`{"event":{"action":"a"},"targetUsers":["u"]}`, "", 400, "event.type"},
		"a signal":       {`{"event":{"type":"pgbell.revocation","action":"a"},"targetUsers":["u"]}`, "", 400, "event.type"},
		"a line break":   {`{"event":{"type":"n\n","action":"a"},"targetUsers":["u"]}`, "", 400, "event.type"},
		"no action":      {`{"event":{"type":"n"},"targetUsers":["u"]}`, "", 400, "event.action"},
		"nobody":         {`{` + event + `}`, "", 400, "nobody"},
		"empty user":     {`{` + event + `,"targetUsers":[""]}`, "", 400, "Targets"},
		"zero byte":      {`{` + event + `,"targetUsers":["a\u0000"]}`, "", 400, "Targets"},
		"many users":     {`{` + event + `,"targetUsers":["u"` + strings.Repeat(`,"u"`, 1000) + `]}`, "", 400, "1000"},
		"many roles":     {`{` + event + `,"targetRoles":["u"` + strings.Repeat(`,"u"`, 100) + `]}`, "", 400, "100"},
		"much data":      {`{` + event + `,"targetUsers":["u"],"data":"` + strings.Repeat("x", 256<<10) + `"}`, "", 400, "256 KiB"},
		"many parts":     {`{` + event + `,"targetUsers":["u"],"data":[` + strings.Repeat("{},", 9000) + `1]}`, "", 400, "9000"},
		"far too much":   {`{` + event + `,"data":"` + strings.Repeat("x", maxPublication) + `"}`, "", 413, "body_too_large"},
		"a bad key":      {`{` + event + `,"targetUsers":["u"]}`, "\u00e9", 400, "Idempotency-Key"},
		"a long key":     {`{` + event + `,"targetUsers":["u"]}`, strings.Repeat("k", 201), 400, "Idempotency-Key"},
		"conflict":       {`{"event":{"type":"conflict","action":"a"},"targetUsers":["u"]}`, "", 409, "idempotency_conflict"},
		"mistake":        {`{"event":{"type":"mistake","action":"a"},"targetUsers":["u"]}`, "", 400, "Do it otherwise."},
		"cannot publish": {`{"event":{"type":"broken","action":"a"},"targetUsers":["u"]}`, "", 503, "unavailable"},
	} {
		header := service.Clone()
		if test.key != "" {
			header.Set("Idempotency-Key", test.key)
		}
		status, text := s.post(t, test.body, header)
		require.Equal(t, test.status, status, "%s: %s", name, text)
		require.Contains(t, text, test.says, name)
		require.NotContains(t, text, "secret")
	}

	s = serve(t, Options{}, HandlerOptions{ServiceRoles: []string{"SERVICE"}}).live()
	status, _ = s.post(t, `{`+event+`,"targetUsers":["u"]}`, service)
	require.Equal(t, http.StatusForbidden, status, "nobody takes it")
}

// Event is what tests tell publications apart by.
func (p Publication) Event() string { return p.Type }

// TestPublishedReachesWhomItIsFor, live and on resume, by every door.
func TestPublishedReachesWhomItIsFor(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{Authenticator: tokens{rooms: []string{"lobby"}}}, HandlerOptions{}).live()
	c, m := s.connect(t, "u:ADMIN", "")
	for _, to := range []pgbell.Body{
		{Users: []string{"x", "u"}},
		{Watchers: []string{"ADMIN"}},
		{Rooms: []string{"lobby"}},
		{Rooms: []string{pgbell.Everybody}, Users: []string{"u"}, Watchers: []string{"ADMIN"}},
		{Users: []string{"x"}, Watchers: []string{"OTHER"}, Rooms: []string{"elsewhere"}},
	} {
		s.change(func(e *pgbell.Event) {
			e.Body = pgbell.Body{Type: "notice", Op: pgbell.Publish, Action: "sent", Data: json.RawMessage(`{"n":1}`), Users: to.Users, Watchers: to.Watchers, Rooms: to.Rooms}
		})
	}
	resumed, _ := s.connect(t, "u:ADMIN", m.Cursor)
	for _, one := range []*client{c, resumed} {
		for range 4 {
			require.Equal(t, "publish", one.expect("notice_update").Data["op"])
		}
		one.fence()
	}
	require.Len(t, s.poll(t, "u:ADMIN", "?cursor="+m.Cursor).Events, 4)
	require.Len(t, s.poll(t, "v", "?cursor="+m.Cursor).Events, 2, "the room of the token, and everybody")
}

func TestStatus(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{}, HandlerOptions{Version: "v1", AdminRoles: []string{"ROOT"}, ServiceRoles: []string{"SERVICE"}}).live()
	s.connect(t, "u", "")
	s.connect(t, "u:ADMIN", "")
	s.listen(t, bearer("v"), "").expect("authenticated")
	get := func(path, token string) (int, map[string]any) {
		response, text := s.get(t, "GET", path, bearer(token))
		var m map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &m), text)
		return response.StatusCode, m
	}
	code, m := get("/api/socket", "x")
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "v1", m["version"])
	require.Equal(t, true, m["live"])
	require.Equal(t, map[string]any{"total": 3.0, "websocket": 2.0, "sse": 1.0, "poll": 0.0, "socketio": 0.0}, m["connections"])
	require.InDelta(t, 2, m["users"], 0)
	require.InDelta(t, 3, m["rooms"], 0)
	require.NotContains(t, m, "connected")
	for _, token := range []string{"x:ROOT", "x:SERVICE"} {
		_, m = get("/api/socket", token)
		list := m["connected"].([]any)
		require.Len(t, list, 2)
		first := list[0].(map[string]any)
		require.Equal(t, "u", first["userId"])
		require.InDelta(t, 2, first["sessions"], 0)
		require.Equal(t, []any{"ADMIN"}, first["roles"])
		require.Equal(t, []any{"websocket"}, first["transports"])
		require.NotContains(t, m, "next")
	}
	_, m = get("/api/socket?limit=1", "x:ROOT")
	require.Equal(t, "u", m["next"])
	_, m = get("/api/socket?limit=1&after=u", "x:ROOT")
	require.Equal(t, "v", m["connected"].([]any)[0].(map[string]any)["userId"])
	code, _ = get("/api/socket?limit=0", "x")
	require.Equal(t, http.StatusBadRequest, code)
	response, _ := s.get(t, "GET", "/api/socket", http.Header{"Cookie": {cookieName + "=u"}})
	require.Equal(t, http.StatusUnauthorized, response.StatusCode, "the cookie is for events alone")

	for _, token := range []string{"x", "x:SERVICE"} {
		code, m = get("/api/socket/errors", token)
		require.Equal(t, http.StatusForbidden, code)
		require.Equal(t, "stop", m["action"])
	}
	for range 3 {
		get("/api/socket", "unknown")
	}
	c, _ := s.connect(t, "w", "")
	c.send("nonsense", nil, 1)
	c.expect("error")
	code, m = get("/api/socket/errors", "x:ROOT")
	require.Equal(t, http.StatusOK, code)
	require.InDelta(t, 8, m["total"], 0)
	require.InDelta(t, 3, m["retryable"], 0)
	require.Equal(t, map[string]any{"code": "auth_unavailable", "count": 3.0}, m["mostCommon"].([]any)[0])
	require.InDelta(t, 2, m["byCode"].(map[string]any)["forbidden"].(map[string]any)["count"], 0)
	last := m["recent"].([]any)[0].(map[string]any)
	require.Equal(t, "unknown_event", last["code"])
	require.Equal(t, "websocket", last["transport"])
	require.Equal(t, "w", last["userId"])
	require.Len(t, m["recent"], 8)
}

func TestErrorLogIsBounded(t *testing.T) {
	t.Parallel()
	h := NewHub(Options{})
	for i := range 3*recentErrors + 7 {
		h.failed(Errors[i%len(Errors)], "", "")
	}
	r := h.Errors()
	require.EqualValues(t, 3*recentErrors+7, r.Total)
	require.Len(t, r.Recent, recentErrors)
	require.Len(t, r.MostCommon, 10)
	require.Equal(t, Errors[(3*recentErrors+6)%len(Errors)].Code, r.Recent[0].Code)
}

func FuzzPublication(f *testing.F) {
	f.Add([]byte(`{"event":{"type":"n","action":"a"},"data":[1.50],"targetUsers":["u"]}`))
	f.Add([]byte("{\"event\":{\"type\":\"n\",\"action\":\"a\"},\"data\":\"\xff\",\"targetRooms\":[\"*\"]}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := decodePublication(body)
		if err != nil {
			return
		}
		if !json.Valid(p.Data) || len(p.Users)+len(p.Roles)+len(p.Rooms) == 0 || strings.ContainsAny(p.Type, ".\n") {
			t.Fatalf("%+v", p)
		}
	})
}
