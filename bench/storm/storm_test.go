package main

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestExactly(t *testing.T) {
	t.Parallel()
	require.NoError(t, exactly([]int{1, 2, 3}, 3))
	require.NoError(t, exactly(nil, 0))
	require.ErrorContains(t, exactly([]int{1, 2}, 3), "2 events, want 3")
	require.ErrorContains(t, exactly([]int{1, 1, 2, 3}, 3), "event 2 is version 1; 4 events, want 3")
	require.ErrorContains(t, exactly([]int{1, 3, 2}, 3), "event 2 is version 3")
}

func TestCountStatements(t *testing.T) {
	t.Parallel()
	log := `pgbell server|LOG:  execute stmtcache_1: SELECT *
  FROM pgbell.events|LOG:  statement: no
pgbell server|DETAIL:  parameters: $1 = '3'
storm|LOG:  execute stmtcache_2: UPDATE bookings
|LOG:  checkpoint starting: time
pgbell|LOG:  statement: begin
pgbell server|LOG:  execute stmtcache_3: SELECT 1`
	counts, err := countStatements(strings.NewReader(log))
	require.NoError(t, err)
	require.Equal(t, map[string]int{"pgbell": 1, "pgbell server": 2}, counts)
	require.Equal(t, "3 (pgbell 1, pgbell server 2)", list(counts))
	require.Equal(t, "0", list(nil))
}

func TestTake(t *testing.T) {
	t.Parallel()
	c, l := newClient("token"), &link{live: make(chan struct{})}
	now := time.Now()
	said := func(event, cursor string, version int) (m message) {
		m.Event, m.Cursor, m.Data.Data.Version = event, cursor, version
		return m
	}
	welcome := said("authenticated", "a", 0)
	welcome.Data.Recovered = true
	c.take(l, welcome, now)
	<-l.live
	require.True(t, l.recovered)
	c.take(l, said("booking_update", "b", 1), now.Add(time.Second))
	c.take(l, said("cursor", "c", 0), now.Add(time.Minute))
	require.Equal(t, "c", c.cursor)
	require.Equal(t, now.Add(time.Second), c.last)
	require.NoError(t, c.verify(1))
	c.take(l, said("reset", "d", 0), now)
	require.ErrorContains(t, c.verify(1), "got reset")
}

func TestReason(t *testing.T) {
	t.Parallel()
	require.Equal(t, "dial: refused", reason(&net.OpError{Op: "dial", Addr: &net.TCPAddr{Port: 1}, Err: errors.New("refused")}))
	require.Equal(t, "EOF", reason(io.EOF))
}
