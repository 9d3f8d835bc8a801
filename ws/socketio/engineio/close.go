package engineio

import "time"

// Close ends the socket once what waits was sent, or at the latest after
// CloseTimeout. It does not block.
func (s *Socket) Close() { s.close(ForcedClose) }

func (s *Socket) close(r Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(r)
}

// Fail ends the socket of a client that broke the rules; what waits is dropped.
func (s *Socket) Fail(r Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failLocked(r)
}

func (s *Socket) failLocked(r Reason) {
	if s.conn == nil {
		s.abortLocked(r)
		return
	}
	s.drop()
	s.endLocked(r)
}

// Abort ends the socket at once, without a word to the client. It does not
// block.
func (s *Socket) Abort() { s.abort(TransportError) }

func (s *Socket) abort(r Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.abortLocked(r)
}

func (s *Socket) abortLocked(r Reason) {
	s.drop()
	s.endLocked(r)
	if s.conn != nil {
		s.conn.abort()
		return
	}
	s.finish()
}

// leave ends the socket because its polling client says so. A request of the
// same client may be waiting, or still be on its way.
func (s *Socket) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.drop()
	s.goodbye = frameNoop
	s.endLocked(TransportClose)
}

// endLocked makes the socket closing: the receiver is told, and the transport
// gets what waits and then the end.
func (s *Socket) endLocked(r Reason) {
	if s.ended {
		return
	}
	s.ended, s.reason = true, r
	s.closeBy = time.Now().Add(s.server.o.CloseTimeout)
	s.signalSpace()
	if !s.receiving {
		s.reported = true
		s.server.wg.Go(func() { s.receiver.Closed(r) })
	}
	if s.probe != nil {
		s.probe.shut(r.closeCode())
	}
	if s.conn != nil {
		s.conn.shut(r.closeCode())
		return
	}
	if s.goodbye == nil {
		s.goodbye = frameClose
	}
	if s.poll != nil {
		s.answer()
	}
}

// finish forgets a socket that has ended. The caller holds the mutex.
func (s *Socket) finish() {
	if s.finished {
		return
	}
	s.finished = true
	if s.probe != nil {
		s.probe.abort()
	}
	s.admitted()
	s.server.o.Trace.closed(s.transport(), s.reason, time.Since(s.opened))
	s.server.vacate(s.id)
}
