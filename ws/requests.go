package ws

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/pgbell/pgbell/ws/auth"
)

// handle answers one message of a client of the JSON protocol. It is called by
// the session's reader alone.
func (s *session) handle(message []byte) {
	s.hub.o.Trace.received(len(message))
	if !s.mayAsk() {
		return
	}
	r, err := decodeRequest(message)
	if err != nil {
		s.fail(errBadRequest.because(err.Error()), r.ID)
		return
	}
	s.do(r)
}

// mayAsk reports whether the client may send a message now. One that may not is
// cut off.
func (s *session) mayAsk() bool {
	if !s.allow() {
		s.fail(errRateLimited, nil)
		return false
	}
	return true
}

// do does what a client asks for, and answers.
func (s *session) do(r request) {
	ctx, cancel := context.WithTimeout(s.hub.ctx, s.hub.o.RequestTimeout)
	defer cancel()
	if r.Event == "authenticate" {
		var data struct {
			Token  string `json:"token"`
			Cursor string `json:"cursor"`
		}
		if json.Unmarshal(r.Data, &data) != nil || data.Token == "" {
			s.fail(errBadRequest.because("authenticate takes {token, cursor?}"), r.ID)
			return
		}
		s.authenticate(ctx, data.Token, data.Cursor, r.ID)
		return
	}
	s.mu.Lock()
	identity := s.identity
	s.mu.Unlock()
	if identity.UserID == "" {
		s.fail(errAuthRequired, r.ID)
		return
	}
	switch r.Event {
	case "join_room", "leave_room":
		var data struct {
			Room string `json:"room"`
		}
		if json.Unmarshal(r.Data, &data) != nil || data.Room == "" || len(data.Room) > maxRoomName {
			s.fail(errBadRequest.because(r.Event+" takes {room}, a name of at most 256 bytes"), r.ID)
			return
		}
		var refused *Error
		if r.Event == "join_room" {
			refused = s.joinRoom(ctx, identity, data.Room)
		} else {
			refused = s.leaveRoom(data.Room)
		}
		if refused != nil {
			s.fail(refused, r.ID)
			return
		}
		s.tell("ack", map[string]string{"room": data.Room}, r.ID)
	case "notification_read":
		s.markRead(ctx, identity.UserID, r)
	default:
		s.fail(errUnknownEvent, r.ID)
	}
}

// maxRoomName is in bytes.
const maxRoomName = 256

// authenticate verifies a token and lets its bearer in. A session that has an
// identity survives when a new token cannot be verified now.
func (s *session) authenticate(ctx context.Context, token, cursor string, id json.RawMessage) {
	if cursor == "" {
		cursor = s.resume
	}
	s.resume = ""
	identity, refused := s.hub.verify(ctx, s.address, token)
	if refused == nil {
		s.admit(identity, cursor, id)
		return
	}
	if refused.Retryable && s.user() != "" {
		s.hub.authFailed(refused, s.transport, s.user())
		s.tell("error", refused, id)
		return
	}
	s.refuse(refused, id)
}

// verify returns the identity of a token that came from a client address, or
// what to tell its bearer. From an address of which too many were refused none
// is looked at.
func (h *Hub) verify(ctx context.Context, address, token string) (auth.Identity, *Error) {
	if !h.mistrusted.left(address) {
		return auth.Identity{}, errTooManyFailures
	}
	identity, err := h.believe(ctx, token)
	// A token that has expired was good once, and one that could not be
	// verified may be.
	if err == errTokenInvalid || err == errTokenRevoked {
		h.mistrusted.allow(address)
	}
	return identity, err
}

// believe verifies a token.
func (h *Hub) believe(ctx context.Context, token string) (auth.Identity, *Error) {
	if h.o.Authenticator == nil {
		return auth.Identity{}, errAuthUnavailable
	}
	identity, err := h.o.Authenticator.Verify(ctx, token)
	if err != nil {
		refused := authError(err)
		if refused.Retryable {
			h.o.Logger.WarnContext(ctx, "tokens cannot be verified", "error", err)
		}
		return auth.Identity{}, refused
	}
	now := time.Now()
	switch {
	case !now.Before(identity.ExpiresAt):
		return auth.Identity{}, errTokenExpired
	case h.o.Revocations == nil:
	case !h.revoked.ready(ctx):
		return auth.Identity{}, errAuthUnavailable
	case h.revoked.refuse(identity, now):
		return auth.Identity{}, errTokenRevoked
	}
	return identity, nil
}

// countFor counts the session as one of a user's, and reports false if that has
// as many as there may be. A session that is over already, because its
// connection ended while the token was being verified, counts for nobody.
func (s *session) countFor(user string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finished || s.counted == user {
		return true
	}
	if !s.hub.perUser.acquire(user, s.hub.o.MaxPerUser) {
		return false
	}
	s.hub.perUser.release(s.counted)
	s.counted = user
	return true
}

