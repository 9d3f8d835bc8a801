package main

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNumbers(t *testing.T) {
	t.Parallel()
	var n []int
	require.NoError(t, numbers(&n)("1,16,64"))
	require.Equal(t, []int{1, 16, 64}, n)
	for _, text := range []string{"", "0", "1,,2", "many"} {
		require.Error(t, numbers(&n)(text), text)
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	chosen, err := choose("outbox,bare,ruled")
	require.NoError(t, err)
	require.Equal(t, "outbox,bare,ruled", names(chosen))
	_, err = choose("bare,fast")
	require.ErrorContains(t, err, `"fast"`)
}

// Every row belongs to at most one writer, unless statements change one row.
func TestShare(t *testing.T) {
	t.Parallel()
	l := load{writers: 3, rows: 10, of: 100}
	owner := map[int]int{}
	r := rand.New(rand.NewPCG(1, 2))
	for writer := range l.writers {
		next := l.share(writer)
		for range 500 {
			first, last := next(r)
			require.Equal(t, 9, last-first)
			require.GreaterOrEqual(t, first, 1)
			require.LessOrEqual(t, last, 100)
			if before, taken := owner[first]; taken {
				require.Equal(t, before, writer)
			}
			owner[first] = writer
		}
	}
	require.Len(t, owner, 10)

	single := load{writers: 64, rows: 1, of: 3}.share(63)
	seen := map[int]bool{}
	for range 100 {
		first, last := single(r)
		require.Equal(t, first, last)
		seen[first] = true
	}
	require.Equal(t, map[int]bool{1: true, 2: true, 3: true}, seen)
}

func TestHearingBetween(t *testing.T) {
	t.Parallel()
	h := hearing{Written: []int64{5, 10, 20, 25}, Delay: []int64{1, 2, 3, 4}}
	require.Equal(t, []time.Duration{2 * time.Microsecond, 3 * time.Microsecond}, h.between(time.UnixMicro(10), time.UnixMicro(20)))
}

func TestSummarize(t *testing.T) {
	t.Parallel()
	turns := func(commits ...int) (all []turn) {
		for _, n := range commits {
			all = append(all, turn{
				commits: n, all: 2 * n, seconds: 2, cpu: time.Duration(n) * 4 * time.Millisecond, hearing: time.Duration(n) * time.Millisecond,
				latency: []time.Duration{time.Duration(n)}, delay: []time.Duration{time.Duration(n) * 10},
			})
		}
		return all
	}
	of := []variant{{name: bare}, {name: served, served: true}}
	lines := summarize(16, of, [][]turn{turns(100, 200, 400), turns(50, 150, 100)})
	require.Equal(t, line{
		writers: 16, name: served, rate: 50, toBare: ratio{0.25, 0.5, 0.75},
		latency50: 100, latency99: 150, delay50: 1000, delay99: 1500, heard: true,
		postgres: 2 * time.Millisecond, listens: 500 * time.Microsecond, listened: true,
	}, lines[1])
	require.Equal(t, ratio{1, 1, 1}, lines[0].toBare)
	require.False(t, lines[0].listened)
	require.Equal(t, "–", lines[0].toNotify.String())
	require.Equal(t, "0.50 (0.25–0.75)", lines[1].toBare.String())
}

func TestUnits(t *testing.T) {
	t.Parallel()
	require.Equal(t, "1.25 ms", ms(1250*time.Microsecond))
	require.Equal(t, "1250 ms", ms(1250*time.Millisecond))
	require.Equal(t, "1.5 MiB", mib(3<<19))
}

// An ear hands over what it heard once the mark has come.
func TestTake(t *testing.T) {
	t.Parallel()
	l := &listenings{came: make(chan struct{})}
	require.NoError(t, l.hear(7, []byte(`{"status":"PENDING","updated_at":"2026-01-02T03:04:05.000006+00:00"}`)))
	require.NoError(t, l.hear(6, []byte(`{"status":"MARK 1","updated_at":"2026-01-02T03:04:05.000007Z"}`)))
	require.Error(t, l.hear(8, []byte(`[]`)))
	h, err := l.take(t.Context(), "MARK 1")
	require.NoError(t, err)
	require.Len(t, h.Written, 2)
	require.EqualValues(t, 1, h.Written[1]-h.Written[0])
	require.Equal(t, 1, h.Disordered)
	h, err = l.take(t.Context(), "MARK 1")
	require.NoError(t, err)
	require.Empty(t, h.Written)
}
