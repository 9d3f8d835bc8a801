package ws

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/ws/auth"
)

func TestThrottle(t *testing.T) {
	t.Parallel()
	require.True(t, newThrottle(Rate{}).allow("a"))
	require.True(t, newThrottle(Rate{}).left("a"))
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(Rate{PerSecond: 2, Burst: 3})
		count := func(name string) (n int) {
			for th.allow(name) {
				n++
			}
			return n
		}
		require.True(t, th.left("a"))
		require.Equal(t, 3, count("a"))
		require.False(t, th.left("a"))
		require.Equal(t, 3, count("b"), "each for itself")
		time.Sleep(time.Second)
		require.Equal(t, 2, count("a"))
		// A new generation forgets nobody who was there just now.
		time.Sleep(2 * time.Minute)
		require.Equal(t, 3, count("a"))
		th.since = time.Now().Add(-time.Hour)
		require.Zero(t, count("c")-3)
		require.Zero(t, count("a"))
		// One customer's addresses are one.
		require.Equal(t, 3, count("2001:db8:1:2::1"))
		require.Zero(t, count("2001:db8:1:2:ffff::9"))
		require.Equal(t, 3, count("2001:db8:1:3::1"))

		for i := range 3 * maxThrottled {
			th.allow(fmt.Sprint(i))
		}
		require.LessOrEqual(t, len(th.young)+len(th.old), 2*maxThrottled)
	})
	require.Equal(t, 20, newThrottle(Rate{PerSecond: 2}).burst)
	require.Equal(t, 1, newThrottle(Rate{PerSecond: 0.01}).burst)
}

