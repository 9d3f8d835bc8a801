package engineio

import (
	"encoding/base64"
	"encoding/binary"
)

// Frame is one packet in the form in which it leaves by WebSocket: a whole,
// unmasked frame. Polling takes the packet out of it. A frame must not change
// once it was made: all sockets to which it is sent share its bytes.
type Frame []byte

// What a packet is, as its first character. A binary message has none.
const (
	typeOpen    = '0'
	typeClose   = '1'
	typePing    = '2'
	typePong    = '3'
	typeMessage = '4'
	typeUpgrade = '5'
	typeNoop    = '6'
	typeBase64  = 'b' // a binary message in text
)

// Opcodes of RFC 6455 with the bit that says that the frame is whole.
const (
	opText   = 0x80 | 1
	opBinary = 0x80 | 2
	opClose  = 0x80 | 8
	opPong   = 0x80 | 10
)

// maxHeader is the longest header of a frame to a client.
const maxHeader = 10

var (
	frameClose  = textFrame("1")
	framePing   = textFrame("2")
	frameProbed = textFrame("3probe")
	frameNoop   = textFrame("6")
)

// TextMessage is a message of text, which must be valid UTF-8.
func TextMessage(data []byte) Frame {
	b := make([]byte, maxHeader, maxHeader+1+len(data))
	b = append(b, typeMessage)
	return seal(append(b, data...), opText)
}

// BinaryMessage is a message of bytes.
func BinaryMessage(data []byte) Frame {
	b := make([]byte, maxHeader, maxHeader+len(data))
	return seal(append(b, data...), opBinary)
}

func textFrame(packet string) Frame {
	b := make([]byte, maxHeader, maxHeader+len(packet))
	return seal(append(b, packet...), opText)
}

// closeFrame is the last frame of a WebSocket.
func closeFrame(code uint16) Frame {
	b := make([]byte, maxHeader, maxHeader+2)
	return seal(binary.BigEndian.AppendUint16(b, code), opClose)
}

// seal puts the header into the room that b has in front.
func seal(b []byte, opcode byte) Frame {
	n := len(b) - maxHeader
	switch {
	case n < 126:
		b = b[maxHeader-2:]
		b[1] = byte(n)
	case n < 1<<16:
		b = b[maxHeader-4:]
		b[1] = 126
		binary.BigEndian.PutUint16(b[2:], uint16(n))
	default:
		b[1] = 127
		binary.BigEndian.PutUint64(b[2:], uint64(n))
	}
	b[0] = opcode
	return b
}

// packet is what the frame carries.
func (f Frame) packet() []byte {
	switch f[1] {
	case 126:
		return f[4:]
	case 127:
		return f[10:]
	default:
		return f[2:]
	}
}

// asText is the frame for a client that takes no binary frames.
func (f Frame) asText() Frame {
	if f[0] != opBinary {
		return f
	}
	data := f.packet()
	b := make([]byte, maxHeader, maxHeader+1+base64.StdEncoding.EncodedLen(len(data)))
	return seal(appendBase64(b, data), opText)
}

func appendBase64(dst, data []byte) []byte {
	return base64.StdEncoding.AppendEncode(append(dst, typeBase64), data)
}
