package engineio

import (
	"bytes"
	"encoding/base64"
	"errors"
	"iter"
	"unicode/utf8"
)

// separator stands between the packets of a payload, the body of a request or
// an answer of polling.
const separator = 0x1e

var errPayload = errors.New("payload is not valid")

// appendPayload appends the packets of frames as one payload.
func appendPayload(dst []byte, frames []Frame) []byte {
	for i, f := range frames {
		if i > 0 {
			dst = append(dst, separator)
		}
		if f[0] == opBinary {
			dst = appendBase64(dst, f.packet())
		} else {
			dst = append(dst, f.packet()...)
		}
	}
	return dst
}

// packet is one that a client sent.
type packet struct {
	kind   byte // one of the types above, typeBase64 excepted
	binary bool // a message of bytes
	data   []byte
}

// packets yields the packets of a payload, up to the first that is none. They
// refer to the payload's bytes.
func packets(payload []byte) iter.Seq2[packet, error] {
	return func(yield func(packet, error) bool) {
		if !utf8.Valid(payload) {
			yield(packet{}, errPayload)
			return
		}
		for more := true; more; {
			var text []byte
			text, payload, more = bytes.Cut(payload, []byte{separator})
			p, err := decodeText(text)
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

// decodeText decodes a packet of valid UTF-8.
func decodeText(text []byte) (packet, error) {
	if len(text) == 0 {
		return packet{}, errPayload
	}
	kind, data := text[0], text[1:]
	switch {
	case kind == typeBase64:
		decoded, err := base64.StdEncoding.AppendDecode(nil, data)
		if err != nil {
			return packet{}, errPayload
		}
		return packet{kind: typeMessage, binary: true, data: decoded}, nil
	case kind < typeOpen || kind > typeNoop:
		return packet{}, errPayload
	}
	return packet{kind: kind, data: data}, nil
}
