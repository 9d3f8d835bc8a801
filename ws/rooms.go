package ws

import (
	"encoding/json"
	"hash/maphash"
	"slices"
	"strings"
	"sync"

	"github.com/pgbell/pgbell"
)

// The rooms that a token opens by itself. Whatever else contains a colon and
// is not named in the token is the room of one row, <type>:<key>.
const (
	userRoom = "user:"
	roleRoom = "role:"
	// tokenRoom is for the rooms that a token names: whoever may enter them is
	// found here for what is published to them, entered or not.
	tokenRoom = "room:"
	// everyone is the room of all sessions. Nobody can ask for it.
	everyone = pgbell.Everybody
)

const roomShards = 64

// rooms is an index from a room's name to the sessions in it, and nothing
// more: being in a room entitles to nothing. What a session sees is decided by
// its identity alone, when an event is offered to it.
//
// Lock order: a shard's mutex, then a session's.
type rooms struct {
	seed   maphash.Seed
	shards [roomShards]roomShard
}

type roomShard struct {
	mu    sync.RWMutex
	rooms map[string]map[*session]struct{}
}

func newRooms() *rooms {
	r := &rooms{seed: maphash.MakeSeed()}
	for i := range r.shards {
		r.shards[i].rooms = make(map[string]map[*session]struct{})
	}
	return r
}

func (r *rooms) shard(room string) *roomShard {
	return &r.shards[maphash.String(r.seed, room)%roomShards]
}

// join adds s to room unless it is closed, there already, or in limit rooms,
// where what it is in only to be found does not count.
func (r *rooms) join(s *session, room string, limit int) bool {
	shard := r.shard(room)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.rooms, room) {
		return true
	}
	if s.closing || limit > 0 && len(s.rooms)-len(s.identity.Rooms) >= limit {
		return false
	}
	s.rooms = append(s.rooms, room)
	members := shard.rooms[room]
	if members == nil {
		members = make(map[*session]struct{}, 1)
		shard.rooms[room] = members
	}
	members[s] = struct{}{}
	return true
}

// leave removes s from room.
func (r *rooms) leave(s *session, room string) {
	shard := r.shard(room)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.remove(s, room)
}

func (shard *roomShard) remove(s *session, room string) {
	s.mu.Lock()
	if i := slices.Index(s.rooms, room); i >= 0 {
		s.rooms = slices.Delete(s.rooms, i, i+1)
	}
	s.mu.Unlock()
	members := shard.rooms[room]
	delete(members, s)
	if len(members) == 0 {
		delete(shard.rooms, room)
	}
}

// count is how many rooms somebody is in.
func (r *rooms) count() (n int) {
	for i := range r.shards {
		shard := &r.shards[i]
		shard.mu.RLock()
		n += len(shard.rooms)
		shard.mu.RUnlock()
	}
	return n
}

// occupied reports whether somebody is in room.
func (r *rooms) occupied(room string) bool {
	shard := r.shard(room)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	return len(shard.rooms[room]) > 0
}

// sizes calls f with every room and the number of its members. f must be quick,
// as for each.
func (r *rooms) sizes(f func(room string, members int)) {
	for i := range r.shards {
		shard := &r.shards[i]
		shard.mu.RLock()
		for room, members := range shard.rooms {
			f(room, len(members))
		}
		shard.mu.RUnlock()
	}
}

// each calls f with every member. f must be quick: joins to the room's shard
// wait for it.
func (r *rooms) each(room string, f func(*session)) {
	shard := r.shard(room)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	for s := range shard.rooms[room] {
		f(s)
	}
}

// evict removes the members for whom lost says so.
func (r *rooms) evict(room string, lost func(*session) bool) {
	shard := r.shard(room)
	shard.mu.RLock()
	empty := len(shard.rooms[room]) == 0
	shard.mu.RUnlock()
	if empty {
		return
	}
	shard.mu.Lock()
	defer shard.mu.Unlock()
	for s := range shard.rooms[room] {
		if lost(s) {
			shard.remove(s, room)
		}
	}
}

// rowRoom is the room of one row: its type, and the values of its key columns
// in their order, joined by commas.
func rowRoom(typ string, key json.RawMessage) string {
	var b strings.Builder
	b.WriteString(typ)
	separator := byte(':')
	for _, value := range members(key) {
		b.WriteByte(separator)
		separator = ','
		var text string
		if len(value) > 0 && value[0] == '"' && json.Unmarshal(value, &text) == nil {
			b.WriteString(text)
		} else {
			b.Write(value)
		}
	}
	return b.String()
}
