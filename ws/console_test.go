package ws

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// operators is a console that knows what it is asked.
type operators struct {
	asked chan WhyQuery
	fail  error
}

func (o *operators) Recent(after time.Time) any {
	return map[string]int64{"after": after.UnixMilli()}
}

func (o *operators) Tables(context.Context) (any, error) { return []string{"public.bookings"}, o.fail }

func (o *operators) Why(_ context.Context, q WhyQuery) (any, error) {
	if q.Table == "bookings" {
		return nil, Mistake("table: it has no schema.")
	}
	o.asked <- q
	return map[string]bool{"receives": true}, nil
}

// admins is a server whose role ADMIN may see everything.
func admins(t *testing.T, o *operators) *server {
	t.Helper()
	return serve(t, Options{}, HandlerOptions{AdminRoles: []string{"ADMIN"}, Console: o}).live()
}

// askJSON gets the JSON at path.
func (s *server) askJSON(t *testing.T, token, path string, into any) int {
	t.Helper()
	status, text := s.ask(t, http.MethodGet, path, token, "")
	require.NoError(t, json.Unmarshal([]byte(text), into), text)
	return status
}

func TestConsoleIsForAdmins(t *testing.T) {
	t.Parallel()
	s := admins(t, &operators{asked: make(chan WhyQuery, 1)})
	for _, path := range []string{"stats", "users/anna/sessions", "tables", "why?user=a&table=public.b&key=1"} {
		var refused Error
		require.Equal(t, http.StatusForbidden, s.askJSON(t, "anna:CLIENT", "/api/console/"+path, &refused), path)
		require.Equal(t, "forbidden", refused.Code)
		require.Equal(t, http.StatusUnauthorized, s.askJSON(t, "bad", "/api/console/"+path, &refused), path)
		var answer any
		require.Equal(t, http.StatusOK, s.askJSON(t, "alice:ADMIN", "/api/console/"+path, &answer), path)
	}
	// Without roles that may, and without a console, nobody can.
	var refused Error
	s = serve(t, Options{}, HandlerOptions{Console: &operators{}}).live()
	require.Equal(t, http.StatusForbidden, s.askJSON(t, "alice:ADMIN", "/api/console/stats", &refused))
	s = serve(t, Options{}, HandlerOptions{AdminRoles: []string{"ADMIN"}}).live()
	require.Equal(t, http.StatusNotFound, s.askJSON(t, "alice:ADMIN", "/api/console/stats", &refused))
}

func TestConsoleCounts(t *testing.T) {
	t.Parallel()
	s := admins(t, &operators{})
	for range 2 {
		s.connect(t, "anna:CLIENT", "")
	}
	s.connect(t, "paul", "")
	var stats struct {
		Live        bool
		Connections map[string]int
		Users       int
		Rooms       int
		TopRooms    []roomSize
		Slow        []slowSession
		Recent      map[string]int64
	}
	require.Equal(t, http.StatusOK, s.askJSON(t, "alice:ADMIN", "/api/console/stats?after=1700000000000", &stats))
	require.True(t, stats.Live)
	require.Equal(t, 3, stats.Connections[TransportWebSocket])
	require.Equal(t, 2, stats.Users)
	require.Equal(t, 3, stats.Rooms)
	require.Equal(t, []roomSize{{"role:CLIENT", 2}, {"user:anna", 2}, {"user:paul", 1}}, stats.TopRooms)
	require.Empty(t, stats.Slow)
	require.EqualValues(t, 1700000000000, stats.Recent["after"])

	var one struct {
		UserID   string
		Sessions []userSession
	}
	require.Equal(t, http.StatusOK, s.askJSON(t, "alice:ADMIN", "/api/console/users/anna/sessions", &one))
	require.Equal(t, "anna", one.UserID)
	require.Len(t, one.Sessions, 2)
	for _, session := range one.Sessions {
		require.Equal(t, TransportWebSocket, session.Transport)
		require.Equal(t, "live", session.State)
		require.Equal(t, "127.0.0.1", session.Address)
		require.Equal(t, []string{"role:CLIENT", "user:anna"}, session.Rooms)
		require.Equal(t, []string{"CLIENT"}, session.Roles)
	}
	require.Equal(t, http.StatusOK, s.askJSON(t, "alice:ADMIN", "/api/console/users/nobody/sessions", &one))
	require.Empty(t, one.Sessions)

	var refused Error
	require.Equal(t, http.StatusBadRequest, s.askJSON(t, "alice:ADMIN", "/api/console/stats?after=yesterday", &refused))
}

func TestConsoleWhy(t *testing.T) {
	t.Parallel()
	o := &operators{asked: make(chan WhyQuery, 1)}
	s := admins(t, o)
	var answer map[string]bool
	require.Equal(t, http.StatusOK, s.askJSON(t, "alice:ADMIN", "/api/console/why?user=anna&role=A&role=B&table=public.bookings&key=a%3D1&key=b%3D2", &answer))
	require.Equal(t, WhyQuery{User: "anna", Roles: []string{"A", "B"}, Table: "public.bookings", Key: []string{"a=1", "b=2"}}, <-o.asked)

	for query, want := range map[string]string{
		"user=anna&table=bookings&key=1":                            "table: it has no schema.",
		"user=anna&table=public.b":                                  "Ask with user, table and key.",
		"user=anna&user=b&table=public.b&key=1":                     "The parameter user stands there too often.",
		"user=anna&table=public.b&key=1&roles=A":                    `There is no parameter "roles"; there are user, table, key and role.`,
		"user=anna&table=public.b&key=" + strings.Repeat("1", 1025): "The parameter key is too long.",
	} {
		var refused Error
		require.Equal(t, http.StatusBadRequest, s.askJSON(t, "bob:ADMIN", "/api/console/why?"+query, &refused), query)
		require.Equal(t, want, refused.Message)
	}
}

// What costs the database something is bounded for each admin by themself, and
// what goes wrong there is not told.
func TestConsoleBoundsWhatIsCostly(t *testing.T) {
	t.Parallel()
	o := &operators{}
	s := admins(t, o)
	status := http.StatusOK
	var answer any
	for range consoleCostly.Burst + 1 {
		status = s.askJSON(t, "alice:ADMIN", "/api/console/tables", &answer)
	}
	require.Equal(t, http.StatusTooManyRequests, status)
	require.Equal(t, http.StatusOK, s.askJSON(t, "alice:ADMIN", "/api/console/stats", &answer), "what costs nothing goes on")
	o.fail = errors.New("a password")
	var refused Error
	require.Equal(t, http.StatusServiceUnavailable, s.askJSON(t, "bob:ADMIN", "/api/console/tables", &refused))
	require.Equal(t, errUnavailable.Message, refused.Message)
}

func TestTop(t *testing.T) {
	t.Parallel()
	var best []int
	for _, n := range []int{3, 9, 1, 7, 9, 2} {
		best = top(best, 3, n, func(a, b int) int { return b - a })
	}
	require.Equal(t, []int{9, 9, 7}, best)
}
