package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
)

var sample = pgbell.Event{
	ID: 7, XID: 742, At: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC),
	Body: pgbell.Body{
		Type: "booking", Op: pgbell.Update, Action: "reassigned", Table: "public.bookings",
		Key:      json.RawMessage(`{"tenant": "a b", "id": 42}`),
		Owners:   map[string]string{"client": "anna", "provider": "rosa"},
		Was:      map[string]string{"client": "anna", "provider": "paul"},
		Watchers: []string{"ADMIN"},
		Data:     json.RawMessage(`{"price":1.10}`),
	},
}

func TestPrinter(t *testing.T) {
	t.Parallel()
	line := func(p printer, change func(*pgbell.Event)) string {
		e := sample
		if change != nil {
			change(&e)
		}
		var b bytes.Buffer
		p.w = &b
		require.NoError(t, p.event(e, e.At.Add(1234*time.Microsecond)))
		return strings.TrimPrefix(b.String(), e.At.Local().Format("15:04:05.000  "))
	}
	require.Equal(t, "booking_update  reassigned      tenant=a b id=42 client anna, provider rosa, ADMIN; no longer provider paul  1.2 ms\n", line(printer{}, nil))
	require.Equal(t, "booking_update  reset truncate               everybody who holds some  1.2 ms\n", line(printer{}, func(e *pgbell.Event) {
		*e = pgbell.Event{At: e.At, Body: pgbell.Body{Type: "booking", Op: pgbell.Reset, Reason: "truncate"}}
	}))
	require.Equal(t, "booking_update  deleted         id=1         nobody  1.2 ms\n", line(printer{}, func(e *pgbell.Event) {
		*e = pgbell.Event{At: e.At, Body: pgbell.Body{Type: "booking", Op: pgbell.Delete, Action: "deleted", Key: json.RawMessage(`{"id":1}`)}}
	}))
	require.Contains(t, line(printer{colours: true}, nil), cyan+"booking_update"+plain)

	// What stands in a row must not drive the terminal.
	hostile := func(e *pgbell.Event) {
		e.Owners = map[string]string{"client": "\x1b[2Jme\r\n"}
		e.Key = json.RawMessage(`{"id":"\u001b]0;title\u0007"}`)
	}
	require.Contains(t, line(printer{}, hostile), "id=?]0;title? client ?[2Jme??, ADMIN")

	var document map[string]any
	require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(line(printer{json: true}, nil), "")), &document))
	require.InDelta(t, 1.234, document["latency_ms"], 1e-9)
	require.Equal(t, "reassigned", document["action"])
	require.Equal(t, map[string]any{"tenant": "a b", "id": 42.0}, document["key"])
}

func TestScreenNeverWaits(t *testing.T) {
	t.Parallel()
	var out output
	s := newScreen(printer{w: &out})
	s.Deliver(make([]pgbell.Event, screenLines+5)) // nobody prints yet
	s.Advance(pgbell.Cursor{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.run(ctx) }()
	out.await(t, "-- 5 events more, too fast to print\n")
	s.Gap(pgbell.Gap{Reason: pgbell.GapRetention})
	out.await(t, "-- the stream has a gap: retention\n")
	s.Down(context.Canceled)
	out.await(t, "-- the connection is lost, trying again\n")
	cancel()
	require.NoError(t, <-ended)
	require.Equal(t, screenLines+3, strings.Count(out.String(), "\n"))
}

func TestLocalURL(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		":8080":          "http://127.0.0.1:8080",
		"0.0.0.0:80":     "http://127.0.0.1:80",
		"[::]:80":        "http://127.0.0.1:80",
		"[::1]:80":       "http://[::1]:80",
		"localhost:81":   "http://localhost:81",
		"192.0.2.1:8080": "http://192.0.2.1:8080",
	} {
		got, err := localURL(address)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestCloseLabel(t *testing.T) {
	t.Parallel()
	require.Equal(t, "4008", closeLabel(4008))
	require.Equal(t, "other", closeLabel(4999))
}
