package main

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// consult asks a server as somebody and reads the JSON of its answer.
func consult(t *testing.T, token, url string, into any) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.NoError(t, json.NewDecoder(response.Body).Decode(into))
	return response.StatusCode
}

func TestConsole(t *testing.T) {
	t.Parallel()
	s := openMarket(t)
	s.exec(t, `ALTER TABLE bookings DISABLE TRIGGER pgbell_update`)
	s.exec(t, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET pgbell.bell = always', current_database()); END $$`)
	_, at := serve(t, append(s.env, "PGBELL_API_ADMIN_ROLES", "ADMIN"))
	admin := token(t, "alice", "ADMIN")
	require.Contains(t, get(t, at+"/console"), "<title>pgbell</title>")
	require.Contains(t, get(t, at+"/websocket-test"), "<title>pgbell</title>")

	var tables consoleTables
	require.Equal(t, http.StatusOK, consult(t, admin, at+"/api/console/tables", &tables))
	require.Empty(t, tables.Unknown)
	require.Len(t, tables.Tables, 2)
	require.Equal(t, "public.bookings", tables.Tables[0].Table)
	require.NotEmpty(t, tables.Tables[0].Drift)
	require.Equal(t, "booking", tables.Tables[0].Type)
	require.Empty(t, tables.Tables[1].Drift)
	require.Len(t, tables.Listeners, 1)
	require.Equal(t, "pgbell.bell", tables.Switches[0].Setting)
	require.False(t, tables.Switches[0].Off)
	checked := tables.CheckedAt
	require.Equal(t, http.StatusOK, consult(t, admin, at+"/api/console/tables", &tables))
	require.Equal(t, checked, tables.CheckedAt, "who asks again at once gets the same")

	var x explanation
	why := at + "/api/console/why?table=public.bookings&key=1&user="
	require.Equal(t, http.StatusOK, consult(t, admin, why+"paul", &x))
	require.Equal(t, []string{"provider"}, x.As)
	require.False(t, x.Receives, "a trigger is off")
	x = explanation{}
	require.Equal(t, http.StatusOK, consult(t, admin, why+"zoe&role=ADMIN", &x))
	require.Equal(t, []string{"ADMIN"}, x.As)
	var refused struct{ Code, Message string }
	require.Equal(t, http.StatusBadRequest, consult(t, admin, why+"zoe&key=2", &refused))
	require.Equal(t, `key: a key of several columns is column=value for each, or one JSON object; "1" is neither`, refused.Message)

	anna := join(t, at, "anna", token(t, "anna"))
	s.exec(t, `INSERT INTO bookings VALUES (7, 'anna', 'paul', 'NEW', 'n', 1)`)
	require.Equal(t, "created", anna.change(t).Action)
	// The next sample knows of it.
	var stats struct {
		Connections map[string]int
		Recent      recently
	}
	require.Eventually(t, func() bool {
		require.Equal(t, http.StatusOK, consult(t, admin, at+"/api/console/stats", &stats))
		last := len(stats.Recent.Samples) - 1
		return last >= 0 && stats.Recent.Samples[last].Connections["websocket"] == 1
	}, patience, 100*time.Millisecond)
	require.Equal(t, 1, stats.Connections["websocket"])
	require.EqualValues(t, 1, stats.Recent.FanOut.Count)
	var sessions struct {
		Sessions []struct{ Address, State string }
	}
	require.Equal(t, http.StatusOK, consult(t, admin, at+"/api/console/users/anna/sessions", &sessions))
	require.Len(t, sessions.Sessions, 1)
	require.Equal(t, "live", sessions.Sessions[0].State)

	for _, path := range []string{"stats", "tables", "users/anna/sessions", "why?table=public.bookings&key=1&user=anna"} {
		require.Equal(t, http.StatusForbidden, consult(t, token(t, "anna"), at+"/api/console/"+path, &refused), path)
	}
}

// Nobody is an admin unless the configuration says so.
func TestConsoleIsClosedByDefault(t *testing.T) {
	t.Parallel()
	s := openMarket(t)
	_, at := serve(t, s.env)
	var refused struct{ Code string }
	require.Equal(t, http.StatusForbidden, consult(t, token(t, "alice", "ADMIN"), at+"/api/console/stats", &refused))
	require.Equal(t, "forbidden", refused.Code)
	require.Equal(t, http.StatusNotFound, consult(t, token(t, "alice"), at+"/demo/people", &refused))
}
