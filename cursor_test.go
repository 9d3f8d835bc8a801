package pgbell_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pgbell/pgbell"
)

func snapshot(t testing.TB, text string) *pgbell.Snapshot {
	t.Helper()
	s, err := pgbell.ParseSnapshot(text)
	require.NoError(t, err)
	return s
}

func TestCursorZero(t *testing.T) {
	t.Parallel()
	var c pgbell.Cursor
	require.True(t, c.IsZero())
	require.Empty(t, c.String())
	require.Nil(t, c.Snapshot())
	require.False(t, c.Contains(1, 1))
	parsed, err := pgbell.ParseCursor("")
	require.NoError(t, err)
	require.True(t, parsed.IsZero())
}

func TestCursorContains(t *testing.T) {
	t.Parallel()
	c := pgbell.NewCursor(9, snapshot(t, "100:110:104"))
	require.Equal(t, uint64(9), c.Epoch())
	require.True(t, c.Contains(50, 103))
	require.False(t, c.Contains(51, 104), "in progress in the snapshot")
	require.False(t, c.Contains(52, 110), "after the snapshot")

	rung := c.Rung(60).Rung(61).Rung(63)
	require.Equal(t, 2, rung.Bells())
	require.True(t, rung.Contains(61, 110))
	require.False(t, rung.Contains(62, 110))
	require.False(t, c.Contains(60, 110), "a cursor does not change")

	reached := rung.Reached(snapshot(t, "104:120:104,115"), 70)
	require.True(t, reached.Contains(62, 112))
	require.True(t, reached.Contains(70, 119))
	require.False(t, reached.Contains(71, 112), "beyond the id reached")
	require.False(t, reached.Contains(62, 115), "in progress in the read")
	require.Equal(t, c.Snapshot(), reached.Snapshot())
}

// A read is cut off after id 70. The next one sees more: transaction 115 with
// id 62. Until it has reached 70 again, both count.
func TestCursorReachedAfterCut(t *testing.T) {
	t.Parallel()
	c := pgbell.NewCursor(9, snapshot(t, "100:110:104")).Reached(snapshot(t, "104:120:104,115"), 70)

	second := snapshot(t, "104:125:104")
	c = c.Reached(second, 62)
	require.True(t, c.Contains(62, 115), "just delivered")
	require.True(t, c.Contains(70, 119), "delivered by the first read")
	require.False(t, c.Contains(65, 115), "not reached by the second, not seen by the first")
	require.False(t, c.Contains(70, 122))

	c = c.Reached(second, 71)
	require.True(t, c.Contains(70, 119))
	require.True(t, c.Contains(65, 115))
	require.Equal(t,
		pgbell.NewCursor(9, snapshot(t, "100:110:104")).Reached(second, 71).String(),
		c.String(), "the first read is forgotten")
}

func TestCursorIsShort(t *testing.T) {
	t.Parallel()
	c := pgbell.NewCursor(1<<63, snapshot(t, "81234567:81234590:81234567,81234588"))
	require.LessOrEqual(t, len(c.String()), 32)
	c = c.Rung(1<<40).Reached(snapshot(t, "81234588:81234600:81234588"), 1<<40)
	require.LessOrEqual(t, len(c.String()), 60)
}

func TestCursorJSON(t *testing.T) {
	t.Parallel()
	c := pgbell.NewCursor(3, snapshot(t, "5:9:6")).Rung(4)
	text, err := json.Marshal(map[string]pgbell.Cursor{"cursor": c})
	require.NoError(t, err)
	var back map[string]pgbell.Cursor
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, c, back["cursor"])
	require.ErrorIs(t, json.Unmarshal([]byte(`"!"`), &c), pgbell.ErrCursor)
}

func TestParseCursorRefuses(t *testing.T) {
	t.Parallel()
	good := pgbell.NewCursor(3, snapshot(t, "5:9:6,7")).Rung(4).Reached(snapshot(t, "9:9:"), 4).String()
	_, err := pgbell.ParseCursor(good)
	require.NoError(t, err)
	bad := []string{"!", "A", "AAAA", good + "A", good + "=", "\n" + good, "B" + good, strings.Repeat("A", 1<<20)}
	for i := 1; i < len(good); i++ {
		bad = append(bad, good[:i]) // cut anywhere
	}
	whole := pgbell.NewCursor(3, snapshot(t, "5:9:6,7")).Rung(4).String()
	for _, text := range bad {
		c, err := pgbell.ParseCursor(text)
		if err == nil {
			require.Equal(t, whole, c.String(), "%q: only the part before the read stands for itself", text)
			continue
		}
		require.ErrorIs(t, err, pgbell.ErrCursor, "%q", text)
		require.True(t, c.IsZero())
	}
}

// history is a log with transactions that overlap, and a listener that reads
// it, is cut off in reads and hears bells; the model is the plain set of what
// it delivered.
type history struct {
	writer    map[int64]uint64 // id → transaction
	running   []uint64
	nextID    int64
	nextXID   uint64
	cursor    pgbell.Cursor
	delivered map[int64]bool
}

