package ws

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pgbell/pgbell/ws/socketio"
	"github.com/pgbell/pgbell/ws/socketio/engineio"
)

// socketDoor is the door for Socket.IO clients: one session for each that is in
// the namespace "/".
type socketDoor struct {
	hub    *Hub
	proto  socketProtocol
	server *socketio.Server
	pids   *socketio.PIDs // nil: nothing is recovered
	left   leftSessions
}

// socketHandshake is what is kept of the request that opened a connection.
type socketHandshake struct{ address, token string }

// serveSocketIO registers the door.
func (h *Handler) serveSocketIO() {
	o := &h.hub.o
	d := &socketDoor{hub: h.hub, pids: h.o.Recovery}
	d.server = socketio.NewServer(socketio.Options{
		Engine: engineio.Options{
			Origins: h.o.Origins,
			Admit: func(r *http.Request) (func(), error) {
				place, err := h.knock(r)
				if err != nil {
					h.hub.refused(err, TransportSocketIO)
					return nil, &engineio.Refusal{Status: err.Status, Message: err.Error()}
				}
				return place.release, nil
			},
			PingInterval: o.PingInterval, PingTimeout: o.PongTimeout,
			WriteTimeout: o.WriteTimeout, CloseTimeout: o.CloseTimeout, ReadTimeout: o.RequestTimeout,
			MaxPayload: o.MaxMessage,
			// The hub counts sessions. There are more sockets: some have no
			// session yet, some none any more.
			MaxSockets: o.MaxConnections + o.MaxConnections/8 + 16,
			// The session's queue is the bound. It hands on a batch at a time.
			QueueBytes: 1 << 40,
			// Above the session's own limit, which tells the client.
			PacketRate: 2*(o.MessageRate+float64(o.MessageBurst)) + 10,
			Trace: &engineio.Trace{
				Closed:  d.closed,
				Written: o.Trace.written,
			},
		},
		Handshake: func(r *http.Request) socketio.Handshake {
			return socketio.Handshake{Value: socketHandshake{
				address: strings.Clone(h.o.ClientAddress(r)), token: strings.Clone(credentialsOf(r).header),
			}}
		},
		ConnectTimeout: o.AuthTimeout,
		MaxNamespaces:  1,
		MaxPacket:      int(o.MaxMessage),
	})
	main := d.server.Of("/")
	d.proto = socketProtocol{namespace: main, offsets: d.pids != nil}
	main.Admit(d.admit)
	main.OnOther(d.receive)
	main.OnLeave(func(s *socketio.Socket) { d.left.add(s.ID()) })
	h.sockets = d
	h.mux.HandleFunc("/socket.io/", func(w http.ResponseWriter, r *http.Request) {
		if !h.allowsOrigin(r) { // it is refused by the same rule
			h.hub.refused(errOriginForbidden, TransportSocketIO)
		}
		d.server.ServeHTTP(w, r)
	})
}

// closed counts the connections that end with an error of the client's.
func (d *socketDoor) closed(_ engineio.Transport, reason engineio.Reason, _ time.Duration) {
	switch reason {
	case engineio.ParseError:
		d.hub.failed(errProtocol, TransportSocketIO, "")
	case engineio.RateLimited:
		d.hub.failed(errRateLimited, TransportSocketIO, "")
	}
}

// admit opens the session of a client that asks for the namespace. The token in
// what it sends counts before the one in the header: that one cannot change
// while the connection lives.
func (d *socketDoor) admit(s *socketio.Socket) {
	shook, _ := s.Handshake().Value.(socketHandshake)
	p := &socketSession{door: d, socket: s}
	p.session = newSession(d.hub, d.proto, p, TransportSocketIO, shook.address)
	s.Data = p
	if err := d.hub.open(&p.session); err != nil {
		d.hub.refused(err, TransportSocketIO)
		refuseSocket(s, err)
		return
	}
	d.hub.o.Trace.opened(TransportSocketIO)
	context.AfterFunc(s.Context(), p.ended)
	var auth struct {
		Token string `json:"token"`
	}
	if json.Unmarshal(s.Auth(), &auth) != nil || auth.Token == "" {
		auth.Token = shook.token
	}
	if auth.Token == "" {
		p.resumption = d.resumption(s.Resume(), "")
		p.resume = p.resumption.cursor
		p.mu.Lock()
		p.push([]byte{socketConnect})
		p.mu.Unlock()
		return
	}
	go p.identify(auth.Token)
}

// identify verifies the token of a client that waits for its answer.
func (p *socketSession) identify(token string) {
	ctx, cancel := context.WithTimeout(p.hub.ctx, p.hub.o.RequestTimeout)
	defer cancel()
	id, err := p.hub.verify(ctx, p.address, token)
	if err != nil {
		p.refuse(err, nil)
		return
	}
	p.resumption = p.door.resumption(p.socket.Resume(), id.UserID)
	p.admit(id, p.resumption.cursor, nil)
}

// receive handles an event of a client.
func (d *socketDoor) receive(s *socketio.Socket, e *socketio.Event) {
	p, ok := s.Data.(*socketSession)
	if !ok || p.isClosing() {
		return
	}
	r := request{Event: e.Name}
	if id, asked := e.AckID(); asked {
		r.ID = strconv.AppendUint(nil, id, 10)
	}
	size := len(e.Name)
	for _, arg := range e.Args {
		size += len(arg.JSON())
	}
	d.hub.o.Trace.received(size)
	if len(e.Args) > 0 {
		r.Data = socketArgument(e.Name, e.Args[0].JSON())
	}
	if p.mayAsk() {
		p.do(r)
	}
}

// socketArgument is the data of a request. Where there is only one thing to
// say, clients may say it without an object.
func socketArgument(event string, arg json.RawMessage) json.RawMessage {
	field := map[string]string{"authenticate": "token", "join_room": "room", "leave_room": "room"}[event]
	if field == "" || arg[0] != '"' {
		return arg
	}
	return append(append([]byte(`{"`+field+`":`), arg...), '}')
}
