package main

import (
	"time"

	"github.com/pgbell/pgbell/ws/socketio"
	"github.com/pgbell/pgbell/ws/socketio/engineio"
)

// apart is the time between the answer to a client that connects and the first
// event. The suite listens for one message at a time, and misses the second of
// two that come in one segment, as frames do here that are sent together.
const apart = 20 * time.Millisecond

// newProtocol is the server that the Socket.IO suite asks for.
func newProtocol() *socketio.Server {
	server := socketio.NewServer(socketio.Options{
		Engine:         engineio.Options{PingInterval: 300 * time.Millisecond, PingTimeout: 200 * time.Millisecond},
		ConnectTimeout: 1500 * time.Millisecond,
	})
	for _, name := range []string{"/", "/custom"} {
		n := server.Of(name)
		n.OnConnect(func(s *socketio.Socket) {
			time.Sleep(apart)
			_ = s.Emit("auth", s.Auth())
		})
		n.On("message", func(s *socketio.Socket, e *socketio.Event) {
			_ = s.Emit("message-back", e.Args.Values()...)
		})
		n.On("message-with-ack", func(_ *socketio.Socket, e *socketio.Event) {
			_ = e.Ack(e.Args.Values()...)
		})
	}
	return server
}
