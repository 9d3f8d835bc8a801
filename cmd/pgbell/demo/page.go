package demo

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

// Login is a person with a token to log in with. The page offers those who are
// Suggested first.
type Login struct {
	Person
	Token     string `json:"token"`
	Suggested bool   `json:"suggested,omitempty"`
}

// HandlePeople adds /demo/people, the people whom a visitor may choose to be.
// Logins is asked at each visit. Whoever reaches it may become anybody: it is
// for sample data alone.
func HandlePeople(mux *http.ServeMux, logins func() ([]Login, error)) {
	mux.HandleFunc("GET /demo/people", func(w http.ResponseWriter, _ *http.Request) {
		all, err := logins()
		if err != nil {
			http.Error(w, "the tokens cannot be made now", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(all) // the browser is gone if this fails
	})
}

// TokenWish is what somebody wants a token to say.
type TokenWish struct {
	User  string
	Roles []string
	TTL   time.Duration
}

// The bounds of a wish.
const (
	maxWishedName  = 256 // bytes of the user and of each role
	maxWishedRoles = 20
	maxWishedTTL   = 24 * time.Hour
)

// HandleTokens adds POST /demo/api/tokens {user, roles, seconds}, which answers
// with {token}. Like [HandlePeople] it is for sample data alone. A page of
// another origin cannot ask: the request's content type has to be JSON, which
// browsers send elsewhere only with leave.
func HandleTokens(mux *http.ServeMux, mint func(TokenWish) (string, error)) {
	mux.HandleFunc("POST /demo/api/tokens", func(w http.ResponseWriter, r *http.Request) {
		var wish struct {
			User    string   `json:"user"`
			Roles   []string `json:"roles"`
			Seconds int64    `json:"seconds"`
		}
		long := func(name string) bool { return len(name) > maxWishedName }
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&wish)
		switch {
		case r.Header.Get("Content-Type") != "application/json":
			answer(w, http.StatusUnsupportedMediaType, "send application/json")
			return
		case err != nil:
			answer(w, http.StatusBadRequest, errBadRequest.Error())
			return
		case wish.User == "" || long(wish.User) || len(wish.Roles) > maxWishedRoles || slices.ContainsFunc(wish.Roles, long):
			answer(w, http.StatusBadRequest, "name a user, and at most 20 roles, each of at most 256 bytes")
			return
		case wish.Seconds < 1 || wish.Seconds > int64(maxWishedTTL/time.Second):
			answer(w, http.StatusBadRequest, "seconds takes 1 to 86400")
			return
		}
		token, err := mint(TokenWish{wish.User, wish.Roles, time.Duration(wish.Seconds) * time.Second})
		if err != nil {
			answer(w, http.StatusInternalServerError, "the token cannot be made now")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(map[string]string{"token": token}) // the browser is gone if this fails
	})
}
