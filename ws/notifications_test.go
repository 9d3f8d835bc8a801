package ws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
)

// ledger is Notifications: how many are unread, by user.
type ledger struct {
	mu     sync.Mutex
	unread map[string]int64
	asked  int
	broken bool
}

func newLedger() *ledger { return &ledger{unread: make(map[string]int64)} }

func (l *ledger) Unread(_ context.Context, users []string) (map[string]int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	if l.broken {
		return nil, errors.New("the database's secret")
	}
	counts := make(map[string]int64)
	for _, u := range users {
		counts[u] = l.unread[u]
	}
	return counts, nil
}

func (l *ledger) MarkRead(_ context.Context, user string, ids []int64) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken {
		return 0, errors.New("the database's secret")
	}
	if ids == nil {
		l.unread[user] = 0
	}
	l.unread[user] -= int64(len(ids))
	return l.unread[user], nil
}

func (l *ledger) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// times is how often somebody asked.
func (l *ledger) times() (n int) {
	l.set(func() { n = l.asked })
	return n
}

// notify commits a notification and delivers its event.
func (s *server) notify(user string, l *ledger) {
	l.set(func() { l.unread[user]++ })
	s.change(func(e *pgbell.Event) { e.Body = notificationBody(user, e.ID) })
}

func notificationBody(user string, id int64) pgbell.Body {
	return pgbell.Body{
		Type: "pgbell.notification", Op: pgbell.Publish, Action: "created", Users: []string{user},
		Data: json.RawMessage(fmt.Sprintf(`{"id":%d,"title":"t"}`, id)),
	}
}

func TestNotificationsComeWithTheirCount(t *testing.T) {
	t.Parallel()
	l := newLedger()
	s := serve(t, Options{Notifications: l}, HandlerOptions{}).live()
	one, first := s.connect(t, "u", "")
	two, _ := s.connect(t, "u", "")
	stranger, _ := s.connect(t, "v:ADMIN", "")

	s.notify("u", l)
	for _, c := range []*client{one, two} {
		m := c.expect("notification")
		require.Equal(t, "t", m.Data["title"])
		require.InDelta(t, 1, m.Data["unread"], 0)
		require.NotEmpty(t, m.Cursor)
	}
	require.Equal(t, 1, l.times(), "once for both")

	// Two that did not see each other: the last count is right.
	l.set(func() { l.unread["u"] += 2 })
	for range 2 {
		s.change(func(e *pgbell.Event) { e.Body = notificationBody("u", e.ID) })
	}
	for _, c := range []*client{one, two} {
		c.expect("notification")
		require.InDelta(t, 3, c.expect("notification").Data["unread"], 0)
	}

	s.change(func(e *pgbell.Event) {
		l.set(func() { l.unread["u"] = 1 })
		e.Body = notificationBody("u", e.ID)
		e.Action, e.Data = "read", json.RawMessage(`{"ids":[1,2]}`)
	})
	for _, c := range []*client{one, two} {
		require.Equal(t, map[string]any{"ids": []any{1.0, 2.0}, "unread": 1.0}, c.expect("notifications_read").Data)
	}
	s.change(func(e *pgbell.Event) {
		e.Body = pgbell.Body{Type: "pgbell.notification", Op: pgbell.Reset, Reason: "changed", Users: []string{"u"}}
	})
	for _, c := range []*client{one, two} {
		require.Equal(t, map[string]any{"type": "notification", "reason": "changed"}, c.expect("reset").Data)
		c.fence()
	}
	stranger.fence() // a role sees nothing of it

	// Nobody of theirs is here: nobody asks.
	asked := l.times()
	s.notify("absent", l)
	require.Equal(t, asked, l.times())

	// Resumed, by every door.
	again, _ := s.connect(t, "u", first.Cursor)
	for range 3 {
		again.expect("notification")
	}
	require.InDelta(t, 1, again.expect("notifications_read").Data["unread"], 0)
	again.expect("reset")
	again.fence()
	require.Len(t, s.poll(t, "u", "?cursor="+first.Cursor).Events, 5)
	events := s.listen(t, bearer("u"), "?cursor="+first.Cursor)
	events.expect("authenticated")
	events.expect("notification")
}