func TestForwardedAddress(t *testing.T) {
	t.Parallel()
	address := ForwardedAddress([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")})
	for name, test := range map[string]struct {
		remote  string
		headers []string
		want    string
	}{
		"direct":                  {"203.0.113.9:99", nil, "203.0.113.9"},
		"direct, with a claim":    {"203.0.113.9:99", []string{"1.2.3.4"}, "203.0.113.9"},
		"a proxy":                 {"10.1.1.1:99", []string{"198.51.100.7"}, "198.51.100.7"},
		"a proxy, and a claim":    {"10.1.1.1:99", []string{"1.2.3.4, 198.51.100.7"}, "198.51.100.7"},
		"two proxies":             {"10.1.1.1:99", []string{"1.2.3.4, 198.51.100.7,10.2.2.2"}, "198.51.100.7"},
		"two headers":             {"10.1.1.1:99", []string{"1.2.3.4", "198.51.100.7", "10.2.2.2"}, "198.51.100.7"},
		"a proxy without":         {"10.1.1.1:99", nil, "10.1.1.1"},
		"nonsense":                {"10.1.1.1:99", []string{"198.51.100.7, what"}, "10.1.1.1"},
		"nonsense behind a proxy": {"10.1.1.1:99", []string{"what, 10.2.2.2"}, "10.2.2.2"},
		"proxies alone":           {"10.1.1.1:99", []string{"10.3.3.3, 10.2.2.2"}, "10.3.3.3"},
		"IPv6 with a port":        {"[fd00::1]:99", []string{"[2001:db8::7]:443"}, "2001:db8::7"},
		"mapped":                  {"[::ffff:10.1.1.1]:99", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		"no address":              {"@", []string{"1.2.3.4"}, "@"},
	} {
		r := &http.Request{RemoteAddr: test.remote, Header: http.Header{"X-Forwarded-For": test.headers}}
		require.Equal(t, test.want, address(r), name)
	}
}

func FuzzForwardedAddress(f *testing.F) {
	f.Add("10.1.1.1:9", "1.2.3.4, 10.2.2.2")
	f.Add("[::1%eth0]:9", ",,[::]")
	address := ForwardedAddress([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	f.Fuzz(func(t *testing.T, remote, header string) {
		got := address(&http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": {header}}})
		if got != remoteAddress(&http.Request{RemoteAddr: remote}) {
			if _, err := netip.ParseAddr(got); err != nil {
				t.Fatalf("%q", got)
			}
		}
	})
}

func TestAttemptsAreBounded(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{Attempts: Rate{PerSecond: 0.001, Burst: 2}}, HandlerOptions{ClientAddress: ForwardedAddress([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})}).live()
	from := func(address string) http.Header { return with(bearer("u"), "X-Forwarded-For", address) }
	for range 2 {
		_, _, err := s.dial(t, from("198.51.100.7"), "")
		require.NoError(t, err)
	}
	_, response, err := s.dial(t, from("198.51.100.7"), "")
	require.Error(t, err)
	require.Equal(t, http.StatusTooManyRequests, response.StatusCode)
	require.NotEmpty(t, response.Header.Get("Retry-After"))
	response, text := s.get(t, "GET", "/api/events", with(from("198.51.100.7"), "Accept", "text/event-stream"))
	require.Equal(t, http.StatusTooManyRequests, response.StatusCode)
	require.Contains(t, text, "too_many_attempts")
	_, _, err = s.dial(t, from("198.51.100.8"), "")
	require.NoError(t, err, "others may")
	response, _ = s.get(t, "GET", "/api/events", from("198.51.100.7"))
	require.Equal(t, http.StatusOK, response.StatusCode, "who polls is bounded by user")
	require.EqualValues(t, 2, s.hub.Errors().ByCode["too_many_attempts"].Count)
}

func TestFailuresAreBounded(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{Failures: Rate{PerSecond: 0.001, Burst: 3}}, HandlerOptions{}).live()
	c, _ := s.connect(t, "u", "")
	for range 10 { // these are no guesses
		response, _ := s.get(t, "GET", "/api/events", bearer("old"))
		require.Equal(t, http.StatusUnauthorized, response.StatusCode)
		response, _ = s.get(t, "GET", "/api/events", bearer("unknown"))
		require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	}
	s.get(t, "GET", "/api/socket", bearer("bad"))
	s.get(t, "GET", "/api/events", bearer("bad"))
	bad, _, err := s.dial(t, nil, "")
	require.NoError(t, err)
	bad.send("authenticate", map[string]string{"token": "bad"}, nil)
	require.Equal(t, "token_invalid", bad.expect("auth_error").Data["code"])
	bad.expectClose(CloseUnauthenticated)
	// Now nothing from here is looked at, by any door.
	response, text := s.get(t, "GET", "/api/events", bearer("u"))
	require.Equal(t, http.StatusTooManyRequests, response.StatusCode)
	require.Contains(t, text, "too_many_failures")
	_, response, err = s.dial(t, bearer("u"), "")
	require.Error(t, err)
	require.Equal(t, http.StatusTooManyRequests, response.StatusCode)
	late, _, err := s.dial(t, nil, "")
	require.NoError(t, err)
	late.send("authenticate", map[string]string{"token": "u"}, nil)
	require.Equal(t, "too_many_failures", late.expect("auth_error").Data["code"])
	late.expectClose(CloseRateLimited)
	c.fence() // who is there stays
}

// TestHostileClients does what a well-behaved client would not, all at once,
// and sees that it costs a bounded number of everything and nobody else.
func TestHostileClients(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{MaxPerUser: 20, MaxRooms: 16, QueueBytes: 64 << 10, WriteTimeout: time.Second, MessageRate: 1e6, MessageBurst: 1e6, Rows: everyRow{}}, HandlerOptions{}).live()
	good, _ := s.connect(t, "good", "")
	at := s.poll(t, "evil", "").Cursor

	// Polls that hang, and streams that nobody reads.
	done := make(chan struct{})
	for i := range 60 {
		go func() {
			defer func() { done <- struct{}{} }()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/api/events?wait=1&cursor="+at, http.NoBody)
			if err != nil {
				return
			}
			request.Header = bearer("evil")
			if i%2 == 0 {
				request.Header.Set("Accept", "text/event-stream")
			}
			response, err := http.DefaultTransport.RoundTrip(request)
			if err == nil {
				time.Sleep(time.Second) // it holds on to it, without reading
				response.Body.Close()
			}
		}()
	}
	// Ten thousand rooms.
	joiner, _ := s.connect(t, "joiner", "")
	refused := 0
	for i := range 10_000 {
		joiner.send("join_room", map[string]string{"room": fmt.Sprintf("booking:%d", i)}, i)
		m, err := joiner.next()
		for err == nil && m.Event == "cursor" {
			m, err = joiner.next()
		}
		require.NoError(t, err)
		if m.Event == "error" {
			require.Equal(t, "too_many_rooms", m.Data["code"])
			refused++
		}
		if i%500 == 0 {
			s.changeOwner("good")
			good.expect("booking_update") // at once
			s.changeOwner("evil")
		}
	}
	require.Equal(t, 10_000-(16-1), refused)
	require.LessOrEqual(t, s.hub.perUser.of["evil"], 20)
	require.LessOrEqual(t, s.hub.rooms.count(), 40)
	for range 60 {
		<-done
	}
	// Giant headers and cursors are refused before they cost anything.
	response, _ := s.get(t, "GET", "/api/events?cursor="+strings.Repeat("A", 100_000), bearer("other"))
	require.Equal(t, http.StatusOK, response.StatusCode, "a reset")
	require.Eventually(t, func() bool { return s.sessions() == 2 }, 20*time.Second, 10*time.Millisecond)
	good.fence()
}

// everyRow is anybody's.
type everyRow struct{}

func (everyRow) MayJoin(context.Context, auth.Identity, string, string) (bool, error) {
	return true, nil
}

// TestLateTokenCountsForNobody has a connection end while its token is being
// verified. Its user must not be one connection short from then on.
func TestLateTokenCountsForNobody(t *testing.T) {
	t.Parallel()
	hub := NewHub(Options{MaxPerUser: 1})
	late := newPoll(hub, "192.0.2.1", 1)
	require.Nil(t, hub.open(&late.session))
	late.lost()
	hub.finish(&late.session)
	late.admit(auth.Identity{UserID: "u", ExpiresAt: time.Now().Add(time.Hour)}, "", nil)
	require.Zero(t, hub.perUser.names())
}
