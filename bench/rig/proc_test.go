package rig

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	u, err := parseStat("4711 (postgres: a) b) S 42 4711 4711 0 -1 4194560 6135 31 0 0 100 20 3 4 20 0 1 0 895 230 6135 0\n")
	require.NoError(t, err)
	require.Equal(t, usage{parent: 42, own: 1200 * time.Millisecond, waited: 70 * time.Millisecond}, u)
	for _, text := range []string{"", "1 (x) S 2", "1 (x) S a b c d e f g h i j k l m n o p q r s t u"} {
		_, err := parseStat(text)
		require.Error(t, err, text)
	}
}

func TestTreeCPU(t *testing.T) {
	t.Parallel()
	all := map[int]usage{
		1: {own: 1000},
		2: {parent: 1, own: 1, waited: 10},
		3: {parent: 2, own: 100},
		4: {parent: 3, own: 300, waited: 500},
		5: {parent: 1, own: 7000},
	}
	require.Equal(t, time.Duration(911), sumTree(all, 2))
	require.Equal(t, time.Duration(300+500), sumTree(all, 4))
}

func TestParsePeak(t *testing.T) {
	t.Parallel()
	bytes, err := parsePeak("Name:\tpgbell\nVmPeak:\t  9 kB\nVmHWM:\t   12345 kB\nVmRSS:\t 1 kB\n")
	require.NoError(t, err)
	require.EqualValues(t, 12345<<10, bytes)
	for _, text := range []string{"VmRSS:\t 1 kB\n", "VmHWM:\t many kB\n"} {
		_, err := parsePeak(text)
		require.Error(t, err)
	}
}