// TestMissedNotificationsAreCounted: whoever was away when they came.
func TestMissedNotificationsAreCounted(t *testing.T) {
	t.Parallel()
	for _, old := range []bool{false, true} {
		l := newLedger()
		db := newDatabase()
		o := Options{Notifications: l, History: db}
		if old {
			o.WindowBytes = 1 // nothing stays in memory
		}
		s := serve(t, o, HandlerOptions{})
		s.feed = &feed{db: db, hub: s.hub}
		s.live()
		_, first := s.connect(t, "v", "")
		for range 3 {
			l.set(func() { l.unread["u"]++ })
			x := db.begin()
			db.write(x, int(db.nextID)+5000, nil)
			x.events[0].Body = notificationBody("u", x.events[0].ID)
			db.commit(x)
			s.read()
		}
		require.Zero(t, l.times())
		c, _ := s.connect(t, "u", first.Cursor)
		for range 3 {
			require.InDelta(t, 3, c.expect("notification").Data["unread"], 0)
		}
		require.Equal(t, 1, l.times())
		c.fence()
		s.notify("u", l)
		require.InDelta(t, 4, c.expect("notification").Data["unread"], 0)
	}
}

// TestNotificationsWithoutACount: the stream does not depend on who counts.
func TestNotificationsWithoutACount(t *testing.T) {
	t.Parallel()
	l := newLedger()
	s := serve(t, Options{Notifications: l}, HandlerOptions{}).live()
	c, first := s.connect(t, "u", "")
	l.set(func() { l.broken = true })
	for range 3 {
		s.notify("u", l)
		m := c.expect("notification")
		require.Equal(t, "t", m.Data["title"])
		require.NotContains(t, m.Data, "unread")
	}
	require.Equal(t, 1, l.times(), "it is left in peace for a while")
	again, _ := s.connect(t, "u", first.Cursor)
	require.NotContains(t, again.expect("notification").Data, "unread", "told as before")

	bare := serve(t, Options{}, HandlerOptions{}).live()
	c, _ = bare.connect(t, "u", "")
	bare.notify("u", l)
	require.NotContains(t, c.expect("notification").Data, "unread")
	c.send("notification_read", map[string]any{"all": true}, 1)
	require.Equal(t, "unknown_event", c.expect("error").Data["code"])
}

func TestNotificationsAreMarkedByTheSocket(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.unread["u"] = 5
	s := serve(t, Options{Notifications: l}, HandlerOptions{}).live()
	c, _ := s.connect(t, "u", "")
	c.send("notification_read", map[string]any{"ids": []int{1, 2}}, "a")
	m := c.expect("ack")
	require.Equal(t, `"a"`, string(m.ID))
	require.Equal(t, map[string]any{"unread": 3.0}, m.Data)
	for _, wrong := range []any{
		nil,
		map[string]any{},
		map[string]any{"all": false},
		map[string]any{"ids": nil},
		map[string]any{"all": true, "ids": []int{1}},
		map[string]any{"ids": []string{"1"}},
		map[string]any{"ids": 1},
		map[string]any{"ids": []float64{1.5}},
		map[string]any{"id": []int{1}},
		map[string]any{"ids": make([]int, 1001)},
		[]int{1},
		"all",
	} {
		c.send("notification_read", wrong, 2)
		require.Equal(t, "bad_request", c.expect("error").Data["code"], wrong)
	}
	c.send("notification_read", map[string]any{"all": true}, nil)
	require.Equal(t, map[string]any{"unread": 0.0}, c.expect("ack").Data)
	l.set(func() { l.broken = true })
	c.send("notification_read", map[string]any{"all": true}, 3)
	m = c.expect("error")
	require.Equal(t, "notifications_unavailable", m.Data["code"])
	require.Equal(t, true, m.Data["retryable"])
	require.NotContains(t, fmt.Sprint(m.Data), "secret")
	c.fence() // the session goes on
}

// inbox is an Inbox.
type inbox struct {
	page   func(user string, q NotificationsQuery) (NotificationsPage, error)
	wanted map[string][]Preference
}

func (i inbox) Notifications(_ context.Context, user string, q NotificationsQuery) (NotificationsPage, error) {
	return i.page(user, q)
}

func (i inbox) Preferences(_ context.Context, user string) ([]Preference, error) {
	if user == "broken" {
		return nil, errors.New("the database's secret")
	}
	return i.wanted[user], nil
}

func (i inbox) SetPreferences(_ context.Context, user string, all []Preference) error {
	if user == "broken" {
		return errors.New("the database's secret")
	}
	i.wanted[user] = all
	return nil
}

func (s *server) ask(t testing.TB, method, path, token, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header = bearer(token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text)
}

