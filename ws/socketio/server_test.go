package socketio

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestConnect(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{MaxNamespaces: 2}, func(s *Server) {
		s.Of("/").OnConnect(func(s *Socket) { _ = s.Emit("auth", s.Auth()) })
		for _, name := range []string{"/a", "/b"} {
			s.Of(name)
		}
		s.Of("/no").Use(func(_ context.Context, s *Socket) error {
			var auth struct{ As string }
			_ = Args{{raw: s.Auth()}}.Bind(&auth)
			if auth.As == "told" {
				return &Refusal{Message: "no", Data: map[string]int{"code": 1}}
			}
			return errors.New("the password of the database is …")
		})
	})
	w := r.dial(t)
	w.send(`40{"token":"<1>"}`)
	w.answer("40")
	require.Equal(t, `42["auth",{"token":"<1>"}]`, w.receive())
	w.send(`40/random`)
	require.Equal(t, `44/random,{"message":"Invalid namespace"}`, w.receive())
	w.send(`40/no,{"as":"told"}`)
	require.Equal(t, `44/no,{"message":"no","data":{"code":1}}`, w.receive())
	w.send(`40/no,`)
	require.Equal(t, `44/no,{"message":"Connection refused"}`, w.receive())
	w.send(`40/a,`)
	w.answer("40/a,")
	w.send(`40/b,`)
	require.Equal(t, `44/b,{"message":"Too many namespaces"}`, w.receive())
	w.send(`41/a,`, `42/a,["ignored"]`, `40/b,`)
	w.answer("40/b,")
	w.send(`40/b,`)
	w.ends() // connected twice
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{}, func(s *Server) { s.Of("/") })
	for _, packets := range [][]string{
		{`42["early"]`},
		{`40`, `4abc`},
		{`40`, `42{}`},
		{`40`, `42abc["a"]`},
		{`40`, `42["connect"]`},
		{`40`, `4511-["a"]`},
		{`40`, `451-["a"]`, `42["between"]`},
	} {
		w := r.dial(t)
		w.send(packets...)
		w.ends()
	}
	w := r.dial(t)
	w.send("40")
	w.answer("40")
	w.attach("nobody asked for it")
	w.ends()
}

func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{ConnectTimeout: 50 * time.Millisecond}, func(s *Server) {
		s.Of("/")
		s.Of("/slow").Use(func(ctx context.Context, _ *Socket) error {
			<-ctx.Done()
			return &Refusal{Message: "too late"}
		})
	})
	r.dial(t).ends()
	w := r.dial(t)
	w.send("40/slow")
	require.Equal(t, `44/slow,{"message":"too late"}`, w.receive())
	w, _ = r.connect(t)
	w.send(`451-["a",{"_placeholder":true,"num":0}]`)
	w.ends()
}

func TestEvents(t *testing.T) {
	t.Parallel()
	late := make(chan *Event, 1)
	r := newRig(t, Options{}, func(s *Server) {
		n := s.Of("/n")
		n.On("echo", func(s *Socket, e *Event) { _ = s.Emit("back", e.Args.Values()...) })
		n.On("ask", func(_ *Socket, e *Event) {
			if e.Ack(e.Args.Values()...) == nil {
				require.ErrorIs(t, e.Ack(), ErrNoAck)
			}
		})
		n.On("late", func(_ *Socket, e *Event) { late <- e })
		n.OnOther(func(s *Socket, e *Event) { _ = s.Emit("other", e.Name, e.WantsAck()) })
	})
	w := r.dial(t)
	w.send("40/n,")
	w.answer("40/n,")
	w.send(`42/n,["echo",1.0,"<é>",{"3":[true]}]`)
	require.Equal(t, `42/n,["back",1.0,"<é>",{"3":[true]}]`, w.receive())
	w.send(`452-/n,7["ask",{"_placeholder":true,"num":1},{"x":{"_placeholder":true,"num":0}}]`)
	w.attach("zero", "one")
	require.Equal(t, `462-/n,7[{"_placeholder":true,"num":0},{"x":{"_placeholder":true,"num":1}}]`, w.receive())
	require.Equal(t, "one", w.receive())
	require.Equal(t, "zero", w.receive())
	w.send(`42/n,["ask"]`, `42/n,[5]`)
	require.Equal(t, `42/n,["other","5",false]`, w.receive())
	w.send(`42/n,0["late"]`)
	require.NoError(t, await(t, late).Ack())
	require.Equal(t, `43/n,0[]`, w.receive())
}

