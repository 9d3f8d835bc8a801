package ws

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/ws/auth"
)

// RowReader reads what somebody may see of the rows of a type. An error that
// is [ErrUnknownType] or comes from [Mistake] is told; any other means that the
// rows cannot be read now.
type RowReader interface {
	ReadRows(ctx context.Context, id auth.Identity, q RowsQuery) (RowsPage, error)
}

// RowsQuery asks for one page of rows.
type RowsQuery struct {
	Type string
	// Filter wants columns to equal a value, as text.
	Filter map[string]string
	// Page is the Next of the page before; empty for the first.
	Page string
	// Limit on the rows; 0 leaves it to the reader.
	Limit int
}

// RowsPage is rows of one snapshot.
type RowsPage struct {
	// Rows are JSON objects, each in parts to be merged, as events have them:
	// what every audience sees, then what the caller's own audiences see.
	Rows [][]json.RawMessage
	// Cursor contains exactly what the rows contain.
	Cursor pgbell.Cursor
	// Next asks for the page after this; empty if there is none.
	Next string
}

// ErrUnknownType is for a type that no table is watched as.
var ErrUnknownType error = errUnknownType

// Mistake is an error of a request that its sender can mend. The message is
// told, a sentence.
func Mistake(message string) error { return errBadRequest.because(message) }

// The bounds of requests for rows, whose answers take memory until they are
// sent.
const (
	rowsAtOnce  = 64
	rowsPerUser = 4
	// rowsSent is how long the client may take to read an answer.
	rowsSent = 30 * time.Second
)

// serveRows answers GET /api/rows/{type}.
func (h *Handler) serveRows(w http.ResponseWriter, r *http.Request, id auth.Identity) {
	q, err := rowsQuery(r)
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
	began := time.Now()
	page, readErr := h.o.Rows.ReadRows(ctx, id, q)
	told := (*Error)(nil)
	h.hub.o.Trace.rows(len(page.Rows), time.Since(began), readErr != nil && !errors.As(readErr, &told))
	if readErr != nil {
		if told != nil {
			h.fail(w, told)
			return
		}
		if ctx.Err() == nil || r.Context().Err() == nil {
			h.hub.o.Logger.WarnContext(ctx, "rows cannot be read", "type", q.Type, "error", readErr)
		}
		h.fail(w, errUnavailable)
		return
	}
	sendJSON(w, encodeRows(q.Type, page))
}

// place waits until one more request may read for a user, as long as a request
// may take. The context ends then.
func (h *Handler) place(r *http.Request, id auth.Identity) (ctx context.Context, release func(), refused *Error) {
	if !h.rowsUsers.acquire(id.UserID, rowsPerUser) {
		return nil, nil, errRateLimited.because("Too many requests of yours at once.")
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.hub.o.RequestTimeout)
	select {
	case h.rowsPlaces <- struct{}{}:
	case <-ctx.Done():
		cancel()
		h.rowsUsers.release(id.UserID)
		return nil, nil, errUnavailable
	}
	return ctx, func() {
		<-h.rowsPlaces
		cancel()
		h.rowsUsers.release(id.UserID)
	}, nil
}

// sendJSON writes what was read for a client, and bounds how long it takes.
func sendJSON(w http.ResponseWriter, text []byte) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(rowsSent)) // of a test's recorder there is none
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(text)
}

// rowsQuery reads a request's URL. Whatever is not page or limit is a filter.
func rowsQuery(r *http.Request) (RowsQuery, *Error) {
	q := RowsQuery{Type: r.PathValue("type"), Filter: make(map[string]string)}
	values, err := parseQuery(r)
	if err != nil {
		return q, err
	}
	for name, all := range values {
		switch {
		case len(all) > 1:
			return q, errBadRequest.because("A parameter stands there twice.")
		case name == "page":
			q.Page = all[0]
		case name == "limit":
			n, err := strconv.Atoi(all[0])
			if err != nil || n < 1 {
				return q, errBadRequest.because("limit takes a whole number above 0.")
			}
			q.Limit = n
		default:
			q.Filter[name] = all[0]
		}
	}
	return q, nil
}

// encodeRows writes {type, rows, cursor, next?}.
func encodeRows(typ string, page RowsPage) []byte {
	size := 128
	for _, parts := range page.Rows {
		for _, p := range parts {
			size += len(p) + 1
		}
	}
	b := make([]byte, 0, size)
	b = append(b, `{"type":`...)
	b = appendString(b, typ)
	b = append(b, `,"rows":[`...)
	for i, parts := range page.Rows {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendMerged(b, parts)
	}
	b = append(b, `],"cursor":"`...)
	b = append(b, page.Cursor.String()...)
	b = append(b, '"')
	if page.Next != "" {
		b = append(b, `,"next":`...)
		b = appendString(b, page.Next)
	}
	return bytes.ToValidUTF8(append(b, '}', '\n'), []byte("\uFFFD"))
}
