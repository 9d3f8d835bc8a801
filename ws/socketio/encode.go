package socketio

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/pgbell/pgbell/ws/socketio/engineio"
)

// ErrReserved is returned for an event that must not be sent, because its name
// means something to clients.
var ErrReserved = errors.New("event name is reserved")

// Packet is one packet, encoded. Any number of sockets of a namespace can write
// it; nothing in it may change.
type Packet struct {
	// Frames are the packet and, after it, its binary data.
	Frames []engineio.Frame
	// Offset is the one that the packet tells the client.
	// Empty: the packet tells none.
	Offset string
}

// size is the packet's length in bytes.
func (p Packet) size() (n int) {
	for _, f := range p.Frames {
		n += len(f)
	}
	return n
}

// event encodes an event. Strings in extra are further arguments.
func (h header) event(name string, args []any, extra ...string) (Packet, error) {
	if reserved(name) {
		return Packet{}, fmt.Errorf("%w: %s", ErrReserved, name)
	}
	e := encoder{json: []byte{'['}}
	if err := e.value(name); err != nil {
		return Packet{}, err
	}
	if err := e.values(args); err != nil {
		return Packet{}, err
	}
	for _, s := range extra {
		if err := e.values([]any{s}); err != nil {
			return Packet{}, err
		}
	}
	h.kind = typeEvent
	return h.seal(&e), nil
}

// ack encodes an acknowledgement.
func (h header) ack(args []any) (Packet, error) {
	e := encoder{json: []byte{'['}}
	if err := e.values(args); err != nil {
		return Packet{}, err
	}
	h.kind = typeAck
	return h.seal(&e), nil
}

// seal puts a packet together, once it is known whether it has binary data.
func (h header) seal(e *encoder) Packet {
	if h.attachments = len(e.binary); h.attachments > 0 {
		h.kind += typeBinaryEvent - typeEvent
	}
	text := h.append(make([]byte, 0, len(e.json)+len(h.namespace)+32))
	text = append(append(text, e.json...), ']')
	p := Packet{Frames: make([]engineio.Frame, 0, 1+len(e.binary))}
	p.Frames = append(p.Frames, engineio.TextMessage(text))
	for _, b := range e.binary {
		p.Frames = append(p.Frames, engineio.BinaryMessage(b))
	}
	return p
}

// object encodes a packet whose JSON is one object.
func (h header) object(v any) (engineio.Frame, error) {
	var e encoder
	if err := e.value(v); err != nil {
		return nil, err
	}
	return engineio.TextMessage(append(h.append(nil), bytes.TrimSpace(e.json)...)), nil
}