func TestAsk(t *testing.T) {
	t.Parallel()
	sockets := make(chan *Socket, 2)
	r := newRig(t, Options{MaxAcks: 2, AckTimeout: 200 * time.Millisecond}, func(s *Server) {
		s.Of("/").OnConnect(func(s *Socket) { sockets <- s })
	})
	w, _ := r.connect(t)
	s := await(t, sockets)
	type result struct {
		args Args
		err  error
	}
	answers := make(chan result, 4)
	answer := func(a Args, err error) { answers <- result{a, err} }
	require.NoError(t, s.Ask(answer, "q", 1))
	require.Equal(t, `420["q",1]`, w.receive())
	w.send(`430["yes",2]`, `430["again"]`, `4399["unasked"]`)
	got := await(t, answers)
	var yes string
	var two int
	require.NoError(t, got.args.Bind(&yes, &two))
	require.Equal(t, "yes", yes)

	require.NoError(t, s.Ask(answer, "q"))
	require.NoError(t, s.Ask(answer, "q"))
	require.ErrorIs(t, s.Ask(answer, "q"), ErrAcks)
	require.ErrorIs(t, await(t, answers).err, ErrAckTimeout)
	require.ErrorIs(t, await(t, answers).err, ErrAckTimeout)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.EmitWithAck(ctx, "q")
	require.ErrorIs(t, err, context.Canceled)
	s.mu.Lock()
	require.Empty(t, s.acks)
	s.mu.Unlock()

	require.NoError(t, s.Ask(answer, "q"))
	_ = w.Close()
	require.ErrorIs(t, await(t, answers).err, ErrClosed)
	require.ErrorIs(t, s.Ask(answer, "q"), ErrClosed)
	require.Empty(t, answers)
}

func TestRooms(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{MaxRooms: 2}, func(s *Server) {
		s.Of("/").On("join", func(s *Socket, e *Event) {
			var room string
			if err := e.Args.Bind(&room); err != nil {
				_ = e.Ack(err.Error())
				return
			}
			_ = e.Ack(s.Join(room) == nil, s.Rooms())
		})
		s.Of("/").On("leave", func(s *Socket, e *Event) {
			s.Leave("a")
			_ = e.Ack()
		})
	})
	n := r.Of("/")
	one, _ := r.connect(t)
	two, second := r.connect(t)
	one.send(`420["join","a"]`)
	require.Equal(t, `430[true,["a"]]`, one.receive())
	one.send(`420["join","b"]`, `421["join","c"]`, `422["join","a"]`)
	require.Equal(t, `430[true,["a","b"]]`, one.receive())
	require.Equal(t, `431[false,["a","b"]]`, one.receive())
	require.Equal(t, `432[true,["a","b"]]`, one.receive())
	two.send(`420["join","b"]`)
	two.receive()

	require.NoError(t, n.To("a", "b").Emit("both"))
	require.Equal(t, `42["both"]`, one.receive(), "once")
	require.Equal(t, `42["both"]`, two.receive())
	require.Len(t, n.To("b").Sockets(), 2)
	for _, s := range n.All().Sockets() {
		if s.ID() == second.SID {
			require.NoError(t, n.To("b").Except(s).Emit("rest"))
		}
	}
	require.Equal(t, `42["rest"]`, one.receive())
	require.NoError(t, n.To().Emit("nobody"))
	require.ErrorIs(t, n.All().Emit("connect"), ErrReserved)

	p, err := n.Encode("", "encoded", []byte("x"))
	require.NoError(t, err)
	require.Equal(t, 2, n.All().Write(p))
	for _, w := range []*wire{one, two} {
		require.Equal(t, `451-["encoded",{"_placeholder":true,"num":0}]`, w.receive())
		require.Equal(t, "x", w.receive())
	}
	one.send(`420["leave"]`)
	one.receive()
	require.Empty(t, n.To("a").Sockets())
}

func TestDisconnect(t *testing.T) {
	t.Parallel()
	sockets, reasons := make(chan *Socket, 4), make(chan Reason, 4)
	r := newRig(t, Options{}, func(s *Server) {
		n := s.Of("/")
		n.OnConnect(func(s *Socket) { sockets <- s })
		n.OnDisconnect(func(_ *Socket, r Reason) { reasons <- r })
		s.Of("/rest").On("echo", func(_ *Socket, e *Event) { _ = e.Ack() })
	})
	w, _ := r.connect(t)
	s := await(t, sockets)
	require.NoError(t, s.Join("room"))
	w.send("40/rest")
	w.answer("40/rest,")
	s.Disconnect()
	s.Disconnect()
	require.Equal(t, "41", w.receive())
	require.Equal(t, ServerDisconnect, await(t, reasons))
	require.ErrorIs(t, s.Emit("late"), ErrClosed)
	require.ErrorIs(t, s.Join("room"), ErrClosed)
	require.EqualError(t, context.Cause(s.Context()), string(ServerDisconnect))
	w.send(`42/rest,3["echo"]`)
	require.Equal(t, "43/rest,3[]", w.receive(), "the others stay")

	w.send("40")
	w.answer("40")
	w.send("41")
	require.Equal(t, ClientDisconnect, await(t, reasons))
	w.send("40")
	w.answer("40")
	<-sockets
	await(t, sockets).Close()
	w.ends()
	require.Equal(t, Reason("forced close"), await(t, reasons))
	require.Empty(t, reasons)
}

func TestDrain(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{}, func(s *Server) { s.Of("/") })
	w, _ := r.connect(t)
	drained := make(chan error, 1)
	go func() { drained <- r.Drain(t.Context()) }()
	w.ends()
	require.NoError(t, await(t, drained))
}
