package ws

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/ws/socketio"
)

// pids are what all nodes of these tests seal sessions with.
func pids(t testing.TB) *socketio.PIDs {
	p, err := socketio.NewPIDs([]byte("a secret of many nodes"))
	require.NoError(t, err)
	return p
}

// ioClient is a client of Socket.IO that keeps what socket.io-client keeps.
type ioClient struct {
	*websocket.Conn
	t testing.TB
	ioState
	recovered bool
}

// ioState is what a client keeps over its connections.
type ioState struct{ sid, pid, offset string }

// packet is what the server sent: the text before the JSON, and the JSON.
type packet struct {
	head string
	args []json.RawMessage
	body json.RawMessage
}

func (s *server) dialIO(t testing.TB, header http.Header) *ioClient {
	conn, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.url, "http")+"/socket.io/?EIO=4&transport=websocket", header)
	require.NoError(t, err)
	_ = response.Body.Close()
	t.Cleanup(func() { conn.Close() })
	c := &ioClient{Conn: conn, t: t}
	c.expectHead("0")
	return c
}

// ask sends CONNECT as socket.io-client does.
func (c *ioClient) ask(auth map[string]any) {
	if c.pid != "" {
		resume := map[string]any{"pid": c.pid}
		if c.offset != "" {
			resume["offset"] = c.offset
		}
		maps.Copy(resume, auth)
		auth = resume
	}
	if auth == nil {
		c.write("40")
		return
	}
	text, err := json.Marshal(auth)
	require.NoError(c.t, err)
	c.write("40" + string(text))
}

// connectIO comes with a token, after earlier connections or none, and returns
// when it is answered.
func (s *server) connectIO(t testing.TB, token string, was ioState) *ioClient {
	c := s.dialIO(t, nil)
	c.ioState = was
	c.ask(map[string]any{"token": token})
	c.answered()
	return c
}

// answered takes the answer to CONNECT.
func (c *ioClient) answered() {
	p := c.expectHead("40")
	var answer struct{ SID, PID string }
	require.NoError(c.t, json.Unmarshal(p.body, &answer))
	c.recovered = answer.PID != "" && answer.PID == c.pid
	if c.recovered {
		require.Equal(c.t, c.sid, answer.SID)
	} else {
		require.NotEqual(c.t, c.sid, answer.SID)
	}
	c.sid, c.pid = answer.SID, answer.PID
}

func (c *ioClient) write(text string) {
	require.NoError(c.t, c.WriteMessage(websocket.TextMessage, []byte(text)))
}

