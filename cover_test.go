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

// A union contains what the one or the other does, whatever they are, and can be
// written down.
func TestCursorUnion(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawCursor(t, "a"), drawCursor(t, "b")
		if rapid.Bool().Draw(t, "of a union") {
			a = a.Union(drawCursor(t, "c"))
		}
		u := a.Union(b)
		parsed, err := ParseCursor(u.String())
		require.NoError(t, err)
		for id := int64(1); id < 20; id++ {
			for xid := range uint64(20) {
				want := a.Contains(id, xid) || b.Contains(id, xid)
				require.Equal(t, want, u.Contains(id, xid), "event %d of transaction %d", id, xid)
				require.Equal(t, want, parsed.Contains(id, xid), "event %d of transaction %d, parsed", id, xid)
			}
		}
		require.LessOrEqual(t, len(u.reads()), len(a.reads())+len(b.reads()))
	})
	require.Equal(t, NewCursor(1, &Snapshot{Xmin: 5, Xmax: 5}), Cursor{}.Union(NewCursor(1, &Snapshot{Xmin: 5, Xmax: 5})))
}

// Of a read that takes long, a session of another node has one part more after
// each event, however many there are.
func TestCursorUnionStaysShort(t *testing.T) {
	t.Parallel()
	had := NewCursor(1, &Snapshot{Xmin: 90, Xmax: 100, Xip: []uint64{90}}).Rung(7)
	at, read := NewCursor(1, &Snapshot{Xmin: 80, Xmax: 80}), &Snapshot{Xmin: 1_000_000, Xmax: 1_000_000}
	u := had
	for id := int64(1000); id < 9000; id += 2 {
		at = at.Reached(read, id)
		u = u.Union(at)
		require.LessOrEqual(t, len(u.String()), len(had.String())+16)
		require.True(t, u.Contains(id, 999_999))
		require.False(t, u.Contains(id+1, 999_999))
	}
	u = u.Union(NewCursor(1, read))
	require.Empty(t, u.parts(), "a complete read contains it all")
	require.Equal(t, read, u.Snapshot())
}

func TestCursorCoversNeverClaimsTooMuch(t *testing.T) {
	t.Parallel()
	xid := func(id int64) (uint64, bool) { return uint64(id), id%3 != 0 }
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawCursor(t, "a"), drawCursor(t, "b")
		if rapid.Bool().Draw(t, "union") {
			b = b.Union(drawCursor(t, "c"))
		}
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
