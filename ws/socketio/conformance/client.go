package main

import (
	"context"
	"crypto/rand"
	"net/http"
	"sync"
	"time"

	"github.com/pgbell/pgbell/ws/socketio"
	"github.com/pgbell/pgbell/ws/socketio/engineio"
)

// newClient is the server that the suite of socket.io-client asks for.
func newClient() (*socketio.Server, error) {
	server := socketio.NewServer(socketio.Options{
		Engine: engineio.Options{
			PingInterval: 2 * time.Second,
			Origins:      []string{"*"},
			Admit:        admitLate,
		},
	})
	recoverer, err := newRecoverer()
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"/", "/foo", "/timeout_socket", "/valid", "/asd", "/abc", "/no"} {
		server.Of(name).Admit(recoverer.admit)
		server.Of(name).OnLeave(recoverer.forget)
	}
	id := func(s *socketio.Socket, e *socketio.Event) { _ = e.Ack(s.ID()) }
	server.Of("/foo").On("getId", id)
	server.Of("/abc").OnConnect(func(s *socketio.Socket) { _ = s.Emit("handshake", handshakeOf(s)) })
	server.Of("/no").Use(func(context.Context, *socketio.Socket) error {
		return &socketio.Refusal{Message: "Auth failed (custom namespace)"}
	})
	main := server.Of("/")
	main.On("getId", id)
	mainHandlers(main)
	binaryHandlers(main)
	return server, nil
}

// admitLate gives clients time to give up.
func admitLate(r *http.Request) (func(), error) {
	select {
	case <-time.After(10 * time.Millisecond):
		return nil, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

func mainHandlers(n *socketio.Namespace) {
	n.Use(func(_ context.Context, s *socketio.Socket) error {
		if s.Handshake().Query.Get("fail") != "" {
			return &socketio.Refusal{Message: "Auth failed (main namespace)"}
		}
		return nil
	})
	n.OnConnect(func(s *socketio.Socket) { s.Data = new(heard) })
	answer := func(event, with string, args ...any) {
		n.On(event, func(s *socketio.Socket, _ *socketio.Event) { _ = s.Emit(with, args...) })
	}
	answer("hi", "hi")
	answer("false", "false", false)
	n.On("echo", func(_ *socketio.Socket, e *socketio.Event) {
		_ = e.Ack(e.Args.Values()...)
	})
	n.On("ack", func(s *socketio.Socket, _ *socketio.Event) {
		_ = s.Ask(func(args socketio.Args, err error) {
			var number int
			var object struct{ Test bool }
			if err == nil && args.Bind(&number, &object) == nil && number == 5 && object.Test {
				_ = s.Emit("got it")
			}
		}, "ack")
	})
	n.On("getAckDate", func(_ *socketio.Socket, e *socketio.Event) { _ = e.Ack(time.Now()) })
	n.On("getDate", func(s *socketio.Socket, _ *socketio.Event) { _ = s.Emit("takeDate", time.Now()) })
	n.On("getDateObj", func(s *socketio.Socket, _ *socketio.Event) {
		_ = s.Emit("takeDateObj", map[string]any{"date": time.Now()})
	})
	n.On("getUtf8", func(s *socketio.Socket, _ *socketio.Event) {
		for _, text := range []string{"てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß", "utf8 — string", "utf8 — string"} {
			_ = s.Emit("takeUtf8", text)
		}
	})
	n.On("getHandshake", func(s *socketio.Socket, e *socketio.Event) { _ = e.Ack(handshakeOf(s)) })
}

// heard is what came before, where the order is what is tested.
type heard struct{ first, second bool }

// binaryHandlers answer only if binary data arrived as what it is.
func binaryHandlers(n *socketio.Namespace) {
	data := []byte("asdfasdf")
	n.On("doge", func(s *socketio.Socket, _ *socketio.Event) { _ = s.Emit("doge", data) })
	n.On("getbin", func(s *socketio.Socket, _ *socketio.Event) { _ = s.Emit("takebin", data) })
	isBinary := func(e *socketio.Event) bool {
		if len(e.Args) == 0 {
			return false
		}
		_, ok := e.Args[0].Bytes()
		return ok
	}
	plain := func(event, with string) {
		n.On(event, func(s *socketio.Socket, e *socketio.Event) {
			if isBinary(e) {
				_ = s.Emit(with)
			}
		})
	}
	plain("buffa", "buffack")
	plain("blob", "back")
	mixed := func(event, with string) {
		n.On(event, func(s *socketio.Socket, e *socketio.Event) {
			var m struct {
				Hello, Goodbye string
				Message        []byte
			}
			if e.Args.Bind(&m) == nil && m.Hello == "lol" && m.Goodbye == "gotcha" && len(m.Message) > 0 {
				_ = s.Emit(with)
			}
		})
	}
	mixed("jsonbuff", "jsonbuff-ack")
	mixed("jsonblob", "jsonblob-ack")
	first := func(s *socketio.Socket, e *socketio.Event) { s.Data.(*heard).first = isBinary(e) }
	n.On("abuff1", first)
	n.On("blob1", first)
	n.On("blob2", func(s *socketio.Socket, _ *socketio.Event) {
		h := s.Data.(*heard)
		h.second = h.first
	})
	n.On("abuff2", func(s *socketio.Socket, _ *socketio.Event) {
		if s.Data.(*heard).first {
			_ = s.Emit("abuff2-ack")
		}
	})
	n.On("blob3", func(s *socketio.Socket, e *socketio.Event) {
		if s.Data.(*heard).second && isBinary(e) {
			_ = s.Emit("blob3-ack")
		}
	})
}

// handshakeOf tells a client what it sent.
func handshakeOf(s *socketio.Socket) map[string]any {
	h := s.Handshake()
	query := make(map[string]string, len(h.Query))
	for key := range h.Query {
		query[key] = h.Query.Get(key)
	}
	return map[string]any{
		"headers": h.Header, "url": h.URL, "query": query, "address": h.Address, "secure": h.Secure,
		"issued": h.Time.UnixMilli(), "time": h.Time.String(), "auth": s.Auth(),
	}
}

// recoverer restores sockets for which there is nothing to replay.
type recoverer struct {
	pids *socketio.PIDs

	mu        sync.Mutex // guards what follows
	forgotten map[string]bool
}

func newRecoverer() (*recoverer, error) {
	pids, err := socketio.NewPIDs([]byte(rand.Text()))
	return &recoverer{pids: pids, forgotten: make(map[string]bool)}, err
}

// admit accepts a socket as the one it was, if it was one.
func (r *recoverer) admit(s *socketio.Socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := s.Resume()
	pass, err := r.pids.Open(asked.PID)
	if err == nil && asked.Offset != "" && pass.Subject == s.Namespace().Name() && !r.forgotten[pass.ID] {
		s.Accept(socketio.Session{ID: pass.ID, PID: asked.PID, Offset: asked.Offset, Recovered: true})
		return
	}
	pass = socketio.Pass{ID: rand.Text(), Subject: s.Namespace().Name(), Issued: time.Now()}
	pid, err := r.pids.Seal(pass)
	if err != nil {
		s.Refuse(err)
		return
	}
	s.Accept(socketio.Session{ID: pass.ID, PID: pid, Offset: "start"})
}

// forget keeps a socket that left from coming back.
func (r *recoverer) forget(s *socketio.Socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgotten[s.ID()] = true
}
