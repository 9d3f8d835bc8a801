package demo_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/cmd/pgbell/demo"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		kind, body string
		status     int
		want       string
	}{
		"good":       {"application/json", `{"user": "anna", "roles": ["CLIENT"], "seconds": 60}`, http.StatusOK, `{"token": "anna CLIENT 1m0s"}`},
		"form":       {"text/plain", `{"user": "anna", "seconds": 60}`, http.StatusUnsupportedMediaType, `{"message": "send application/json"}`},
		"broken":     {"application/json", `{"user":`, http.StatusBadRequest, `{"message": "the request could not be understood"}`},
		"nobody":     {"application/json", `{"seconds": 60}`, http.StatusBadRequest, `{"message": "name a user, and at most 20 roles, each of at most 256 bytes"}`},
		"for ever":   {"application/json", `{"user": "anna", "seconds": 86401}`, http.StatusBadRequest, `{"message": "seconds takes 1 to 86400"}`},
		"not at all": {"application/json", `{"user": "anna"}`, http.StatusBadRequest, `{"message": "seconds takes 1 to 86400"}`},
		"long":       {"application/json", `{"user": "` + strings.Repeat("a", 257) + `", "seconds": 1}`, http.StatusBadRequest, `{"message": "name a user, and at most 20 roles, each of at most 256 bytes"}`},
		"larger":     {"application/json", `{"user": "` + strings.Repeat("a", 5000) + `"}`, http.StatusBadRequest, `{"message": "the request could not be understood"}`},
		"no secret":  {"application/json", `{"user": "nobody", "seconds": 1}`, http.StatusInternalServerError, `{"message": "the token cannot be made now"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mux := http.NewServeMux()
			demo.HandleTokens(mux, func(wish demo.TokenWish) (string, error) {
				if wish.User == "nobody" {
					return "", errors.New("no secret")
				}
				return wish.User + " " + strings.Join(wish.Roles, ",") + " " + wish.TTL.Round(time.Second).String(), nil
			})
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/demo/api/tokens", strings.NewReader(test.body))
			r.Header.Set("Content-Type", test.kind)
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			require.Equal(t, test.status, w.Code)
			require.JSONEq(t, test.want, w.Body.String())
		})
	}
}
