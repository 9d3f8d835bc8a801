package ws

import (
	"net/http"
	"net/url"

	"github.com/pgbell/pgbell/ws/auth"
)

// api wraps what is asked for by plain HTTP: pages of the origins that may
// connect may ask, too, and the token comes in the header Authorization alone.
// One in the URL would end up in logs and histories.
func (h *Handler) api(serve func(http.ResponseWriter, *http.Request, auth.Identity)) http.HandlerFunc {
	answer := h.apiToken(serve)
	return func(w http.ResponseWriter, r *http.Request) {
		if h.crossOrigin(w, r) {
			answer(w, r)
		}
	}
}

// apiToken is the part of api that is about the token.
func (h *Handler) apiToken(serve func(http.ResponseWriter, *http.Request, auth.Identity)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token := credentialsOf(r).header
		if token == "" {
			h.fail(w, errAuthRequired.because("Send the token in the header Authorization: Bearer."))
			return
		}
		id, err := h.identify(r, token, "")
		if err != nil {
			refuse(w, err)
			return
		}
		if !h.requests.allow(id.UserID) {
			h.fail(w, errRateLimited.because("Too many requests."))
			return
		}
		serve(w, r, id)
	}
}

// preflight answers what a browser asks before it lets a page of another origin
// send a token (https://fetch.spec.whatwg.org/#http-cors-protocol).
func (h *Handler) preflight(w http.ResponseWriter, r *http.Request) {
	if !h.crossOrigin(w, r) {
		return
	}
	w.Header().Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE")
	w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Cache-Control")
	w.Header().Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}

// crossOrigin lets the page that asks read the answer, or refuses it.
func (h *Handler) crossOrigin(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Add("Vary", "Origin")
	if !h.allowsOrigin(r) {
		h.fail(w, errOriginForbidden)
		return false
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Access-Control-Expose-Headers", "ETag, Retry-After")
	}
	return true
}

// fail tells of an error by HTTP.
func (h *Handler) fail(w http.ResponseWriter, err *Error) {
	h.hub.failed(err, "", "")
	refuse(w, err)
}

func parseQuery(r *http.Request) (url.Values, *Error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, errBadRequest.because("The query of the URL cannot be read.")
	}
	return values, nil
}
