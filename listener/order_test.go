package listener

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pgbell/pgbell"
)

func TestOrderStartsUnknown(t *testing.T) {
	t.Parallel()
	o := newOrder()
	require.True(t, o.open())
	require.False(t, o.next(1))
	o.delivered(8)
	require.False(t, o.next(9))

	o.mark = &mark{id: 7, xid: 20}
	require.False(t, o.open())
	o.read(&pgbell.Snapshot{Xmin: 19, Xmax: 30})
	require.False(t, o.next(9), "transaction 19 may hold an id")
	o.read(&pgbell.Snapshot{Xmin: 20, Xmax: 30})
	require.True(t, o.next(9))
	require.False(t, o.open())
}

func TestOrderFillsHoles(t *testing.T) {
	t.Parallel()
	o := order{low: 10}
	for _, id := range []int64{14, 12, 13, 16} {
		o.delivered(id)
		require.True(t, o.next(11))
		require.False(t, o.next(id+1))
	}
	o.delivered(11)
	require.True(t, o.next(15))
	o.delivered(11)
	o.delivered(15)
	require.True(t, o.next(17))
	require.False(t, o.open())
}

func TestOrderIsBounded(t *testing.T) {
	t.Parallel()
	o := order{low: 0}
	for id := int64(2); id < 10*maxSpans; id += 2 {
		o.delivered(id)
	}
	require.LessOrEqual(t, len(o.above), maxSpans)
	require.True(t, o.next(1))
}

// Against a plain set: low is the end of the unbroken run from the start, and
// what is above it is kept.
func TestOrderModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		o := order{low: 0}
		ids := rapid.SliceOfN(rapid.Int64Range(1, 40), 0, 80).Draw(t, "ids")
		set := map[int64]bool{}
		for _, id := range ids {
			o.delivered(id)
			set[id] = true
			low := int64(0)
			for set[low+1] {
				low++
			}
			require.Equal(t, low, o.low)
			var above []int64
			for _, s := range o.above {
				for id := s.first; id <= s.last; id++ {
					above = append(above, id)
				}
			}
			require.True(t, slices.IsSorted(above))
			for id := low + 1; id <= 41; id++ {
				require.Equal(t, set[id], slices.Contains(above, id))
			}
		}
	})
}
