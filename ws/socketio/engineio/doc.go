// Package engineio is a server of Engine.IO 4, the protocol under Socket.IO: a
// connection that carries text and binary messages both ways, over WebSocket or,
// where that does not pass, over HTTP requests that wait (polling).
//
// The protocol is specified in https://github.com/socketio/engine.io-protocol.
//
//	           ┌──────────── Server ────────────┐
//	HTTP ──▶ request ──▶ polling ──┐            │
//	           │                   ├─▶ Socket ──┼─▶ Receiver
//	           └──────▶ conn ──────┘    ▲       │
//	                  (WebSocket)       └───────┼── Frame
//	           └────────────────────────────────┘
//
// A client opens a [Socket] with one request, by either transport, and may move
// from polling to WebSocket once. What the socket receives goes to its
// [Receiver], in order, one message at a time. What is sent waits in the
// socket's queue until the transport takes it:
//
//	open ──Close──▶ closing ──flushed──▶ finished
//	  │                │
//	  └── error, ──────┴──────────────▶ finished
//	      timeout
//
// A [Frame] is a message in the form in which it leaves. It is made once and
// sent to any number of sockets; the queues share its bytes. All frames that
// wait leave in one write or one answer.
//
// Nothing here waits for a client. A queue is bounded in bytes, and who does not
// empty it is cut. An idle socket costs one goroutine, the reader of its
// WebSocket or the HTTP request that waits. There is no timer per socket: one
// sweep of the server sees to all deadlines, so [Server.Run] has to run.
package engineio
