package ws

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/pgbell/pgbell"
)

// Subprotocol is the WebSocket subprotocol of the JSON protocol.
const Subprotocol = "pgbell.v1"

// jsonProtocol is JSON envelopes in WebSocket text frames. A frame is the whole
// of it, header included: a server's frames are not masked, so one serves every
// connection.
type jsonProtocol struct{}

// timeFormat has the resolution of Postgres.
const timeFormat = "2006-01-02T15:04:05.000000Z"

func (jsonProtocol) update(e *pgbell.Event, v view, cursor string) []byte {
	b := newFrame(e.Size + 256 + len(cursor))
	if v.op == pgbell.Reset {
		b = append(b, `{"event":"reset","data":{"type":`...)
		b = appendString(b, e.Type)
		b = append(b, `,"reason":`...)
		b = appendString(b, e.Reason)
	} else {
		b = append(b, `{"event":`...)
		b = appendString(b, e.Type+"_update")
		b = append(b, `,"data":{"id":`...)
		b = strconv.AppendInt(b, e.ID, 10)
		b = append(b, `,"type":`...)
		b = appendString(b, e.Type)
		b = append(b, `,"action":`...)
		b = appendString(b, v.action(e))
		b = append(b, `,"op":`...)
		b = appendString(b, string(v.op))
		b = appendRow(b, e, v)
		b = append(b, `,"at":"`...)
		b = e.At.UTC().AppendFormat(b, timeFormat)
		b = append(b, '"')
	}
	b = append(b, '}')
	b = appendCursor(b, cursor)
	return sealFrame(b, websocket.TextMessage)
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

func (jsonProtocol) signal(event string, data any, id json.RawMessage, cursor string) []byte {
	b := newFrame(256)
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
	b = appendCursor(b, cursor)
	return sealFrame(b, websocket.TextMessage)
}

func (jsonProtocol) goodbye(code int, reason string) []byte {
	b := newFrame(2 + len(reason))
	if code != websocket.CloseNoStatusReceived {
		b = binary.BigEndian.AppendUint16(b, uint16(code))
		b = append(b, reason[:min(len(reason), 123)]...)
	}
	return sealFrame(b, websocket.CloseMessage)
}

func appendCursor(b []byte, cursor string) []byte {
	if cursor != "" {
		b = append(b, `,"cursor":"`...)
		b = append(b, cursor...) // base64url, nothing to escape
		b = append(b, '"')
	}
	return append(b, '}')
}

// frameHead is the most that a frame's header takes (RFC 6455, section 5.2).
const frameHead = 10

func newFrame(size int) []byte { return make([]byte, frameHead, frameHead+size) }

// sealFrame writes the header right before the payload, which starts at
// frameHead.
func sealFrame(b []byte, opcode byte) []byte {
	if opcode == websocket.TextMessage && !utf8.Valid(b[frameHead:]) {
		// Only a database whose encoding is SQL_ASCII holds such text.
		b = append(b[:frameHead:frameHead], bytes.ToValidUTF8(b[frameHead:], []byte("\uFFFD"))...)
	}
	const fin = 0x80
	n := len(b) - frameHead
	switch {
	case n < 126:
		b[8], b[9] = fin|opcode, byte(n)
		return b[8:]
	case n < 1<<16:
		b[6], b[7] = fin|opcode, 126
		binary.BigEndian.PutUint16(b[8:], uint16(n))
		return b[6:]
	default:
		b[0], b[1] = fin|opcode, 127
		binary.BigEndian.PutUint64(b[2:], uint64(n))
		return b
	}
}

// request is one message of a client.
type request struct {
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
	ID    json.RawMessage `json:"id"`
}

// maxRequestID bounds what is echoed.
const maxRequestID = 128

// decodeRequest reads a client's envelope. Unknown fields are ignored. The id
// is returned even with an error, if there is a usable one.
func decodeRequest(message []byte) (request, error) {
	var r request
	if err := json.Unmarshal(message, &r); err != nil {
		return request{}, errors.New("the message is not a JSON envelope")
	}
	if string(r.ID) == "null" {
		r.ID = nil
	}
	if len(r.ID) > maxRequestID || len(r.ID) > 0 && !slices.Contains([]byte(`"-0123456789`), r.ID[0]) {
		r.ID = nil
		return r, fmt.Errorf("id must be a string or a number of at most %d bytes", maxRequestID)
	}
	if r.Event == "" {
		return r, errors.New("event is missing")
	}
	return r, nil
}
