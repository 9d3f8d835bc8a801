package socketio

import "slices"

// Target is those sockets of a namespace to which something is sent: all, or
// those in any of some rooms, but for a few.
type Target struct {
	namespace *Namespace
	rooms     []string
	except    []*Socket
}

// To is the sockets that are in any of rooms, each once; without rooms, none.
func (n *Namespace) To(rooms ...string) Target {
	if rooms == nil {
		rooms = []string{}
	}
	return Target{namespace: n, rooms: rooms}
}

// All is every socket of the namespace.
func (n *Namespace) All() Target { return Target{namespace: n} }

// Except leaves sockets out, such as the one whose event is passed on.
func (t Target) Except(sockets ...*Socket) Target {
	t.except = slices.Concat(t.except, sockets)
	return t
}

// Emit sends an event, encoded once, or once for each offset that sockets have
// which can be recovered. The error is [ErrReserved] or [ErrArguments]. Sockets that
// take nothing any more are passed over.
func (t Target) Emit(event string, args ...any) error {
	type kind struct {
		tells  bool
		offset string
	}
	encoded := make(map[kind]Packet, 1)
	var failed error
	t.each(func(s *Socket) {
		s.mu.Lock()
		defer s.mu.Unlock()
		k := kind{tells: s.tells}
		if s.tells {
			k.offset = s.offset
		}
		p, ok := encoded[k]
		if !ok {
			if failed != nil {
				return
			}
			if p, failed = t.namespace.encode(event, args, k.tells, k.offset); failed != nil {
				return
			}
			encoded[k] = p
		}
		s.write(p)
	})
	return failed
}

// Write sends an encoded packet and returns how many sockets took it.
func (t Target) Write(p Packet) (sockets int) {
	t.each(func(s *Socket) {
		if s.Write(p) {
			sockets++
		}
	})
	return sockets
}

// Sockets are the target's sockets now.
func (t Target) Sockets() []*Socket {
	var list []*Socket
	t.each(func(s *Socket) { list = append(list, s) })
	return list
}

func (t Target) each(f func(*Socket)) {
	n := t.namespace
	n.mu.RLock()
	defer n.mu.RUnlock()
	if t.rooms == nil {
		for _, s := range n.sockets {
			if !slices.Contains(t.except, s) {
				f(s)
			}
		}
		return
	}
	for i, room := range t.rooms {
		for s := range n.rooms[room] {
			// In a room before this one, so it was called already.
			twice := slices.ContainsFunc(t.rooms[:i], func(r string) bool { _, in := n.rooms[r][s]; return in })
			if !twice && !slices.Contains(t.except, s) {
				f(s)
			}
		}
	}
}

// Encode encodes an event for [Socket.Write] and [Target.Write]. The offset, if
// there is one, becomes the last argument: it says where the stream stands after
// this event, to sockets that can be recovered. To these a packet without one
// must not have a string as its last argument, for they would take that for one.
// The error is [ErrReserved] or [ErrArguments].
func (n *Namespace) Encode(offset, event string, args ...any) (Packet, error) {
	return n.encode(event, args, offset != "", offset)
}

// EncodeAck encodes an acknowledgement for [Socket.Write]; id is that of
// [Event.AckID]. The error is [ErrArguments].
func (n *Namespace) EncodeAck(id uint64, args ...any) (Packet, error) {
	return header{namespace: n.name, id: id, hasID: true}.ack(args)
}

func (n *Namespace) encode(event string, args []any, tells bool, offset string) (Packet, error) {
	h := header{namespace: n.name}
	if !tells {
		return h.event(event, args)
	}
	p, err := h.event(event, args, offset)
	p.Offset = offset
	return p, err
}
