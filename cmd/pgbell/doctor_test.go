package main

import (
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/pgtest"
)

// diagnose is what the doctor says.
func diagnose(t *testing.T, env []string, args ...string) (status int, findings []db.Finding) {
	t.Helper()
	status, stdout, stderr := execute(t, env, append([]string{"doctor", "--json"}, args...)...)
	require.Empty(t, stderr)
	var said struct {
		Worst    db.Level
		Findings []db.Finding
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &said), stdout)
	require.Equal(t, db.Worst(said.Findings), said.Worst)
	return status, said.Findings
}

// worse is what is not well, as "check: what".
func worse(findings []db.Finding) []string {
	var all []string
	for _, f := range findings {
		if f.Level == db.Warning || f.Level == db.Error {
			all = append(all, f.Check+": "+f.What)
		}
	}
	return all
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	s := openMarket(t)
	status, findings := diagnose(t, s.env)
	require.Empty(t, worse(findings))
	require.Equal(t, statusOK, status)
	text := succeed(t, s.env, "doctor")
	require.Contains(t, text, "ok       pooler        no pooler stands in between: a notification arrived\n")
	require.Contains(t, text, "ok       triggers      the triggers are as the configuration asks, and see every write\n")

	// Drift is a warning, writes that go unseen are an error.
	s.exec(t, `COMMENT ON FUNCTION pgbell."public.payments"() IS 'mine'`)
	status, findings = diagnose(t, s.env)
	require.Equal(t, []string{"triggers: function pgbell.public.payments: somebody changed it or its comment"}, worse(findings))
	require.Equal(t, statusOK, status)
	s.exec(t, `ALTER TABLE bookings DISABLE TRIGGER pgbell_update`)
	status, findings = diagnose(t, s.env)
	require.Contains(t, strings.Join(worse(findings), "\n"), "pgbell_update")
	require.Equal(t, statusError, status)
	succeed(t, s.env, "triggers", "apply")
	_, findings = diagnose(t, s.env)
	require.Empty(t, worse(findings))

	// What the configuration no longer watches is left over.
	file := configuration(t, "tables:\n  public.bookings: {type: booking, owners: {client: client_id}, columns: [id]}\n")
	_, findings = diagnose(t, []string{"DATABASE_URL", s.url, "PGBELL_CONFIG", file})
	require.Contains(t, strings.Join(worse(findings), "\n"), "leftovers: left over, for the configuration does not need it: triggers pgbell_delete, pgbell_insert")
}

func TestDoctorOfWhatDoesNotWork(t *testing.T) {
	t.Parallel()
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, refused.Close())
	status, findings := diagnose(t, []string{"DATABASE_URL", "postgres://me:hush@" + refused.Addr().String() + "/db"})
	require.Equal(t, statusError, status)
	require.Len(t, findings, 1)
	require.Equal(t, "connection", findings[0].Check)
	require.NotContains(t, findings[0].What, "hush")

	// A database without anything of ours.
	status, findings = diagnose(t, []string{"DATABASE_URL", pgtest.Empty(t)})
	require.Equal(t, statusError, status)
	all := strings.Join(worse(findings), "\n")
	require.Contains(t, all, "schema: schema pgbell does not fit: it is not installed in database")
	require.Contains(t, all, "tables: there is no pgbell.yaml, and the database has none of the tables that are watched without one")
	require.Contains(t, all, "log: there is no event log in this database")
}
