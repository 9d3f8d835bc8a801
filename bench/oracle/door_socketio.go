package oracle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/ws/auth"
)

// tokenWay is how a client of Socket.IO brings its token. A client keeps to one.
type tokenWay string

// The ways.
const (
	byAuth   tokenWay = "auth"
	byHeader tokenWay = "header"
	byEvent  tokenWay = "event" // after CONNECT was answered
)

// socketState is what Socket.IO's own client keeps over its connections: the
// session, and as the offset the last argument of the last event that came, if
// it was a text.
type socketState struct {
	way              tokenWay
	sid, pid, offset string
	// left is the pid of a session that was left on purpose: where that was, it
	// is not recovered. Owed says that the last answer began a new session and
	// its reset has not come. Of either follows a reset for a cursor that there
	// is nothing wrong with; excused says that it may come.
	left    string
	owed    bool
	excused bool
}

// socketIO is one connection of a client.
type socketIO struct {
	*client
	engine    *engine
	token     string
	refresh   time.Duration
	had       string // the offset that it came with
	came      string // the pid
	accepted  bool   // CONNECT was answered
	recovered bool   // by that
	welcome   bool   // authenticated has come
	told      bool   // a close has come
	left      bool   // the client has said that it goes; read it after stops
	stops     []func()
}

// errLeft is why a client ends a connection itself.
var errLeft = errors.New("left on purpose")

// followSocketIO is one connection by Socket.IO, with recovery. The client
// trusts that as the protocol's own does: what came twice would count twice.
func (c *client) followSocketIO(ctx context.Context, n *node, token string, refresh time.Duration) error {
	if c.socket.way == "" {
		c.socket.way = choose(c.r, byAuth, byHeader, byEvent)
	}
	visitor := c.visitor()
	visitor.Transport.(*http.Transport).ResponseHeaderTimeout = 0 // a poll hangs; the engine bounds it
	defer visitor.CloseIdleConnections()
	header := http.Header{}
	if c.socket.way == byHeader {
		header.Set("Authorization", "Bearer "+token)
	}
	by := choose(c.r, byWebSocket, byPolling, byUpgrade)
	e, err := dialEngine(ctx, visitor, c.link.address(), header, by)
	if err != nil {
		return c.turnedAway(err)
	}
	c.note("connected to %s by %s, token by %s, pid %.8s, offset %q", n.name, by, c.socket.way, c.socket.pid, c.socket.offset)
	s := &socketIO{client: c, engine: e, token: token, refresh: refresh, came: c.socket.pid}
	if s.came != "" {
		s.had = c.socket.offset
	}
	c.counters.connections.Add(1)
	c.connected.Store(time.Now().UnixNano())
	err = s.follow(ctx)
	e.cancel(nil)
	for _, stop := range s.stops {
		stop()
	}
	e.close()
	if s.left {
		c.socket.left = c.socket.pid
	}
	if !s.told {
		c.counters.closed(0)
	}
	c.note("ends with cursor %s, offset %s: %v", c.place(), c.socket.offset, err)
	return c.turnedAway(err)
}

func (s *socketIO) follow(ctx context.Context) error {
	if err := s.connect(); err != nil {
		return err
	}
	for {
		packet, err := s.engine.read()
		if err != nil {
			return err
		}
		if err := s.receive(ctx, packet); err != nil {
			return err
		}
	}
}

// turnedAway is err, as a breach if a client in the right may not meet it.
func (c *client) turnedAway(err error) error {
	r, ok := errors.AsType[*refused](err)
	if !ok {
		return err
	}
	const unknownSession, badRequest = 1, 3
	switch {
	case r.status == http.StatusServiceUnavailable, r.status == http.StatusTooManyRequests:
	case r.status == http.StatusBadRequest && r.code == unknownSession: // it has ended, or the server has
	case r.status == http.StatusBadRequest && r.code == badRequest && r.polling: // it was sent again while the server still knew the first
	default:
		return &breach{fmt.Sprintf("%s was refused: %v", c.name, err)}
	}
	c.note("%v", err)
	return err
}

// connect sends CONNECT.
func (s *socketIO) connect() error {
	data := map[string]string{}
	if s.came != "" {
		data["pid"] = s.came
	}
	if s.had != "" {
		data["offset"] = s.had
	}
	if s.socket.way == byAuth {
		data["token"] = s.token
	}
	if len(data) == 0 {
		return s.engine.send("40")
	}
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return s.engine.send("40" + string(text))
}

// later does something on the connection after a while. When the connection has
// ended, stops are called, and it is over.
func (s *socketIO) later(after time.Duration, do func()) {
	done := make(chan struct{})
	timer := time.AfterFunc(after, func() {
		defer close(done)
		do()
	})
	s.stops = append(s.stops, func() {
		if !timer.Stop() {
			<-done
		}
	})
}

// renew sends a new token.
func (s *socketIO) renew() {
	token, err := auth.Mint([]byte(secret), auth.Claims{Subject: s.user, Roles: s.roles, TTL: time.Minute})
	if err == nil && s.authenticate("1", token) == nil {
		s.counters.refreshes.Add(1)
	}
}

// authenticate sends a token as an event. With a number it asks for an answer.
func (s *socketIO) authenticate(number, token string) error {
	return s.engine.send(fmt.Sprintf(`42%s["authenticate",{"token":%q}]`, number, token))
}

