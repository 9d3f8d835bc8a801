package pgbell

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Op is what happened to a row, as the event log records it or, for [Entered]
// and [Left], as one session sees it.
type Op string

// The operations of the event log.
const (
	Insert Op = "insert" // the row is new
	Update Op = "update" // a visible column or an owner changed
	Delete Op = "delete" // the row is gone
	// Reset says that what anybody holds of this type may be stale: the table
	// was truncated, a change could not be captured, or two changes missed each
	// other.
	Reset Op = "reset"
	// Publish is an explicit broadcast; no row stands behind it.
	Publish Op = "publish"
)

// Everybody is the room of all sessions.
const Everybody = "*"

// The operations that exist only between the hub and one session, when an
// update changed who owns the row.
const (
	Entered Op = "entered" // the row came into the session's set
	Left    Op = "left"    // the row left it; only its key is told
)

// Body is an event as the trigger writes it: the JSON document in
// pgbell.events.body, which the bell carries unchanged. Column values stay raw
// JSON, as Postgres wrote them, so that no number loses a digit on the way.
type Body struct {
	// Type is the watch's event type, such as "booking".
	Type string `json:"type"`
	Op   Op     `json:"op"`
	// Action is the first matching action of the watch, or one of created,
	// status_changed, updated, deleted. Empty for a Reset.
	Action string `json:"action,omitempty"`
	// Table is the watched table as schema.name, without quotes.
	Table string `json:"table,omitempty"`
	// Key holds the key columns by name. A changed key is a Delete and an
	// Insert, so the key of one event is the same before and after.
	Key json.RawMessage `json:"key,omitempty"`
	// Owners maps an audience to the user id that owns the row: after an
	// Insert or Update, before a Delete. An audience without an owner (NULL)
	// is absent.
	Owners map[string]string `json:"owners,omitempty"`
	// Was is set by an Update that moved an owner: every owner before it.
	// Nil means that the owners did not change. An empty, non-nil map means
	// that the row had none.
	Was map[string]string `json:"was,omitempty"`
	// Watchers are the token roles that see every row of this type; of a
	// Publish, those that it is addressed to.
	Watchers []string `json:"watchers,omitempty"`
	// Rooms are those that a Publish is addressed to: everybody whose token
	// names one, whoever it is. The room [Everybody] is all.
	Rooms []string `json:"rooms,omitempty"`
	// Users are the user ids that a Publish is addressed to, or a Reset that
	// is not for everybody.
	Users []string `json:"users,omitempty"`
	// Data is the row's columns that every audience sees: after an Insert or
	// Update. Null for a Delete. For a Publish it is whatever was published.
	Data json.RawMessage `json:"data,omitempty"`
	// Old is the earlier values of the changed columns that every audience
	// sees; for a Delete, the whole row as they saw it.
	Old json.RawMessage `json:"old,omitempty"`
	// Only holds, by audience, the columns that this audience alone sees.
	Only map[string]Columns `json:"only,omitempty"`
	// Reason says why a Reset happened: truncate, capture_failed or owner_race.
	Reason string `json:"reason,omitempty"`
	// Error is for operators: what failed when Reason is capture_failed. It
	// never leaves the server.
	Error string `json:"error,omitempty"`
}

// Columns is a part of a row, now and before, as in [Body.Data] and [Body.Old].
type Columns struct {
	Data json.RawMessage `json:"data,omitempty"`
	Old  json.RawMessage `json:"old,omitempty"`
}

// Event is one change of one watched row, or one explicit broadcast: the unit
// that is stored, routed, delivered and resumed. An Event and all it points to
// is immutable once it has been handed on.
type Event struct {
	// ID is the event's identity in the log. Ids of concurrent transactions
	// interleave, so id order is commit order only among the events of one row.
	ID int64
	// XID is the 64-bit id of the transaction that wrote it.
	XID uint64
	// At is the time of writing by the database's clock, in microseconds.
	At time.Time
	Body
	// Cursor is where the stream stands once this event has been delivered.
	Cursor Cursor
	// Size is the length of the body's JSON in bytes, for whoever bounds memory.
	Size int
}

// NewEvent decodes the body of one row of the event log.
func NewEvent(id int64, xid uint64, at time.Time, body []byte) (Event, error) {
	e := Event{ID: id, XID: xid, At: at, Size: len(body)}
	if err := json.Unmarshal(body, &e.Body); err != nil {
		return Event{}, fmt.Errorf("decode body of event %d: %w", id, err)
	}
	if err := e.check(); err != nil {
		return Event{}, fmt.Errorf("decode body of event %d: %w", id, err)
	}
	return e, nil
}

// check refuses a body that no trigger of ours writes.
func (b *Body) check() error {
	if b.Type == "" {
		return errors.New("type is missing")
	}
	switch b.Op {
	case Insert, Update, Delete:
		if len(b.Key) == 0 || b.Key[0] != '{' {
			return fmt.Errorf("key of a %s is no object", b.Op)
		}
	case Reset, Publish:
	default:
		return fmt.Errorf("unknown op %q", b.Op)
	}
	return nil
}
