package ws

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pgbell/pgbell"
)

// Hub routes events to the sessions that may see them. It is the sink of the
// listener: [Hub.Deliver], [Hub.Advance], [Hub.Gap] and [Hub.Down] are called
// from one goroutine, in order, and never wait for a client. Everything else
// may be called at any time.
type Hub struct {
	o      Options
	start  time.Time       // hub time is measured from here, on the monotonic clock
	ctx    context.Context //nolint:containedctx // the parent of what connections wait for; the end of Run cancels it
	cancel context.CancelFunc

	rooms      *rooms
	stream     stream
	readers    chan struct{} // a place for each reader of History
	perUser    counter
	perAddress counter
	attempts   *throttle // connections, by address
	mistrusted *throttle // tokens refused, by address
	revoked    revocations
	canary     canary
	failures   errorLog
	windows    windows
	uncounted  time.Duration // until then unread notifications are not counted; only who delivers uses it

	mu       sync.Mutex // guards what follows
	sessions map[*session]struct{}
	draining bool
	stopped  bool
	empty    chan struct{} // closed when draining and nobody is left
	lastRead time.Duration // 0: never, or not live
	wg       sync.WaitGroup
}

// NewHub makes a hub. [Hub.Run] must run for its deadlines to be kept.
func NewHub(o Options) *Hub {
	o = o.withDefaults()
	h := &Hub{
		o: o, start: time.Now(), rooms: newRooms(), sessions: make(map[*session]struct{}),
		readers: make(chan struct{}, o.HistoryReaders),
		stream:  stream{at: o.Start, waiting: make(map[*session]*joining), window: newWindow(o.WindowBytes, o.WindowAge)},
		revoked: newRevocations(), canary: newCanary(), failures: newErrorLog(), windows: newWindows(),
	}
	h.attempts, h.mistrusted = newThrottle(o.Attempts), newThrottle(o.Failures)
	if !o.Start.IsZero() {
		h.stream.window.mark(o.Start)
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// now is the time since the hub was made; never 0.
func (h *Hub) now() time.Duration { return time.Since(h.start) + 1 }

// Deliver routes events to the sessions that may see them and keeps them in
// the window.
func (h *Hub) Deliver(events []pgbell.Event) {
	unread := h.countUnread(events)
	for i := range events {
		h.deliver(events[i], unread)
	}
}

func (h *Hub) deliver(e pgbell.Event, unread map[string]int64) {
	en := newEntry(e)
	if counts(&e) {
		if n, known := unread[e.Users[0]]; known {
			en.unread = &n
		}
	}
	en.arrived = h.now()
	if window := h.o.Debounce[e.Type]; window > 0 && len(e.Key) > 0 {
		en.window, en.row = window, rowRoom(e.Type, e.Key)
	}
	h.stream.append(en)
	if isSignal(&e) {
		h.stream.settle(en)
		h.signal(&e)
		return
	}
	now := time.Now()
	sessions := 0
	offer := func(m *memo) func(*session) {
		return func(s *session) {
			if s.offer(en, m, now) {
				sessions++
			}
		}
	}
	if everybody(&e) {
		h.each(offer(&memo{}))
	}
	// Owners first: whoever is owner and watcher sees what both may see.
	for _, user := range en.users {
		h.rooms.each(userRoom+user, offer(&memo{user: user}))
	}
	for _, role := range e.Watchers {
		h.rooms.each(roleRoom+role, offer(&memo{}))
	}
	if e.Op == pgbell.Publish {
		for _, room := range e.Rooms {
			h.rooms.each(tokenRoom+room, offer(&memo{}))
		}
	}
	if e.Op == pgbell.Delete || e.Was != nil {
		h.rooms.evict(rowRoom(e.Type, e.Key), func(s *session) bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return e.Op == pgbell.Delete || viewOf(&e, s.identity.UserID, addresses(&e, s.identity)).op == pgbell.Left
		})
	}
	h.stream.settle(en)
	h.o.Trace.delivered(sessions, h.now()-en.arrived)
}

// Advance says that everything up to at was delivered and that the stream is
// live.
func (h *Hub) Advance(at pgbell.Cursor) {
	waiting, woke := h.stream.advance(at)
	h.mu.Lock()
	h.lastRead = h.now()
	h.mu.Unlock()
	if woke {
		h.reloadRevocations()
		h.o.Trace.live(true)
		h.announce("stream", map[string]bool{"live": true})
	}
	for s, j := range waiting {
		h.spawn(func() { h.enter(s, j) })
	}
}

// Gap says that events were lost: every session gets a reset, and no cursor
// from before can be served from the window.
func (h *Hub) Gap(gap pgbell.Gap) {
	h.stream.mu.Lock()
	h.stream.window.clear()
	h.stream.mu.Unlock()
	h.o.Logger.Warn("stream has a gap", "type", gap.Type, "reason", gap.Reason)
	h.o.Trace.gap(gap.Reason)
	h.reloadRevocations()
	h.announce("reset", resetData{gap.Type, gap.Reason})
}

// resetData is the data of reset.
type resetData struct {
	Type   string `json:"type,omitempty"`
	Reason string `json:"reason"`
}

// Down says that the connection to the database is lost. Sessions stay: the
// stream goes on exactly where it was at the next [Hub.Advance]. New ones wait
// for that.
func (h *Hub) Down(err error) {
	h.stream.mu.Lock()
	was := h.stream.live
	h.stream.live = false
	h.stream.mu.Unlock()
	h.mu.Lock()
	h.lastRead = 0
	h.mu.Unlock()
	if was {
		h.o.Logger.Warn("stream is not live", "error", err)
		h.o.Trace.live(false)
		h.announce("stream", map[string]bool{"live": false})
	}
}

// announce tells every session that is in the stream.
func (h *Hub) announce(event string, data any) {
	frames := make(map[protocol][]byte)
	h.each(func(s *session) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.live && (s.joining == nil || !s.joining.told) {
			return
		}
		if frames[s.proto] == nil {
			frames[s.proto] = s.proto.signal(event, data, nil, "")
		}
		s.release() // the client may fetch what is newer
		s.push(frames[s.proto])
	})
}

