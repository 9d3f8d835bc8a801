package pgbell_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
)

func TestNewEvent(t *testing.T) {
	t.Parallel()
	body := `{
		"type": "booking", "op": "update", "action": "accepted", "table": "public.bookings",
		"key": {"id": 42}, "owners": {"client": "u1"}, "was": {}, "watchers": ["ADMIN"],
		"data": {"price": 0.10}, "old": {"price": 1e400}, "only": {"provider": {"data": {"note": "x"}}}
	}`
	at := time.UnixMicro(1767225600000001)
	e, err := pgbell.NewEvent(7, 742, at, []byte(body))
	require.NoError(t, err)
	require.Equal(t, int64(7), e.ID)
	require.Equal(t, uint64(742), e.XID)
	require.Equal(t, at, e.At)
	require.Equal(t, len(body), e.Size)
	require.Equal(t, pgbell.Update, e.Op)
	require.Equal(t, "accepted", e.Action)
	require.Equal(t, map[string]string{"client": "u1"}, e.Owners)
	require.NotNil(t, e.Was, "it had no owners, which is not the same as that they did not change")
	require.Empty(t, e.Was)
	require.JSONEq(t, `{"id": 42}`, string(e.Key))
	require.Equal(t, `{"price": 1e400}`, string(e.Old), "values stay as Postgres wrote them")
	require.Equal(t, `{"note": "x"}`, string(e.Only["provider"].Data))

	e, err = pgbell.NewEvent(8, 742, at, []byte(`{"type":"booking","op":"update","key":{"id":1}}`))
	require.NoError(t, err)
	require.Nil(t, e.Was)
}

func TestNewEventKeepsNoReference(t *testing.T) {
	t.Parallel()
	body := []byte(`{"type":"booking","op":"insert","key":{"id":1},"data":{"a":1}}`)
	e, err := pgbell.NewEvent(1, 1, time.Time{}, body)
	require.NoError(t, err)
	clear(body) // a row's bytes belong to the connection that read it
	require.Equal(t, `{"id":1}`, string(e.Key))
	require.Equal(t, `{"a":1}`, string(e.Data))
}

func TestNewEventRefuses(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing":     ``,
		"no object":   `[]`,
		"null":        `null`,
		"no type":     `{"op":"reset"}`,
		"no op":       `{"type":"booking"}`,
		"unknown op":  `{"type":"booking","op":"upsert","key":{"id":1}}`,
		"session op":  `{"type":"booking","op":"left","key":{"id":1}}`,
		"no key":      `{"type":"booking","op":"delete"}`,
		"key null":    `{"type":"booking","op":"insert","key":null}`,
		"key a value": `{"type":"booking","op":"insert","key":7}`,
		"wrong type":  `{"type":"booking","op":"reset","users":"u1"}`,
		"rest":        `{"type":"booking","op":"reset"} x`,
	} {
		_, err := pgbell.NewEvent(7, 742, time.Time{}, []byte(body))
		require.ErrorContains(t, err, "decode body of event 7", name)
	}
	for _, body := range []string{`{"type":"booking","op":"reset"}`, `{"type":"booking","op":"publish","data":null}`} {
		_, err := pgbell.NewEvent(7, 742, time.Time{}, []byte(body))
		require.NoError(t, err)
	}
}

func TestGapIsAnError(t *testing.T) {
	t.Parallel()
	require.EqualError(t, pgbell.Gap{Reason: pgbell.GapEpoch}, "the stream has a gap: epoch")
	require.EqualError(t, pgbell.Gap{Type: "booking", Reason: "truncate"}, "the stream of booking has a gap: truncate")
}

func FuzzNewEvent(f *testing.F) {
	f.Add([]byte(booking))
	f.Add([]byte(`{"type":"x","op":"update","key":{},"was":{},"only":{"a":{"data":{},"old":null}}}`))
	f.Add([]byte(`{"type":"x","op":"reset","reason":"truncate"}`))
	f.Add([]byte(`{"type":"x","op":"insert","key":null}`))
	f.Add([]byte("{\"type\":\"\xff\",\"op\":\"publish\",\"users\":[\"\\ud800\"]}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := pgbell.NewEvent(1, 2, time.UnixMicro(3), body)
		if err != nil {
			require.Zero(t, e)
			return
		}
		require.Equal(t, len(body), e.Size)
		// What was decoded encodes again, to something that means the same.
		again, err := json.Marshal(e.Body)
		require.NoError(t, err)
		e2, err := pgbell.NewEvent(1, 2, time.UnixMicro(3), again)
		require.NoError(t, err)
		require.Equal(t, e.Type, e2.Type)
		require.Equal(t, e.Op, e2.Op)
		require.Equal(t, e.Owners, e2.Owners)
		if e.Key != nil {
			require.JSONEq(t, string(e.Key), string(e2.Key))
		}
	})
}
