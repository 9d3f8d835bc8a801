package ws

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pgbell/pgbell/ws/auth"
)

// serveSocket registers what is about the server itself.
func (h *Handler) serveSocket() {
	h.mux.HandleFunc("GET /api/socket", h.api(h.status))
	h.mux.HandleFunc("POST /api/socket", h.api(h.publish))
	h.mux.HandleFunc("OPTIONS /api/socket", h.preflight)
	h.mux.HandleFunc("GET /api/socket/errors", h.api(h.admin(h.errors)))
	h.mux.HandleFunc("OPTIONS /api/socket/errors", h.preflight)
}

// status is what GET /api/socket answers.
type status struct {
	Version       string          `json:"version"`
	StartedAt     time.Time       `json:"startedAt"`
	UptimeSeconds int64           `json:"uptimeSeconds"`
	Live          bool            `json:"live"`
	Connections   map[string]int  `json:"connections"`
	Users         int             `json:"users"`
	Rooms         int             `json:"rooms"`
	Connected     []connectedUser `json:"connected,omitempty"`
	Next          string          `json:"next,omitempty"`
}

// connectedUser is somebody with at least one session.
type connectedUser struct {
	UserID     string    `json:"userId"`
	Roles      []string  `json:"roles"`
	Sessions   int       `json:"sessions"`
	Transports []string  `json:"transports"`
	Since      time.Time `json:"since"`
}

// maxConnected is how many users one answer names.
const maxConnected = 1000

// status answers GET /api/socket.
func (h *Handler) status(w http.ResponseWriter, r *http.Request, id auth.Identity) {
	values, refused := parseQuery(r)
	if refused != nil {
		h.fail(w, refused)
		return
	}
	limit := maxConnected
	if text := values.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			h.fail(w, errBadRequest.because("limit takes a whole number above 0."))
			return
		}
		limit = min(n, maxConnected)
	}
	s := h.hub.status()
	s.Version = h.o.Version
	if hasRole(id, h.o.AdminRoles) || hasRole(id, h.o.ServiceRoles) {
		s.Connected, s.Next = h.hub.connected(values.Get("after"), limit)
	}
	writeJSON(w, http.StatusOK, s)
}

// errors answers GET /api/socket/errors.
func (h *Handler) errors(w http.ResponseWriter, _ *http.Request, _ auth.Identity) {
	writeJSON(w, http.StatusOK, h.hub.Errors())
}

// status counts.
func (h *Hub) status() status {
	s := status{
		StartedAt: h.start.UTC().Truncate(time.Millisecond), UptimeSeconds: int64(h.now().Seconds()),
		Connections: map[string]int{"total": 0, TransportWebSocket: 0, TransportEvents: 0, TransportPoll: 0, TransportSocketIO: 0},
		Users:       h.perUser.names(), Rooms: h.rooms.count(),
	}
	h.stream.lock()
	s.Live = h.stream.live
	h.stream.unlock()
	h.each(func(one *session) {
		s.Connections["total"]++
		s.Connections[one.transport]++
	})
	return s
}

// connected are the users after one, by id, at most limit of them. Next is the
// last, if there are more.
func (h *Hub) connected(after string, limit int) (list []connectedUser, next string) {
	byUser := make(map[string]*connectedUser)
	h.each(func(s *session) {
		s.mu.Lock()
		id := s.identity
		s.mu.Unlock()
		if id.UserID == "" || id.UserID <= after {
			return
		}
		u := byUser[id.UserID]
		since := h.start.Add(s.opened)
		if u == nil {
			u = &connectedUser{UserID: id.UserID, Roles: []string{}, Since: since}
			byUser[id.UserID] = u
		}
		u.Sessions++
		if since.Before(u.Since) {
			u.Since = since
		}
		for _, role := range id.Roles {
			if !slices.Contains(u.Roles, role) {
				u.Roles = append(u.Roles, role)
			}
		}
		if !slices.Contains(u.Transports, s.transport) {
			u.Transports = append(u.Transports, s.transport)
		}
	})
	for _, u := range byUser {
		slices.Sort(u.Roles)
		slices.Sort(u.Transports)
		u.Since = u.Since.UTC().Truncate(time.Millisecond)
		list = append(list, *u)
	}
	slices.SortFunc(list, func(a, b connectedUser) int { return strings.Compare(a.UserID, b.UserID) })
	if len(list) > limit {
		list = list[:limit]
		next = list[limit-1].UserID
	}
	return list, next
}
