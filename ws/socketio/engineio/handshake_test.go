package engineio

import (
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHandshakeRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	for _, c := range []struct {
		name, method, query string
		code                string
	}{
		{"no transport", "GET", "EIO=4", `{"code":0,"message":"Transport unknown"}`},
		{"unknown transport", "GET", "EIO=4&transport=pigeon", `{"code":0,"message":"Transport unknown"}`},
		{"unknown ID", "GET", "EIO=4&transport=polling&sid=none", `{"code":1,"message":"Session ID unknown"}`},
		{"post", "POST", "EIO=4&transport=polling", `{"code":2,"message":"Bad handshake method"}`},
		{"no upgrade", "GET", "EIO=4&transport=websocket", `{"code":3,"message":"Bad request"}`},
		{"no version", "GET", "transport=polling", `{"code":5,"message":"Unsupported protocol version"}`},
		{"old version", "GET", "EIO=3&transport=polling", `{"code":5,"message":"Unsupported protocol version"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			status, body, _ := r.do(t, c.method, c.query, "")
			require.Equal(t, 400, status)
			require.JSONEq(t, c.code, body)
		})
	}
}

func TestGreeting(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	status, body, header := r.do(t, "GET", "EIO=4&transport=polling&t=abc", "")
	require.Equal(t, 200, status)
	require.JSONEq(t, `{"sid":"`+sidOf(t, body)+`","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`, body[1:])
	require.Equal(t, "text/plain; charset=UTF-8", header.Get("Content-Type"))
	require.Equal(t, "no-store", header.Get("Cache-Control"))

	greeting := read(t, r.dial(t, "EIO=4&transport=websocket"))
	require.Contains(t, greeting, `"upgrades":[]`)

	only := newRig(t, Options{Transports: []Transport{Polling}})
	_, body, _ = only.do(t, "GET", "EIO=4&transport=polling", "")
	require.Contains(t, body, `"upgrades":[]`)
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{Origins: []string{"https://app.example.com"}, Credentials: true})
	const app, other = "https://app.example.com", "https://other.example.com"

	status, _, header := r.do(t, "GET", "EIO=4&transport=polling", "", "Origin", app)
	require.Equal(t, 200, status)
	require.Equal(t, app, header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "true", header.Get("Access-Control-Allow-Credentials"))

	status, _, header = r.do(t, "GET", "EIO=4&transport=pigeon", "", "Origin", app)
	require.Equal(t, 400, status)
	require.Equal(t, app, header.Get("Access-Control-Allow-Origin"), "the page may read why")

	status, body, header := r.do(t, "GET", "EIO=4&transport=polling", "", "Origin", other)
	require.Equal(t, 403, status)
	require.Contains(t, body, `"code":4`)
	require.Empty(t, header.Get("Access-Control-Allow-Origin"))

	status, _, header = r.do(t, "OPTIONS", "EIO=4&transport=polling", "", "Origin", app, "Access-Control-Request-Headers", "authorization")
	require.Equal(t, 204, status)
	require.Equal(t, "authorization", header.Get("Access-Control-Allow-Headers"))

	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="}
	status, _, _ = r.do(t, "GET", "EIO=4&transport=websocket", "", append(upgrade, "Origin", other)...)
	require.Equal(t, 403, status, "browsers do not check WebSockets themselves")
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	released := make(chan struct{}, 10)
	r := newRig(t, Options{MaxSockets: 1, Admit: func(r *http.Request) (func(), error) {
		switch r.URL.Query().Get("as") {
		case "many":
			return nil, &Refusal{Status: http.StatusTooManyRequests, Message: "slow down"}
		case "nobody":
			return nil, errors.New("who are you")
		}
		return func() { released <- struct{}{} }, nil
	}})
	status, body, _ := r.do(t, "GET", "EIO=4&transport=polling&as=many", "")
	require.Equal(t, 429, status)
	require.JSONEq(t, `{"code":4,"message":"slow down"}`, body)
	status, _, _ = r.do(t, "GET", "EIO=4&transport=polling&as=nobody", "")
	require.Equal(t, 403, status)

	query, p := r.polling(t)
	status, _, _ = r.do(t, "GET", "EIO=4&transport=polling", "")
	require.Equal(t, 503, status, "the only place is taken")
	require.Empty(t, released)
	r.do(t, "POST", query, "1")
	require.Equal(t, TransportClose, p.reason(t))
	r.do(t, "GET", query, "")
	<-released
	r.polling(t)
}
