package ws

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
)

// updateFrame is a decoded <type>_update.
type updateFrame struct {
	Event string `json:"event"`
	Data  struct {
		ID      int64           `json:"id"`
		Op      pgbell.Op       `json:"op"`
		Action  string          `json:"action"`
		Key     json.RawMessage `json:"key"`
		Data    row             `json:"data"`
		Old     row             `json:"old"`
		Changed []string        `json:"changed"`
	} `json:"data"`
	Cursor string `json:"cursor"`
}

func decodeUpdate(t require.TestingT, frame []byte) updateFrame {
	var u updateFrame
	require.NoError(t, json.Unmarshal(payload(frame), &u), string(frame))
	return u
}

// payload takes the header off a frame.
func payload(frame []byte) []byte {
	switch frame[1] {
	case 126:
		return frame[4:]
	case 127:
		return frame[10:]
	}
	return frame[2:]
}

func TestValuesLeaveAsTheyCame(t *testing.T) {
	t.Parallel()
	data := `{"id" : 9007199254740993, "n": 1.10000000000000000001, "h": "<a href=\"x\">&</a>", "u": "é\u00e9\\", "j": {"a": [1, {"b": "}"}]}}`
	e := pgbell.Event{ID: 1, Body: pgbell.Body{
		Type: "q\"<", Op: pgbell.Insert, Key: json.RawMessage(`{"id": 1}`), Owners: map[string]string{"a": "u"},
		Data: json.RawMessage(data),
	}}
	plain := string(payload(jsonProtocol{}.update(&e, viewOf(&e, "u", false), "")))
	require.Contains(t, plain, `"data":`+data+`,"at"`)
	require.Contains(t, plain, `"event":"q\"<_update"`)
	require.Contains(t, plain, `"key":{"id": 1}`)

	e.Only = map[string]pgbell.Columns{"a": {Data: json.RawMessage("{ \"n\" : 0,\n\"extra\": 1.500 }")}}
	merged := string(payload(jsonProtocol{}.update(&e, viewOf(&e, "u", false), "")))
	require.True(t, json.Valid([]byte(merged)))
	require.Contains(t, merged, `{"id":9007199254740993,"n":1.10000000000000000001,"h":"<a href=\"x\">&</a>","u":"é\u00e9\\","j":{"a": [1, {"b": "}"}]},"extra":1.500}`)
}

func TestFrameHeaders(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 125, 126, 1<<16 - 1, 1 << 16} {
		frame := sealFrame(append(newFrame(n), bytes.Repeat([]byte("x"), n)...), websocket.TextMessage)
		require.Equal(t, byte(0x81), frame[0])
		require.Len(t, payload(frame), n)
	}
	frame := sealFrame(append(newFrame(2), "a\xff"...), websocket.TextMessage)
	require.Equal(t, "a\uFFFD", string(payload(frame)))
}

func TestDecodeRequest(t *testing.T) {
	t.Parallel()
	r, err := decodeRequest([]byte(`{"event":"x","data":{"a":1},"id":7,"more":true}`))
	require.NoError(t, err)
	require.Equal(t, "7", string(r.ID))
	for message, id := range map[string]string{
		`{"data":1,"id":"a"}`:     `"a"`,
		`{"event":"x","id":{}}`:   "",
		`{"event":"x","id":true}`: "",
		`[]`:                      "",
		`{"event":"x"} {}`:        "",
		``:                        "",
		`{"event":"x","id":"` + strings.Repeat("i", 200) + `"}`: "",
		`{"event":5}`: "",
		strings.Repeat(`{"data":`, 9000) + strings.Repeat("}", 10): "",
	} {
		r, err := decodeRequest([]byte(message))
		require.Error(t, err, message)
		require.Equal(t, id, string(r.ID), message)
	}
}

func FuzzDecodeRequest(f *testing.F) {
	f.Add([]byte(`{"event":"authenticate","data":{"token":"t"},"id":1}`))
	f.Add([]byte(`{"event":"join_room","data":{"room":"booking:1"},"id":"a"}`))
	f.Add([]byte(`{"event":"x","id":null}`))
	f.Fuzz(func(t *testing.T, message []byte) {
		r, err := decodeRequest(message)
		if err == nil && r.Event == "" {
			t.Fatal("a request without event")
		}
		if !utf8.Valid(message) {
			return // refused before it is decoded
		}
		frame := payload(jsonProtocol{}.signal("ack", r, r.ID, ""))
		if !json.Valid(frame) {
			t.Fatalf("echoed as %q", frame)
		}
	})
}

func FuzzMerge(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":[{"c":"}"}]}`), []byte(` { "b" : null , "d":"\"" } `))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if !json.Valid(a) || !json.Valid(b) {
			for range members(a) { // must end
			}
			return
		}
		merged := appendMerged(nil, []json.RawMessage{a, b})
		if !json.Valid(merged) || !json.Valid(appendKeys(nil, []json.RawMessage{a, b})) {
			t.Fatalf("%s and %s give %s", a, b, merged)
		}
		var want, first, second map[string]any
		if json.Unmarshal(a, &first) != nil || json.Unmarshal(b, &second) != nil || !utf8.Valid(a) || !utf8.Valid(b) {
			return
		}
		if json.Unmarshal(merged, &want) != nil {
			t.Fatalf("not an object: %s", merged)
		}
		for key := range want {
			_, one := first[key]
			_, two := second[key]
			if !one && !two {
				t.Fatalf("%q came from nowhere", key)
			}
		}
		for key := range first {
			if _, ok := want[key]; !ok {
				t.Fatalf("%q is lost", key)
			}
		}
	})
}
