package socketio

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
)

// The types of packets.
const (
	typeConnect      = '0'
	typeDisconnect   = '1'
	typeEvent        = '2'
	typeAck          = '3'
	typeConnectError = '4'
	typeBinaryEvent  = '5'
	typeBinaryAck    = '6'
)

// maxName is how long a namespace's name may be, in bytes.
const maxName = 255

var errPacket = errors.New("packet is not valid")

// incoming is a packet of a client.
type incoming struct {
	kind        byte // typeBinaryEvent counts as typeEvent, typeBinaryAck as typeAck
	attachments int  // how many binary messages follow
	namespace   string
	id          uint64 // of the acknowledgement
	hasID       bool
	auth        json.RawMessage   // of a CONNECT
	values      []json.RawMessage // of an event, its name included, or of an acknowledgement
}

// decode decodes a packet of valid UTF-8. It copies what it keeps.
func decode(text []byte) (incoming, error) {
	if len(text) == 0 {
		return incoming{}, errPacket
	}
	p := incoming{kind: text[0], namespace: "/"}
	text = text[1:]
	if p.kind == typeBinaryEvent || p.kind == typeBinaryAck {
		n, rest, ok := cutNumber(text)
		if !ok || n > 1000 || len(rest) == 0 || rest[0] != '-' {
			return incoming{}, errPacket
		}
		p.attachments, text = int(n), rest[1:]
		p.kind -= typeBinaryEvent - typeEvent
	}
	if len(text) > 0 && text[0] == '/' {
		name, rest, _ := bytes.Cut(text, []byte{','})
		if len(name) > maxName {
			return incoming{}, errPacket
		}
		p.namespace, text = string(name), rest
	}
	p.id, text, p.hasID = cutNumber(text)
	err := p.decodeBody(text)
	return p, err
}

// cutNumber cuts the number that text starts with.
func cutNumber(text []byte) (_ uint64, rest []byte, ok bool) {
	n := 0
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	number, err := strconv.ParseUint(string(text[:n]), 10, 64)
	if err != nil {
		return 0, text, false
	}
	return number, text[n:], true
}

func (p *incoming) decodeBody(body []byte) error {
	switch p.kind {
	case typeConnect:
		if p.hasID || len(body) > 0 && (body[0] != '{' || !json.Valid(body)) {
			return errPacket
		}
		p.auth = json.RawMessage("{}")
		if len(body) > 0 {
			p.auth = bytes.Clone(body)
		}
		return nil
	case typeDisconnect:
		if p.hasID || len(body) > 0 {
			return errPacket
		}
		return nil
	case typeEvent, typeAck:
		if len(body) == 0 || body[0] != '[' || json.Unmarshal(body, &p.values) != nil {
			return errPacket
		}
		if p.kind == typeAck && !p.hasID || p.kind == typeEvent && !p.named() {
			return errPacket
		}
		return nil
	default:
		return errPacket
	}
}

// named reports whether the event's name is one that a client may send.
func (p *incoming) named() bool {
	if len(p.values) == 0 {
		return false
	}
	switch c := p.values[0][0]; {
	case c == '"':
		return !reserved(p.name())
	case c == '-', c >= '0' && c <= '9':
		return true
	default:
		return false
	}
}

// name is the event's name; that of a number is its text.
func (p *incoming) name() string {
	var name string
	if json.Unmarshal(p.values[0], &name) != nil {
		return string(p.values[0])
	}
	return name
}

// reserved reports whether an event's name means something to clients.
func reserved(name string) bool {
	return slices.Contains([]string{
		"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener",
	}, name)
}

// header is all of a packet but its JSON.
type header struct {
	kind        byte
	attachments int
	namespace   string
	id          uint64
	hasID       bool
}

// append appends the header.
func (h header) append(dst []byte) []byte {
	dst = append(dst, h.kind)
	if h.kind == typeBinaryEvent || h.kind == typeBinaryAck {
		dst = append(strconv.AppendInt(dst, int64(h.attachments), 10), '-')
	}
	if h.namespace != "/" {
		dst = append(append(dst, h.namespace...), ',')
	}
	if h.hasID {
		dst = strconv.AppendUint(dst, h.id, 10)
	}
	return dst
}
