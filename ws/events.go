package ws

import (
	"bytes"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pgbell/pgbell/ws/auth"
)

// serveEvents registers the stream over plain HTTP.
func (h *Handler) serveEvents() {
	h.mux.HandleFunc("GET /api/events", h.events)
	h.mux.HandleFunc("OPTIONS /api/events", h.preflightCookie)
	h.mux.HandleFunc("POST /api/events/cookie", h.setCookie)
	h.mux.HandleFunc("DELETE /api/events/cookie", h.dropCookie)
	h.mux.HandleFunc("OPTIONS /api/events/cookie", h.preflightCookie)
}

// events answers GET /api/events: by a stream to those who accept one, else by
// what there is.
func (h *Handler) events(w http.ResponseWriter, r *http.Request) {
	transport := TransportPoll
	if acceptsStream(r) {
		transport = TransportEvents
	}
	refused := func(err *Error) { refuse(w, err) }
	if !h.crossOriginWithCookie(w, r) {
		return
	}
	if r.Method == http.MethodHead {
		h.fail(w, errBadRequest.because("Ask by GET."))
		return
	}
	token := credentialsOf(r).header
	if token == "" {
		if token = h.cookieOf(r); token != "" && transport == TransportEvents {
			refused = func(err *Error) { refuseStream(w, err) }
		}
	}
	if token == "" {
		h.hub.failed(errAuthRequired, transport, "")
		refuse(w, errAuthRequired.because("Send the token in the header Authorization: Bearer, or get a cookie for it."))
		return
	}
	q, err := eventsQueryOf(r)
	if err != nil {
		h.hub.failed(err, transport, "")
		refused(err)
		return
	}
	if transport == TransportEvents {
		h.stream(w, r, token, q, refused)
	} else {
		h.poll(w, r, token, q, refused)
	}
}

// stream answers with server-sent events.
func (h *Handler) stream(w http.ResponseWriter, r *http.Request, token string, q eventsQuery, refused func(*Error)) {
	turnedAway := func(err *Error) {
		h.hub.refused(err, TransportEvents)
		refused(err)
	}
	place, err := h.knock(r)
	if err != nil {
		turnedAway(err)
		return
	}
	defer place.release()
	id, err := h.identify(r, token, TransportEvents)
	if err != nil {
		refused(err)
		return
	}
	p := newEventStream(h.hub, w, place.address)
	if err := h.enter(&p.session, id, q.cursor); err != nil {
		refused(err)
		return
	}
	defer p.finish()
	if p.begin() == nil {
		p.run(r.Context())
	}
}

// enter opens a session whose token was verified already. If it says why not,
// there is none.
func (h *Handler) enter(s *session, id auth.Identity, cursor string) *Error {
	if err := h.hub.open(s); err != nil {
		h.hub.refused(err, s.transport)
		return err
	}
	h.hub.o.Trace.opened(s.transport)
	s.admit(id, cursor, nil)
	s.mu.Lock()
	reason := s.reason
	s.mu.Unlock()
	if err := errorOf(reason); err != nil {
		s.lost()
		h.hub.finish(s)
		return err
	}
	return nil
}

// poll answers with what there is to tell now, or soon.
func (h *Handler) poll(w http.ResponseWriter, r *http.Request, token string, q eventsQuery, refused func(*Error)) {
	place, err := h.sit(strings.Clone(h.o.ClientAddress(r)))
	if err != nil {
		h.hub.refused(err, TransportPoll)
		refused(err)
		return
	}
	defer place.release()
	id, err := h.identify(r, token, TransportPoll)
	if err != nil {
		refused(err)
		return
	}
	if !h.requests.allow(id.UserID) {
		h.hub.failed(errRateLimited, TransportPoll, id.UserID)
		refused(errRateLimited.because("Too many requests."))
		return
	}
	p := newPoll(h.hub, place.address, q.limit)
	p.cursor = q.cursor
	if err := h.enter(&p.session, id, q.cursor); err != nil {
		refused(err)
		return
	}
	if !p.ask(r.Context(), q.wait) {
		return // nobody is there any more
	}
	if err := errorOf(p.endedBy()); err != nil && len(p.events) == 0 {
		refused(err)
		return
	}
	p.answer(w, r)
}

// endedBy is the code of the error that is the answer if there are no events.
func (p *poll) endedBy() string {
	switch {
	case strings.HasPrefix(p.ended, retryHint):
		return errDraining.Code
	case p.ended == errTooSlow.Code: // it was not the client who was
		return ""
	}
	return p.ended
}

// answer writes {events, cursor}. An answer without events is the same until
// the cursor moves on.
func (p *poll) answer(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(p.hub.o.WriteTimeout)) // of a test's recorder there is none
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	if len(p.events) == 0 {
		tag := `"` + p.cursor + `"`
		header.Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	header.Set("Content-Type", "application/json; charset=utf-8")
	body := make([]byte, 0, p.bytes+len(p.events)+len(p.cursor)+64)
	body = append(body, `{"events":[`...)
	body = append(body, bytes.Join(p.events, []byte(","))...)
	body = append(body, `],"cursor":`...)
	body = appendString(body, p.cursor)
	n, _ := w.Write(append(body, '}', '\n'))
	p.hub.o.Trace.written(len(p.events), n)
}

// eventsQuery is what a request for events asks for.
type eventsQuery struct {
	cursor string
	wait   time.Duration
	limit  int
}

// eventsQueryOf reads a request. The header counts before the URL: an
// EventSource that comes back sends it, and the URL of its beginning.
func eventsQueryOf(r *http.Request) (eventsQuery, *Error) {
	q := eventsQuery{limit: pollEvents}
	values, err := parseQuery(r)
	if err != nil {
		return q, err
	}
	for _, cursor := range []string{r.Header.Get("Last-Event-ID"), values.Get("cursor"), values.Get("lastEventId")} {
		if q.cursor == "" {
			q.cursor = strings.Clone(cursor)
		}
	}
	if wait := values.Get("wait"); wait != "" && q.cursor != "" {
		seconds, err := strconv.ParseFloat(wait, 64)
		q.wait = time.Duration(min(max(seconds, 0), 3600) * float64(time.Second))
		if err != nil {
			q.wait, err = time.ParseDuration(wait)
		}
		if err != nil || seconds < 0 || seconds != seconds || q.wait < 0 {
			return q, errBadRequest.because("wait takes seconds, or a duration such as 1500ms.")
		}
		q.wait = min(q.wait, pollWait)
	}
	if limit := values.Get("limit"); limit != "" {
		n, err := strconv.Atoi(limit)
		if err != nil || n < 1 {
			return q, errBadRequest.because("limit takes a whole number above 0.")
		}
		q.limit = min(n, pollEvents)
	}
	return q, nil
}

// acceptsStream reports whether a client names text/event-stream among what it
// takes. */* does not: it is what curl says.
func acceptsStream(r *http.Request) bool {
	for _, header := range r.Header.Values("Accept") {
		for kind := range strings.SplitSeq(header, ",") {
			if name, params, err := mime.ParseMediaType(kind); err == nil && name == "text/event-stream" && params["q"] != "0" {
				return true
			}
		}
	}
	return false
}
