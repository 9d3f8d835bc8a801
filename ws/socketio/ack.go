package socketio

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Errors of acknowledgements.
var (
	// ErrNoAck is returned for an event whose client asked for no
	// acknowledgement, or had it already.
	ErrNoAck = errors.New("no acknowledgement is asked for")
	// ErrAckTimeout is what an acknowledgement becomes that did not come.
	ErrAckTimeout = errors.New("acknowledgement did not come in time")
	// ErrAcks is returned if too many acknowledgements are outstanding.
	ErrAcks = errors.New("too many acknowledgements are outstanding")
)

// Event is one that a client sent.
type Event struct {
	// Name is the event's name.
	Name string
	// Args are its arguments.
	Args Args

	socket   *Socket
	id       uint64
	wantsAck bool
	acked    atomic.Bool
}

// WantsAck reports whether the client asked for an acknowledgement.
func (e *Event) WantsAck() bool { return e.wantsAck }

// AckID is what the client calls the acknowledgement that it asked for, if it
// did; see [Namespace.EncodeAck].
func (e *Event) AckID() (id uint64, ok bool) { return e.id, e.wantsAck }

// Ack acknowledges the event, once, with arguments as [Socket.Emit] takes them.
// It may be called after the handler has returned. The error is [ErrNoAck],
// [ErrArguments] or [ErrClosed].
func (e *Event) Ack(args ...any) error {
	if !e.wantsAck || e.acked.Load() {
		return ErrNoAck
	}
	p, err := header{namespace: e.socket.namespace.name, id: e.id, hasID: true}.ack(args)
	if err != nil {
		return err
	}
	if !e.acked.CompareAndSwap(false, true) {
		return ErrNoAck
	}
	if !e.socket.Write(p) {
		return ErrClosed
	}
	return nil
}

// pending is an acknowledgement that a client owes.
type pending struct {
	answer func(Args, error)
	until  time.Time
}

// Ask sends an event and calls answer once, with what the client acknowledges it
// with, or with [ErrAckTimeout] or [ErrClosed]. The call may come before Ask
// returns. Such an event carries no offset and is not recovered. If Ask returns
// an error, answer is not called.
func (s *Socket) Ask(answer func(Args, error), event string, args ...any) error {
	_, err := s.ask(answer, event, args)
	return err
}

func (s *Socket) ask(answer func(Args, error), event string, args []any) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &s.namespace.server.o
	if s.over {
		return 0, ErrClosed
	}
	if len(s.acks) >= o.MaxAcks {
		return 0, ErrAcks
	}
	id := s.nextAck
	p, err := header{namespace: s.namespace.name, id: id, hasID: true}.event(event, args)
	if err != nil {
		return 0, err
	}
	if !s.write(p) {
		return 0, ErrClosed
	}
	s.nextAck++
	if s.acks == nil {
		s.acks = make(map[uint64]*pending)
	}
	s.acks[id] = &pending{answer: answer, until: time.Now().Add(o.AckTimeout)}
	return id, nil
}

// EmitWithAck sends an event and waits for the acknowledgement. It must not be
// called in a handler of the same connection, which keeps the answer from being
// read; there [Socket.Ask] is right. Beside those of [Socket.Ask], the error may
// be the context's.
func (s *Socket) EmitWithAck(ctx context.Context, event string, args ...any) (Args, error) {
	type answer struct {
		args Args
		err  error
	}
	answered := make(chan answer, 1)
	id, err := s.ask(func(args Args, err error) { answered <- answer{args, err} }, event, args)
	if err != nil {
		return nil, err
	}
	select {
	case a := <-answered:
		return a.args, a.err
	case <-ctx.Done():
		s.mu.Lock()
		delete(s.acks, id)
		s.mu.Unlock()
		return nil, context.Cause(ctx)
	}
}

// acknowledged takes an acknowledgement. One that nobody waits for is late.
func (s *Socket) acknowledged(p incoming, binary [][]byte) {
	s.mu.Lock()
	a := s.acks[p.id]
	delete(s.acks, p.id)
	s.mu.Unlock()
	if a != nil {
		a.answer(argsOf(p.values, binary), nil)
	}
}
