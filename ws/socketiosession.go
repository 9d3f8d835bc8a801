package ws

import (
	"context"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pgbell/pgbell/ws/socketio"
	"github.com/pgbell/pgbell/ws/socketio/engineio"
)

// socketSession is a session that comes by Socket.IO. What waits for the client
// waits in the session's queue; a writer that exists only while there is
// something to write hands it on, batch by batch, each when the one before has
// left.
//
//	CONNECT ─┬─ token ─▶ identity ─▶ joining ─▶ answer ─▶ authenticated ─▶ live
//	         └─ none ──▶ answer ─▶ authenticate ─▶ joining ─▶ authenticated ─▶ live
//
// A client with a token is answered when its session is live, for only then is
// it known whether it goes on with the one it had.
type socketSession struct {
	session
	door       *socketDoor
	socket     *socketio.Socket
	resumption resumption
	accepted   bool   // only the writer uses it and the next field
	user       string // whom the answer's pid is for; empty: nobody in particular

	halves  atomic.Int32  // the writer, and the socket, that are over
	closing time.Duration // since when the session is; only the sweeper uses it
}

// wake implements peer.
func (p *socketSession) wake() { go p.write() }

// abort implements peer.
func (p *socketSession) abort() { p.socket.Abort() }

// sweep implements peer. Heartbeats, and writes that hang, are the engine's
// affair.
func (p *socketSession) sweep() {
	now := p.hub.now()
	switch {
	case !p.isClosing():
	case p.closing == 0:
		p.closing = now
	case now-p.closing > p.hub.o.WriteTimeout+p.hub.o.CloseTimeout:
		p.abort()
	}
}

// write sends what waits and ends.
func (p *socketSession) write() {
	b := batches.Get().(*batch)
	defer batches.Put(b)
	for sent := 0; ; {
		frames, size, last := p.next(b.frames[:0], sent)
		sent = size
		if last {
			p.half()
		}
		if len(frames) == 0 {
			return
		}
		ok := p.send(frames)
		clear(frames)
		if !ok {
			p.lost()
			p.half()
			return
		}
	}
}

// send sends a batch, and returns when it has left. It reports false if the
// client is gone.
func (p *socketSession) send(frames net.Buffers) bool {
	packets := make([]engineio.Frame, 0, len(frames)+2)
	for _, f := range frames {
		if f[0] >= socketPacket {
			packets = append(packets, f)
			continue
		}
		switch f[0] {
		case socketConnect:
			if !p.accept("", p.door.begin(p.resumption, "", "")) {
				return false
			}
		case socketAuthenticated:
			user, rest := cutPart(f[1:])
			recovered, rest := cutPart(rest)
			cursor, rest := cutPart(rest)
			if !p.answer(string(user), string(recovered) == "true", string(cursor)) {
				return false
			}
			packets = appendPackets(packets, rest)
		case socketMany:
			packets = appendPackets(packets, f[1:])
		case socketEnd:
			code, rest := cutPart(f[1:])
			reason, _ := cutPart(rest)
			return p.finish(packets, string(code), string(reason))
		}
	}
	return p.hand(packets)
}

// hand gives packets to the socket and waits until they have left. Who was not
// answered yet is told by that.
func (p *socketSession) hand(packets []engineio.Frame) bool {
	if !p.accepted || len(packets) == 0 {
		return true
	}
	return p.socket.Write(socketio.Packet{Frames: packets}) && p.socket.Flush(p.socket.Context()) == nil
}

// answer answers the client, if that was not done, now that it is known who it
// is and where it stands.
func (p *socketSession) answer(user string, recovered bool, cursor string) bool {
	if p.accepted {
		if p.user != "" && p.user != user {
			// From here on its offsets are of somebody else's stream.
			p.door.left.add(p.socket.ID())
		}
		return true
	}
	if p.resumption.id != "" && recovered {
		return p.accept(user, socketio.Session{ID: p.resumption.id, PID: p.resumption.asked.PID, Recovered: true})
	}
	return p.accept(user, p.door.begin(p.resumption, user, cursor))
}

func (p *socketSession) accept(user string, s socketio.Session) bool {
	p.accepted, p.user = true, user
	return p.socket.Accept(s)
}

// finish ends the session after its last packets. A client whose error passes,
// or who has to come with a new token, is cut off, so that it comes back by
// itself; another is told that this is final.
func (p *socketSession) finish(packets []engineio.Frame, code, reason string) bool {
	err := errorOf(reason)
	if !p.accepted {
		refuseSocket(p.socket, err)
		return true
	}
	number, _ := strconv.Atoi(code)
	packets = append(packets, p.door.proto.event("close", closeData{number, reason}, ""))
	p.hand(packets)
	if err == nil || err.Action == Retry || err == errTokenExpired {
		p.socket.Close()
	} else {
		p.socket.Disconnect()
	}
	return true
}

// refuseSocket answers a client that does not get in. One that may try again is
// cut off instead, for by itself it tries again only then.
func refuseSocket(s *socketio.Socket, err *Error) {
	if err == nil || err.Action == Retry {
		s.Close()
		return
	}
	s.Refuse(&socketio.Refusal{Message: err.Message, Data: err})
}

// ended is called when the socket is over.
func (p *socketSession) ended() {
	code := websocket.CloseAbnormalClosure
	switch reason := engineio.Reason(context.Cause(p.socket.Context()).Error()); reason {
	case engineio.TransportClose, engineio.Reason(socketio.ClientDisconnect):
		code = websocket.CloseNormalClosure
	case engineio.ParseError:
		code = CloseProtocol
	case engineio.RateLimited:
		code = CloseRateLimited
	}
	if code != websocket.CloseAbnormalClosure {
		p.end(code, "", false)
	} else if p.lost() {
		p.half()
	}
	p.half()
}

// half ends the writer or the socket. The session is over with the second.
func (p *socketSession) half() {
	if p.halves.Add(1) == 2 {
		p.hub.finish(&p.session)
	}
}
