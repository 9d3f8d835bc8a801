package ws

import (
	"encoding/binary"
	"encoding/json"
	"strconv"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/ws/socketio"
	"github.com/pgbell/pgbell/ws/socketio/engineio"
)

// socketProtocol is Socket.IO: the name, the data and the cursor of an envelope
// are an event's name, its first argument and, as the offset, its last. A
// request that asks for an acknowledgement gets its answer by that.
//
// The frames of events are packets as they leave. What needs more than to be
// sent is told apart by its first byte, which no packet begins with:
//
//	'a'  authenticated: userId, whether recovered, cursor; then packets
//	'c'  the client is to be answered, although nobody knows it yet
//	'm'  packets, if any
//	'x'  the end: close code, reason
type socketProtocol struct {
	namespace *socketio.Namespace
	offsets   bool // clients can recover
}

const (
	socketPacket        = 0x80 // the least that a packet begins with
	socketAuthenticated = 'a'
	socketConnect       = 'c'
	socketMany          = 'm'
	socketEnd           = 'x'
)

func (p socketProtocol) update(e *pgbell.Event, v view, cursor string) []byte {
	data := validText(appendData(make([]byte, 0, e.Size+256), e, v))
	if frame := p.event(eventName(e, v), json.RawMessage(data), cursor); frame != nil {
		return frame
	}
	// A body that is no JSON cannot be told, but that it was there can.
	return p.event("reset", resetData{Type: e.Type, Reason: "capture_failed"}, cursor)
}

func (p socketProtocol) signal(event string, data any, id json.RawMessage, cursor string) []byte {
	switch welcome, _ := data.(welcomeData); {
	case event == "authenticated":
		recovered := strconv.FormatBool(welcome.Recovered)
		return appendParts([]byte{socketAuthenticated}, []byte(welcome.UserID), []byte(recovered), []byte(cursor),
			p.event(event, data, cursor), p.ack(id, true, data))
	case event == "ack":
		return appendParts([]byte{socketMany}, p.ack(id, true, data))
	case event == "error" && len(id) > 0:
		return appendParts([]byte{socketMany}, p.ack(id, false, data))
	case event == "cursor" && !p.offsets:
		return []byte{socketMany}
	}
	return appendParts([]byte{socketMany}, p.event(event, data, cursor), p.ack(id, false, data))
}

func (socketProtocol) goodbye(code int, reason string) []byte {
	return appendParts([]byte{socketEnd}, []byte(strconv.Itoa(code)), []byte(reason))
}

// event is the packet of an event; nil if data is no JSON.
func (p socketProtocol) event(name string, data any, cursor string) []byte {
	if !p.offsets {
		cursor = ""
	}
	packet, err := p.namespace.Encode(cursor, name, data)
	if err != nil {
		return nil
	}
	return packet.Frames[0]
}

// ack is the packet that answers a request, {ok, …data}; nil if it asked for
// none.
func (p socketProtocol) ack(id json.RawMessage, ok bool, data any) []byte {
	number, err := strconv.ParseUint(string(id), 10, 64)
	if err != nil {
		return nil
	}
	answer := strconv.AppendBool([]byte(`{"ok":`), ok)
	if object := plainJSON(data); hasMembers(object) {
		answer = append(append(answer, ','), object[1:len(object)-1]...)
	}
	answer = append(answer, '}')
	packet, err := p.namespace.EncodeAck(number, json.RawMessage(answer))
	if err != nil {
		return nil
	}
	return packet.Frames[0]
}

// appendParts appends parts, each after its length.
func appendParts(b []byte, parts ...[]byte) []byte {
	for _, part := range parts {
		b = append(binary.AppendUvarint(b, uint64(len(part))), part...)
	}
	return b
}

// cutPart takes the first part off.
func cutPart(b []byte) (part, rest []byte) {
	n, head := binary.Uvarint(b)
	end := head + int(n)
	return b[head:end], b[end:]
}

// appendPackets appends the packets that parts are.
func appendPackets(packets []engineio.Frame, parts []byte) []engineio.Frame {
	for len(parts) > 0 {
		var packet []byte
		if packet, parts = cutPart(parts); len(packet) > 0 {
			packets = append(packets, packet)
		}
	}
	return packets
}
