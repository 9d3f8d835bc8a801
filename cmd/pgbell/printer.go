package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/pgbell/pgbell"
)

// printer writes events as lines, for people or for programs.
type printer struct {
	w       io.Writer
	colours bool
	json    bool
}

// The colours of a line.
const (
	faint  = "\x1b[2m"
	bold   = "\x1b[1m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	cyan   = "\x1b[36m"
	plain  = "\x1b[0m"
)

func (p *printer) paint(colour, text string) string {
	if !p.colours || colour == "" {
		return text
	}
	return colour + text + plain
}

// event writes one event, which arrived at the time now.
func (p *printer) event(e pgbell.Event, now time.Time) error {
	if p.json {
		return p.document(e, now)
	}
	action, colour := e.Action, green
	switch e.Op {
	case pgbell.Delete:
		colour = red
	case pgbell.Update:
		colour = yellow
	case pgbell.Reset:
		action, colour = strings.TrimSpace("reset "+e.Reason), red
	case pgbell.Insert, pgbell.Publish:
	}
	line := fmt.Sprintf("%s  %s  %s  %-12s %s  %s",
		p.paint(faint, e.At.Local().Format("15:04:05.000")),
		p.paint(cyan, fmt.Sprintf("%-14s", printable(eventName(&e)))),
		p.paint(colour, fmt.Sprintf("%-14s", printable(action))),
		printable(keyText(e.Key)),
		printable(receivers(&e)),
		p.paint(faint, latency(now.Sub(e.At))))
	_, err := fmt.Fprintln(p.w, line)
	return err
}

// eventName is what clients call an event.
func eventName(e *pgbell.Event) string {
	switch {
	case e.Type == notificationType && e.Action == "read":
		return "notifications_read"
	case e.Type == notificationType:
		return "notification"
	}
	return e.Type + "_update"
}

// note writes a line about the stream itself.
func (p *printer) note(text string) error {
	if p.json {
		return json.NewEncoder(p.w).Encode(map[string]string{"note": text})
	}
	_, err := fmt.Fprintln(p.w, p.paint(bold, "-- "+printable(text)))
	return err
}

// document writes all that the log has of an event, for programs.
func (p *printer) document(e pgbell.Event, now time.Time) error {
	return json.NewEncoder(p.w).Encode(struct {
		ID  int64     `json:"id"`
		XID uint64    `json:"xid"`
		At  time.Time `json:"at"`
		pgbell.Body
		Cursor  pgbell.Cursor `json:"cursor"`
		Latency float64       `json:"latency_ms"`
	}{e.ID, e.XID, e.At, e.Body, e.Cursor, float64(now.Sub(e.At).Microseconds()) / 1000})
}

// keyText is a key for people: {"id":42} is id=42.
func keyText(key json.RawMessage) string {
	d := json.NewDecoder(bytes.NewReader(key))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return string(key)
	}
	var parts []string
	for d.More() {
		name, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			return string(key)
		}
		text := string(value)
		var s string
		if json.Unmarshal(value, &s) == nil {
			text = s
		}
		parts = append(parts, fmt.Sprintf("%s=%s", name, text))
	}
	return strings.Join(parts, " ")
}

// receivers says whom an event goes to, such as
// "client anna, provider paul, ADMIN; no longer provider quinn".
func receivers(e *pgbell.Event) string {
	if e.Op == pgbell.Reset && len(e.Users) == 0 {
		return "everybody who holds some"
	}
	var who []string
	for _, audience := range slices.Sorted(maps.Keys(e.Owners)) {
		who = append(who, audience+" "+e.Owners[audience])
	}
	who = append(who, e.Users...)
	who = append(who, e.Watchers...)
	for _, room := range e.Rooms {
		who = append(who, "room "+room)
	}
	if len(who) == 0 {
		who = append(who, "nobody")
	}
	var left []string
	for _, audience := range slices.Sorted(maps.Keys(e.Was)) {
		if was := e.Was[audience]; was != e.Owners[audience] {
			left = append(left, audience+" "+was)
		}
	}
	text := strings.Join(who, ", ")
	if left != nil {
		text += "; no longer " + strings.Join(left, ", ")
	}
	return text
}

// latency is a time for people: milliseconds with one digit. Clocks of two
// machines may make it negative.
func latency(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}

// printable takes control characters out of a text: what somebody stored in a
// row must not drive the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, text)
}