// each calls f with every session.
func (h *Hub) each(f func(*session)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.sessions {
		f(s)
	}
}

// Ready is nil if a session that came now would be live: the stream is, and
// its last complete read is no older than within.
func (h *Hub) Ready(within time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.draining || h.stopped:
		return errors.New("the server is stopping")
	case h.lastRead == 0:
		return errors.New("the stream is not live")
	case h.now()-h.lastRead > within:
		return fmt.Errorf("the last read of the stream is older than %s", within)
	}
	return nil
}

// vacancy says why there can be no further session, if so.
func (h *Hub) vacancy() *Error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.vacancyLocked()
}

func (h *Hub) vacancyLocked() *Error {
	switch {
	case h.draining || h.stopped:
		return errDraining
	case len(h.sessions) >= h.o.MaxConnections:
		return errServerFull
	}
	return nil
}

// open registers a session, or says why there can be none.
func (h *Hub) open(s *session) *Error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.vacancyLocked(); err != nil {
		return err
	}
	h.sessions[s] = struct{}{}
	h.wg.Add(1)
	return nil
}

// finish removes a session whose connection is over.
func (h *Hub) finish(s *session) {
	s.mu.Lock()
	rooms := append([]string(nil), s.rooms...)
	code, counted := s.code, s.counted
	s.finished, s.counted = true, ""
	s.mu.Unlock()
	for _, room := range rooms {
		h.rooms.leave(s, room)
	}
	h.perUser.release(counted)
	h.stream.lock()
	delete(h.stream.waiting, s)
	h.stream.unlock()
	h.mu.Lock()
	delete(h.sessions, s)
	if h.draining && len(h.sessions) == 0 {
		close(h.empty)
	}
	h.mu.Unlock()
	h.o.Trace.closed(s.transport, code, h.now()-s.opened)
	h.wg.Done()
}

// spawn runs f, unless the hub has stopped.
func (h *Hub) spawn(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.stopped {
		h.wg.Go(f)
	}
}

// Drain ends the hub's work in order: no connection is accepted any more, and
// each client gets what waits for it and is closed with [CloseGoingAway] and a
// hint when to come back, spread over DrainJitter. It returns when all are
// gone, or with an error when ctx ends before; then the end of [Hub.Run] drops
// the rest.
func (h *Hub) Drain(ctx context.Context) error {
	h.mu.Lock()
	if !h.draining {
		h.draining, h.empty = true, make(chan struct{})
		if len(h.sessions) == 0 {
			close(h.empty)
		}
	}
	empty := h.empty
	h.mu.Unlock()
	h.each(func(s *session) {
		s.end(CloseGoingAway, fmt.Sprintf(retryHint+"%d", rand.N(h.o.DrainJitter).Milliseconds()), true)
	})
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		h.mu.Lock()
		left := len(h.sessions)
		h.mu.Unlock()
		return fmt.Errorf("drain: %d connections left: %w", left, context.Cause(ctx))
	}
}

// Run keeps the deadlines of all sessions until ctx ends. It then drops every
// connection and returns nil once all are gone. A hub runs once.
func (h *Hub) Run(ctx context.Context) error {
	if len(h.o.Debounce) > 0 {
		h.spawn(func() { h.watchWindows(ctx) })
	}
	tick := time.NewTicker(h.sweepInterval())
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			h.sweep()
		case <-ctx.Done():
			h.mu.Lock()
			h.stopped = true
			h.mu.Unlock()
			h.cancel()
			h.each(func(s *session) { s.peer.abort() })
			h.wg.Wait()
			return nil
		}
	}
}

// sweepInterval keeps the shortest deadline to within a quarter.
func (h *Hub) sweepInterval() time.Duration {
	shortest := min(h.o.AuthTimeout, h.o.PingInterval, h.o.PongTimeout, h.o.WriteTimeout, h.o.CloseTimeout)
	return min(max(shortest/4, 10*time.Millisecond), time.Second)
}

// sweep is what there is instead of a timer for each connection.
func (h *Hub) sweep() {
	now, wall := h.now(), time.Now()
	l, settled := h.stream.lag(now)
	left := 0
	if settled { // not all at once
		h.mu.Lock()
		left = 256 + len(h.sessions)/16
		h.mu.Unlock()
	}
	frames := make(map[protocol][]byte)
	h.each(func(s *session) {
		s.sweep(now, wall)
		if left > 0 && s.catchUp(l, frames) {
			left--
		}
	})
	h.stream.mu.Lock()
	events, bytes := len(h.stream.window.entries), h.stream.window.bytes.Load()
	h.stream.mu.Unlock()
	h.o.Trace.window(events, bytes)
}

// catchUp tells a session for which there was nothing for half of the window
// where the stream stands, so that its cursor is never too old to resume from
// memory.
func (s *session) catchUp(l lag, frames map[protocol][]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.live || s.told >= l.half || s.pos > l.settled || s.held != nil && s.held.waiting > 0 {
		return false
	}
	if frames[s.proto] == nil {
		frames[s.proto] = s.proto.signal("cursor", nil, nil, l.cursor)
	}
	s.told = l.settled
	s.push(frames[s.proto])
	return true
}
