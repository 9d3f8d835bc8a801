package ws

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/ws/auth"
)

// BenchmarkFanOut delivers one event to many sessions. In queues it ends when
// every queue has the frame; over sockets when every client's kernel does.
func BenchmarkFanOut(b *testing.B) {
	for _, sessions := range []int{1, 1000, 10_000} {
		b.Run(fmt.Sprintf("queues/%d", sessions), func(b *testing.B) {
			h := NewHub(Options{QueueBytes: 1 << 40, MaxPerUser: sessions})
			f := newFeed(newDatabase(), h)
			for range sessions {
				s := &session{hub: h, proto: jsonProtocol{}, peer: drainPeer{}}
				s.peer = drainPeer{s}
				require.Nil(b, h.open(s))
				s.admit(auth.Identity{UserID: "u", ExpiresAt: time.Now().Add(time.Hour)}, "", nil)
			}
			h.wg.Add(-sessions)
			h.wg.Wait()
			deliver(b, f, sessions, func(int) {})
		})
	}
	// Both ends of a socket are open in this process: 9000 need a limit of
	// 20,000 files.
	for _, sessions := range []int{1, 1000, 9000} {
		b.Run(fmt.Sprintf("sockets/%d", sessions), func(b *testing.B) {
			var written atomic.Int64
			done := make(chan struct{}, 1)
			var want atomic.Int64
			s := serve(b, Options{MaxPerUser: sessions, Trace: &Trace{Written: func(frames, _ int) {
				if written.Add(int64(frames)) == want.Load() {
					done <- struct{}{}
				}
			}}}, HandlerOptions{}).live()
			want.Store(-1)
			address := strings.TrimPrefix(s.url, "http://")
			for range sessions {
				conn := idleSocket(b, address)
				b.Cleanup(func() { conn.Close() })
				go discardAll(conn)
			}
			for written.Load() < int64(sessions) { // authenticated is out
				time.Sleep(time.Millisecond)
			}
			deliver(b, s.feed, sessions, func(int) { <-done }, func() { want.Store(written.Load() + int64(sessions)) })
		})
	}
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func discardAll(conn net.Conn) {
	buffer := make([]byte, 2048)
	for {
		if _, err := conn.Read(buffer); err != nil {
			return
		}
	}
}

func deliver(b *testing.B, f *feed, sessions int, after func(int), before ...func()) {
	b.ReportAllocs()
	id := int64(0)
	cpu := cpuTime(b)
	for b.Loop() {
		for _, f := range before {
			f()
		}
		id++
		e := bookingEvent(id, 1000, 1, map[string]string{"client": "u"})
		e.Cursor = f.cursor.Rung(id)
		f.hub.Deliver([]pgbell.Event{e})
		after(int(id))
	}
	b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N)/float64(sessions), "cpu-ns/session")
}

// drainPeer takes frames at once, without a socket.
type drainPeer struct{ s *session }

func (p drainPeer) wake() {
	p.s.frames, p.s.bytes, p.s.writing = p.s.frames[:0], 0, false
}
func (drainPeer) sweep() {}
func (drainPeer) abort() {}

func idleSocket(b *testing.B, address string) net.Conn {
	conn, err := net.Dial("tcp", address)
	require.NoError(b, err)
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer u\r\n\r\n", address)
	return conn
}