func (c *ioClient) next() (packet, error) {
	require.NoError(c.t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
	for {
		_, text, err := c.ReadMessage()
		if err != nil {
			return packet{}, err
		}
		if string(text) == "2" {
			c.write("3")
			continue
		}
		i := bytes.IndexAny(text, "[{")
		if i < 0 {
			return packet{head: string(text)}, nil
		}
		p := packet{head: string(text[:i]), body: text[i:]}
		if text[i] == '[' {
			require.NoError(c.t, json.Unmarshal(text[i:], &p.args))
		}
		return p, nil
	}
}

func (c *ioClient) expectHead(head string) packet {
	p, err := c.next()
	require.NoError(c.t, err)
	require.Equal(c.t, head, p.head, "%s", p.body)
	return p
}

// expect takes an event and returns its data.
func (c *ioClient) expect(event string) map[string]any {
	p := c.expectHead("42")
	var name string
	require.NoError(c.t, json.Unmarshal(p.args[0], &name))
	require.Equal(c.t, event, name, "%s", p.body)
	require.LessOrEqual(c.t, len(p.args), 3)
	if last := p.args[len(p.args)-1]; last[0] == '"' && c.pid != "" {
		require.Len(c.t, p.args, 3, "a text as the last argument is an offset")
		require.NoError(c.t, json.Unmarshal(last, &c.offset))
	}
	var data map[string]any
	require.NoError(c.t, json.Unmarshal(p.args[1], &data))
	return data
}

func (c *ioClient) expectCreated(id int) {
	require.EqualValues(c.t, id, c.expect("booking_update")["id"])
}

// expectAck takes the acknowledgement of a request.
func (c *ioClient) expectAck(id int) map[string]any {
	p := c.expectHead("43" + strconv.Itoa(id))
	require.Len(c.t, p.args, 1)
	var data map[string]any
	require.NoError(c.t, json.Unmarshal(p.args[0], &data))
	return data
}

func (c *ioClient) expectClosed() {
	_, err := c.next()
	var closed *websocket.CloseError
	require.ErrorAs(c.t, err, &closed)
}

// fence proves that nothing came before it.
func (c *ioClient) fence() {
	c.write(`42999["fence",{}]`)
	require.Equal(c.t, "unknown_event", c.expectAck(999)["code"])
}

func TestSocketIO(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{Authenticator: tokens{rooms: []string{"lobby"}}}, HandlerOptions{Recovery: pids(t)}).live()
	c := s.connectIO(t, "u", ioState{})
	welcome := c.expect("authenticated")
	require.Equal(t, "u", welcome["userId"])
	require.Equal(t, false, welcome["recovered"])
	require.False(t, c.recovered)
	require.NotEmpty(t, c.offset)
	plain, m := s.connect(t, "u", "")
	require.Equal(t, m.Cursor, c.offset)

	s.changeOwner("u")
	s.changeOwner("v")
	update := plain.expect("booking_update")
	require.Equal(t, update.Data, c.expect("booking_update"))
	require.Equal(t, update.Cursor, c.offset)

	c.write(`421["join_room",{"room":"lobby"}]`)
	require.Equal(t, map[string]any{"ok": true, "room": "lobby"}, c.expectAck(1))
	c.write(`422["join_room","user:v"]`)
	require.Equal(t, map[string]any{"ok": false, "code": "room_forbidden", "message": errRoomForbidden.Message, "retryable": false, "action": "stop"}, c.expectAck(2))
	c.write(`42["join_room","user:v"]`)
	require.Equal(t, "room_forbidden", c.expect("error")["code"])
	c.write(`423["leave_room","lobby"]`)
	require.Equal(t, map[string]any{"ok": true, "room": "lobby"}, c.expectAck(3))
	c.write(`424["authenticate","u:ADMIN"]`)
	require.Equal(t, []any{"ADMIN"}, c.expect("authenticated")["roles"])
	require.Equal(t, true, c.expectAck(4)["ok"])
	s.changeOwner("v")
	c.expectCreated(3)
	for _, bad := range []string{`425["join_room"]`, `425["authenticate",{"token":7}]`, `425["join_room",["a"]]`} {
		c.write(bad)
		require.Equal(t, "bad_request", c.expectAck(5)["code"])
	}
	s.hub.Gap(pgbell.Gap{Type: "booking", Reason: "truncate"})
	require.Equal(t, map[string]any{"type": "booking", "reason": "truncate"}, c.expect("reset"))
	s.hub.Down(io.EOF)
	require.Equal(t, map[string]any{"live": false}, c.expect("stream"))
	s.read()
	require.Equal(t, map[string]any{"live": true}, c.expect("stream"))
	require.Equal(t, 1, s.hub.status().Connections[TransportSocketIO])
	c.fence()
}

// TestSocketIOSharesFrames holds that an event is encoded once for all who see
// the same of it.
func TestSocketIOSharesFrames(t *testing.T) {
	t.Parallel()
	d := NewHandler(NewHub(Options{}), HandlerOptions{Recovery: pids(t)}).sockets
	e := bookingEvent(7, 1, 1, map[string]string{"client": "u", "provider": "v"})
	en := newEntry(e)
	one := en.frame(d.proto, viewOf(&e, "u", false))
	require.Same(t, &one[0], &en.frame(d.proto, viewOf(&e, "v", false))[0])
	require.NotSame(t, &one[0], &en.frame(jsonProtocol{}, viewOf(&e, "v", false))[0])
}

// TestSocketIOTokens brings the token by each way, good and bad.
func TestSocketIOTokens(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{MaxPerUser: 1}, HandlerOptions{Recovery: pids(t)}).live()
	ways := map[string]func(token string) *ioClient{
		"auth": func(token string) *ioClient {
			c := s.dialIO(t, bearer("old")) // counts for less
			c.ask(map[string]any{"token": token})
			return c
		},
		"header": func(token string) *ioClient {
			c := s.dialIO(t, bearer(token))
			c.write("40")
			return c
		},
	}
	for way, come := range ways {
		c := come(way)
		c.answered()
		require.Equal(t, way, c.expect("authenticated")["userId"])
		for token, want := range map[string]*Error{"bad": errTokenInvalid, "old": errTokenExpired} {
			c := come(token)
			var refusal struct {
				Message string
				Data    *Error
			}
			require.NoError(t, json.Unmarshal(c.expectHead("44").body, &refusal))
			require.Equal(t, want.Message, refusal.Message)
			require.Equal(t, want.Code, refusal.Data.Code)
			require.Equal(t, want.Action, refusal.Data.Action)
		}
		come("unknown").expectClosed() // it comes again by itself
		come(way).expectClosed()       // one too many
	}

	c := s.dialIO(t, nil)
	c.ask(nil)
	c.answered()
	c.write(`421["join_room","x"]`)
	require.Equal(t, "auth_required", c.expectAck(1)["code"])
	c.write(`422["authenticate",{"token":"late"}]`)
	require.Equal(t, "late", c.expect("authenticated")["userId"])
	require.Equal(t, "late", c.expectAck(2)["userId"])
	s.changeOwner("late")
	c.expectCreated(1)

	for token, again := range map[string]bool{"bad": false, "old": true, "unknown": true} {
		c := s.dialIO(t, nil)
		c.ask(nil)
		c.answered()
		c.write(`421["authenticate","` + token + `"]`)
		code := c.expect("auth_error")["code"]
		ack := c.expectAck(1)
		require.Equal(t, false, ack["ok"])
		require.Equal(t, code, ack["code"])
		require.Equal(t, code, c.expect("close")["reason"])
		if !again {
			c.expectHead("41") // by which it does not come again
			continue
		}
		c.expectClosed()
	}
}

