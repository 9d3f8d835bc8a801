package demo

import (
	_ "embed"
	"encoding/json"
	"net/http"
)

//go:embed page.html
var page []byte

// Login is a person with a token to log in with. The page offers those who are
// Suggested first.
type Login struct {
	Person
	Token     string `json:"token"`
	Suggested bool   `json:"suggested,omitempty"`
}

// Handle adds the demo's page at /demo. Logins is asked at each visit. Whoever
// opens the page may become anybody: it is for sample data alone.
func Handle(mux *http.ServeMux, logins func() ([]Login, error)) {
	mux.HandleFunc("GET /demo", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'")
		_, _ = w.Write(page) // the browser is gone if this fails
	})
	mux.HandleFunc("GET /demo/people", func(w http.ResponseWriter, _ *http.Request) {
		all, err := logins()
		if err != nil {
			http.Error(w, "the tokens cannot be made now", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(all) // as above
	})
}
