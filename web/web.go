// Package web holds the pages that the server shows: the dashboards of the
// demo, the test panel and the console. They are built by Vite from apps/pages
// into dist, and the built files are committed, so that Go alone makes the whole
// program. A test of the workspace proves that they match their source.
package web

import (
	"embed"
	"io/fs"
	"net/http"
	"path"
)

//go:embed all:dist
var built embed.FS

// Pages are the paths at which [Handler] shows a page. All of them are one
// document that looks at its own address.
var Pages = []string{"/demo", "/demo/client", "/demo/provider", "/websocket-test", "/console"}

// policy lets a page load and ask what is its own and nothing else. The
// component library sets styles from scripts.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Handle adds the pages, and what they load below /assets/.
func Handle(mux *http.ServeMux) {
	files, err := fs.Sub(built, "dist")
	if err != nil {
		return // "dist" is a valid name: this cannot happen
	}
	for _, page := range Pages {
		mux.HandleFunc("GET "+page, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Security-Policy", policy)
			w.Header().Set("Cache-Control", "no-cache")
			http.ServeFileFS(w, r, files, "index.html")
		})
	}
	mux.HandleFunc("GET /assets/", func(w http.ResponseWriter, r *http.Request) {
		// A file's name has a hash of its content, but for the icon's.
		if path.Ext(r.URL.Path) != ".svg" {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.ServeFileFS(w, r, files, path.Clean(r.URL.Path)[1:])
	})
}
