package engineio

import (
	"bytes"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzPayload holds that what can be decoded encodes to a payload that means the
// same.
func FuzzPayload(f *testing.F) {
	for _, seed := range []string{"4hello", "4a\x1e4b", "bAQIDBA==", "", "\x1e", "2probe\x1e5", "4\xff", "b"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		original := bytes.Clone(payload)
		decode := func(payload []byte) (all []packet, frames []Frame) {
			for p, err := range packets(payload) {
				if err != nil {
					return nil, nil
				}
				all = append(all, p)
				switch {
				case p.binary:
					frames = append(frames, BinaryMessage(p.data))
				case p.kind == typeMessage:
					frames = append(frames, TextMessage(p.data))
				default:
					frames = append(frames, textFrame(string(p.kind)+string(p.data)))
				}
			}
			return all, frames
		}
		all, frames := decode(payload)
		require.Equal(t, original, payload, "decoding changes nothing")
		if all == nil {
			return
		}
		require.True(t, utf8.Valid(payload))
		again, _ := decode(appendPayload(nil, frames))
		require.Len(t, again, len(all))
		for i := range all {
			require.Equal(t, all[i].kind, again[i].kind)
			require.Equal(t, all[i].binary, again[i].binary)
			require.True(t, bytes.Equal(all[i].data, again[i].data))
		}
	})
}

// FuzzFrame holds that a frame carries its packet.
func FuzzFrame(f *testing.F) {
	f.Add([]byte("hello"), 1)
	f.Add([]byte{}, 65536)
	f.Fuzz(func(t *testing.T, data []byte, times int) {
		data = bytes.Repeat(data, max(0, min(times, 70_000/(len(data)+1))))
		require.True(t, bytes.Equal(data, BinaryMessage(data).packet()))
		require.True(t, bytes.Equal(append([]byte("4"), data...), TextMessage(data).packet()))
		text := BinaryMessage(data).asText()
		p, err := decodeText(text.packet())
		require.NoError(t, err)
		require.True(t, p.binary)
		require.True(t, bytes.Equal(data, p.data))
	})
}
