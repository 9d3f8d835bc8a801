// Package web holds the pages that the server shows: the dashboards of the
// demo, the test panel and the console. They are built by Vite from apps/pages
// into dist, and the built files are committed, so that Go alone makes the whole
// program. A test of the workspace proves that they match their source.
package web

import (
	"bytes"
	"embed"
	"io/fs"
	"net/http"
	"path"
	"time"
)

//go:embed all:dist
var built embed.FS

// Options of the pages.
type Options struct {
	// Demo says that there is a marketplace, with its dashboards below /demo.
	// Default: the test panel and the console alone.
	Demo bool
}

// Pages are the paths at which [Handle] shows a page. All of them are one
// document that looks at its own address.
func (o Options) Pages() []string {
	pages := []string{"/websocket-test", "/console"}
	if o.Demo {
		pages = append(pages, "/demo", "/demo/client", "/demo/provider")
	}
	return pages
}

// policy lets a page load and ask what is its own and nothing else. The
// component library sets styles from scripts.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Handle adds the pages, and what they load below /assets/. With a demo the
// root leads there.
func Handle(mux *http.ServeMux, o Options) {
	files, err := fs.Sub(built, "dist")
	if err != nil {
		return // "dist" is a valid name: this cannot happen
	}
	document, err := fs.ReadFile(files, "index.html")
	if err != nil {
		return // it is embedded: this cannot happen, either
	}
	if o.Demo {
		document = bytes.Replace(document, []byte("<html "), []byte("<html data-demo "), 1)
		mux.Handle("GET /{$}", http.RedirectHandler("/demo", http.StatusFound))
	}
	for _, page := range o.Pages() {
		mux.HandleFunc("GET "+page, func(w http.ResponseWriter, r *http.Request) {
			header := w.Header()
			header.Set("Content-Security-Policy", policy)
			header.Set("Cache-Control", "no-cache")
			header.Set("X-Content-Type-Options", "nosniff")
			header.Set("Referrer-Policy", "no-referrer")
			http.ServeContent(w, r, "index.html", time.Time{}, bytes.NewReader(document))
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
