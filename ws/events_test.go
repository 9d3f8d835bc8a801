package ws

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
)

// eventSource reads server-sent events as the standard says.
type eventSource struct {
	t     testing.TB
	body  io.ReadCloser
	lines *bufio.Scanner
	id    string // the last
	retry string // the last
	notes int    // comments
}

// sent is one message of an eventSource.
type sent struct{ Event, ID, Data string }

func (s *server) request(t testing.TB, method, path string, header http.Header) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, http.NoBody)
	require.NoError(t, err)
	request.Header = header.Clone()
	response, err := (&http.Transport{}).RoundTrip(request)
	require.NoError(t, err)
	t.Cleanup(func() { response.Body.Close() })
	return response
}

func with(header http.Header, pairs ...string) http.Header {
	header = header.Clone()
	for i := 0; i < len(pairs); i += 2 {
		header.Set(pairs[i], pairs[i+1])
	}
	return header
}

func (s *server) listen(t testing.TB, header http.Header, query string) *eventSource {
	t.Helper()
	response := s.request(t, "GET", "/api/events"+query, with(header, "Accept", "text/event-stream"))
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "text/event-stream; charset=utf-8", response.Header.Get("Content-Type"))
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 4<<20)
	return &eventSource{t: t, body: response.Body, lines: lines}
}

// next reads a message; none is the end of the stream.
func (e *eventSource) next() (sent, bool) {
	m := sent{ID: e.id}
	for e.lines.Scan() {
		line := e.lines.Text()
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			if m.Event != "" {
				e.id = m.ID
				return m, true
			}
		case name == "":
			e.notes++
		case name == "event":
			m.Event = value
		case name == "id":
			m.ID = value
		case name == "data":
			m.Data += value
		case name == "retry":
			e.retry = value
		default:
			require.Fail(e.t, "a line that is none", line)
		}
	}
	return sent{}, false
}

func (e *eventSource) expect(event string) sent {
	e.t.Helper()
	m, ok := e.next()
	require.True(e.t, ok, "the stream ended")
	require.Equal(e.t, event, m.Event, m.Data)
	require.True(e.t, json.Valid([]byte(m.Data)), m.Data)
	return m
}

func (e *eventSource) expectEnd(code int, reason string) {
	e.t.Helper()
	m := e.expect("close")
	require.JSONEq(e.t, string(plainJSON(closeData{code, reason})), m.Data)
	_, more := e.next()
	require.False(e.t, more)
}

// polled is an answer of GET /api/events.
type polled struct {
	Events []message
	Cursor string
}

func (s *server) poll(t testing.TB, token, query string) polled {
	t.Helper()
	response, text := s.get(t, "GET", "/api/events"+query, bearer(token))
	require.Equal(t, http.StatusOK, response.StatusCode, text)
	var p polled
	require.NoError(t, json.Unmarshal([]byte(text), &p), text)
	require.NotEmpty(t, p.Cursor)
	require.NotNil(t, p.Events)
	return p
}

func (p polled) names() (names []string) {
	for _, e := range p.Events {
		names = append(names, e.Event)
	}
	return names
}

func TestEventStream(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{}, HandlerOptions{}).live()
	e := s.listen(t, bearer("u"), "")
	require.Contains(t, e.expect("authenticated").Data, `"userId":"u"`)
	require.Equal(t, "2000", e.retry)
	require.NotEmpty(t, e.id)
	s.changeOwner("u")
	s.change(func(ev *pgbell.Event) {
		ev.Owners, ev.Data = map[string]string{"client": "u"}, json.RawMessage("{\"x\":\r\n[1,\n2]}")
	})
	first := e.expect("booking_update")
	second := e.expect("booking_update")
	require.Contains(t, second.Data, `"data":{"x":  [1, 2]}`, "one line")
	require.NotEqual(t, first.ID, second.ID, "each has its cursor")
	s.changeOwner("v")
	s.changeOwner("u")
	third := e.expect("booking_update")

	// Cut at any of them and going on, by each way to say where.
	for _, again := range []*eventSource{
		s.listen(t, with(bearer("u"), "Last-Event-ID", first.ID), "?cursor="+third.ID),
		s.listen(t, bearer("u"), "?cursor="+first.ID),
		s.listen(t, bearer("u"), "?lastEventId="+first.ID),
	} {
		m := again.expect("authenticated")
		require.Contains(t, m.Data, `"recovered":true`)
		require.Equal(t, first.ID, m.ID)
		require.Equal(t, second.Data, again.expect("booking_update").Data)
		require.Equal(t, third.Data, again.expect("booking_update").Data)
	}
	// The WebSocket goes on where the stream was.
	c, m := s.connect(t, "u", second.ID)
	require.Equal(t, true, m.Data["recovered"])
	c.expect("booking_update")
	c.fence()
	// What cannot be resumed is told.
	lost := s.listen(t, bearer("u"), "?cursor=nonsense")
	require.Contains(t, lost.expect("authenticated").Data, `"recovered":false`)
	require.Contains(t, lost.expect("reset").Data, `"reason":"cursor"`)
	require.NotEmpty(t, lost.id)
}

