package ws

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pgbell/pgbell/ws/auth"
)

// Publisher writes a broadcast to the event log and returns its event's id once
// that is committed. An error that is [ErrIdempotencyKey] or comes from
// [Mistake] is told; any other means that nothing can be published now.
type Publisher interface {
	Publish(ctx context.Context, p Publication) (id int64, err error)
	// Notify makes a notification for each of some users and returns how many
	// there are once they are committed.
	Notify(ctx context.Context, n Notice) (made int, err error)
}

// Publication is a broadcast: an event without a row. It was checked.
type Publication struct {
	// Type and Action are words.
	Type, Action string
	// Data is any JSON.
	Data json.RawMessage
	// Users, Roles and Rooms are whom it is for; at least one.
	Users, Roles, Rooms []string
	// IdempotencyKey is empty, or the same for the same request of the same
	// user. It has at most 512 bytes.
	IdempotencyKey string
}

// ErrIdempotencyKey is for a key that was used for something else.
var ErrIdempotencyKey error = errIdempotency

// The bounds of a broadcast. The event log has the same.
const (
	maxPublication    = 640 << 10 // all of it; a thousand users take the most
	maxPublishedData  = 256 << 10
	maxPublishedParts = 9000 // objects and arrays, so that no decoder finds it too deep
	maxTargetUsers    = 1000
	maxTargets        = 100 // roles, and rooms
	maxTarget         = 256 // bytes
	maxIdempotencyKey = 200
)

var publishedWord = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

// publication is a request to publish.
type publication struct {
	Event struct {
		Type   string `json:"type"`
		Action string `json:"action"`
	} `json:"event"`
	Data  json.RawMessage `json:"data"`
	Users []string        `json:"targetUsers"`
	Roles []string        `json:"targetRoles"`
	Rooms []string        `json:"targetRooms"`
}

// publish answers POST /api/socket.
func (h *Handler) publish(w http.ResponseWriter, r *http.Request, id auth.Identity) {
	if h.o.Publisher == nil || !hasRole(id, h.o.ServiceRoles) {
		h.fail(w, errForbidden)
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.hub.o.RequestTimeout)) // of a test's recorder there is none
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPublication))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		h.fail(w, errBodyTooLarge)
		return
	case err != nil:
		h.fail(w, errBadRequest.because("The body cannot be read."))
		return
	}
	p, wrong := decodePublication(body)
	var notice Notice
	if wrong == nil && p.Type == notificationType {
		notice, wrong = decodeNotice(p)
	}
	if wrong == nil {
		p.IdempotencyKey, wrong = idempotencyKey(r, id)
		notice.IdempotencyKey = p.IdempotencyKey
	}
	if wrong != nil {
		h.fail(w, wrong)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.hub.o.RequestTimeout)
	defer cancel()
	var answer any
	if p.Type == notificationType {
		var made int
		made, err = h.o.Publisher.Notify(ctx, notice)
		answer = map[string]int{"notifications": made}
	} else {
		var event int64
		event, err = h.o.Publisher.Publish(ctx, p)
		answer = map[string]int64{"id": event}
	}
	if err != nil {
		var told *Error
		if !errors.As(err, &told) {
			h.hub.o.Logger.WarnContext(ctx, "cannot publish", "error", err)
			told = errUnavailable
		}
		h.fail(w, told)
		return
	}
	writeJSON(w, http.StatusAccepted, answer)
}

// decodeStrictly reads one JSON value, called what, without unknown fields.
func decodeStrictly(text []byte, into any, what string) *Error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return errBadRequest.because(what + ": " + err.Error() + ".")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errBadRequest.because("There is more than one JSON value in the body.")
	}
	return nil
}

// decodePublication reads and checks a request. Its errors are for
// whoever sent it.
func decodePublication(body []byte) (Publication, *Error) {
	var p publication
	if err := decodeStrictly(body, &p, "The body is not {event: {type, action}, data, targetUsers, targetRoles, targetRooms}"); err != nil {
		return Publication{}, err
	}
	var wrong string
	switch {
	case !publishedWord.MatchString(p.Event.Type) || slices.Contains([]string{"user", "role", "room"}, p.Event.Type):
		wrong = "event.type takes letters, digits and underscores, at most 64, and not user, role or room."
	case !publishedWord.MatchString(p.Event.Action):
		wrong = "event.action takes letters, digits and underscores, at most 64."
	case len(p.Data) > maxPublishedData:
		wrong = "data has more than 256 KiB."
	case bytes.Count(p.Data, []byte("{"))+bytes.Count(p.Data, []byte("[")) > maxPublishedParts:
		wrong = "data has more than 9000 objects and arrays."
	case len(p.Users)+len(p.Roles)+len(p.Rooms) == 0:
		wrong = `There is nobody to publish to. Name targetUsers, targetRoles or targetRooms; the room "*" is everybody.`
	case len(p.Users) > maxTargetUsers:
		wrong = "There are more than 1000 targetUsers."
	case len(p.Roles) > maxTargets || len(p.Rooms) > maxTargets:
		wrong = "There are more than 100 targetRoles or targetRooms."
	case slices.ContainsFunc(slices.Concat(p.Users, p.Roles, p.Rooms), badTarget):
		wrong = "Targets have 1 to 256 bytes each, and no zero byte."
	}
	if wrong != "" {
		return Publication{}, errBadRequest.because(wrong)
	}
	if len(p.Data) == 0 {
		p.Data = json.RawMessage("{}")
	}
	// Postgres takes no text that is not UTF-8, and no reader could.
	return Publication{Type: p.Event.Type, Action: p.Event.Action, Data: validText(p.Data), Users: p.Users, Roles: p.Roles, Rooms: p.Rooms}, nil
}

func badTarget(name string) bool {
	return name == "" || len(name) > maxTarget || strings.IndexByte(name, 0) >= 0
}

// idempotencyKey is the key of a request, which is nobody's but its user's.
func idempotencyKey(r *http.Request, id auth.Identity) (string, *Error) {
	keys := r.Header.Values("Idempotency-Key")
	if len(keys) == 0 {
		return "", nil
	}
	bad := func(c byte) bool { return c < ' ' || c > '~' }
	if len(keys) > 1 || keys[0] == "" || len(keys[0]) > maxIdempotencyKey || slices.ContainsFunc([]byte(keys[0]), bad) {
		return "", errBadRequest.because("Idempotency-Key takes 1 to 200 printable ASCII characters.")
	}
	return id.UserID + "\n" + keys[0], nil // a user id has no line break
}

// hasRole reports whether a token has one of roles.
func hasRole(id auth.Identity, roles []string) bool {
	return slices.ContainsFunc(roles, func(role string) bool { return slices.Contains(id.Roles, role) })
}