// leave has a client leave its session, and waits until the server knows.
func (s *server) leave(c *ioClient) {
	c.write("41")
	require.Eventually(c.t, func() bool { return s.handler.sockets.left.has(c.sid) }, 10*time.Second, time.Millisecond)
}

// TestSocketIORecovers cuts clients off, and has them go on at another node.
func TestSocketIORecovers(t *testing.T) {
	t.Parallel()
	one := serve(t, Options{}, HandlerOptions{Recovery: pids(t)}).live()
	other := serve(t, Options{}, HandlerOptions{Recovery: pids(t)})
	other.db = one.db
	other.live()
	change := func() {
		one.db.insert("u")
		one.read()
		other.read()
	}
	c := one.connectIO(t, "u", ioState{})
	c.expect("authenticated")
	change()
	c.expectCreated(1)
	sid, pid := c.sid, c.pid
	for i, s := range []*server{one, other, one, other} {
		_ = c.Close()
		change()
		was := c.ioState
		c = s.connectIO(t, "u", was)
		require.True(t, c.recovered)
		require.Equal(t, sid, c.sid)
		require.Equal(t, pid, c.pid)
		require.Equal(t, true, c.expect("authenticated")["recovered"])
		require.Equal(t, was.offset, c.offset)
		c.expectCreated(i + 2)
		c.fence()
	}

	// While its old connection is not known to be broken. That is at the same
	// node.
	half := c
	c = other.connectIO(t, "u", half.ioState)
	require.True(t, c.recovered)
	half.expectClosed()
	c.expect("authenticated")
	c.fence()

	// The token counts as for any other.
	for token, want := range map[string]string{"bad": "token_invalid", "old": "token_expired"} {
		refused := other.dialIO(t, nil)
		refused.ioState = c.ioState
		refused.ask(map[string]any{"token": token})
		require.Contains(t, string(refused.expectHead("44").body), want)
	}
	thief := one.connectIO(t, "thief", c.ioState)
	require.False(t, thief.recovered)
	thief.expect("authenticated")
	require.Equal(t, "cursor", thief.expect("reset")["reason"])
	change()
	thief.fence()
}

// TestSocketIOCutAtTheBeginning cuts a client off before it was told anything in
// its session.
func TestSocketIOCutAtTheBeginning(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{}, HandlerOptions{Recovery: pids(t)}).live()
	// Nothing was told yet, so everything since the answer comes.
	c := s.connectIO(t, "u", ioState{})
	was := c.ioState
	_ = c.Close()
	s.changeOwner("u")
	c = s.connectIO(t, "u", was)
	require.True(t, c.recovered)
	c.expect("authenticated")
	c.expectCreated(1)

	// It left, so the next one is another session. It keeps the offset of the
	// first, of which nothing may come.
	before := c.ioState
	s.leave(c)
	s.changeOwner("u")
	for range 2 {
		c = s.connectIO(t, "u", before)
		require.False(t, c.recovered)
		was = ioState{c.sid, c.pid, before.offset} // cut off before it heard more
		_ = c.Close()
		s.changeOwner("u")
		before = was
	}
	c = s.connectIO(t, "u", before)
	require.False(t, c.recovered, "it has not heard the reset")
	c.expect("authenticated")
	require.Equal(t, "cursor", c.expect("reset")["reason"])
	was = c.ioState
	_ = c.Close()
	s.changeOwner("u")
	c = s.connectIO(t, "u", was)
	require.True(t, c.recovered)
	c.expect("authenticated")
	c.expectCreated(5)
	c.fence()

	// One that changed its user goes on as nobody.
	c.write(`421["authenticate","v"]`)
	c.expect("authenticated")
	c.expectAck(1)
	was = c.ioState
	_ = c.Close()
	for _, user := range []string{"u", "v"} {
		require.False(t, s.connectIO(t, user, was).recovered)
	}
}

