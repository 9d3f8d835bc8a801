package listener_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/listener"
)

// TestWake records without a bell and asks for a read, again and again, also
// from many sides at once.
func TestWake(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	r := listen(t, url, listener.Options{SafetyInterval: time.Hour})
	run(t, conn, "SET pgbell.bell = 'never'")
	for n := 1; n <= 50; n++ {
		record(t, conn, body(0, n))
		var wg sync.WaitGroup
		for range n % 4 {
			wg.Go(r.listener.Wake)
		}
		r.listener.Wake()
		wg.Wait()
		require.Len(t, r.delivered(t, n), n)
	}

	// What was asked without a connection is answered by the next.
	r.kill(t, conn)
	record(t, conn, body(0, 51))
	r.listener.Wake()
	r.delivered(t, 51)
	before := r.reads.Load()
	r.read2(t)
	require.LessOrEqual(t, r.reads.Load(), before+4, "a wake is no loop")
}

// read2 asks for two reads, one after the other.
func (r *rig) read2(t *testing.T) {
	t.Helper()
	for range 2 {
		r.mu.Lock()
		n := len(r.advances)
		r.mu.Unlock()
		r.listener.Wake()
		r.until(t, "a read", func() bool { return len(r.advances) > n })
	}
}
