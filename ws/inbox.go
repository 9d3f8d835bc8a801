package ws

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/ws/auth"
)

// Inbox reads users' notifications and keeps what they want of them. An error
// means that it cannot be done now.
type Inbox interface {
	// Notifications returns a page of a user's.
	Notifications(ctx context.Context, user string, q NotificationsQuery) (NotificationsPage, error)
	// Preferences returns what a user has chosen.
	Preferences(ctx context.Context, user string) ([]Preference, error)
	// SetPreferences replaces that. The preferences were checked.
	SetPreferences(ctx context.Context, user string, all []Preference) error
}

// NotificationsQuery asks for one page.
type NotificationsQuery struct {
	// Before asks for notifications with a lower id; 0 for the newest.
	Before int64
	// Unread leaves out those that were read.
	Unread bool
	// Limit on the notifications, at least 1.
	Limit int
}

// NotificationsPage is notifications of one snapshot, the newest first.
type NotificationsPage struct {
	// Notifications are JSON objects, as events have them.
	Notifications []json.RawMessage
	// Unread is how many there are unread in all.
	Unread int64
	// Cursor contains exactly what the page contains.
	Cursor pgbell.Cursor
	// Next is the Before of the page after this; 0 if there is none.
	Next int64
}

// Preference is whether a user wants notifications of a type and an audience,
// where an asterisk is any that has no preference of its own.
type Preference struct {
	Type     string `json:"type"`
	Audience string `json:"audience"`
	// Delivery is in_app or muted.
	Delivery string `json:"delivery"`
}

// The bounds of requests about notifications.
const (
	maxInboxPage     = 100
	inboxPage        = 50
	maxPreferences   = 200
	maxInboxBody     = 64 << 10
	maxPreferredText = 128
)

// serveInbox registers what is about notifications.
func (h *Handler) serveInbox() {
	if h.o.Inbox == nil {
		return
	}
	const list, read, preferences = "/api/notifications", "/api/notifications/read", "/api/notifications/preferences"
	h.mux.HandleFunc("GET "+list, h.api(h.inbox))
	h.mux.HandleFunc("POST "+read, h.api(h.read))
	h.mux.HandleFunc("GET "+preferences, h.api(h.preferences))
	h.mux.HandleFunc("PUT "+preferences, h.api(h.setPreferences))
	for _, path := range []string{list, read, preferences} {
		h.mux.HandleFunc("OPTIONS "+path, h.preflight)
	}
}

// inbox answers GET /api/notifications.
func (h *Handler) inbox(w http.ResponseWriter, r *http.Request, id auth.Identity) {
	q, err := inboxQuery(r)
	if err != nil {
		h.fail(w, err)
		return
	}
	ctx, release, err := h.place(r, id)
	if err != nil {
		h.fail(w, err)
		return
	}
	defer release()
	page, readErr := h.o.Inbox.Notifications(ctx, id.UserID, q)
	if readErr != nil {
		h.failInbox(ctx, w, readErr)
		return
	}
	sendJSON(w, encodeInbox(page))
}

// failInbox tells that something cannot be done now.
func (h *Handler) failInbox(ctx context.Context, w http.ResponseWriter, err error) {
	h.hub.o.Logger.WarnContext(ctx, "notifications cannot be reached", "error", err)
	h.fail(w, errNotifications)
}

func inboxQuery(r *http.Request) (NotificationsQuery, *Error) {
	q := NotificationsQuery{Limit: inboxPage}
	values, refused := parseQuery(r)
	if refused != nil {
		return q, refused
	}
	for name, all := range values {
		if len(all) > 1 {
			return q, errBadRequest.because("A parameter stands there twice.")
		}
		var err error
		switch name {
		case "limit":
			q.Limit, err = strconv.Atoi(all[0])
			if err != nil || q.Limit < 1 {
				return q, errBadRequest.because("limit takes a whole number above 0.")
			}
			q.Limit = min(q.Limit, maxInboxPage)
		case "before":
			q.Before, err = strconv.ParseInt(all[0], 10, 64)
			if err != nil || q.Before < 1 {
				return q, errBadRequest.because("before takes the id of a notification.")
			}
		case "unread":
			q.Unread = all[0] == "true"
			if !q.Unread && all[0] != "false" {
				return q, errBadRequest.because("unread takes true or false.")
			}
		default:
			return q, errBadRequest.because("The parameters are limit, before and unread.")
		}
	}
	return q, nil
}

// encodeInbox writes {notifications, unread, cursor, next?}.
func encodeInbox(page NotificationsPage) []byte {
	b := []byte(`{"notifications":[`)
	for i, n := range page.Notifications {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, n...)
	}
	b = append(b, `],"unread":`...)
	b = strconv.AppendInt(b, page.Unread, 10)
	b = append(b, `,"cursor":"`...)
	b = append(b, page.Cursor.String()...)
	b = append(b, '"')
	if page.Next != 0 {
		b = append(b, `,"next":`...)
		b = strconv.AppendInt(b, page.Next, 10)
	}
	return bytes.ToValidUTF8(append(b, '}', '\n'), []byte("\uFFFD"))
}

// read answers POST /api/notifications/read.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, id auth.Identity) {
	body, err := h.inboxBody(w, r)
	if err != nil {
		h.fail(w, err)
		return
	}
	ids, err := decodeReading(body)
	if err != nil {
		h.fail(w, err)
		return
	}
	ctx, release, err := h.place(r, id)
	if err != nil {
		h.fail(w, err)
		return
	}
	defer release()
	unread, err := h.hub.markRead(ctx, id.UserID, ids)
	if err != nil {
		h.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]int64{"unread": unread})
}

// inboxBody reads a request's body.
func (h *Handler) inboxBody(w http.ResponseWriter, r *http.Request) ([]byte, *Error) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.hub.o.RequestTimeout)) // of a test's recorder there is none
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxInboxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, errBodyTooLarge
	case err != nil:
		return nil, errBadRequest.because("The body cannot be read.")
	}
	return body, nil
}

// preferencesData is what is asked for and answered.
type preferencesData struct {
	Preferences []Preference `json:"preferences"`
}

// preferences answers GET /api/notifications/preferences.
func (h *Handler) preferences(w http.ResponseWriter, r *http.Request, id auth.Identity) {
	ctx, release, refused := h.place(r, id)
	if refused != nil {
		h.fail(w, refused)
		return
	}
	defer release()
	all, err := h.o.Inbox.Preferences(ctx, id.UserID)
	if err != nil {
		h.failInbox(ctx, w, err)
		return
	}
	if all == nil {
		all = []Preference{}
	}
	writeJSON(w, http.StatusOK, preferencesData{all})
}

// setPreferences answers PUT /api/notifications/preferences.
func (h *Handler) setPreferences(w http.ResponseWriter, r *http.Request, id auth.Identity) {
	body, refused := h.inboxBody(w, r)
	if refused != nil {
		h.fail(w, refused)
		return
	}
	all, refused := decodePreferences(body)
	if refused != nil {
		h.fail(w, refused)
		return
	}
	ctx, release, refused := h.place(r, id)
	if refused != nil {
		h.fail(w, refused)
		return
	}
	defer release()
	if err := h.o.Inbox.SetPreferences(ctx, id.UserID, all); err != nil {
		h.failInbox(ctx, w, err)
		return
	}
	writeJSON(w, http.StatusOK, preferencesData{all})
}
