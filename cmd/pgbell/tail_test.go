package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
)

func TestTailFilters(t *testing.T) {
	t.Parallel()
	key := func(text string) json.RawMessage { return json.RawMessage(text) }
	event := func(b pgbell.Body) *pgbell.Event { return &pgbell.Event{Body: b} }
	moved := event(pgbell.Body{
		Type: "booking", Op: pgbell.Update, Action: "accepted", Table: "public.bookings", Key: key(`{"id":42}`),
		Owners: map[string]string{"client": "anna"}, Was: map[string]string{"client": "bea"},
	})
	reset := event(pgbell.Body{Type: "booking", Op: pgbell.Reset, Table: "public.bookings"})
	raced := event(pgbell.Body{Type: "booking", Op: pgbell.Reset, Users: []string{"anna"}})
	signal := event(pgbell.Body{Type: "pgbell.canary", Op: pgbell.Publish})
	for _, test := range []struct {
		args []string
		want []*pgbell.Event
	}{
		{nil, []*pgbell.Event{moved, reset, raced}},
		{[]string{"--type", "booking"}, []*pgbell.Event{moved, reset, raced}},
		{[]string{"--type", "pgbell.canary,payment"}, []*pgbell.Event{signal}},
		{[]string{"--table", "public.bookings"}, []*pgbell.Event{moved, reset}},
		{[]string{"--op", "update"}, []*pgbell.Event{moved}},
		{[]string{"--action", "accepted", "--op", "insert"}, nil},
		{[]string{"--user", "anna"}, []*pgbell.Event{moved, reset, raced}},
		{[]string{"--user", "bea"}, []*pgbell.Event{moved, reset}},
		{[]string{"--user", "carl"}, []*pgbell.Event{reset}},
		{[]string{"--key", "42"}, []*pgbell.Event{moved}},
		{[]string{"--key", "id=42"}, []*pgbell.Event{moved}},
		{[]string{"--key", `{"id": 42}`}, []*pgbell.Event{moved}},
		{[]string{"--key", "id=4"}, nil},
		{[]string{"--key", "no=42"}, nil},
	} {
		var c tailCommand
		for i := 0; i < len(test.args); i += 2 {
			value := test.args[i+1]
			switch test.args[i] {
			case "--type":
				c.Type = strings.Split(value, ",")
			case "--table":
				c.Table = []string{value}
			case "--op":
				c.Op = append(c.Op, value)
			case "--action":
				c.Action = []string{value}
			case "--user":
				c.User = []string{value}
			case "--key":
				c.Key = []string{value}
			}
		}
		f, err := c.filter()
		require.NoError(t, err)
		var got []*pgbell.Event
		for _, e := range []*pgbell.Event{moved, reset, raced, signal} {
			if f.matches(e) {
				got = append(got, e)
			}
		}
		require.Equal(t, test.want, got, "%v", test.args)
	}
}

func TestSince(t *testing.T) {
	t.Parallel()
	at := pgbell.NewCursor(1, &pgbell.Snapshot{Xmin: 7, Xmax: 7})
	s, err := parseSince(at.String())
	require.NoError(t, err)
	require.Equal(t, at.String(), s.cursor.String())
	s, err = parseSince("2026-01-31T08:00:00.5+01:00")
	require.NoError(t, err)
	require.True(t, s.time.Equal(time.Date(2026, 1, 31, 7, 0, 0, 500_000_000, time.UTC)))
	s, err = parseSince("10m")
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(-10*time.Minute), s.time, time.Minute)
	for _, text := range []string{"yesterday", "2026-01-31", "-5m", "10"} {
		_, err = parseSince(text)
		require.Error(t, err, text)
	}
}

// TestTail follows from a time in the past into the present.
func TestTail(t *testing.T) {
	t.Parallel()
	s := openMarket(t)
	s.exec(t, `UPDATE pgbell.events SET at = at - interval '1 hour' WHERE body ->> 'type' = 'payment'`)
	s.exec(t, `UPDATE bookings SET status = 'OLD'`)
	r := start(t, s.env, "tail", "--since", "30m", "--user", "anna")
	r.stdout.await(t, `booking_update  created         id=1         client anna, provider paul, ADMIN`)
	r.stdout.await(t, `booking_update  status_changed  id=1 `)
	s.exec(t, `UPDATE bookings SET client_id = 'bea' WHERE id = 1`)
	r.stdout.await(t, `client bea, provider paul, ADMIN; no longer client anna`)
	r.stop(t)
	require.NotContains(t, r.stdout.String(), "payment_update  created", "it was written before")
	require.NotContains(t, r.stdout.String(), "id=2", "it is not hers")

	// On from a cursor, for programs.
	r = start(t, s.env, "tail", "--json", "--since", "2h", "--op", "insert", "--key", "id=1")
	line := r.stdout.await(t, `(.*)\n`)[1]
	r.stop(t)
	var first struct {
		ID     int64
		Op     string
		Cursor string
	}
	require.NoError(t, json.Unmarshal([]byte(line), &first))
	require.Equal(t, "insert", first.Op)
	r = start(t, s.env, "tail", "--json", "--since", first.Cursor)
	require.NotContains(t, r.stdout.await(t, `(.*)\n`)[1], `"id":`+line[strings.Index(line, ":")+1:strings.Index(line, ",")]+`,`)
	r.stop(t)
}
