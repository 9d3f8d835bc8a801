package demo

import (
	"encoding/json"
	"net/http"
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
