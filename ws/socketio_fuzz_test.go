package ws

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/ws/socketio"
)

// FuzzSocketIO throws payloads at a connection of Socket.IO: as its CONNECT, and
// as what comes after one that is right. Whatever it is, the server answers in
// its protocol and lets go of the connection.
func FuzzSocketIO(f *testing.F) {
	f.Add(`40{"token":"u"}`, `42["join_room",{"room":"user:v"}]`)
	f.Add(`40{"token":"bad"}`, `421["authenticate","v"]`)
	f.Add(`40`, "420[\"leave_room\",1]\x1e41")
	f.Add(`40{"pid":"AAAA","offset":"-AQ","token":"u"}`, "451-[\"x\",{\"_placeholder\":true,\"num\":0}]\x1ebAAAA")
	f.Add(`40/admin,{}`, `42["notification_read",{"ids":[1e99]}]`)
	f.Add(`40[]`, "431[]\x1e3\x1e6")
	hub := NewHub(Options{Authenticator: tokens{}, RequestTimeout: 5 * time.Millisecond, AuthTimeout: 50 * time.Millisecond})
	handler := NewHandler(hub, HandlerOptions{Recovery: pids(f)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{}, 2)
	go func() { _ = hub.Run(ctx); done <- struct{}{} }()
	go func() { _ = handler.Run(ctx); done <- struct{}{} }()
	f.Cleanup(func() {
		cancel()
		<-done
		<-done
		require.Zero(f, handler.sockets.server.Connections())
		require.Zero(f, hub.perUser.names(), "whoever has left counts for nobody")
	})
	newFeed(newDatabase(), hub)
	ask := func(t *testing.T, method, query, body string) (int, string) {
		wait := 10 * time.Second
		if method == http.MethodGet && query != "" { // which may find nothing
			wait = 10 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, method, "/socket.io/?EIO=4&transport=polling"+query, strings.NewReader(body))
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		text := w.Body.String()
		if w.Code != http.StatusOK && !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%d without JSON: %q", w.Code, text)
		}
		return w.Code, text
	}
	f.Fuzz(func(t *testing.T, connect, payload string) {
		for _, first := range []string{connect, `40{"token":"u"}`} {
			status, text := ask(t, http.MethodGet, "", "")
			require.Equal(t, http.StatusOK, status, text)
			var open struct{ SID string }
			require.NoError(t, json.Unmarshal([]byte(text[1:]), &open))
			sid := "&sid=" + open.SID
			for _, body := range []string{first, payload} {
				if status, text = ask(t, http.MethodPost, sid, body); status != http.StatusOK {
					break
				}
				require.Equal(t, "ok", text)
			}
			if status == http.StatusOK {
				if status, text = ask(t, http.MethodGet, sid, ""); status == http.StatusOK && text != "" {
					require.True(t, utf8.ValidString(text))
					for packet := range strings.SplitSeq(text, "\x1e") {
						require.NotEmpty(t, packet)
						require.Contains(t, "1246", packet[:1])
					}
				}
			}
			ask(t, http.MethodPost, sid, "1")
		}
	})
}

// FuzzResumption holds that nothing but a pid that was given to a user has that
// user's session go on.
func FuzzResumption(f *testing.F) {
	d := &socketDoor{hub: NewHub(Options{}), pids: pids(f)}
	own := d.begin(resumption{}, "u", "AQ")
	f.Add(own.PID, "AQ", "u")
	f.Add(own.PID, "", "v")
	f.Add("", "-", "u")
	f.Fuzz(func(t *testing.T, pid, offset, user string) {
		r := d.resumption(socketio.Resume{PID: pid, Offset: offset}, user)
		switch {
		case pid == "":
			require.Empty(t, r.id)
			require.Empty(t, r.cursor)
		case r.id != "":
			pass, err := d.pids.Open(pid)
			require.NoError(t, err)
			require.Equal(t, pass.Subject, user)
			require.Equal(t, pass.ID, r.id)
		default:
			require.True(t, strings.HasPrefix(r.cursor, anew))
		}
		// Whatever the client shows, it is a reset or a cursor, and no panic.
		newJoining(r.cursor, nil, 0)
	})
}
