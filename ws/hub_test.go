package ws

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/ws/auth"
)

// change delivers an event that f has made of a fresh one.
func (s *server) change(f func(*pgbell.Event)) {
	e := s.db.insert("nobody")
	f(&e)
	s.cursor = s.cursor.Rung(e.ID)
	e.Cursor = s.cursor
	s.hub.Deliver([]pgbell.Event{e})
}

func TestWhoGetsWhat(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{}, HandlerOptions{}).live()
	owner, _ := s.connect(t, "c", "")
	provider, _ := s.connect(t, "p", "")
	both, _ := s.connect(t, "b:ADMIN,STAFF", "")
	stranger, _ := s.connect(t, "x:USER", "")

	s.change(func(e *pgbell.Event) {
		e.Owners, e.Watchers = map[string]string{"client": "c", "provider": "p"}, []string{"ADMIN", "STAFF"}
		e.Only = map[string]pgbell.Columns{"provider": {Data: json.RawMessage(`{"note":"n"}`)}}
	})
	for c, note := range map[*client]any{owner: nil, provider: "n", both: nil} {
		m := c.expect("booking_update")
		require.Equal(t, note, m.Data["data"].(map[string]any)["note"])
		require.NotEmpty(t, m.Cursor)
		c.fence() // once, however many rooms match
	}

	stranger.fence()
}

func TestOwnerMoves(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{}, HandlerOptions{}).live()
	was, _ := s.connect(t, "was", "")
	is, _ := s.connect(t, "is", "")
	other, _ := s.connect(t, "other", "")
	move := func(e *pgbell.Event) {
		e.Op, e.Action, e.Watchers = pgbell.Update, "moved", nil
		e.Data, e.Old = json.RawMessage(`{"id":1,"secret":1}`), json.RawMessage(`{"secret":0}`)
		e.Owners = map[string]string{"client": "is", "agent": "other"}
		e.Was = map[string]string{"client": "was", "agent": "other"}
	}
	s.change(move)
	left := was.expect("booking_update")
	require.Equal(t, "left", left.Data["op"])
	require.Equal(t, "left", left.Data["action"])
	require.Contains(t, left.Data, "data")
	require.Nil(t, left.Data["data"])
	require.NotContains(t, left.Data, "old")
	require.NotContains(t, left.Data, "changed")
	entered := is.expect("booking_update")
	require.Equal(t, "entered", entered.Data["action"])
	require.EqualValues(t, 1, entered.Data["data"].(map[string]any)["secret"])
	require.NotContains(t, entered.Data, "old")
	update := other.expect("booking_update")
	require.Equal(t, "moved", update.Data["action"])
	require.Equal(t, []any{"secret"}, update.Data["changed"])

	s.change(func(e *pgbell.Event) { move(e); e.Old = nil })
	was.expect("booking_update")
	is.expect("booking_update")
	other.fence() // nothing that it sees changed
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{Authenticator: tokens{rooms: []string{"lobby"}}}, HandlerOptions{}).live()
	c, first := s.connect(t, "u:ADMIN", "")
	watched := func() { s.change(func(*pgbell.Event) {}) }
	watched()
	c.expect("booking_update")

	c.send("authenticate", map[string]string{"token": "u"}, 1)
	m := c.expect("authenticated")
	require.Equal(t, first.Data["session"], m.Data["session"])
	require.Equal(t, []any{}, m.Data["roles"])
	require.Empty(t, m.Cursor, "the stream goes on")
	watched()
	c.fence() // the role is gone

	c.send("authenticate", map[string]string{"token": "u:ADMIN"}, 2)
	c.expect("authenticated")
	watched()
	c.expect("booking_update")

	c.send("authenticate", map[string]string{"token": "v"}, 3)
	require.Equal(t, "v", c.expect("authenticated").Data["userId"])
	s.change(func(e *pgbell.Event) { e.Owners = map[string]string{"client": "u"} })
	c.fence()
	s.change(func(e *pgbell.Event) { e.Owners = map[string]string{"client": "v"} })
	c.expect("booking_update")

	c.send("authenticate", map[string]string{"token": "unknown"}, 4)
	require.Equal(t, "auth_unavailable", c.expect("error").Data["code"], "the session survives")
	c.send("authenticate", map[string]string{"token": "bad"}, 5)
	c.expect("auth_error")
	c.expectClose(CloseUnauthenticated)
}

