package socketio

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// log is a stream of events with their positions as offsets, and restores
// sockets over it.
type log struct {
	pids *PIDs
	n    *Namespace

	mu     sync.Mutex
	events []Packet
	gone   map[string]bool
}

func newLog(t *testing.T, n *Namespace) *log {
	pids, err := NewPIDs([]byte("0123456789abcdef"))
	require.NoError(t, err)
	l := &log{pids: pids, n: n, gone: make(map[string]bool)}
	n.Admit(func(s *Socket) { n.server.wg.Go(func() { l.admit(s) }) })
	n.OnLeave(l.forget)
	return l
}

// publish adds an event and sends it to all.
func (l *log) publish(args ...any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := l.n.Encode(strconv.Itoa(len(l.events)+1), "event", args...)
	if err != nil {
		return err
	}
	l.events = append(l.events, p)
	for _, s := range l.n.To("live").Sockets() {
		s.Write(p)
	}
	return nil
}

// admit accepts a socket, and writes what it missed before it hears what is new.
func (l *log) admit(s *Socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := len(l.events)
	r := s.Resume()
	pass, err := l.pids.Open(r.PID)
	if err == nil && !l.gone[pass.ID] && r.Offset != "" {
		offset, err := strconv.Atoi(r.Offset)
		start, err2 := strconv.Atoi(pass.Start)
		if err := errors.Join(err, err2); err != nil {
			s.Refuse(err)
			return
		}
		s.Accept(Session{ID: pass.ID, PID: r.PID, Offset: r.Offset, Recovered: true})
		for _, p := range l.events[max(offset, start):] {
			if s.WriteWhenRoom(s.Context(), p) != nil {
				return
			}
		}
		_ = s.Join("live")
		return
	}
	id := fmt.Sprintf("socket-%d-%d", now, len(l.n.To("live").Sockets()))
	pid, err := l.pids.Seal(Pass{ID: id, Start: strconv.Itoa(now)})
	if err != nil {
		s.Refuse(err)
		return
	}
	s.Accept(Session{ID: id, PID: pid, Offset: strconv.Itoa(now)})
	_ = s.Join("live")
}

func (l *log) forget(s *Socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone[s.ID()] = true
}

func resume(a answer, offset string) string {
	return fmt.Sprintf(`40{"pid":%q,"offset":%q}`, a.PID, offset)
}

func TestRecovery(t *testing.T) {
	t.Parallel()
	var l *log
	sockets, reasons := make(chan *Socket, 10), make(chan Reason, 10)
	r := newRig(t, Options{}, func(s *Server) {
		l = newLog(t, s.Of("/"))
		s.Of("/").OnConnect(func(s *Socket) { sockets <- s })
		s.Of("/").OnDisconnect(func(_ *Socket, r Reason) { reasons <- r })
	})
	require.NoError(t, l.publish("before"))
	w, first := r.connect(t)
	s := await(t, sockets)
	require.False(t, s.Recovered())
	require.NoError(t, l.publish("one"))
	require.Equal(t, `42["event","one","2"]`, w.receive())
	require.NoError(t, s.Emit("own", "text"))
	require.Equal(t, `42["own","text","2"]`, w.receive(), "never a text as the last argument but an offset")
	require.NoError(t, s.Ask(func(Args, error) {}, "asked", "text"))
	require.Equal(t, `420["asked","text"]`, w.receive(), "here the last argument is the acknowledgement")
	require.NoError(t, r.Of("/").All().Emit("all"))
	require.Equal(t, `42["all","2"]`, w.receive())

	// It comes back while its first connection is not known to be broken.
	again := r.dial(t)
	require.NoError(t, l.publish("two"))
	again.send(resume(first, "2"))
	require.Equal(t, first, again.answer("40"))
	require.Equal(t, `42["event","two","3"]`, again.receive(), "replayed after the answer")
	w.ends()
	require.Equal(t, Reason("transport error"), await(t, reasons))
	s = await(t, sockets)
	require.True(t, s.Recovered())
	require.Equal(t, first.SID, s.ID())
	require.Len(t, r.Of("/").All().Sockets(), 1)

	// Nothing of before the session's start, whatever offset the client keeps.
	third := r.dial(t)
	third.send(resume(first, "0"))
	require.Equal(t, first, third.answer("40"))
	require.Equal(t, `42["event","one","2"]`, third.receive())
	third.receive()
	again.ends()

	// Without an offset there is nothing to go on from.
	fourth := r.dial(t)
	fourth.send(fmt.Sprintf(`40{"pid":%q}`, first.PID))
	require.NotEqual(t, first.SID, fourth.answer("40").SID)

	// Who left is not restored.
	await(t, reasons)
	third.send("41")
	require.Equal(t, ClientDisconnect, await(t, reasons))
	third.send(resume(first, "3"))
	require.NotEqual(t, first.SID, third.answer("40").SID)
}

// TestReplayWaits holds that a replay of more than may wait for a client passes,
// and is given up with the client.
func TestReplayWaits(t *testing.T) {
	t.Parallel()
	var l *log
	o := Options{}
	o.Engine.QueueBytes = 10_000
	r := newRig(t, o, func(s *Server) { l = newLog(t, s.Of("/")) })
	w, first := r.connect(t)
	_ = w.Close()
	const many = 2000
	for i := range many {
		require.NoError(t, l.publish(i, make([]int, 100)))
	}
	w = r.dial(t)
	w.send(resume(first, "0"))
	require.Equal(t, first, w.answer("40"))
	for i := range many {
		require.Contains(t, w.receive(), fmt.Sprintf(`["event",%d,`, i))
	}

	w = r.dial(t)
	w.send(resume(first, "0"))
	w.receive()
	_ = w.Close()
}
