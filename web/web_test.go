package web_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/web"
)

// Whatever a page names is there, and nothing is loaded from elsewhere.
func TestPages(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	web.Handle(mux)
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return w
	}
	for _, page := range web.Pages {
		w := get(page)
		require.Equal(t, http.StatusOK, w.Code, page)
		require.Contains(t, w.Header().Get("Content-Type"), "text/html")
		require.Contains(t, w.Header().Get("Content-Security-Policy"), "script-src 'self';")
		named := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(w.Body.String(), -1)
		require.NotEmpty(t, named)
		for _, n := range named {
			require.Regexp(t, `^/assets/`, n[1])
			require.Equal(t, http.StatusOK, get(n[1]).Code, n[1])
		}
	}
	require.Equal(t, http.StatusNotFound, get("/assets/nothing.js").Code)
	require.Equal(t, http.StatusNotFound, get("/demo/nobody").Code)
}