// A session is not offered events once its token has expired, so a refresh
// that comes after that may not save it, even where nobody has ended it yet.
func TestRefreshComesTooLate(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{Authenticator: tokens{ttl: 200 * time.Millisecond}}, HandlerOptions{}).live()
	c, m := s.connect(t, "u", "")
	expires, err := time.Parse(time.RFC3339Nano, m.Data["expiresAt"].(string))
	require.NoError(t, err)
	<-time.After(time.Until(expires))
	s.change(func(*pgbell.Event) {})
	c.send("authenticate", map[string]string{"token": "u"}, 1)
	require.Equal(t, "token_expired", c.expect("auth_error").Data["code"])
	c.expectClose(CloseExpired)
}

// rowsOf lets users into the rows that they are listed for.
type rowsOf map[string][]string

func (r rowsOf) MayJoin(_ context.Context, id auth.Identity, typ, key string) (bool, error) {
	if typ == "broken" {
		return false, errors.New("out of order")
	}
	return slices.Contains(r[id.UserID], typ+":"+key), nil
}

func TestRooms(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{
		Authenticator: tokens{rooms: []string{"lobby", "team:7"}}, MaxRooms: 5,
		Rows: rowsOf{"u": {"booking:1", "booking:a,2"}},
	}, HandlerOptions{}).live()
	c, _ := s.connect(t, "u:STAFF", "")
	ask := func(event, room, want string) {
		t.Helper()
		c.send(event, map[string]string{"room": room}, 7)
		m, err := c.next()
		require.NoError(t, err)
		require.Equal(t, "7", string(m.ID))
		if want == "" {
			require.Equal(t, "ack", m.Event, "%v", m.Data)
			require.Equal(t, room, m.Data["room"])
		} else {
			require.Equal(t, want, m.Data["code"])
		}
	}
	ask("join_room", "user:u", "")
	ask("join_room", "role:STAFF", "")
	ask("join_room", "user:v", "room_forbidden")
	ask("join_room", "role:ADMIN", "room_forbidden")
	ask("join_room", "*", "room_forbidden")
	ask("join_room", "hall", "room_forbidden")
	ask("join_room", "booking:2", "room_forbidden")
	ask("join_room", "broken:1", "room_unavailable")
	ask("leave_room", "user:u", "room_forbidden")
	ask("leave_room", "hall", "")
	ask("join_room", "lobby", "")
	ask("join_room", "lobby", "")
	ask("join_room", "team:7", "")
	ask("join_room", "booking:1", "")
	ask("join_room", "booking:a,2", "too_many_rooms")
	ask("leave_room", "team:7", "")
	ask("join_room", "booking:a,2", "")
	require.ElementsMatch(t, []string{"user:u1", "role:STAFF1", "lobby1", "booking:11", "booking:a,21", "room:lobby1", "room:team:71"}, s.hub.rooms.all())

	// A row's room grants nothing, and is left when the row is.
	s.change(func(e *pgbell.Event) {
		e.Key, e.Owners = json.RawMessage(`{"id": 1}`), map[string]string{"client": "v"}
	})
	c.fence()
	s.change(func(e *pgbell.Event) {
		e.Op, e.Key = pgbell.Update, json.RawMessage(`{"id": 1}`)
		e.Owners, e.Was = map[string]string{"client": "v"}, map[string]string{"client": "u"}
	})
	require.Equal(t, "left", c.expect("booking_update").Data["op"])
	require.NotContains(t, s.hub.rooms.all(), "booking:11")
	s.change(func(e *pgbell.Event) {
		e.Op, e.Key, e.Owners = pgbell.Delete, json.RawMessage(`{"a": "a", "b": 2}`), nil
	})
	c.fence()
	require.NotContains(t, s.hub.rooms.all(), "booking:a,21")
}

