package pgbell_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pgbell/pgbell"
)

func TestParseSnapshot(t *testing.T) {
	t.Parallel()
	s, err := pgbell.ParseSnapshot("10:20:10,14,15")
	require.NoError(t, err)
	require.Equal(t, &pgbell.Snapshot{Xmin: 10, Xmax: 20, Xip: []uint64{10, 14, 15}}, s)
	require.Equal(t, "10:20:10,14,15", s.String())

	seen := map[uint64]bool{1: true, 9: true, 10: false, 11: true, 13: true, 14: false, 15: false, 16: true, 19: true, 20: false, 1 << 60: false}
	for xid, want := range seen {
		require.Equal(t, want, s.Sees(xid), "transaction %d", xid)
	}

	s, err = pgbell.ParseSnapshot("7:7:")
	require.NoError(t, err)
	require.True(t, s.Sees(6))
	require.False(t, s.Sees(7))
}

func TestParseSnapshotRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", ":", "::", "1:2", "1:2:3:4", "a:2:", "1:b:", "1:2:c", "-1:2:", "0:2:", "3:2:",
		"5:9:4", "5:9:9", "5:9:7,6", "5:9:6,6", "5:9:6,", "5:9:,6", " 5:9:", "18446744073709551616:18446744073709551617:",
	} {
		_, err := pgbell.ParseSnapshot(text)
		require.Error(t, err, "%q", text)
	}
}

// snapshots draws any valid snapshot among small transaction ids.
func snapshots() *rapid.Generator[*pgbell.Snapshot] {
	return rapid.Custom(func(t *rapid.T) *pgbell.Snapshot {
		s := &pgbell.Snapshot{Xmin: rapid.Uint64Range(1, 40).Draw(t, "xmin")}
		s.Xmax = s.Xmin + rapid.Uint64Range(0, 40).Draw(t, "width")
		for x := s.Xmin; x < s.Xmax; x++ {
			if rapid.IntRange(0, 3).Draw(t, "in progress") == 0 {
				s.Xip = append(s.Xip, x)
			}
		}
		return s
	})
}

func TestSnapshotRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := snapshots().Draw(t, "snapshot")
		again, err := pgbell.ParseSnapshot(s.String())
		require.NoError(t, err)
		require.Equal(t, s, again)
		for x := range uint64(100) {
			require.Equal(t, x < s.Xmax && !slices.Contains(s.Xip, x), s.Sees(x))
		}
	})
}

func FuzzParseSnapshot(f *testing.F) {
	for _, seed := range []string{"", "7:7:", "10:20:10,14,15", "1:18446744073709551615:5", "5:9:7,6"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := pgbell.ParseSnapshot(text)
		if err != nil {
			return
		}
		again, err := pgbell.ParseSnapshot(s.String())
		require.NoError(t, err)
		require.Equal(t, s, again)
		require.True(t, s.Sees(s.Xmin-1))
		require.False(t, s.Sees(s.Xmax))
		for _, x := range s.Xip {
			require.False(t, s.Sees(x))
		}
	})
}
