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

// Emit sends an event, encoded once, or with a [Recoverer] once for each offset
// that sockets have. The error is [ErrReserved] or [ErrArguments]. Sockets that
// take nothing any more are passed over.
func (t Target) Emit(event string, args ...any) error {
	encoded := make(map[string]Packet, 1)
	var failed error
	t.each(func(s *Socket) {
		s.mu.Lock()
		defer s.mu.Unlock()
		var offset string
		if t.namespace.recoverer != nil {
			offset = s.offset
		}
		p, ok := encoded[offset]
		if !ok {
			if failed != nil {
				return
			}
			if p, failed = t.namespace.encode(event, args, offset); failed != nil {
				return
			}
			encoded[offset] = p
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

// Encode encodes an event for [Socket.Write] and [Target.Write]. With a
// [Recoverer], offset becomes the last argument: it says where the stream stands
// after this event. Otherwise it is ignored. The error is [ErrReserved] or
// [ErrArguments].
func (n *Namespace) Encode(offset, event string, args ...any) (Packet, error) {
	return n.encode(event, args, offset)
}

func (n *Namespace) encode(event string, args []any, offset string) (Packet, error) {
	h := header{namespace: n.name}
	if n.recoverer == nil {
		return h.event(event, args)
	}
	p, err := h.event(event, args, offset)
	p.Offset = offset
	return p, err
}
