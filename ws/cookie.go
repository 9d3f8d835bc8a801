package ws

import (
	"net/http"
	"strings"
	"time"

	"github.com/pgbell/pgbell/ws/auth"
)

// An EventSource cannot send headers, and a token in a URL ends up in logs. So
// a page exchanges its token for a cookie that holds it: scripts cannot read
// it, it goes to GET /api/events alone, every node can verify it, and it ends
// with the token or when that is revoked. What another page may do with a
// cookie that is not its own is to open a stream that it cannot read; the
// origin is checked all the same.

const (
	cookieName = "pgbell_events"
	cookiePath = "/api/events"
	// maxCookie is what browsers keep of a name and a value (RFC 6265bis,
	// section 5.6), less the attributes.
	maxCookie = 3800
)

// setCookie answers POST /api/events/cookie.
func (h *Handler) setCookie(w http.ResponseWriter, r *http.Request) {
	if !h.crossOriginWithCookie(w, r) {
		return
	}
	h.apiToken(func(w http.ResponseWriter, r *http.Request, id auth.Identity) {
		token := credentialsOf(r).header
		if len(token) > maxCookie {
			h.fail(w, errBadRequest.because("The token is too long for a cookie."))
			return
		}
		cookie := newCookie(r) //nolint:gosec // it has all of them
		cookie.Value, cookie.Expires = token, id.ExpiresAt.UTC()
		cookie.MaxAge = max(1, int(time.Until(id.ExpiresAt).Seconds()))
		h.answerCookie(w, cookie)
	})(w, r)
}

// dropCookie answers DELETE /api/events/cookie. It needs no token: whoever has
// the cookie may give it up.
func (h *Handler) dropCookie(w http.ResponseWriter, r *http.Request) {
	if !h.crossOriginWithCookie(w, r) {
		return
	}
	cookie := newCookie(r) //nolint:gosec // it has all of them
	cookie.MaxAge = -1
	h.answerCookie(w, cookie)
}

func (h *Handler) answerCookie(w http.ResponseWriter, cookie *http.Cookie) {
	http.SetCookie(w, cookie)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

// newCookie is a cookie without a value. A page that came by http could not
// keep one that is Secure; a browser tells the truth about that in Origin.
func newCookie(r *http.Request) *http.Cookie {
	c := &http.Cookie{Name: cookieName, Path: cookiePath, HttpOnly: true, SameSite: http.SameSiteStrictMode}
	c.Secure = !strings.HasPrefix(r.Header.Get("Origin"), "http://")
	if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		c.SameSite, c.Secure, c.Partitioned = http.SameSiteNoneMode, true, true
	}
	return c
}

// cookieOf is the token of a request's cookie, if the page may use it.
func (h *Handler) cookieOf(r *http.Request) string {
	cookie, err := r.Cookie(cookieName)
	if err != nil || !h.trustsOrigin(r) {
		return ""
	}
	// What a page embeds without asking for more comes without an Origin.
	if r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		return ""
	}
	return cookie.Value
}

// crossOriginWithCookie is crossOrigin for requests that may carry the cookie.
func (h *Handler) crossOriginWithCookie(w http.ResponseWriter, r *http.Request) bool {
	if !h.crossOrigin(w, r) {
		return false
	}
	if r.Header.Get("Origin") != "" && h.trustsOrigin(r) {
		w.Header().Set("Access-Control-Allow-Credentials", "true")
	}
	return true
}

func (h *Handler) preflightCookie(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Origin") != "" && h.trustsOrigin(r) {
		w.Header().Set("Access-Control-Allow-Credentials", "true")
	}
	h.preflight(w, r)
}
