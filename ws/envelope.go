package ws

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/pgbell/pgbell"
)

// What clients are told is the same in every protocol that speaks JSON: an
// event's name, its data, a cursor. Protocols differ in how they wrap the
// three.

// timeFormat has the resolution of Postgres.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// eventName is what an event is called in a view.
func eventName(e *pgbell.Event, v view) string {
	switch {
	case v.op == pgbell.Reset:
		return "reset"
	case isNotification(e):
		return notificationName(e)
	}
	return e.Type + "_update"
}

// appendData appends the data of an event in a view.
func appendData(b []byte, e *pgbell.Event, v view) []byte {
	if v.op == pgbell.Reset {
		b = append(b, `{"type":`...)
		b = appendString(b, strings.TrimPrefix(e.Type, ownPrefix))
		b = append(b, `,"reason":`...)
		b = appendString(b, e.Reason)
		return append(b, '}')
	}
	if isNotification(e) {
		return appendNotification(b, e, v)
	}
	b = append(b, `{"id":`...)
	b = strconv.AppendInt(b, e.ID, 10)
	b = append(b, `,"type":`...)
	b = appendString(b, e.Type)
	b = append(b, `,"action":`...)
	b = appendString(b, v.action(e))
	b = append(b, `,"op":`...)
	b = appendString(b, string(v.op))
	b = appendRow(b, e, v)
	if v.merged > 1 {
		b = append(b, `,"merged":`...)
		b = strconv.AppendInt(b, int64(v.merged), 10)
	}
	b = append(b, `,"at":"`...)
	b = e.At.UTC().AppendFormat(b, timeFormat)
	return append(b, `"}`...)
}

// appendRow appends what the view shows of the row.
func appendRow(b []byte, e *pgbell.Event, v view) []byte {
	if v.op == pgbell.Publish {
		b = append(b, `,"data":`...)
		if len(e.Data) == 0 {
			return append(b, "null"...)
		}
		return append(b, e.Data...)
	}
	b = append(b, `,"table":`...)
	b = appendString(b, e.Table)
	b = append(b, `,"key":`...)
	b = append(b, e.Key...)
	b = append(b, `,"data":`...)
	b = appendMerged(b, v.data(e))
	if old := v.old(e); old != nil {
		b = append(b, `,"old":`...)
		b = appendMerged(b, old)
		if v.op == pgbell.Update {
			b = append(b, `,"changed":`...)
			b = appendKeys(b, old)
		}
	}
	return b
}

// appendEnvelope appends an event in a view as {event, data, cursor?}.
func appendEnvelope(b []byte, e *pgbell.Event, v view, cursor string) []byte {
	b = append(b, `{"event":`...)
	b = appendString(b, eventName(e, v))
	b = append(b, `,"data":`...)
	b = appendData(b, e, v)
	return appendCursor(b, cursor)
}

// appendSignal appends everything else as {event, data?, id?, cursor?}.
func appendSignal(b []byte, event string, data any, id json.RawMessage, cursor string) []byte {
	b = append(b, `{"event":`...)
	b = appendString(b, event)
	if data != nil {
		b = append(b, `,"data":`...)
		b = append(b, plainJSON(data)...)
	}
	if len(id) > 0 {
		b = append(b, `,"id":`...)
		b = append(b, id...)
	}
	return appendCursor(b, cursor)
}

// appendCursor ends an envelope.
func appendCursor(b []byte, cursor string) []byte {
	if cursor != "" {
		b = append(b, `,"cursor":"`...)
		b = append(b, cursor...) // base64url, nothing to escape
		b = append(b, '"')
	}
	return append(b, '}')
}

// validText replaces what is not UTF-8. Only a database whose encoding is
// SQL_ASCII holds such text.
func validText(b []byte) []byte { return bytes.ToValidUTF8(b, []byte("\uFFFD")) }