func TestLiveOnlyWhenItIs(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{AuthTimeout: 50 * time.Millisecond}, HandlerOptions{})
	early, _, err := s.dial(t, bearer("u"), "")
	require.NoError(t, err)
	early.fence() // authenticated, but nothing to say so
	time.Sleep(150 * time.Millisecond)
	early.fence() // and not cut off for it
	s.live()
	early.expect("authenticated")

	s.hub.Down(errors.New("gone"))
	s.hub.Down(errors.New("still gone"))
	require.Equal(t, map[string]any{"live": false}, early.expect("stream").Data)
	late, _, err := s.dial(t, bearer("u"), "")
	require.NoError(t, err)
	late.fence()
	s.db.insert("u")
	s.read()
	early.expect("booking_update")
	require.Equal(t, map[string]any{"live": true}, early.expect("stream").Data)
	require.NotEmpty(t, late.expect("authenticated").Cursor)
	late.fence()
}

func TestResets(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{}, HandlerOptions{}).live()
	c, first := s.connect(t, "u", "")
	s.change(func(e *pgbell.Event) {
		*e = pgbell.Event{ID: e.ID, XID: e.XID, Body: pgbell.Body{Type: "booking", Op: pgbell.Reset, Reason: "truncate"}}
	})
	m := c.expect("reset")
	require.Equal(t, map[string]any{"type": "booking", "reason": "truncate"}, m.Data)
	require.NotEmpty(t, m.Cursor)
	again, m := s.connect(t, "u", first.Cursor)
	require.Equal(t, true, m.Data["recovered"])
	again.expect("reset") // replayed to everybody

	s.hub.Gap(pgbell.Gap{Reason: pgbell.GapEpoch})
	require.Equal(t, map[string]any{"reason": "epoch"}, c.expect("reset").Data)
	s.db.epoch++
	s.live()
	for cursor, reason := range map[string]string{first.Cursor: pgbell.GapEpoch, "rubbish": pgbell.GapCursor} {
		c, m := s.connect(t, "u", cursor)
		require.Equal(t, false, m.Data["recovered"])
		if reason == pgbell.GapCursor {
			require.Empty(t, m.Cursor)
		} else {
			require.Equal(t, cursor, m.Cursor, "only the reset moves it")
		}
		reset := c.expect("reset")
		require.Equal(t, reason, reset.Data["reason"])
		require.NotEmpty(t, reset.Cursor)
		require.NotEqual(t, cursor, reset.Cursor)
	}
}

// TestCutBeforeReset has a client that hears that it was not recovered, but is
// cut off before it hears the reset. It must hear it the next time.
func TestCutBeforeReset(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{WindowBytes: 2000}, HandlerOptions{}).live()
	_, m := s.connect(t, "u", "")
	for range 20 {
		s.db.insert("u")
		s.read()
	}
	cursor := m.Cursor
	for range 3 {
		c, m := s.connect(t, "u", cursor)
		require.Equal(t, false, m.Data["recovered"])
		if m.Cursor != "" {
			cursor = m.Cursor
		}
		c.Close()
	}
	c, _ := s.connect(t, "u", cursor)
	cursor = c.expect("reset").Cursor
	_, m = s.connect(t, "u", cursor)
	require.Equal(t, true, m.Data["recovered"])
}

// brokenHistory fails until it is mended.
type brokenHistory struct {
	*database
	mended atomic.Bool
}

func (b *brokenHistory) Since(ctx context.Context, c pgbell.Cursor, limit int) ([]pgbell.Event, pgbell.Cursor, error) {
	if !b.mended.Load() {
		return nil, pgbell.Cursor{}, errors.New("no connection")
	}
	return b.database.Since(ctx, c, limit)
}

