package ws

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/ws/auth"
)

func TestTokenInHeader(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{}, HandlerOptions{}).live()
	_, m := s.connect(t, "u:ADMIN,STAFF", "")
	require.Equal(t, "u", m.Data["userId"])
	require.Equal(t, []any{"ADMIN", "STAFF"}, m.Data["roles"])
	require.Equal(t, false, m.Data["recovered"])
	require.NotEmpty(t, m.Data["session"])
	require.NotEmpty(t, m.Data["expiresAt"])
	require.NotEmpty(t, m.Cursor)

	for token, want := range map[string]*Error{"bad": errTokenInvalid, "old": errTokenExpired, "unknown": errAuthUnavailable} {
		_, response, err := s.dial(t, bearer(token), "")
		require.Error(t, err)
		require.Equal(t, want.Status, response.StatusCode)
		var told Error
		require.NoError(t, json.NewDecoder(response.Body).Decode(&told))
		require.Equal(t, want.Code, told.Code)
		require.Equal(t, want.Retryable, told.Retryable)
	}
}

func TestTokenInSubprotocol(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{}, HandlerOptions{}).live()
	protocols := func(token string) http.Header {
		return http.Header{"Sec-Websocket-Protocol": {Subprotocol + ", bearer." + token}}
	}
	c, response, err := s.dial(t, protocols("u"), "")
	require.NoError(t, err)
	require.Equal(t, Subprotocol, response.Header.Get("Sec-Websocket-Protocol"))
	require.Equal(t, "u", c.expect("authenticated").Data["userId"])

	for token, want := range map[string]*Error{"bad": errTokenInvalid, "old": errTokenExpired, "unknown": errAuthUnavailable} {
		c, _, err := s.dial(t, protocols(token), "")
		require.NoError(t, err, "a browser could not read a refused handshake")
		m := c.expect("auth_error")
		require.Equal(t, want.Code, m.Data["code"])
		require.Equal(t, want.Retryable, m.Data["retryable"])
		c.expectClose(want.Close)
	}
}

func TestTokenInMessage(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{}, HandlerOptions{}).live()
	c, _, err := s.dial(t, nil, "")
	require.NoError(t, err)
	c.send("join_room", map[string]string{"room": "a"}, 1)
	require.Equal(t, "auth_required", c.expect("error").Data["code"])
	c.send("authenticate", map[string]string{"token": ""}, 2)
	require.Equal(t, "bad_request", c.expect("error").Data["code"])
	c.send("authenticate", map[string]string{"token": "u"}, 3)
	require.Equal(t, "3", string(c.expect("authenticated").ID))

	c, _, err = s.dial(t, nil, "")
	require.NoError(t, err)
	c.send("authenticate", map[string]string{"token": "bad"}, "x")
	require.Equal(t, `"x"`, string(c.expect("auth_error").ID))
	c.expectClose(CloseUnauthenticated)
}

func TestRealTokens(t *testing.T) {
	t.Parallel()
	secret := []byte("0123456789abcdef0123456789abcdef")
	verifier, err := auth.New(auth.Options{Secret: secret})
	require.NoError(t, err)
	s := serve(t, Options{Authenticator: verifier}, HandlerOptions{}).live()
	token, err := auth.Mint(secret, auth.Claims{Subject: "u", Roles: []string{"ADMIN"}})
	require.NoError(t, err)
	_, m := s.connect(t, token, "")
	require.Equal(t, "u", m.Data["userId"])

	expired, err := auth.Mint(secret, auth.Claims{Subject: "u", IssuedAt: time.Now().Add(-time.Hour - 10*time.Second)})
	require.NoError(t, err)
	_, response, err := s.dial(t, bearer(expired), "")
	require.Error(t, err)
	require.Equal(t, http.StatusUnauthorized, response.StatusCode, "leeway is for the verifier; the session would end at once")
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{}, HandlerOptions{Origins: []string{"https://app.example.com"}}).live()
	open := serve(t, Options{}, HandlerOptions{Origins: []string{"*"}}).live()
	for origin, allowed := range map[string]bool{
		"":                           true,
		s.url:                        true,
		"https://app.example.com":    true,
		"https://APP.example.com":    true,
		"http://app.example.com":     false,
		"https://app.example.com.ev": false,
		"https://evil.example":       false,
		"null":                       false,
		"::":                         false,
	} {
		header := bearer("u")
		if origin != "" {
			header.Set("Origin", origin)
		}
		_, response, err := s.dial(t, header, "")
		require.Equal(t, allowed, err == nil, origin)
		if !allowed {
			require.Equal(t, http.StatusForbidden, response.StatusCode)
		}
		_, _, err = open.dial(t, header, "")
		require.NoError(t, err)
	}
}

func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	refused := func(s *server, status int) {
		t.Helper()
		_, response, err := s.dial(t, bearer("other"), "")
		require.Error(t, err)
		require.Equal(t, status, response.StatusCode)
	}
	s := serve(t, Options{MaxConnections: 1}, HandlerOptions{}).live()
	c, _ := s.connect(t, "u", "")
	refused(s, http.StatusServiceUnavailable)
	c.Close()
	require.Eventually(t, func() bool { return s.hub.vacancy() == nil }, 5*time.Second, time.Millisecond)
	s.connect(t, "u", "")

	s = serve(t, Options{MaxPerAddress: 1}, HandlerOptions{}).live()
	s.connect(t, "u", "")
	refused(s, http.StatusTooManyRequests)

	s = serve(t, Options{MaxPerUser: 1}, HandlerOptions{}).live()
	s.connect(t, "u", "")
	s.connect(t, "v", "")
	c, _, err := s.dial(t, bearer("u"), "")
	require.NoError(t, err)
	require.Equal(t, "too_many_connections", c.expect("auth_error").Data["code"])
	c.expectClose(CloseRateLimited)
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{}, HandlerOptions{})
	get := func(path string) (int, Error) {
		response, err := http.Get(s.url + path)
		require.NoError(t, err)
		defer response.Body.Close()
		require.Contains(t, response.Header.Get("Content-Type"), "application/json")
		var told Error
		require.NoError(t, json.NewDecoder(response.Body).Decode(&told))
		return response.StatusCode, told
	}
	status := func(path string) int {
		code, _ := get(path)
		return code
	}
	require.Equal(t, http.StatusOK, status("/healthz"))
	require.Equal(t, http.StatusServiceUnavailable, status("/readyz"), "not live yet")
	s.live()
	require.Equal(t, http.StatusOK, status("/readyz"))
	s.hub.Down(nil)
	require.Equal(t, http.StatusServiceUnavailable, status("/readyz"))
	require.Equal(t, http.StatusNotFound, status("/nothing"))
	code, told := get("/ws")
	require.Equal(t, http.StatusUpgradeRequired, code)
	require.Equal(t, "upgrade_required", told.Code)
}
