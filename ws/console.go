package ws

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pgbell/pgbell/ws/auth"
)

// Console knows what operators ask that the hub does not. Whatever it returns
// is written as JSON. An error that comes from [Mistake] is told; any other
// means that the question cannot be answered now.
type Console interface {
	// Recent is how the node fared lately, as far as it is newer than after.
	Recent(after time.Time) any
	// Tables is how the watched tables, the event log and those who listen
	// stand in the database.
	Tables(ctx context.Context) (any, error)
	// Why explains who receives a row's events.
	Why(ctx context.Context, q WhyQuery) (any, error)
}

// WhyQuery asks whether User, with a token that has Roles, receives the events
// of the row Key of Table.
type WhyQuery struct {
	User  string
	Roles []string
	Table string
	Key   []string
}

// The bounds of what one console asks.
const (
	// countedEvery is for how long a count of all sessions and rooms is good,
	// whoever asks.
	countedEvery = time.Second
	consoleRooms = 20
	consoleSlow  = 20
	// consoleSessions is how many sessions of one user are shown.
	consoleSessions = 200
	consoleTimeout  = 10 * time.Second
	maxWhyText      = 1024 // bytes of each parameter
	maxWhyValues    = 32   // roles, and parts of a key
)

// consoleCostly is how often one admin may ask what costs the database
// something.
var consoleCostly = Rate{PerSecond: 1, Burst: 10}

// console is the part of a [Handler] that serves operators.
type console struct {
	costly *throttle
	place  chan struct{} // one such question at a time

	mu      sync.Mutex // guards what follows
	census  census
	counted time.Duration // hub time of census
}

// census is what counting all sessions and rooms gives.
type census struct {
	Connections map[string]int `json:"connections"`
	Users       int            `json:"users"`
	Rooms       int            `json:"rooms"`
	TopRooms    []roomSize     `json:"topRooms"`
	Slow        []slowSession  `json:"slow"`
	// QueuedBytes wait to be sent to all sessions together.
	QueuedBytes int64 `json:"queuedBytes"`
}

// roomSize is a room and how many sessions are in it.
type roomSize struct {
	Room     string `json:"room"`
	Sessions int    `json:"sessions"`
}

// slowSession is a session with something waiting for it.
type slowSession struct {
	UserID      string `json:"userId"`
	Session     string `json:"session"`
	Transport   string `json:"transport"`
	QueuedBytes int    `json:"queuedBytes"`
}

// serveConsole registers what is for operators, if somebody knows it.
func (h *Handler) serveConsole() {
	if h.o.Console == nil {
		return
	}
	h.console = console{costly: newThrottle(consoleCostly), place: make(chan struct{}, 1), counted: -countedEvery}
	for path, serve := range map[string]func(http.ResponseWriter, *http.Request, auth.Identity){
		"/api/console/stats":               h.stats,
		"/api/console/users/{id}/sessions": h.userSessions,
		"/api/console/tables":              h.costly(h.watchedTables),
		"/api/console/why":                 h.costly(h.why),
	} {
		h.mux.HandleFunc("GET "+path, h.api(h.admin(serve)))
		h.mux.HandleFunc("OPTIONS "+path, h.preflight)
	}
}

// admin lets nobody pass but the roles that may see everything.
func (h *Handler) admin(serve func(http.ResponseWriter, *http.Request, auth.Identity)) func(http.ResponseWriter, *http.Request, auth.Identity) {
	return func(w http.ResponseWriter, r *http.Request, id auth.Identity) {
		if !hasRole(id, h.o.AdminRoles) {
			h.fail(w, errForbidden)
			return
		}
		serve(w, r, id)
	}
}

// costly bounds how often and how many at once ask the database.
func (h *Handler) costly(ask func(context.Context, *http.Request) (any, error)) func(http.ResponseWriter, *http.Request, auth.Identity) {
	return func(w http.ResponseWriter, r *http.Request, id auth.Identity) {
		if !h.console.costly.allow(id.UserID) {
			h.fail(w, errRateLimited.because("Too many questions to the database."))
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), consoleTimeout)
		defer cancel()
		select {
		case h.console.place <- struct{}{}:
			defer func() { <-h.console.place }()
		case <-ctx.Done():
			h.fail(w, errUnavailable)
			return
		}
		answer, err := ask(ctx, r)
		var told *Error
		switch {
		case err == nil:
			writeJSON(w, http.StatusOK, answer)
		case errors.As(err, &told):
			h.fail(w, told)
		default:
			if r.Context().Err() == nil {
				h.hub.o.Logger.WarnContext(ctx, "a question of the console cannot be answered", "path", r.URL.Path, "error", err)
			}
			h.fail(w, errUnavailable)
		}
	}
}

// stats answers GET /api/console/stats.
func (h *Handler) stats(w http.ResponseWriter, r *http.Request, _ auth.Identity) {
	values, refused := parseQuery(r)
	if refused != nil {
		h.fail(w, refused)
		return
	}
	var after time.Time
	if text := values.Get("after"); text != "" {
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			h.fail(w, errBadRequest.because("after takes the at of a sample: milliseconds since 1970."))
			return
		}
		after = time.UnixMilli(ms)
	}
	live, window := h.hub.streamNow()
	writeJSON(w, http.StatusOK, struct {
		Version       string    `json:"version"`
		StartedAt     time.Time `json:"startedAt"`
		UptimeSeconds int64     `json:"uptimeSeconds"`
		Live          bool      `json:"live"`
		census
		Window windowSize `json:"window"`
		Recent any        `json:"recent"`
	}{
		h.o.Version, h.hub.start.UTC().Truncate(time.Millisecond), int64(h.hub.now().Seconds()), live,
		h.count(), window, h.o.Console.Recent(after),
	})
}