func TestHistory(t *testing.T) {
	t.Parallel()
	history := &brokenHistory{}
	s := serve(t, Options{History: history, HistoryEvents: 1500, WindowBytes: 2000}, HandlerOptions{})
	history.database = s.db
	s.live()
	_, m := s.connect(t, "u", "")
	for range 1200 {
		s.db.insert("u")
	}
	s.read()
	c, _, err := s.dial(t, bearer("u"), "?cursor="+m.Cursor)
	require.NoError(t, err)
	require.Equal(t, "unavailable", c.expect("error").Data["code"])
	c.expectClose(CloseTryLater)

	history.mended.Store(true)
	c, _, err = s.dial(t, bearer("u"), "?cursor="+m.Cursor)
	require.NoError(t, err)
	require.Equal(t, true, c.expect("authenticated").Data["recovered"])
	for id := range 1200 {
		require.EqualValues(t, id+1, c.expect("booking_update").Data["id"])
	}
	c.fence()
	s.read()
	s.db.insert("u")
	s.read()
	c.expect("booking_update")

	for range 500 {
		s.db.insert("v")
	}
	s.read()
	c, n := s.connect(t, "u", m.Cursor)
	require.Equal(t, true, n.Data["recovered"], "it was, as far as it went")
	for range 1201 {
		got, err := c.next()
		require.NoError(t, err)
		if got.Event == "reset" {
			require.Equal(t, pgbell.GapTooMany, got.Data["reason"])
			return
		}
	}
	require.Equal(t, pgbell.GapTooMany, c.expect("reset").Data["reason"])
}

// TestIdleClientsKeepUp has a client for whom there is nothing, and whose
// cursor must not grow too old.
func TestIdleClientsKeepUp(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{WindowBytes: 20_000}, HandlerOptions{}).live()
	c, m := s.connect(t, "idle", "")
	for range 200 {
		s.db.insert("busy")
		s.read()
		s.hub.sweep()
	}
	began, cursor := m.Cursor, m.Cursor
	for told := 0; ; told++ {
		c.send("fence", nil, nil)
		m, err := c.next()
		require.NoError(t, err)
		if m.Event == "error" {
			require.Greater(t, told, 3)
			require.Less(t, told, 60, "but not at every event")
			break
		}
		require.Equal(t, "cursor", m.Event)
		cursor = m.Cursor
	}
	_, m = s.connect(t, "idle", cursor)
	require.Equal(t, true, m.Data["recovered"])
	late, m := s.connect(t, "idle", began)
	require.Equal(t, false, m.Data["recovered"], "without them it would be too old")
	require.Equal(t, pgbell.GapRetention, late.expect("reset").Data["reason"])
}

func TestSameFrameForAll(t *testing.T) {
	t.Parallel()
	h := NewHub(Options{})
	defer h.cancel()
	f := newFeed(newDatabase(), h)
	var sessions []*session
	for _, user := range []string{"u", "u", "v"} {
		s := &session{hub: h, proto: jsonProtocol{}, peer: &replicaPeer{}}
		require.Nil(t, h.open(s))
		s.admit(auth.Identity{UserID: user, ExpiresAt: time.Now().Add(time.Hour)}, "", nil)
		sessions = append(sessions, s)
	}
	h.wg.Add(-3)
	h.wg.Wait()
	e := bookingEvent(1, 200, 1, map[string]string{"client": "u", "provider": "v"})
	f.cursor = f.cursor.Rung(1)
	e.Cursor = f.cursor
	h.Deliver([]pgbell.Event{e})
	var first *byte
	for _, s := range sessions {
		frames, _, _ := s.next(nil, 0)
		require.Len(t, frames, 2)
		if first == nil {
			first = &frames[1][0]
		}
		require.Same(t, first, &frames[1][0])
	}
}