func (h *history) snapshot() *pgbell.Snapshot {
	// Like Postgres: what is at or above one past the highest that has ended
	// is in progress without being named.
	s := &pgbell.Snapshot{Xmax: h.nextXID}
	for s.Xmax > 1 && slices.Contains(h.running, s.Xmax-1) {
		s.Xmax--
	}
	s.Xmin = s.Xmax
	slices.Sort(h.running)
	for _, x := range h.running {
		if x < s.Xmax {
			s.Xip = append(s.Xip, x)
			s.Xmin = min(s.Xmin, x)
		}
	}
	return s
}

func (h *history) begin(*rapid.T) {
	h.running = append(h.running, h.nextXID)
	h.nextXID++
}

func (h *history) write(t *rapid.T) {
	if len(h.running) == 0 {
		t.Skip("nobody writes")
	}
	h.writer[h.nextID] = rapid.SampledFrom(h.running).Draw(t, "writer")
	h.nextID++
}

func (h *history) commit(t *rapid.T) {
	if len(h.running) == 0 {
		t.Skip("nobody writes")
	}
	i := rapid.IntRange(0, len(h.running)-1).Draw(t, "which")
	h.running = slices.Delete(h.running, i, i+1)
}

// read delivers all that is new, or is cut off after some of it.
func (h *history) read(t *rapid.T) {
	next := h.snapshot()
	var fresh []int64
	for id := int64(1); id < h.nextID; id++ {
		xid := h.writer[id]
		if next.Sees(xid) && !h.cursor.Snapshot().Sees(xid) && !h.cursor.Contains(id, xid) {
			fresh = append(fresh, id)
		}
	}
	n := len(fresh)
	cut := rapid.Bool().Draw(t, "cut off")
	if cut {
		n = rapid.IntRange(0, len(fresh)).Draw(t, "after")
	}
	for _, id := range fresh[:n] {
		require.False(t, h.delivered[id], "event %d twice", id)
		h.delivered[id] = true
		h.cursor = h.cursor.Reached(next, id)
		h.check(t)
	}
	if !cut {
		h.cursor = pgbell.NewCursor(h.cursor.Epoch(), next)
	}
}

// ring delivers the highest event, if nothing was delivered beyond it.
func (h *history) ring(t *rapid.T) {
	id := h.nextID - 1
	xid := h.writer[id]
	if id == 0 || slices.Contains(h.running, xid) || h.delivered[id] {
		t.Skip("nothing to ring for")
	}
	h.delivered[id] = true
	h.cursor = h.cursor.Rung(id)
}

func (h *history) check(t *rapid.T) {
	parsed, err := pgbell.ParseCursor(h.cursor.String())
	require.NoError(t, err)
	require.Equal(t, h.cursor.String(), parsed.String())
	for id, xid := range h.writer {
		require.Equal(t, h.delivered[id], h.cursor.Contains(id, xid), "event %d of transaction %d, %s", id, xid, h.cursor)
		require.Equal(t, h.delivered[id], parsed.Contains(id, xid), "event %d of transaction %d, parsed", id, xid)
	}
}

// The cursor is exact at every single event, whatever transactions, bells and
// cut connections do.
func TestCursorExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := &history{writer: map[int64]uint64{}, delivered: map[int64]bool{}, nextID: 1, nextXID: 3}
		h.cursor = pgbell.NewCursor(rapid.Uint64().Draw(t, "epoch"), h.snapshot())
		t.Repeat(map[string]func(*rapid.T){
			"begin": h.begin, "write": h.write, "write more": h.write, "commit": h.commit,
			"read": h.read, "read again": h.read, "ring": h.ring, "": h.check,
		})
	})
}

func FuzzParseCursor(f *testing.F) {
	s := &pgbell.Snapshot{Xmin: 100, Xmax: 120, Xip: []uint64{100, 104}}
	c := pgbell.NewCursor(42, s)
	for _, seed := range []pgbell.Cursor{
		{},
		c, c.Rung(7).Rung(8).Rung(10), c.Reached(s, 9),
		c.Rung(7).Reached(s, 9).Reached(&pgbell.Snapshot{Xmin: 130, Xmax: 131}, 8),
	} {
		f.Add(seed.String())
	}
	f.Add("AQAAAAAAAAAA_____________________w")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := pgbell.ParseCursor(text)
		if err != nil {
			require.ErrorIs(t, err, pgbell.ErrCursor)
			require.True(t, c.IsZero())
			return
		}
		again, err := pgbell.ParseCursor(c.String())
		require.NoError(t, err)
		require.Equal(t, c, again)
		if c.IsZero() {
			require.False(t, c.Contains(1, 1))
			return
		}
		require.True(t, c.Contains(1, c.Snapshot().Xmin-1))
		for _, x := range c.Snapshot().Xip {
			if c.Contains(1, x) {
				require.True(t, again.Contains(1, x))
			}
		}
	})
}
