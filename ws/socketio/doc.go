// Package socketio is a server of Socket.IO 5, the protocol of socket.io-client
// 3 and 4, over package engineio. It is specified in
// https://github.com/socketio/socket.io-protocol.
//
//	server := socketio.NewServer(socketio.Options{})
//	chat := server.Of("/chat")
//	chat.Use(func(ctx context.Context, s *socketio.Socket) error {
//		return checkToken(ctx, s.Auth()) // else the client gets connect_error
//	})
//	chat.On("join", func(s *socketio.Socket, e *socketio.Event) {
//		var room string
//		if e.Args.Bind(&room) == nil && s.Join(room) == nil {
//			_ = e.Ack("ok")
//		}
//	})
//	chat.OnConnect(func(s *socketio.Socket) { _ = s.Emit("hello", s.ID()) })
//	go server.Run(ctx)
//	http.Handle("/socket.io/", server)
//	...
//	_ = chat.To("lobby").Emit("news", item)
//
// One connection carries several namespaces, each with its own handlers, rooms
// and state:
//
//	engineio.Socket ── client ─┬─ Socket in "/"
//	                           └─ Socket in "/chat" ── rooms
//
//	CONNECT ─▶ middleware ─▶ Admit ─▶ answer ─▶ OnConnect ─▶ events
//	               │           │                               │
//	               └───────────┴─▶ CONNECT_ERROR OnDisconnect ◀┘
//
// A connection's events are handled in order, one at a time, on the goroutine
// that reads them, so a slow handler slows the client that called it and nobody
// else. Middleware has a goroutine of its own while it lasts.
//
// An event is encoded once: [Namespace.Encode] makes a [Packet], which any
// number of sockets write as it is.
//
// # Recovery
//
// A client that lost its connection can come back as the same socket and get
// what it missed. The client does its part with two strings: a secret, pid, that
// it got when it connected, and an offset, which it takes from the last argument
// of any event whenever that is a string. So every event of a socket that has a
// pid, without acknowledgement, gets an offset as an extra last argument, also
// those that cannot be replayed: theirs is the socket's last.
//
// What pid and offset mean is the affair of whoever admits clients. It sees what
// one asks for ([Socket.Resume]), checks its token again, and accepts it as the
// socket it was or as a new one ([Socket.Accept]). What was missed is written
// after that, never before: a client keeps what comes before the answer until
// it is connected, so of a connection that breaks in between it would get
// everything twice. [PIDs] seals what one needs to know into the pid itself, so
// that nothing has to be kept, and any node can recover.
package socketio
