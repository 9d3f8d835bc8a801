package pgbell

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// drawSnapshot draws one over the transactions 1 to 12.
func drawSnapshot(t *rapid.T, name string) *Snapshot {
	xmin := rapid.Uint64Range(1, 10).Draw(t, name+".xmin")
	s := &Snapshot{Xmin: xmin, Xmax: xmin + rapid.Uint64Range(0, 5).Draw(t, name+".more")}
	for x := s.Xmin; x < s.Xmax; x++ {
		if rapid.Bool().Draw(t, name+".xip") {
			s.Xip = append(s.Xip, x)
		}
	}
	return s
}

func TestSnapshotCoversIsInclusion(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawSnapshot(t, "a"), drawSnapshot(t, "b")
		included := true
		for x := range uint64(20) {
			included = included && (!b.Sees(x) || a.Sees(x))
		}
		require.Equal(t, included, a.Covers(b), "%s covers %s", a, b)
	})
}

// drawCursor draws one over events 1 to 12, each written by the transaction of
// the same number.
func drawCursor(t *rapid.T, name string) Cursor {
	c := NewCursor(1, drawSnapshot(t, name))
	for range rapid.IntRange(0, 3).Draw(t, name+".bells") {
		c = c.With(rapid.Int64Range(1, 12).Draw(t, name+".bell"))
	}
	for range rapid.IntRange(0, 2).Draw(t, name+".reads") {
		c = c.Reached(drawSnapshot(t, name+".next"), rapid.Int64Range(1, 12).Draw(t, name+".upto"))
	}
	return c
}

func TestCursorCoversNeverClaimsTooMuch(t *testing.T) {
	t.Parallel()
	xid := func(id int64) (uint64, bool) { return uint64(id), id%3 != 0 }
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawCursor(t, "a"), drawCursor(t, "b")
		if !a.Covers(b, xid) {
			return
		}
		for id := int64(1); id < 20; id++ {
			if b.Contains(id, uint64(id)) {
				require.True(t, a.Contains(id, uint64(id)), "event %d", id)
			}
		}
	})
}

func TestCursorCovers(t *testing.T) {
	t.Parallel()
	early, late := &Snapshot{Xmin: 10, Xmax: 12, Xip: []uint64{10}}, &Snapshot{Xmin: 20, Xmax: 20}
	xid := func(id int64) (uint64, bool) { return 15, id == 7 }
	at := NewCursor(1, late)
	require.True(t, at.Covers(NewCursor(1, early), nil))
	require.True(t, at.Covers(Cursor{}, nil), "no cursor contains nothing")
	require.False(t, Cursor{}.Covers(at, nil))
	require.False(t, at.Covers(NewCursor(2, early), nil), "another epoch")
	require.False(t, NewCursor(1, early).Covers(at, nil))
	require.True(t, at.Covers(NewCursor(1, early).Rung(7), xid), "its transaction is seen")
	require.False(t, at.Covers(NewCursor(1, early).Rung(8), xid), "its transaction is unknown")
	require.True(t, NewCursor(1, early).Rung(7).Rung(8).Covers(NewCursor(1, early).Rung(8), nil))
	require.True(t, at.Reached(&Snapshot{Xmin: 30, Xmax: 30}, 9).Covers(at.Reached(&Snapshot{Xmin: 25, Xmax: 25}, 9), nil))
	require.False(t, at.Reached(&Snapshot{Xmin: 30, Xmax: 30}, 8).Covers(at.Reached(&Snapshot{Xmin: 25, Xmax: 25}, 9), nil))

	forged := NewCursor(1, early)
	forged.bells = []span{{1, 1 << 62}}
	require.False(t, at.Covers(forged, func(int64) (uint64, bool) { return 1, true }), "ends soon")
}

func TestCursorWith(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := NewCursor(1, &Snapshot{Xmin: 1, Xmax: 1})
		ids := rapid.SliceOfN(rapid.Int64Range(1, 30), 0, 20).Draw(t, "ids")
		for _, id := range ids {
			c = c.With(id)
		}
		for id := range int64(32) {
			require.Equal(t, slices.Contains(ids, id), c.Contains(id, 100), "id %d", id)
		}
		parsed, err := ParseCursor(c.String())
		require.NoError(t, err, "spans stay ascending and disjoint")
		require.Equal(t, c.String(), parsed.String())
	})
}
