package pgbell_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
)

var key = pgbell.BellKey{Inner: bytes.Repeat([]byte{1}, 64), Outer: bytes.Repeat([]byte{2}, 64)}

// code is what pgbell.ring() computes: sha256(outer || sha256(inner || message)).
func code(k pgbell.BellKey, message string) string {
	inner := sha256.Sum256(append(bytes.Clone(k.Inner), message...))
	outer := sha256.Sum256(append(bytes.Clone(k.Outer), inner[:]...))
	return hex.EncodeToString(outer[:])
}

func payload(id int64, xid uint64, at int64, mac, body string) string {
	return fmt.Sprintf(`{"id":%d,"xid":%d,"at":%d,"mac":"%s","body":%s}`, id, xid, at, mac, body)
}

func genuine(body string) string {
	const id, xid, at = 7, 742, 1767225600000001
	return payload(id, xid, at, code(key, fmt.Sprintf("%d:%d:%d:%s", id, xid, at, body)), body)
}

const booking = `{"type": "booking", "op":"insert","key":{"id": 42},"data":{"price":12345678901234567890.10}}`

func TestDecodeBell(t *testing.T) {
	t.Parallel()
	e, err := pgbell.DecodeBell(genuine(booking), key)
	require.NoError(t, err)
	require.Equal(t, int64(7), e.ID)
	require.Equal(t, uint64(742), e.XID)
	require.True(t, e.At.Equal(time.UnixMicro(1767225600000001)))
	require.Equal(t, len(booking), e.Size)
	require.Equal(t, `{"price":12345678901234567890.10}`, string(e.Data), "no digit is lost")
	require.True(t, e.Cursor.IsZero())
}

func TestDecodeBellBelievesNobodyElse(t *testing.T) {
	t.Parallel()
	mac := code(key, "7:742:1:"+booking)
	other := pgbell.BellKey{Inner: key.Outer, Outer: key.Inner}
	for name, bell := range map[string]string{
		"empty":           "",
		"no JSON":         "hello",
		"a list":          `[1]`,
		"null":            `null`,
		"nothing in it":   `{}`,
		"no code":         payload(7, 742, 1, "", booking),
		"code no hex":     payload(7, 742, 1, "zz", booking),
		"code cut":        payload(7, 742, 1, mac[:32], booking),
		"foreign code":    payload(7, 742, 1, code(other, "7:742:1:"+booking), booking),
		"keyless code":    payload(7, 742, 1, code(pgbell.BellKey{}, "7:742:1:"+booking), booking),
		"id changed":      payload(8, 742, 1, mac, booking),
		"xid changed":     payload(7, 743, 1, mac, booking),
		"time changed":    payload(7, 742, 2, mac, booking),
		"body changed":    payload(7, 742, 1, mac, booking[:len(booking)-1]+`,"users":["me"]}`),
		"fields shifted":  payload(7, 74, 2, mac, booking),
		"no event inside": genuine(`{"op":"insert"}`),
		"negative xid":    `{"id":7,"xid":-1,"at":1}`,
	} {
		e, err := pgbell.DecodeBell(bell, key)
		require.ErrorIs(t, err, pgbell.ErrNoEvent, name)
		require.Zero(t, e, name)
	}
	_, err := pgbell.DecodeBell(payload(7, 742, 1, mac, booking), key)
	require.NoError(t, err)
	_, err = pgbell.DecodeBell(payload(7, 742, 1, code(pgbell.BellKey{}, "7:742:1:"+booking), booking), pgbell.BellKey{})
	require.ErrorIs(t, err, pgbell.ErrNoEvent, "without a key nothing is believed")
}

func FuzzDecodeBell(f *testing.F) {
	f.Add("")
	f.Add(genuine(booking))
	f.Add(genuine(`{"type":"x","op":"reset"}`))
	f.Add(payload(7, 742, 1, "", booking))
	f.Add(`{"id":9223372036854775808}`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := pgbell.DecodeBell(text, key)
		if err != nil {
			require.ErrorIs(t, err, pgbell.ErrNoEvent)
			return
		}
		// Whatever is believed has a code that only the key's holder can make.
		// The body stands in the payload as it is, so the event in the log and
		// this one decode from the same bytes.
		require.NotEmpty(t, e.Type)
		require.LessOrEqual(t, e.Size, len(text))
	})
}