// count is the census, which is taken at most once in a while.
func (h *Handler) count() census {
	c := &h.console
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := h.hub.now(); now-c.counted >= countedEvery {
		c.census, c.counted = h.hub.census(), now
	}
	return c.census
}

// census counts.
func (h *Hub) census() census {
	c := census{
		Connections: map[string]int{TransportWebSocket: 0, TransportEvents: 0, TransportPoll: 0},
		Users:       h.perUser.names(), TopRooms: []roomSize{}, Slow: []slowSession{},
	}
	h.each(func(s *session) {
		c.Connections[s.transport]++
		s.mu.Lock()
		user, queued := s.identity.UserID, s.bytes
		s.mu.Unlock()
		if queued == 0 {
			return
		}
		c.QueuedBytes += int64(queued)
		c.Slow = top(c.Slow, consoleSlow, slowSession{user, s.id, s.transport, queued}, func(a, b slowSession) int {
			return cmp.Or(b.QueuedBytes-a.QueuedBytes, cmp.Compare(a.Session, b.Session))
		})
	})
	h.rooms.sizes(func(room string, sessions int) {
		c.Rooms++
		c.TopRooms = top(c.TopRooms, consoleRooms, roomSize{room, sessions}, func(a, b roomSize) int {
			return cmp.Or(b.Sessions-a.Sessions, cmp.Compare(a.Room, b.Room))
		})
	})
	return c
}

// top adds one to the first n by order, which are sorted.
func top[T any](best []T, n int, one T, order func(a, b T) int) []T {
	at, _ := slices.BinarySearchFunc(best, one, order)
	if at >= n {
		return best
	}
	best = slices.Insert(best, at, one)
	return best[:min(len(best), n)]
}

// windowSize is what is kept in memory for clients that come back.
type windowSize struct {
	Events int   `json:"events"`
	Bytes  int64 `json:"bytes"`
}

// streamNow reports whether the stream is live, and the size of the window.
func (h *Hub) streamNow() (live bool, window windowSize) {
	h.stream.lock()
	defer h.stream.unlock()
	return h.stream.live, windowSize{len(h.stream.window.entries), h.stream.window.bytes.Load()}
}

// userSession is one session of one user.
type userSession struct {
	Session   string    `json:"session"`
	Transport string    `json:"transport"`
	Address   string    `json:"address"`
	Roles     []string  `json:"roles"`
	Rooms     []string  `json:"rooms"`
	Since     time.Time `json:"since"`
	ExpiresAt time.Time `json:"expiresAt"`
	// State is joining, live or closing.
	State       string `json:"state"`
	QueuedBytes int    `json:"queuedBytes"`
}

// userSessions answers GET /api/console/users/{id}/sessions.
func (h *Handler) userSessions(w http.ResponseWriter, r *http.Request, _ auth.Identity) {
	user := r.PathValue("id")
	list, more := h.hub.sessionsOf(user)
	writeJSON(w, http.StatusOK, struct {
		UserID   string        `json:"userId"`
		Sessions []userSession `json:"sessions"`
		More     bool          `json:"more,omitempty"`
	}{user, list, more})
}

// sessionsOf are a user's sessions, the oldest first.
func (h *Hub) sessionsOf(user string) (list []userSession, more bool) {
	list = []userSession{}
	h.each(func(s *session) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.identity.UserID != user || user == "" {
			return
		}
		one := userSession{
			Session: s.id, Transport: s.transport, Address: s.address,
			Roles: append([]string{}, s.identity.Roles...), Rooms: append([]string{}, s.rooms...),
			Since: h.start.Add(s.opened).UTC().Truncate(time.Millisecond), ExpiresAt: s.identity.ExpiresAt.UTC(),
			State: "joining", QueuedBytes: s.bytes,
		}
		switch {
		case s.closing:
			one.State = "closing"
		case s.live:
			one.State = "live"
		}
		slices.Sort(one.Rooms)
		list = append(list, one)
	})
	slices.SortFunc(list, func(a, b userSession) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Session, b.Session))
	})
	return list[:min(len(list), consoleSessions)], len(list) > consoleSessions
}

// watchedTables answers GET /api/console/tables.
func (h *Handler) watchedTables(ctx context.Context, _ *http.Request) (any, error) {
	return h.o.Console.Tables(ctx)
}

// why answers GET /api/console/why.
func (h *Handler) why(ctx context.Context, r *http.Request) (any, error) {
	values, refused := parseQuery(r)
	if refused != nil {
		return nil, refused
	}
	q := WhyQuery{User: values.Get("user"), Table: values.Get("table"), Key: values["key"], Roles: values["role"]}
	for name, all := range values {
		switch {
		case !slices.Contains([]string{"user", "table", "key", "role"}, name):
			return nil, errBadRequest.because("There is no parameter " + strconv.Quote(name[:min(len(name), 64)]) + "; there are user, table, key and role.")
		case len(all) > maxWhyValues, len(all) > 1 && (name == "user" || name == "table"):
			return nil, errBadRequest.because("The parameter " + name + " stands there too often.")
		case slices.ContainsFunc(all, func(v string) bool { return len(v) > maxWhyText }):
			return nil, errBadRequest.because("The parameter " + name + " is too long.")
		}
	}
	if q.User == "" || q.Table == "" || len(q.Key) == 0 {
		return nil, errBadRequest.because("Ask with user, table and key.")
	}
	return h.o.Console.Why(ctx, q)
}