// TestSocketIOLegacyResumes has a client that authenticates after it connected
// go on where it stood.
func TestSocketIOLegacyResumes(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{}, HandlerOptions{Recovery: pids(t)}).live()
	come := func(was ioState, user string) *ioClient {
		c := s.dialIO(t, nil)
		c.ioState = was
		c.ask(nil)
		c.answered()
		require.False(t, c.recovered, "it is not known who it is")
		if user != "" {
			c.write(`42["authenticate",{"token":"` + user + `"}]`)
		}
		return c
	}
	c := come(ioState{}, "u")
	c.expect("authenticated")
	for id := range 3 {
		was := c.ioState
		_ = c.Close()
		s.changeOwner("u")
		_ = come(was, "").Close()
		c = come(was, "u")
		require.Equal(t, true, c.expect("authenticated")["recovered"])
		c.expectCreated(id + 1)
		c.fence()
	}
	was := c.ioState
	s.leave(c)
	s.changeOwner("u")
	again := come(was, "u")
	was = ioState{again.sid, again.pid, was.offset}
	require.Equal(t, false, again.expect("authenticated")["recovered"])
	require.Equal(t, "cursor", again.expect("reset")["reason"])
	c = come(was, "u") // as if it had not heard that
	c.expect("authenticated")
	require.Equal(t, "cursor", c.expect("reset")["reason"])
	c.fence()
	c.write(`42["authenticate",{"token":"v","cursor":"` + was.offset + `"}]`)
	require.Equal(t, true, c.expect("authenticated")["recovered"])
}

// TestSocketIOResets comes back with what cannot be resumed.
func TestSocketIOResets(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{WindowBytes: 1500}, HandlerOptions{Recovery: pids(t)}).live()
	c := s.connectIO(t, "u", ioState{})
	c.expect("authenticated")
	_ = c.Close()
	for range 20 {
		s.changeOwner("u")
	}
	old := c.ioState
	for _, was := range []ioState{old, {"x", "x", old.offset}, {old.sid, old.pid, "x"}} {
		c := s.connectIO(t, "u", was)
		require.False(t, c.recovered)
		require.Equal(t, false, c.expect("authenticated")["recovered"])
		reason := "cursor"
		if was == old {
			reason = "retention"
		}
		require.Equal(t, reason, c.expect("reset")["reason"])
		require.NotEqual(t, was.offset, c.offset)
		c.fence()
	}
}

// TestSocketIOWithoutRecovery holds that neither pid nor offsets appear.
func TestSocketIOWithoutRecovery(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{}, HandlerOptions{}).live()
	c := s.connectIO(t, "u", ioState{})
	require.Empty(t, c.pid)
	require.Len(t, c.expectHead("42").args, 2)
	s.changeOwner("u")
	require.Len(t, c.expectHead("42").args, 2)
	c.ask(nil)
	c.expectClosed() // asked for twice
	c = s.connectIO(t, "u", ioState{"s", "p", "o"})
	require.Empty(t, c.pid)
	c.expect("authenticated")
	c.fence()
}

// TestSocketIOPolls follows by polling alone.
func TestSocketIOPolls(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{}, HandlerOptions{Recovery: pids(t)}).live()
	do := func(method, query, body string) string {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, s.url+"/socket.io/?EIO=4&transport=polling"+query, strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer u")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode, "%s", text)
		return string(text)
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	var open struct{ SID string }
	require.NoError(t, json.Unmarshal([]byte(do("GET", "", "")[1:]), &open))
	query := "&sid=" + url.QueryEscape(open.SID)
	require.Equal(t, "ok", do("POST", query, "40"))
	got := ""
	until := func(text string) {
		t.Helper()
		for !strings.Contains(got, text) {
			got += do("GET", query, "") + "\x1e"
		}
	}
	until(`42["authenticated",`)
	s.changeOwner("u")
	until(`42["booking_update",{"id":1,`)
	require.Equal(t, "ok", do("POST", query, `427["join_room","x"]`))
	until(`437[{"ok":false,"code":"room_forbidden"`)
	require.Equal(t, "ok", do("POST", query, "1"))
}