// changeOwner inserts a row that belongs to somebody.
func (s *server) changeOwner(user string) {
	s.change(func(e *pgbell.Event) { e.Owners = map[string]string{"client": user} })
}

func TestEventStreamKeepsAlive(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{PingInterval: 20 * time.Millisecond}, HandlerOptions{}).live()
	e := s.listen(t, bearer("u"), "")
	e.expect("authenticated")
	for e.notes < 3 {
		require.True(t, e.lines.Scan())
		if strings.HasPrefix(e.lines.Text(), ":") {
			e.notes++
		}
	}
}

func TestEventStreamIsRefused(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{MaxPerUser: 1}, HandlerOptions{Origins: []string{"https://app.example"}}).live()
	stream := func(h http.Header) http.Header { return with(h, "Accept", "text/event-stream") }
	cookie := func(token string) http.Header { return http.Header{"Cookie": {cookieName + "=" + token}} }
	one := s.listen(t, bearer("full"), "")
	one.expect("authenticated")
	for name, test := range map[string]struct {
		header http.Header
		query  string
		status int
		code   string
	}{
		"no token":               {http.Header{}, "", 401, "auth_required"},
		"a token in the URL":     {http.Header{}, "?token=u&access_token=u", 401, "auth_required"},
		"bad":                    {bearer("bad"), "", 401, "token_invalid"},
		"expired":                {bearer("old"), "", 401, "token_expired"},
		"cannot be verified":     {bearer("unknown"), "", 503, "auth_unavailable"},
		"another page":           {with(bearer("u"), "Origin", "https://evil.example"), "", 403, "origin_forbidden"},
		"too many":               {bearer("full"), "", 429, "too_many_connections"},
		"bad query":              {bearer("u"), "?limit=0", 400, "bad_request"},
		"cookie of another page": {with(cookie("u"), "Sec-Fetch-Site", "cross-site"), "", 401, "auth_required"},
		"cookie, bad":            {cookie("bad"), "", 204, ""},
		"cookie, expired":        {cookie("old"), "", 204, ""},
	} {
		response, text := s.get(t, "GET", "/api/events"+test.query, stream(test.header))
		require.Equal(t, test.status, response.StatusCode, name)
		if test.code == "" {
			require.Empty(t, text)
			continue
		}
		require.Contains(t, text, `"code":"`+test.code+`"`, name)
		require.Equal(t, test.status == 429 || test.status == 503, response.Header.Get("Retry-After") != "", name)
	}
	// An EventSource gives up on a status, so it is told by a stream.
	for token, code := range map[string]string{"unknown": "auth_unavailable", "full": "too_many_connections"} {
		e := s.listen(t, cookie(token), "")
		require.Contains(t, e.expect("error").Data, code)
		require.Greater(t, e.retry, "5")
		e.expectEnd(errorOf(code).Close, code)
	}
	response, _ := s.get(t, "HEAD", "/api/events", stream(bearer("u")))
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
}

