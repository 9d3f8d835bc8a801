package web_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/web"
)

// Whatever a page names is there, and nothing is loaded from elsewhere.
func TestPages(t *testing.T) {
	t.Parallel()
	for _, o := range []web.Options{{}, {Demo: true}} {
		testPages(t, o)
	}
}

func testPages(t *testing.T, o web.Options) {
	t.Helper()
	mux := http.NewServeMux()
	web.Handle(mux, o)
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return w
	}
	for _, page := range o.Pages() {
		w := get(page)
		require.Equal(t, http.StatusOK, w.Code, page)
		require.Contains(t, w.Header().Get("Content-Type"), "text/html")
		require.Contains(t, w.Header().Get("Content-Security-Policy"), "script-src 'self';")
		require.Equal(t, o.Demo, strings.Contains(w.Body.String(), "<html data-demo "))
		named := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(w.Body.String(), -1)
		require.NotEmpty(t, named)
		for _, n := range named {
			require.Regexp(t, `^/assets/`, n[1])
			require.Equal(t, http.StatusOK, get(n[1]).Code, n[1])
		}
	}
	wanted := map[bool]int{true: http.StatusOK, false: http.StatusNotFound}[o.Demo]
	require.Equal(t, wanted, get("/demo/client").Code)
	if o.Demo {
		require.Equal(t, "/demo", get("/").Header().Get("Location"))
	}
	require.Equal(t, http.StatusNotFound, get("/assets/nothing.js").Code)
	require.Equal(t, http.StatusNotFound, get("/demo/nobody").Code)
}
