package socketio

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]incoming{
		`0`:                        {kind: typeConnect, namespace: "/", auth: raw("{}")},
		`0/random`:                 {kind: typeConnect, namespace: "/random", auth: raw("{}")},
		`0/admin,{"token":"a,b"}`:  {kind: typeConnect, namespace: "/admin", auth: raw(`{"token":"a,b"}`)},
		`1/admin,`:                 {kind: typeDisconnect, namespace: "/admin"},
		`2["a",1.50,{"b":[true]}]`: {kind: typeEvent, namespace: "/", values: raws(`"a"`, `1.50`, `{"b":[true]}`)},
		`2/n,12["a"]`:              {kind: typeEvent, namespace: "/n", id: 12, hasID: true, values: raws(`"a"`)},
		`2[7]`:                     {kind: typeEvent, namespace: "/", values: raws(`7`)},
		`30[]`:                     {kind: typeAck, namespace: "/", hasID: true, values: []json.RawMessage{}},
		`51-["a",{"_placeholder":true,"num":0}]`: {
			kind: typeEvent, attachments: 1, namespace: "/", values: raws(`"a"`, `{"_placeholder":true,"num":0}`),
		},
		`62-/n,3[1]`: {kind: typeAck, attachments: 2, namespace: "/n", id: 3, hasID: true, values: raws(`1`)},
	} {
		got, err := decode([]byte(text))
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{
		``, `7`, `abc`, `0[]`, `0"a"`, `0{`, `01`, `1{}`, `11`, `2`, `2{}`, `2[]`, `2[`, `2[null]`, `2[{}]`, `2["connect"]`,
		`2["disconnect"]`, `2abc["a"]`, `2-1["a"]`, `299999999999999999999["a"]`, `3[]`, `31{}`, `4{}`, `4"x"`, `5["a"]`,
		`5-["a"]`, `51["a"]`, `59999-["a"]`, `2["a"]x`, `0/` + strings.Repeat("n", 300),
	} {
		_, err := decode([]byte(text))
		require.Error(t, err, text)
	}
}

func raw(s string) json.RawMessage { return json.RawMessage(s) }

func raws(values ...string) (list []json.RawMessage) {
	for _, v := range values {
		list = append(list, raw(v))
	}
	return list
}

func TestEncode(t *testing.T) {
	t.Parallel()
	h := header{namespace: "/n"}
	p, err := h.event("a", []any{"<&>", raw(`{"n":1.50}`), nil, []byte{1}, map[string]any{"deep": []any{[]byte{2}, 3}}})
	require.NoError(t, err)
	require.Len(t, p.Frames, 3)
	require.Contains(t, string(p.Frames[0]), `452-/n,["a","<&>",{"n":1.50},null,{"_placeholder":true,"num":0},{"deep":[{"_placeholder":true,"num":1},3]}]`)
	_, err = h.event("disconnect", nil)
	require.ErrorIs(t, err, ErrReserved)
	_, err = h.event("a", []any{make(chan int)})
	require.ErrorIs(t, err, ErrArguments)
	_, err = h.event("a", []any{raw(`{`)})
	require.ErrorIs(t, err, ErrArguments)
	_, err = h.event("a", []any{raw("\"\xff\"")})
	require.ErrorIs(t, err, ErrArguments)
}

func TestArgs(t *testing.T) {
	t.Parallel()
	args := argsOf(raws(`{"name":"a","data":{"_placeholder":true,"num":1},"big":12345678901234567890}`, `{"_placeholder":true,"num":0}`), [][]byte{{1}, {2}})
	var object struct {
		Name string
		Data []byte
		Big  json.Number
	}
	var data []byte
	require.NoError(t, args.Bind(&object, &data))
	require.Equal(t, []byte{2}, object.Data)
	require.Equal(t, json.Number("12345678901234567890"), object.Big, "not a digit is lost")
	require.Equal(t, []byte{1}, data)
	var third int
	require.ErrorIs(t, args.Bind(&object, &data, &third), ErrArguments)
	require.ErrorIs(t, args[:1].Bind(&third), ErrArguments)

	for _, bad := range []string{`{"_placeholder":true,"num":2}`, `{"_placeholder":true,"num":-1}`, `{"_placeholder":true}`, `{"_placeholder":true,"num":"0"}`} {
		arg := Arg{raw: raw(bad), binary: [][]byte{{1}, {2}}}
		_, ok := arg.Bytes()
		require.False(t, ok, bad)
		require.ErrorIs(t, arg.Bind(&data), ErrArguments, bad)
		_, err := header{namespace: "/"}.event("a", []any{arg})
		require.ErrorIs(t, err, ErrArguments, bad)
	}
}

// FuzzDecode holds that what can be decoded encodes to a packet that means the
// same.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`0{"a":1}`, `2["a",1]`, `2/n,12["a",{"b":"\u00e9"}]`, `31[2]`, `51-["a",{"_placeholder":true,"num":0}]`, `61-/n,1[{"_placeholder":true,"num":5}]`, `1/x`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !utf8.Valid(text) {
			return // the engine lets no such text through
		}
		p, err := decode(text)
		if err != nil || p.kind != typeEvent && p.kind != typeAck {
			return
		}
		h := header{namespace: p.namespace, id: p.id, hasID: p.hasID}
		if strings.Contains(p.namespace, ",") {
			t.Fatal("a namespace ends at the comma")
		}
		binary := make([][]byte, p.attachments)
		for i := range binary {
			binary[i] = []byte{byte(i)}
		}
		var packet Packet
		if p.kind == typeAck {
			packet, err = h.ack(argsOf(p.values, binary).Values())
		} else {
			packet, err = h.event(p.name(), argsOf(p.values[1:], binary).Values())
		}
		if err != nil {
			require.ErrorIs(t, err, ErrArguments)
			return
		}
		frame := packet.Frames[0]
		start := strings.IndexByte(string(frame), '4') // the engine's type; the header before has none
		for start >= 0 {
			if again, err := decode(frame[start+1:]); err == nil && again.namespace == p.namespace {
				require.Equal(t, p.kind, again.kind)
				require.Equal(t, p.id, again.id)
				require.Len(t, again.values, len(p.values))
				return
			}
			next := strings.IndexByte(string(frame[start+1:]), '4')
			if next < 0 {
				break
			}
			start += 1 + next
		}
		t.Fatalf("%q does not come back from %q", frame, text)
	})
}

func FuzzPID(f *testing.F) {
	pids, err := NewPIDs([]byte("0123456789abcdef"))
	require.NoError(f, err)
	f.Add("")
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, pid string) {
		_, err := pids.Open(pid)
		require.ErrorIs(t, err, ErrPID)
	})
}

func TestPIDs(t *testing.T) {
	t.Parallel()
	_, err := NewPIDs([]byte("short"))
	require.Error(t, err)
	one, err := NewPIDs([]byte("0123456789abcdef"))
	require.NoError(t, err)
	pid, err := one.Seal(Pass{ID: "i", Subject: "u", Start: "s"})
	require.NoError(t, err)
	again, err := NewPIDs([]byte("0123456789abcdef"))
	require.NoError(t, err)
	pass, err := again.Open(pid)
	require.NoError(t, err)
	require.Equal(t, Pass{ID: "i", Subject: "u", Start: "s"}, pass)
	other, err := NewPIDs([]byte("0123456789abcdeF"))
	require.NoError(t, err)
	_, err = other.Open(pid)
	require.ErrorIs(t, err, ErrPID)
	_, err = one.Open(pid[:len(pid)-2] + "AA")
	require.ErrorIs(t, err, ErrPID)
}
