package ws

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// recentErrors is how many errors an [ErrorReport] tells one by one.
const recentErrors = 100

// errorLog counts what clients are told. Only errors come here, so a mutex is
// enough, and what it keeps is bounded by the catalogue.
type errorLog struct {
	mu     sync.Mutex // guards what follows
	since  time.Time
	codes  map[string]*ErrorCount
	recent []ErrorNote // a ring
	next   int         // where the oldest of a full ring is
}

// ErrorReport is what clients were told since the node started.
type ErrorReport struct {
	Since time.Time `json:"since"`
	// Total and Retryable are numbers of errors.
	Total     int64 `json:"total"`
	Retryable int64 `json:"retryable"`
	// MostCommon are the codes by how often they were told, at most ten.
	MostCommon []CodeCount `json:"mostCommon"`
	// ByCode has the codes that were told at least once.
	ByCode map[string]ErrorCount `json:"byCode"`
	// Recent are the last hundred, the latest first.
	Recent []ErrorNote `json:"recent"`
}

// CodeCount is how often a code was told.
type CodeCount struct {
	Code  string `json:"code"`
	Count int64  `json:"count"`
}

// ErrorCount is what became of one code.
type ErrorCount struct {
	Count     int64     `json:"count"`
	Retryable bool      `json:"retryable"`
	Action    Action    `json:"action"`
	Last      time.Time `json:"last"`
}

// ErrorNote is one error that somebody was told.
type ErrorNote struct {
	At time.Time `json:"at"`
	Error
	// Transport is the door, as in [Trace]; empty for requests that are none.
	Transport string `json:"transport,omitempty"`
	// UserID is whom it was told to, if that was known.
	UserID string `json:"userId,omitempty"`
}

func newErrorLog() errorLog {
	return errorLog{since: time.Now(), codes: make(map[string]*ErrorCount)}
}

// note counts one error.
func (l *errorLog) note(err *Error, transport, user string) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	count := l.codes[err.Code]
	if count == nil {
		count = &ErrorCount{Retryable: err.Retryable, Action: err.Action}
		l.codes[err.Code] = count
	}
	count.Count++
	count.Last = now
	note := ErrorNote{At: now.UTC(), Error: *err, Transport: transport, UserID: user}
	if len(l.recent) < recentErrors {
		l.recent = append(l.recent, note)
		return
	}
	l.recent[l.next] = note
	l.next = (l.next + 1) % recentErrors
}

// Errors reports what clients were told since the hub was made.
func (h *Hub) Errors() ErrorReport {
	l := &h.failures
	l.mu.Lock()
	defer l.mu.Unlock()
	r := ErrorReport{Since: l.since.UTC(), ByCode: make(map[string]ErrorCount, len(l.codes)), MostCommon: []CodeCount{}, Recent: []ErrorNote{}}
	for code, count := range l.codes {
		r.Total += count.Count
		if count.Retryable {
			r.Retryable += count.Count
		}
		r.ByCode[code] = *count
	}
	for _, code := range slices.Sorted(maps.Keys(l.codes)) {
		r.MostCommon = append(r.MostCommon, CodeCount{code, l.codes[code].Count})
	}
	slices.SortStableFunc(r.MostCommon, func(a, b CodeCount) int {
		if a.Count != b.Count {
			return int(min(max(b.Count-a.Count, -1), 1))
		}
		return strings.Compare(a.Code, b.Code)
	})
	r.MostCommon = r.MostCommon[:min(len(r.MostCommon), 10)]
	r.Recent = append(append(r.Recent, l.recent[l.next:]...), l.recent[:l.next]...)
	slices.Reverse(r.Recent)
	return r
}

// failed, authFailed and refused count an error that a client is told: of a
// request, of a token, of a connection that does not come to be.
func (h *Hub) failed(err *Error, transport, user string) {
	h.o.Trace.failed(err.Code)
	h.failures.note(err, transport, user)
}

func (h *Hub) authFailed(err *Error, transport, user string) {
	h.o.Trace.authFailed(err.Code)
	h.failures.note(err, transport, user)
}

func (h *Hub) refused(err *Error, transport string) {
	h.o.Trace.refused(err.Code)
	h.failures.note(err, transport, "")
}