func TestEventStreamEnds(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{Authenticator: tokens{ttl: 300 * time.Millisecond}}, HandlerOptions{}).live()
	e := s.listen(t, bearer("u"), "")
	e.expect("authenticated")
	require.Contains(t, e.expect("auth_error").Data, "token_expired")
	e.expectEnd(CloseExpired, "token_expired")

	s = serve(t, Options{Authenticator: numbered{time.Now()}, Revocations: nothingRevoked}, HandlerOptions{}).live()
	e = s.listen(t, bearer("u/1"), "")
	e.expect("authenticated")
	s.change(revocation(Revocation{Subject: "u", RevokedAt: time.Now().Add(time.Hour)}))
	require.Contains(t, e.expect("auth_error").Data, "token_revoked")
	e.expectEnd(CloseRevoked, "token_revoked")

	s = serve(t, Options{}, HandlerOptions{}).live()
	e = s.listen(t, bearer("u"), "")
	e.expect("authenticated")
	s.changeOwner("u")
	require.NoError(t, s.hub.Drain(t.Context()))
	e.expect("booking_update")
	m := e.expect("close")
	require.Contains(t, m.Data, `{"code":1001,"reason":"retry-after-ms=`+e.retry)
	_, more := e.next()
	require.False(t, more)
	response, _ := s.get(t, "GET", "/api/events", with(bearer("u"), "Accept", "text/event-stream"))
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
}

// TestEventStreamThatNobodyReads is cut, and others do not notice.
func TestEventStreamThatNobodyReads(t *testing.T) {
	t.Parallel()
	closed := make(chan int, 4)
	s := serve(t, Options{
		QueueBytes: 256 << 10, WriteTimeout: time.Second,
		Trace: &Trace{Closed: func(_ string, code int, _ time.Duration) { closed <- code }},
	}, HandlerOptions{}).live()
	stuck := s.listen(t, bearer("u"), "")
	good := s.listen(t, bearer("u"), "")
	good.expect("authenticated")
	for {
		s.change(func(e *pgbell.Event) {
			e.Owners, e.Data = map[string]string{"client": "u"}, large(64<<10)
		})
		good.expect("booking_update")
		select {
		case code := <-closed:
			require.Contains(t, []int{CloseSlow, 1006}, code)
			stuck.body.Close()
			return
		default:
		}
	}
}

func TestCookie(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{}, HandlerOptions{Origins: []string{"https://app.example", "*"}}).live()
	get := func(header http.Header) *http.Cookie {
		response, text := s.get(t, "POST", "/api/events/cookie", header)
		require.Equal(t, http.StatusNoContent, response.StatusCode, text)
		require.Len(t, response.Cookies(), 1)
		return response.Cookies()[0]
	}
	c := get(with(bearer("u"), "Origin", "https://app.example", "Sec-Fetch-Site", "same-site"))
	require.True(t, c.HttpOnly && c.Secure && !c.Partitioned)
	require.Equal(t, http.SameSiteStrictMode, c.SameSite)
	require.Equal(t, "/api/events", c.Path)
	require.InDelta(t, 3600, c.MaxAge, 5)
	e := s.listen(t, with(http.Header{}, "Cookie", c.Name+"="+c.Value, "Origin", "https://app.example"), "")
	require.Contains(t, e.expect("authenticated").Data, `"userId":"u"`)
	// Also for polling.
	response, _ := s.get(t, "GET", "/api/events", with(http.Header{}, "Cookie", c.Name+"="+c.Value))
	require.Equal(t, http.StatusOK, response.StatusCode)
	// But for nothing else, and for no page that is only one of all.
	response, _ = s.get(t, "GET", "/api/events", with(http.Header{}, "Cookie", c.Name+"="+c.Value, "Origin", "https://evil.example"))
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)
	require.Empty(t, response.Header.Get("Access-Control-Allow-Credentials"))

	c = get(with(bearer("u"), "Origin", "https://app.example", "Sec-Fetch-Site", "cross-site"))
	require.True(t, c.Secure && c.Partitioned)
	require.Equal(t, http.SameSiteNoneMode, c.SameSite)
	c = get(with(bearer("u"), "Origin", s.url))
	require.False(t, c.Secure, "a page that came by http could not keep it")

	response, _ = s.get(t, "DELETE", "/api/events/cookie", http.Header{})
	require.Equal(t, -1, response.Cookies()[0].MaxAge)
	response, _ = s.get(t, "POST", "/api/events/cookie", bearer("bad"))
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)
	require.Empty(t, response.Cookies())
	response, _ = s.get(t, "POST", "/api/events/cookie", bearer(strings.Repeat("u", maxCookie+1)))
	require.Equal(t, http.StatusBadRequest, response.StatusCode)

	response, _ = s.get(t, "OPTIONS", "/api/events", http.Header{"Origin": {"https://app.example"}})
	require.Equal(t, http.StatusNoContent, response.StatusCode)
	require.Equal(t, "true", response.Header.Get("Access-Control-Allow-Credentials"))
	require.Contains(t, response.Header.Get("Access-Control-Allow-Headers"), "Last-Event-ID")
}

