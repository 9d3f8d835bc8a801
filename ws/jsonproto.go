package ws

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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

func (jsonProtocol) update(e *pgbell.Event, v view, cursor string) []byte {
	b := newFrame(e.Size + 256 + len(cursor))
	return sealFrame(appendEnvelope(b, e, v, cursor), websocket.TextMessage)
}

func (jsonProtocol) signal(event string, data any, id json.RawMessage, cursor string) []byte {
	return sealFrame(appendSignal(newFrame(256), event, data, id, cursor), websocket.TextMessage)
}

func (jsonProtocol) goodbye(code int, reason string) []byte {
	b := newFrame(2 + len(reason))
	if code != websocket.CloseNoStatusReceived {
		b = binary.BigEndian.AppendUint16(b, uint16(code))
		b = append(b, reason[:min(len(reason), 123)]...)
	}
	return sealFrame(b, websocket.CloseMessage)
}

// frameHead is the most that a frame's header takes (RFC 6455, section 5.2).
const frameHead = 10

func newFrame(size int) []byte { return make([]byte, frameHead, frameHead+size) }

// sealFrame writes the header right before the payload, which starts at
// frameHead.
func sealFrame(b []byte, opcode byte) []byte {
	if opcode == websocket.TextMessage && !utf8.Valid(b[frameHead:]) {
		b = append(b[:frameHead:frameHead], validText(b[frameHead:])...)
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
