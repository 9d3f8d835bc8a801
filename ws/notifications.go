package ws

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/pgbell/pgbell"
)

// Notifications are events of their own, to one user each: made, or read. The
// number of those unread comes with each of them. Transactions that make some
// at once do not see each other, so none of them could count. The server counts
// when the event has come: by then all that it has delivered before is visible
// to a new snapshot, and whatever is not will come as another event, with a
// later count. So the last count that a session gets is right.

// Notifications keeps what users are told. An error means that it cannot be
// done now.
type Notifications interface {
	// Unread counts the unread notifications of each user, by a snapshot that
	// is taken after the call. It is called on the way of the stream: it should
	// answer within milliseconds.
	Unread(ctx context.Context, users []string) (map[string]int64, error)
	// MarkRead marks some of a user's notifications as read, or all if ids is
	// nil, and returns how many are unread then. Ids that are not the user's
	// are passed over.
	MarkRead(ctx context.Context, user string, ids []int64) (unread int64, err error)
}

const (
	// unreadTimeout is how long the stream may wait for a count, and
	// unreadPause for how long it does without after a failure.
	unreadTimeout = 250 * time.Millisecond
	unreadPause   = time.Second
	// maxReadIDs is how many notifications one request may mark.
	maxReadIDs = 1000
)

// isNotification reports whether e is about a user's notifications.
func isNotification(e *pgbell.Event) bool { return e.Type == typeNotification }

// counts reports whether e is told with the number of unread notifications of
// its one user.
func counts(e *pgbell.Event) bool {
	return isNotification(e) && e.Op == pgbell.Publish && len(e.Users) == 1
}

// countUnread counts for the users of events who have a session here. It is
// called by the one who delivers.
func (h *Hub) countUnread(events []pgbell.Event) map[string]int64 {
	if h.o.Notifications == nil || h.now() < h.uncounted {
		return nil
	}
	seen := make(map[string]struct{})
	var users []string
	for i := range events {
		e := &events[i]
		if !counts(e) {
			continue
		}
		if _, twice := seen[e.Users[0]]; !twice && h.rooms.occupied(userRoom+e.Users[0]) {
			seen[e.Users[0]] = struct{}{}
			users = append(users, e.Users[0])
		}
	}
	if users == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(h.ctx, unreadTimeout)
	defer cancel()
	unread, err := h.o.Notifications.Unread(ctx, users)
	if err != nil {
		h.o.Logger.Warn("unread notifications cannot be counted; clients ask for themselves", "error", err)
		h.uncounted = h.now() + unreadPause
	}
	return unread
}

// unreadOf counts for one user who missed something.
func (h *Hub) unreadOf(user string) (int64, bool) {
	ctx, cancel := context.WithTimeout(h.ctx, h.o.RequestTimeout)
	defer cancel()
	select {
	case h.readers <- struct{}{}:
		defer func() { <-h.readers }()
	case <-ctx.Done():
		return 0, false
	}
	unread, err := h.o.Notifications.Unread(ctx, []string{user})
	if err != nil {
		h.o.Logger.Warn("unread notifications cannot be counted; clients ask for themselves", "error", err)
		return 0, false
	}
	n, known := unread[user]
	return n, known
}

// countMissed counts for the events of the window that nobody of their user was
// there for, before they are replayed to s.
func (s *session) countMissed(j *joining, batch []*entry) {
	if s.hub.o.Notifications == nil {
		return
	}
	user := s.user()
	missed := func(en *entry) bool {
		e := &en.event
		return counts(e) && e.Users[0] == user && !j.cursor.Contains(e.ID, e.XID) && en.uncounted()
	}
	if !slices.ContainsFunc(batch, missed) {
		return
	}
	if n, known := s.hub.unreadOf(user); known {
		for _, en := range batch {
			if missed(en) {
				en.setUnread(n)
			}
		}
	}
}

// countHistory counts for events that were read from History for s.
func (s *session) countHistory(events []pgbell.Event) *int64 {
	if s.hub.o.Notifications == nil {
		return nil
	}
	user := s.user()
	for i := range events {
		if e := &events[i]; counts(e) && e.Users[0] == user {
			if n, known := s.hub.unreadOf(user); known {
				return &n
			}
			return nil
		}
	}
	return nil
}

// setUnread sets the number that the event is told with, unless it was told.
func (en *entry) setUnread(n int64) {
	en.mu.Lock()
	defer en.mu.Unlock()
	if en.unread == nil && len(en.frames) == 0 {
		en.unread = &n
	}
}

func (en *entry) uncounted() bool {
	en.mu.Lock()
	defer en.mu.Unlock()
	return en.unread == nil && len(en.frames) == 0
}

// counted is v with the number that the entry's event is told with.
func (en *entry) counted(v view) view {
	en.mu.Lock()
	defer en.mu.Unlock()
	v.unread = en.unread
	return v
}

// notificationName is what an event about notifications is called.
func notificationName(e *pgbell.Event) string {
	if e.Action == "read" {
		return "notifications_read"
	}
	return "notification"
}

// appendNotification appends the data of such an event: as it was written, and
// how many are unread.
func appendNotification(b []byte, e *pgbell.Event, v view) []byte {
	data := bytes.TrimSpace(e.Data)
	switch {
	case len(data) == 0:
		return append(b, "null"...)
	case v.unread == nil || !hasMembers(data):
		return append(b, data...)
	}
	b = append(b, data[:len(data)-1]...)
	b = append(b, `,"unread":`...)
	b = strconv.AppendInt(b, *v.unread, 10)
	return append(b, '}')
}

// reading is what a client wants to mark as read.
type reading struct {
	IDs []int64 `json:"ids"`
	All bool    `json:"all"`
}

// decodeReading reads {ids} or {all: true}. The ids are nil for all.
func decodeReading(data []byte) ([]int64, *Error) {
	var r reading
	const want = "Marking as read takes {ids}, a list of numbers, or {all: true}"
	if err := decodeStrictly(data, &r, want); err != nil {
		return nil, err
	}
	if r.All == (r.IDs != nil) {
		return nil, errBadRequest.because(want + ".")
	}
	if len(r.IDs) > maxReadIDs {
		return nil, errBadRequest.because("At most 1000 ids are marked at once.")
	}
	return r.IDs, nil
}

// markRead answers notification_read.
func (s *session) markRead(ctx context.Context, user string, r request) {
	ids, refused := decodeReading(r.Data)
	if refused != nil {
		s.fail(refused, r.ID)
		return
	}
	unread, refused := s.hub.markRead(ctx, user, ids)
	if refused != nil {
		s.fail(refused, r.ID)
		return
	}
	s.tell("ack", map[string]int64{"unread": unread}, r.ID)
}

// markRead marks and counts.
func (h *Hub) markRead(ctx context.Context, user string, ids []int64) (int64, *Error) {
	if h.o.Notifications == nil {
		return 0, errUnknownEvent
	}
	unread, err := h.o.Notifications.MarkRead(ctx, user, ids)
	if err != nil {
		h.o.Logger.WarnContext(ctx, "notifications cannot be marked as read", "error", err)
		return 0, errNotifications
	}
	return unread, nil
}