// leave ends the session on purpose.
func (s *socketIO) leave() {
	s.left = true
	_ = s.engine.send("41") // or it is lost on the way
	s.engine.cancel(errLeft)
}

// receive takes one packet of Socket.IO.
func (s *socketIO) receive(ctx context.Context, packet []byte) error {
	head, body := packet, []byte(nil)
	if i := bytes.IndexAny(packet, "[{"); i >= 0 {
		head, body = packet[:i], packet[i:]
	}
	switch {
	case string(head) == "0":
		return s.answered(body)
	case string(head) == "4":
		return s.rejected(body)
	case !s.accepted:
		return &breach{fmt.Sprintf("%s got a packet before the answer to CONNECT: %q", s.name, packet)}
	case string(head) == "2":
		return s.event(ctx, body)
	case string(head) == "31":
		return s.acknowledged(body)
	}
	return &breach{fmt.Sprintf("%s got a packet for which there is no reason: %q", s.name, packet)}
}

// answered takes the answer to CONNECT.
func (s *socketIO) answered(body []byte) error {
	var answer struct{ SID, PID string }
	if err := json.Unmarshal(body, &answer); err != nil || answer.SID == "" || answer.PID == "" || s.accepted {
		return &breach{fmt.Sprintf("%s got as an answer to CONNECT: %s", s.name, body)}
	}
	state := &s.socket
	s.accepted, s.recovered = true, answer.PID == s.came
	switch {
	case s.recovered != (answer.SID == state.sid):
		return &breach{fmt.Sprintf("%s goes on with half of session %s: %s", s.name, state.sid, body)}
	case s.recovered && state.way == byEvent:
		return &breach{fmt.Sprintf("%s goes on with session %s before anybody knows who it is", s.name, state.sid)}
	}
	state.excused = state.excused || state.owed || s.came != "" && s.came == state.left
	state.owed = s.came != "" && !s.recovered && state.way != byEvent
	state.sid, state.pid = answer.SID, answer.PID
	s.note("answered: session %.8s, recovered %t", answer.SID, s.recovered)
	if s.refresh > 0 {
		s.later(s.refresh, s.renew)
	}
	if s.r.IntN(8) == 0 {
		s.later(time.Duration(s.r.IntN(3000))*time.Millisecond, s.leave)
	}
	if state.way == byEvent {
		return s.authenticate(choose(s.r, "", "1"), s.token)
	}
	return nil
}

// socketError is what an error of the server is.
type socketError struct {
	OK        bool
	Code      string
	Retryable bool
}

// rejected takes a CONNECT_ERROR.
func (s *socketIO) rejected(body []byte) error {
	var told struct{ Data socketError }
	// A held line may keep the token from the server for long.
	if json.Unmarshal(body, &told) != nil || told.Data.Code != "token_expired" {
		return &breach{fmt.Sprintf("%s was rejected: %s", s.name, body)}
	}
	return fmt.Errorf("rejected: %s", body)
}

// acknowledged takes the answer to an authenticate.
func (s *socketIO) acknowledged(body []byte) error {
	var told []socketError
	if json.Unmarshal(body, &told) != nil || len(told) != 1 ||
		!told[0].OK && !told[0].Retryable && told[0].Code != "token_expired" {
		return &breach{fmt.Sprintf("%s got as an answer to authenticate: %s", s.name, body)}
	}
	return nil
}

// event takes an event.
func (s *socketIO) event(ctx context.Context, body []byte) error {
	var args []json.RawMessage
	var name, offset string
	if err := json.Unmarshal(body, &args); err != nil || len(args) < 2 || len(args) > 3 ||
		json.Unmarshal(args[0], &name) != nil || args[1][0] != '{' && string(args[1]) != "null" ||
		len(args) == 3 && json.Unmarshal(args[2], &offset) != nil {
		return &breach{fmt.Sprintf("%s got no event with data and at most a cursor: %s", s.name, body)}
	}
	switch name {
	case "close":
		s.told = true
		s.ended(string(args[1]))
		return nil
	case "authenticated":
		if err := s.welcomed(args[1]); err != nil {
			return err
		}
	case "reset":
		s.excuse(args[1])
	}
	if err := s.take(ctx, envelopeOf(name, string(args[1]), offset), s.had); err != nil {
		return err
	}
	if offset != "" {
		s.socket.offset = offset
	}
	return nil
}

// welcomed compares what is said of the stream with what was said of the
// session.
func (s *socketIO) welcomed(data []byte) error {
	var told struct{ Recovered bool }
	if err := json.Unmarshal(data, &told); err != nil {
		return err
	}
	first := !s.welcome
	s.welcome = true
	if first && s.socket.way != byEvent && told.Recovered != s.recovered {
		return &breach{fmt.Sprintf("%s: the session's recovered is %t, the stream's %t", s.name, s.recovered, told.Recovered)}
	}
	if told.Recovered {
		s.socket.excused, s.socket.owed = false, false
	}
	return nil
}

// excuse tells whether a reset is excused.
func (s *socketIO) excuse(data []byte) {
	var told struct{ Type, Reason string }
	if json.Unmarshal(data, &told) == nil && told.Type == "" {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.forgiven = s.socket.excused && told.Reason == pgbell.GapCursor
		s.socket.excused, s.socket.owed = false, false
	}
}
