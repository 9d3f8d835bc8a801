package main

import (
	"net/http"
	"time"

	"github.com/pgbell/pgbell/ws/socketio/engineio"
)

// echo sends back what it receives.
type echo struct{ socket *engineio.Socket }

// Receive implements [engineio.Receiver].
func (e echo) Receive(data []byte, binary bool) {
	if binary {
		e.socket.Send(engineio.BinaryMessage(data))
		return
	}
	e.socket.Send(engineio.TextMessage(data))
}

// Sweep implements [engineio.Receiver].
func (echo) Sweep(time.Time) {}

// Closed implements [engineio.Receiver].
func (echo) Closed(engineio.Reason) {}

// newEngine is the server that the Engine.IO suite asks for.
func newEngine() *engineio.Server {
	return engineio.NewServer(func(s *engineio.Socket, _ *http.Request) engineio.Receiver {
		return echo{s}
	}, engineio.Options{PingInterval: 300 * time.Millisecond, PingTimeout: 200 * time.Millisecond})
}