func TestPolling(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{}, HandlerOptions{}).live()
	start := s.poll(t, "u", "")
	require.Empty(t, start.Events)
	for range 5 {
		s.changeOwner("u")
		s.changeOwner("v")
	}
	all := s.poll(t, "u", "?cursor="+start.Cursor)
	require.Len(t, all.Events, 5)
	require.Empty(t, s.poll(t, "u", "?cursor="+all.Cursor).Events)

	// Page by page it is the same.
	var paged []message
	for p := start; ; {
		p = s.poll(t, "u", "?limit=2&cursor="+p.Cursor)
		paged = append(paged, p.Events...)
		if len(p.Events) < 2 {
			break
		}
	}
	require.Equal(t, all.Events, paged)
	for _, e := range all.Events {
		require.NotEmpty(t, e.Cursor)
	}
	require.Len(t, s.poll(t, "u", "?cursor="+all.Events[1].Cursor).Events, 3)

	// What cannot be resumed is told, once.
	lost := s.poll(t, "u", "?cursor=nonsense")
	require.Equal(t, []string{"reset"}, lost.names())
	require.Equal(t, lost.Cursor, lost.Events[0].Cursor)
	require.Empty(t, s.poll(t, "u", "?cursor="+lost.Cursor).Events)

	// Nothing new is nothing to send.
	response, _ := s.get(t, "GET", "/api/events?cursor="+all.Cursor, bearer("u"))
	tag := response.Header.Get("ETag")
	response, text := s.get(t, "GET", "/api/events?cursor="+all.Cursor, with(bearer("u"), "If-None-Match", tag))
	require.Equal(t, http.StatusNotModified, response.StatusCode)
	require.Empty(t, text)
	s.changeOwner("u")
	response, _ = s.get(t, "GET", "/api/events?cursor="+all.Cursor, with(bearer("u"), "If-None-Match", tag))
	require.Equal(t, http.StatusOK, response.StatusCode)

	for _, query := range []string{"?limit=x", "?limit=0", "?cursor=a&wait=soon", "?cursor=a&wait=-1", "?cursor=a&wait=NaN", "?cursor=a&wait=-2s", "?%zz"} {
		response, text := s.get(t, "GET", "/api/events"+query, bearer("u"))
		require.Equal(t, http.StatusBadRequest, response.StatusCode, query)
		require.Contains(t, text, "bad_request")
	}
}

func TestLongPolling(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{Authenticator: numbered{time.Now()}, Revocations: nothingRevoked}, HandlerOptions{}).live()
	at := s.poll(t, "u/1", "").Cursor
	type answer struct {
		status int
		text   string
	}
	wait := func(query string) chan answer {
		got := make(chan answer, 1)
		before := s.sessions()
		go func() {
			response, text := s.get(t, "GET", "/api/events"+query, bearer("u/1"))
			got <- answer{response.StatusCode, text}
		}()
		require.Eventually(t, func() bool { return s.sessions() > before }, 10*time.Second, time.Millisecond)
		return got
	}
	got := wait("?wait=30&cursor=" + at)
	s.changeOwner("v")
	s.changeOwner("u")
	a := <-got
	require.Equal(t, http.StatusOK, a.status)
	require.Equal(t, 1, strings.Count(a.text, "booking_update"))

	// The time passes: no events, and the cursor has moved on all the same.
	began := time.Now()
	s.changeOwner("v")
	empty := s.poll(t, "u/1", "?wait=50ms&cursor="+s.poll(t, "u/1", "?cursor="+at).Cursor)
	require.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)
	require.Empty(t, empty.Events)

	got = wait("?wait=30s&cursor=" + empty.Cursor)
	s.change(revocation(Revocation{Subject: "u", RevokedAt: time.Now().Add(time.Hour)}))
	a = <-got
	require.Equal(t, http.StatusUnauthorized, a.status)
	require.Contains(t, a.text, "token_revoked")

	s = serve(t, Options{Authenticator: numbered{time.Now()}}, HandlerOptions{}).live()
	got = wait("?wait=30&cursor=" + s.poll(t, "u/1", "").Cursor)
	require.NoError(t, s.hub.Drain(t.Context()))
	a = <-got
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.Contains(t, a.text, "going_away")
}