// admit gives the session its identity. The same user again only refreshes it:
// roles and rooms that the new token lacks end at once. Another user starts
// anew. A session whose token has expired cannot be saved any more.
func (s *session) admit(identity auth.Identity, cursor string, id json.RawMessage) {
	h := s.hub
	if !s.countFor(identity.UserID) {
		s.refuse(errConnectionLimit, id)
		return
	}
	h.stream.lock()
	s.mu.Lock()
	had := s.identity
	if had.UserID != "" && !time.Now().Before(had.ExpiresAt) {
		// Since then events have passed it by. It comes back with its cursor.
		s.mu.Unlock()
		h.stream.unlock()
		s.refuse(errTokenExpired, id)
		return
	}
	again := had.UserID == identity.UserID
	if again {
		s.release() // under the roles that it was held back for
	} else {
		s.held = nil // the other one comes back with their cursor
	}
	s.identity = identity
	var stale []string
	for _, room := range s.rooms {
		if !keeps(room, had, identity) {
			stale = append(stale, room)
		}
	}
	refreshed := again && s.live
	var j *joining
	switch {
	case refreshed:
		s.push(s.proto.signal("authenticated", s.welcome(true), id, ""))
	case again && s.joining != nil: // it answers when it is through
		s.joining.id = id
	case !s.closing:
		s.live = false
		j = newJoining(cursor, id, h.now())
		s.joining = j
	}
	s.mu.Unlock()
	for _, room := range stale {
		h.rooms.leave(s, room)
	}
	if refreshed {
		for _, room := range tokenRooms(identity) {
			h.rooms.join(s, room, 0)
		}
	}
	h.stream.unlock()
	if s.revokedAt(time.Now()) { // since it was verified
		s.refuse(errTokenRevoked, id)
		return
	}
	if j != nil {
		h.spawn(func() { h.enter(s, j) })
	}
}

// keeps reports whether a session stays in room when its identity changes. The
// room of a row was granted to what its user was then: it goes with any role.
func keeps(room string, had, now auth.Identity) bool {
	if slices.Contains(tokenRooms(now), room) || slices.Contains(now.Rooms, room) {
		return true
	}
	if had.UserID != now.UserID || slices.Contains(tokenRooms(had), room) || slices.Contains(had.Rooms, room) {
		return false
	}
	return !slices.ContainsFunc(had.Roles, func(role string) bool { return !slices.Contains(now.Roles, role) })
}

// welcome is the data of authenticated. The caller holds the mutex.
func (s *session) welcome(recovered bool) welcomeData {
	roles := s.identity.Roles
	if roles == nil {
		roles = []string{}
	}
	return welcomeData{s.identity.UserID, roles, s.id, s.identity.ExpiresAt.UTC(), recovered}
}

// welcomeData is the data of authenticated.
type welcomeData struct {
	UserID    string    `json:"userId"`
	Roles     []string  `json:"roles"`
	Session   string    `json:"session"`
	ExpiresAt time.Time `json:"expiresAt"`
	Recovered bool      `json:"recovered"`
}

// tokenRooms are the rooms that a session is in by its token alone.
func tokenRooms(identity auth.Identity) []string {
	rooms := make([]string, 0, 1+len(identity.Roles)+len(identity.Rooms))
	rooms = append(rooms, userRoom+identity.UserID)
	for _, role := range identity.Roles {
		rooms = append(rooms, roleRoom+role)
	}
	for _, room := range identity.Rooms {
		rooms = append(rooms, tokenRoom+room)
	}
	return rooms
}

// joinRoom enters a room of the token or of a row.
func (s *session) joinRoom(ctx context.Context, identity auth.Identity, room string) *Error {
	if slices.Contains(tokenRooms(identity), room) {
		return nil
	}
	typ, key, isRow := strings.Cut(room, ":")
	byToken := slices.Contains(identity.Rooms, room)
	if !byToken && (!isRow || typ == "user" || typ == "role" || typ == "room" || s.hub.o.Rows == nil) {
		return errRoomForbidden
	}
	if !s.hub.rooms.join(s, room, s.hub.o.MaxRooms) {
		return errTooManyRooms
	}
	if byToken {
		return nil
	}
	// It is in the room before anybody is asked: so when the row is lost from
	// here on, the event finds it there and takes it out again.
	may, err := s.hub.o.Rows.MayJoin(ctx, identity, typ, key)
	if err != nil {
		s.hub.rooms.leave(s, room)
		s.hub.o.Logger.WarnContext(ctx, "room authorization failed", "type", typ, "error", err)
		return errRoomUnavailable
	}
	if !may {
		s.hub.rooms.leave(s, room)
		return errRoomForbidden
	}
	return nil
}

// leaveRoom leaves a room that was joined; the token's own cannot be left.
func (s *session) leaveRoom(room string) *Error {
	if strings.HasPrefix(room, userRoom) || strings.HasPrefix(room, roleRoom) || strings.HasPrefix(room, tokenRoom) {
		return errRoomForbidden
	}
	s.hub.rooms.leave(s, room)
	return nil
}