// TestSocketIOLimits meets each of them.
func TestSocketIOLimits(t *testing.T) {
	t.Parallel()
	closed := make(chan int, 10)
	s := serve(t, Options{
		MessageRate: 0.001, MessageBurst: 3, MaxPerAddress: 4, AuthTimeout: 200 * time.Millisecond, MaxConnections: 4,
		Trace: &Trace{Closed: func(transport string, code int, _ time.Duration) {
			require.Equal(t, TransportSocketIO, transport)
			closed <- code
		}},
	}, HandlerOptions{Recovery: pids(t)}).live()
	c := s.connectIO(t, "u", ioState{})
	c.expect("authenticated")
	for range 4 {
		c.write(`421["leave_room","x"]`)
	}
	for range 3 {
		c.expectAck(1)
	}
	require.Equal(t, "rate_limited", c.expect("error")["code"])
	require.Equal(t, map[string]any{"code": 4009.0, "reason": "rate_limited"}, c.expect("close"))
	c.expectClosed()
	require.Equal(t, 4009, <-closed)

	// Nobody stays without a token, or without a namespace.
	c = s.dialIO(t, nil)
	c.ask(nil)
	c.answered()
	silent := s.dialIO(t, nil)
	require.Equal(t, "auth_timeout", c.expect("auth_error")["code"])
	c.expect("close")
	c.expectClosed()
	require.Equal(t, 4001, <-closed)
	silent.expectClosed()
	empty := func() bool { return s.hub.perAddress.names() == 0 && s.sessions() == 0 }
	require.Eventually(t, empty, 10*time.Second, time.Millisecond)

	// A place is given back with the connection.
	var all []*ioClient
	for range 4 {
		c := s.connectIO(t, "u", ioState{})
		c.expect("authenticated")
		all = append(all, c)
	}
	_, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.url, "http")+"/socket.io/?EIO=4&transport=websocket", nil)
	require.Error(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, `{"code":4,"message":"server_full: `+errServerFull.Message+`"}`, string(text))
	for _, c := range all {
		c.write("41")
		require.Equal(t, 1000, <-closed)
		_ = c.Close()
	}
	require.Eventually(t, empty, 10*time.Second, time.Millisecond)
}

// TestSocketIOOrigins holds that pages are let in by the rule of the other
// doors.
func TestSocketIOOrigins(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{}, HandlerOptions{Origins: []string{"https://app.example"}}).live()
	s.dialIO(t, http.Header{"Origin": {"https://app.example"}})
	s.dialIO(t, http.Header{"Origin": {s.url}})
	_, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.url, "http")+"/socket.io/?EIO=4&transport=websocket", http.Header{"Origin": {"https://evil.example"}})
	require.Error(t, err)
	_ = response.Body.Close()
	require.Equal(t, http.StatusForbidden, response.StatusCode)
	require.EqualValues(t, 1, s.hub.Errors().ByCode["origin_forbidden"].Count)
}

// TestSocketIOStuckClient has clients that do not read, by each transport.
func TestSocketIOStuckClient(t *testing.T) {
	t.Parallel()
	var slow atomic.Int64
	closed := make(chan int, 10)
	s := serve(t, Options{
		QueueBytes: 256 << 10, WriteTimeout: time.Second, CloseTimeout: 200 * time.Millisecond,
		Trace: &Trace{Slow: func() { slow.Add(1) }, Closed: func(_ string, code int, _ time.Duration) { closed <- code }},
	}, HandlerOptions{Recovery: pids(t)}).live()
	stuck := s.connectIO(t, "u", ioState{})
	stuck.expect("authenticated")
	require.NoError(t, stuck.NetConn().(*net.TCPConn).SetReadBuffer(4096))
	good := s.connectIO(t, "u", ioState{})
	good.expect("authenticated")
	for slow.Load() == 0 {
		s.change(func(e *pgbell.Event) {
			e.Owners, e.Data = map[string]string{"client": "u"}, large(64<<10)
		})
		good.expect("booking_update")
	}
	require.Equal(t, CloseSlow, <-closed)
	good.fence()
}

// TestSocketIODrains tells everybody to come back.
func TestSocketIODrains(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{}, HandlerOptions{Recovery: pids(t)}).live()
	c := s.connectIO(t, "u", ioState{})
	c.expect("authenticated")
	silent := s.dialIO(t, nil)
	s.changeOwner("u")
	drained := make(chan error, 1)
	go func() { drained <- s.handler.Drain(t.Context()) }()
	c.expectCreated(1)
	end := c.expect("close")
	require.EqualValues(t, CloseGoingAway, end["code"])
	require.Contains(t, end["reason"], retryHint)
	c.expectClosed()
	silent.expectClosed()
	require.NoError(t, <-drained)
	_, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.url, "http")+"/socket.io/?EIO=4&transport=websocket", nil)
	require.Error(t, err)
}