// sessions is how many there are.
func (s *server) sessions() int {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	return len(s.hub.sessions)
}

// TestPollWaitsUntilLive has no stream, and then one.
func TestPollWaitsUntilLive(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{RequestTimeout: 100 * time.Millisecond}, HandlerOptions{})
	response, text := s.get(t, "GET", "/api/events", bearer("u"))
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode, text)
	require.Contains(t, text, `"unavailable"`)
	s.live()
	require.NotEmpty(t, s.poll(t, "u", "").Cursor)
	require.Zero(t, s.sessions())
}

// TestPollersAreBounded holds that polling is under the limits of sessions.
func TestPollersAreBounded(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{MaxPerUser: 2, MessageRate: 0.001, MessageBurst: 4}, HandlerOptions{}).live()
	at := s.poll(t, "u", "").Cursor
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 2 {
		go func() {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/api/events?wait=60&cursor="+url.QueryEscape(at), http.NoBody)
			if err != nil {
				return
			}
			request.Header = bearer("u")
			if response, err := http.DefaultClient.Do(request); err == nil {
				response.Body.Close()
			}
		}()
	}
	require.Eventually(t, func() bool { return s.sessions() == 2 }, 10*time.Second, time.Millisecond)
	response, text := s.get(t, "GET", "/api/events?wait=60&cursor="+at, bearer("u"))
	require.Equal(t, http.StatusTooManyRequests, response.StatusCode)
	require.Contains(t, text, "too_many_connections")
	require.NotEmpty(t, response.Header.Get("Retry-After"))
	cancel() // and who hangs up is gone
	require.Eventually(t, func() bool { return s.sessions() == 0 }, 10*time.Second, time.Millisecond)
	response, text = s.get(t, "GET", "/api/events", bearer("u"))
	require.Equal(t, http.StatusTooManyRequests, response.StatusCode)
	require.Contains(t, text, "rate_limited")
	require.NotEmpty(t, s.poll(t, "v", "").Cursor, "others are not concerned")
}

// FuzzEvents throws requests at the door.
func FuzzEvents(f *testing.F) {
	f.Add("cursor=AQ&wait=1ms&limit=3", "u", "text/event-stream;q=0, */*", "x")
	f.Add("wait=1e300", "", "text/event-stream", "")
	f.Add("cursor=%ff", "bad", "text/event-stream;;", "AQEAAAAAAAAAZGQAAA")
	hub := NewHub(Options{Authenticator: tokens{}, RequestTimeout: 5 * time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = hub.Run(ctx) }()
	f.Cleanup(func() { cancel(); <-done })
	handler := NewHandler(hub, HandlerOptions{ClientAddress: ForwardedAddress(nil)})
	newFeed(newDatabase(), hub)
	f.Fuzz(func(t *testing.T, query, token, accept, last string) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/events", http.NoBody)
		r.URL.RawQuery = query
		r.Header["Authorization"], r.Header["Accept"], r.Header["Last-Event-Id"] = []string{"Bearer " + token}, []string{accept}, []string{last}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code >= 500 && w.Code != 503 {
			t.Fatalf("%d: %s", w.Code, w.Body)
		}
		if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") && !json.Valid(w.Body.Bytes()) {
			t.Fatalf("no JSON: %q", w.Body)
		}
	})
}

// TestPollFrames: what comes out is what went in, however long the cursor and
// whatever the text.
func TestPollFrames(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 127, 128, 300, 20_000} {
		e := bookingEvent(1, 2, 3, map[string]string{"client": "u"})
		e.Data = json.RawMessage("{\"x\":\"\xff\"}")
		cursor := strings.Repeat("c", n)
		kind, got, text := splitPollFrame(pollProtocol{}.update(&e, viewOf(&e, "u", false), cursor))
		require.EqualValues(t, pollEvent, kind)
		require.Equal(t, cursor, got)
		require.True(t, json.Valid(text))
		require.Contains(t, string(text), "\uFFFD")
		kind, got, _ = splitPollFrame(pollProtocol{}.signal("cursor", nil, nil, cursor))
		require.EqualValues(t, pollCursor, kind)
		require.Equal(t, cursor, got)
	}
}