func TestInboxOverHTTP(t *testing.T) {
	t.Parallel()
	cursor := pgbell.NewCursor(1, &pgbell.Snapshot{Xmin: 7, Xmax: 9})
	var who string
	var asked NotificationsQuery
	l := newLedger()
	l.unread["u"] = 5
	s := serve(t, Options{Notifications: l, MessageRate: 1000, MessageBurst: 1000}, HandlerOptions{Inbox: inbox{wanted: map[string][]Preference{}, page: func(user string, q NotificationsQuery) (NotificationsPage, error) {
		who, asked = user, q
		switch user {
		case "broken":
			return NotificationsPage{}, errors.New("the database's secret")
		case "nobody":
			return NotificationsPage{Cursor: cursor}, nil
		}
		return NotificationsPage{Notifications: []json.RawMessage{json.RawMessage(`{"id":9}`), json.RawMessage("{\"id\":\"\xff\"}")}, Unread: 7, Cursor: cursor, Next: 9}, nil
	}}}).live()

	response, text := s.get(t, "GET", "/api/notifications?limit=5&before=12&unread=true", bearer("u"))
	require.Equal(t, http.StatusOK, response.StatusCode, text)
	require.Equal(t, `{"notifications":[{"id":9},{"id":"`+"\uFFFD"+`"}],"unread":7,"cursor":"`+cursor.String()+`","next":9}`+"\n", text)
	require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
	require.Equal(t, "u", who)
	require.Equal(t, NotificationsQuery{Before: 12, Unread: true, Limit: 5}, asked)
	_, text = s.ask(t, "GET", "/api/notifications?limit=1000", "nobody", "")
	require.Equal(t, `{"notifications":[],"unread":0,"cursor":"`+cursor.String()+`"}`+"\n", text)
	require.Equal(t, NotificationsQuery{Limit: 100}, asked)
	for _, query := range []string{"limit=0", "limit=x", "before=0", "before=-1", "before=9223372036854775808", "unread=1", "unread=", "page=1", "limit=1&limit=2", "%zz"} {
		status, text := s.ask(t, "GET", "/api/notifications?"+query, "u", "")
		require.Equal(t, http.StatusBadRequest, status, query)
		require.Contains(t, text, "bad_request")
	}
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/api/notifications", ""},
		{"GET", "/api/notifications/preferences", ""},
		{"PUT", "/api/notifications/preferences", `{"preferences":[]}`},
	} {
		status, text := s.ask(t, c.method, c.path, "broken", c.body)
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Contains(t, text, "notifications_unavailable")
		require.NotContains(t, text, "secret")
		response, _ := s.get(t, c.method, c.path, http.Header{})
		require.Equal(t, http.StatusUnauthorized, response.StatusCode)
		response, _ = s.get(t, "OPTIONS", c.path, http.Header{"Origin": {s.url}})
		require.Contains(t, response.Header.Get("Access-Control-Allow-Methods"), c.method)
		response, _ = s.get(t, c.method, c.path, with(bearer("u"), "Origin", "https://evil.example"))
		require.Equal(t, http.StatusForbidden, response.StatusCode)
	}

	status, text := s.ask(t, "POST", "/api/notifications/read", "u", `{"ids":[1,2]}`)
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"unread":3}`, text)
	for _, body := range []string{"", "{}", `{"ids":[1]} {}`, `{"all":true}}`, `{"ids":[1` + strings.Repeat(",1", 1000) + `]}`} {
		status, _ = s.ask(t, "POST", "/api/notifications/read", "u", body)
		require.Equal(t, http.StatusBadRequest, status, body)
	}
	status, _ = s.ask(t, "POST", "/api/notifications/read", "u", strings.Repeat(" ", maxInboxBody+1))
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
	_, text = s.ask(t, "POST", "/api/notifications/read", "u", `{"all":true}`)
	require.JSONEq(t, `{"unread":0}`, text)
	l.set(func() { l.broken = true })
	status, text = s.ask(t, "POST", "/api/notifications/read", "u", `{"all":true}`)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.NotContains(t, text, "secret")

	_, text = s.ask(t, "GET", "/api/notifications/preferences", "u", "")
	require.JSONEq(t, `{"preferences":[]}`, text)
	status, text = s.ask(t, "PUT", "/api/notifications/preferences", "u", `{"preferences":[{"type":"booking.accepted","delivery":"muted"},{"audience":"client","delivery":"in_app"}]}`)
	require.Equal(t, http.StatusOK, status, text)
	want := `{"preferences":[{"type":"booking.accepted","audience":"*","delivery":"muted"},{"type":"*","audience":"client","delivery":"in_app"}]}`
	require.JSONEq(t, want, text)
	_, text = s.ask(t, "GET", "/api/notifications/preferences", "u", "")
	require.JSONEq(t, want, text)
	for _, body := range []string{
		"", "{}", `{"preferences":[{}]}`, `{"preferences":[{"delivery":"email"}]}`, `{"preferences":[{"delivery":"muted","type":"a b"}]}`,
		`{"preferences":[{"delivery":"muted","audience":"\u0000"}]}`, `{"preferences":[{"delivery":"muted","audience":"` + strings.Repeat("a", 129) + `"}]}`,
		`{"preferences":[{"delivery":"muted"},{"delivery":"in_app","type":"*"}]}`,
		`{"preferences":[{"delivery":"muted"}` + strings.Repeat(`,{"delivery":"muted"}`, 200) + `]}`, `{"preferences":[],"more":1}`,
	} {
		status, _ = s.ask(t, "PUT", "/api/notifications/preferences", "u", body)
		require.Equal(t, http.StatusBadRequest, status, body)
	}

	bare := serve(t, Options{}, HandlerOptions{}).live()
	for _, path := range []string{"/api/notifications", "/api/notifications/preferences"} {
		status, _ = bare.ask(t, "GET", path, "u", "")
		require.Equal(t, http.StatusNotFound, status)
	}
}

func TestNotifyByHTTP(t *testing.T) {
	t.Parallel()
	var got Notice
	s := serve(t, Options{MessageRate: 1000, MessageBurst: 1000}, HandlerOptions{ServiceRoles: []string{"SERVICE"}, Publisher: publisherFunc(func(_ context.Context, p Publication) (int64, error) {
		got = Notice{}
		return 2, json.Unmarshal(p.Data, &got)
	})}).live()
	service := bearer("app:SERVICE")
	body := func(data, targets string) string {
		return `{"event":{"type":"notification","action":"invoice_due"},"data":` + data + `,` + targets + `}`
	}
	const users = `"targetUsers":["u1","u2"]`
	status, text := s.post(t, body(`{"title":"Pay","message":"by Monday","level":"warning","data":{"n":1.50}}`, users), with(service, "Idempotency-Key", "k"))
	require.Equal(t, http.StatusAccepted, status, text)
	require.JSONEq(t, `{"notifications":2}`, text)
	require.Equal(t, Notice{
		Users: []string{"u1", "u2"}, Title: "Pay", Message: "by Monday", Level: "warning", Type: "invoice_due",
		Data: json.RawMessage(`{"n":1.50}`), IdempotencyKey: "app\nk",
	}, got)
	status, _ = s.post(t, body(`{"title":"Pay"}`, users), service)
	require.Equal(t, http.StatusAccepted, status)
	require.Equal(t, "info", got.Level)
	for name, wrong := range map[string]string{
		"no data":      `{"event":{"type":"notification","action":"a"},` + users + `}`,
		"no object":    body(`[]`, users),
		"no title":     body(`{"message":"m"}`, users),
		"long title":   body(`{"title":"`+strings.Repeat("é", 501)+`"}`, users),
		"long message": body(`{"title":"t","message":"`+strings.Repeat("é", 4001)+`"}`, users),
		"zero byte":    body(`{"title":"t\u0000"}`, users),
		"level":        body(`{"title":"t","level":"fatal"}`, users),
		"unknown":      body(`{"title":"t","text":"x"}`, users),
		"large":        body(`{"title":"t","data":"`+strings.Repeat("x", 64<<10)+`"}`, users),
		"deep":         body(`{"title":"t","data":`+strings.Repeat("[", 9001)+strings.Repeat("]", 9001)+`}`, users),
		"roles":        body(`{"title":"t"}`, users+`,"targetRoles":["A"]`),
		"everybody":    body(`{"title":"t"}`, `"targetRooms":["*"]`),
	} {
		status, text := s.post(t, wrong, service)
		require.Equal(t, http.StatusBadRequest, status, name+text)
	}
	status, _ = s.post(t, body(`{"title":"Pay"}`, users), bearer("u"))
	require.Equal(t, http.StatusForbidden, status)
}

func FuzzNotice(f *testing.F) {
	f.Add([]byte(`{"title":"t","message":"m","level":"info","data":{"a":[1]}}`))
	f.Add([]byte("{\"title\":\"\xff\",\"level\":\"error\"}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := decodeNotice(Publication{Type: notificationType, Action: "a", Users: []string{"u"}, Data: data})
		if err != nil {
			return
		}
		if n.Title == "" || len(n.Data) > 0 && !json.Valid(n.Data) {
			t.Fatalf("%+v", n)
		}
	})
}

func FuzzReading(f *testing.F) {
	f.Add([]byte(`{"ids":[1,2]}`))
	f.Add([]byte(`{"all":true}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		ids, err := decodeReading(data)
		if err == nil && (len(ids) > maxReadIDs || ids == nil && !strings.Contains(strings.ToLower(string(data)), "all")) {
			t.Fatalf("%q %v", data, ids)
		}
	})
}

func FuzzPreferences(f *testing.F) {
	f.Add([]byte(`{"preferences":[{"type":"booking.accepted","audience":"client","delivery":"muted"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := decodePreferences(data)
		if err != nil {
			return
		}
		seen := make(map[Preference]bool)
		for _, p := range all {
			if key := (Preference{p.Type, p.Audience, ""}); seen[key] || p.Type == "" || p.Audience == "" {
				t.Fatalf("%+v", all)
			} else {
				seen[key] = true
			}
		}
	})
}
