package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/triggers"
)

func TestTriggersStatus(t *testing.T) {
	t.Parallel()
	s := openMarket(t)
	text := succeed(t, s.env, "triggers", "status", "--measure")
	require.Regexp(t, `(?m)^public\.bookings +booking +enabled +2 +\d+s ago +- +none$`, text)
	require.Regexp(t, `(?m)^public\.payments +payment +enabled +4 `, text)
	require.Regexp(t, `(?m)^public\.bookings( +\d+ µs){3}( +[\d.]+ µs){3}$`, text)
	require.Regexp(t, `(?m)^pgbell\.events +in use +\d+ kB +about \d+ +\d+s ago$`, text)
	require.Contains(t, text, "\nnone\n", "no listener")

	s.exec(t, `ALTER TABLE bookings DISABLE TRIGGER pgbell_update; DROP TRIGGER pgbell_delete ON payments`)
	text = succeed(t, s.env, "triggers", "status")
	require.Regexp(t, `(?m)^public\.bookings +booking +disabled .* trigger pgbell_update on public\.bookings: somebody disabled it$`, text)
	require.Regexp(t, `(?m)^public\.payments +payment +missing .* trigger pgbell_delete on public\.payments: it is missing$`, text)

	var report statusReport
	require.NoError(t, json.Unmarshal([]byte(succeed(t, s.env, "triggers", "status", "--json")), &report))
	require.Equal(t, []driftReport{{"trigger pgbell_update on public.bookings", "somebody disabled it"}}, report.Tables[0].Drift)
	require.Equal(t, "disabled", report.Tables[0].Triggers)
	require.Len(t, report.Partitions, 5)
}

// What the view has of tables that nobody watches comes last, and what only the
// configuration knows is told as missing.
func TestStatusReport(t *testing.T) {
	t.Parallel()
	at := time.Now().Add(-90 * time.Second)
	mean := 0.25
	status := db.Status{Tables: []db.TableActivity{
		{Table: "public.carts", Triggers: "enabled"},
		{Table: "public.orders", Triggers: "always", LastEventAt: &at, MeanMS: &mean},
	}}
	r := newStatusReport(status, []triggers.Watch{
		{Table: triggers.Name{Schema: "public", Name: "orders"}, Type: "order"},
		{Table: triggers.Name{Schema: "public", Name: "new"}, Type: "new"},
	}, nil)
	var out output
	require.NoError(t, r.print(&out, time.Now()))
	require.Equal(t, `TABLE          TYPE   TRIGGERS  EVENTS/MIN  LAST EVENT  MEAN CALL  DRIFT
public.orders  order  always    0           1m30s ago   0.250 ms   unknown
public.new     new    missing   0           -           -          unknown
public.carts   -      enabled   0           -           -          not watched: owners are found in it, or it is left over

EVENT LOG  STATE  SIZE  ROWS     OLDEST EVENT
                  0 kB  about 0  -

LISTENER  STATE  LAST ASKED
none

The NOTIFY queue is 0.0 % full.
`, out.String())
}

// Every difference that somebody may make is found by verify.
func TestVerifyFindsDrift(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ change, want string }{
		"function edited":    {`CREATE OR REPLACE FUNCTION pgbell."public.bookings"() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`, "function pgbell.public.bookings: "},
		"function opened":    {`GRANT EXECUTE ON FUNCTION pgbell."public.bookings"() TO PUBLIC`, "function pgbell.public.bookings: somebody changed its privileges, language or security"},
		"security dropped":   {`ALTER FUNCTION pgbell."public.bookings"() SECURITY INVOKER`, "function pgbell.public.bookings: somebody changed its privileges, language or security"},
		"setting changed":    {`ALTER FUNCTION pgbell."public.bookings"() SET search_path = public`, "function pgbell.public.bookings: "},
		"trigger disabled":   {`ALTER TABLE bookings DISABLE TRIGGER pgbell_insert`, "trigger pgbell_insert on public.bookings: somebody disabled it"},
		"trigger replica":    {`ALTER TABLE bookings ENABLE REPLICA TRIGGER pgbell_insert`, "trigger pgbell_insert on public.bookings: somebody disabled it"},
		"trigger dropped":    {`DROP TRIGGER pgbell_truncate ON bookings`, "trigger pgbell_truncate on public.bookings: it is missing"},
		"type changed":       {`ALTER TABLE payments ALTER amount TYPE timestamptz USING now()`, "function pgbell.public.payments: the watch, the table or this version of pgbell is not the one it was made from"},
		"foreign key added":  {`DELETE FROM payments; ALTER TABLE payments ADD FOREIGN KEY (booking_id) REFERENCES bookings`, "function pgbell.public."},
		"another's triggers": {`CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER a AFTER INSERT ON bookings FOR EACH ROW EXECUTE FUNCTION f()`, "function pgbell.public.bookings: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openMarket(t)
			s.exec(t, test.change)
			status, stdout, stderr := execute(t, s.env, "triggers", "verify")
			require.Empty(t, stderr)
			require.Contains(t, stdout, test.want)
			require.Equal(t, statusError, status)
			succeed(t, s.env, "triggers", "apply")
			succeed(t, s.env, "triggers", "verify")
		})
	}
	// A column that is gone is a mistake of the configuration.
	s := openMarket(t)
	s.exec(t, `ALTER TABLE bookings DROP COLUMN status`)
	status, _, stderr := execute(t, s.env, "triggers", "verify")
	require.Equal(t, statusError, status)
	require.Contains(t, stderr, `public.bookings: columns: no column "status"`)
}
