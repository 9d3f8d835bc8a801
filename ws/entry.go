package ws

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/pgbell/pgbell"
)

// entry is one event on its way to the sessions and, for a while afterwards, in
// the window.
type entry struct {
	event pgbell.Event
	// seq numbers the events of this hub in the order of delivery, from 1.
	seq uint64
	// users own the row or are addressed; rooms are where they and everybody
	// else who may see it are found.
	users, rooms []string
	// window is for how long the session that gets the event gets no other of
	// its row at once; 0: no matter how many. Then row is that row's room, and
	// before the stream's cursor before the event.
	window time.Duration
	row    string
	before pgbell.Cursor
	// arrived is the time on the hub's clock.
	arrived time.Duration
	// mark is the cursor of the first complete read after the event and before
	// the next one, if there was any. The stream's mutex guards it.
	mark pgbell.Cursor

	mu     sync.Mutex    // guards what follows; nothing is locked under it
	unread *int64        // of notifications: how many its user has not read
	cursor string        // the event's cursor, encoded
	frames []cachedFrame // each view, encoded once
	extra  int64         // bytes of the two
	count  *atomic.Int64 // the window's bytes; nil when no longer in it
}

// entryOverhead is roughly what an event costs beside the text of its body.
const entryOverhead = 512

// newEntry finds the rooms of an event.
func newEntry(e pgbell.Event) *entry {
	en := &entry{event: e}
	if isSignal(&e) {
		return en
	}
	if everybody(&e) {
		en.rooms = []string{everyone}
		return en
	}
	en.users = concerned(&e)
	for _, user := range en.users {
		en.rooms = append(en.rooms, userRoom+user)
	}
	for _, role := range e.Watchers {
		en.rooms = append(en.rooms, roleRoom+role)
	}
	if e.Op == pgbell.Publish {
		for _, room := range e.Rooms {
			en.rooms = append(en.rooms, tokenRoom+room)
		}
	}
	return en
}

// frame is the event in one view, encoded once for all who share it.
func (en *entry) frame(p protocol, v view) []byte {
	en.mu.Lock()
	defer en.mu.Unlock()
	for _, f := range en.frames {
		if f.view == v.id && f.protocol == p {
			return f.bytes
		}
	}
	if en.cursor == "" {
		en.cursor = en.event.Cursor.String()
		en.grow(len(en.cursor))
	}
	v.unread = en.unread
	f := cachedFrame{p, v.id, p.update(&en.event, v, en.cursor)}
	en.frames = append(en.frames, f)
	en.grow(len(f.bytes))
	return f.bytes
}

func (en *entry) grow(n int) {
	en.extra += int64(n)
	if en.count != nil {
		en.count.Add(int64(n))
	}
}

// enter counts the entry's bytes from now on.
func (en *entry) enter(count *atomic.Int64) {
	en.mu.Lock()
	defer en.mu.Unlock()
	en.count = count
	count.Add(int64(en.event.Size) + entryOverhead + en.extra)
}

// exit ends that.
func (en *entry) exit() {
	en.mu.Lock()
	defer en.mu.Unlock()
	en.count.Add(-(int64(en.event.Size) + entryOverhead + en.extra))
	en.count = nil
}
