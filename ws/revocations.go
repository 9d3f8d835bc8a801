package ws

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/ws/auth"
)

// Revocation says that tokens are no longer good. Either Subject or TokenID is
// set.
type Revocation struct {
	// Subject is the user whose tokens issued before RevokedAt are refused,
	// and those that do not say when they were issued.
	Subject string `json:"subject"`
	// TokenID is the id (jti) of the one token that is refused.
	TokenID   string    `json:"tokenId"`
	RevokedAt time.Time `json:"revokedAt"`
	// ExpiresAt is when the last of these tokens has expired; zero: nobody
	// knows.
	ExpiresAt time.Time `json:"expiresAt"`
}

// revocations are the tokens that are refused. What holds when the stream
// becomes live is loaded; what comes later is heard from the stream, in which
// every revocation is an event. After a gap, or when some were taken back, all
// are loaded again.
//
//	stream ─▶ heard ─┐
//	                 ├─▶ refused from now on ─▶ every session is looked at
//	load ─▶ replaced ┘
//
// A token is verified before this is asked, and asked again once the session
// has its identity: so whoever is revoked in between is found by one or other.
type revocations struct {
	known   chan struct{} // closed when they are loaded for the first time
	reload  errand
	enforce errand

	mu      sync.RWMutex // guards what follows; nothing is locked under it
	tokens  map[string]Revocation
	users   map[string]Revocation
	pruned  int          // how many were left when the expired were removed last
	loading bool         // a load is under way
	heard   []Revocation // since it began
}

func newRevocations() revocations {
	return revocations{known: make(chan struct{}), tokens: make(map[string]Revocation), users: make(map[string]Revocation)}
}

// refuse reports whether a token is revoked.
func (r *revocations) refuse(id auth.Identity, now time.Time) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if id.TokenID != "" {
		if by, ok := r.tokens[id.TokenID]; ok && by.holds(now) {
			return true
		}
	}
	by, ok := r.users[id.UserID]
	return ok && by.holds(now) && id.IssuedAt.Before(by.RevokedAt)
}

func (r *Revocation) holds(now time.Time) bool {
	return r.ExpiresAt.IsZero() || now.Before(r.ExpiresAt)
}

// add puts in one more. Of two for the same, what either refuses is refused.
// The caller holds the mutex.
func (r *revocations) add(more Revocation) {
	in, name := r.tokens, more.TokenID
	if name == "" {
		in, name = r.users, more.Subject
	}
	if had, ok := in[name]; ok {
		if had.RevokedAt.After(more.RevokedAt) {
			more.RevokedAt = had.RevokedAt
		}
		if had.ExpiresAt.IsZero() || !more.ExpiresAt.IsZero() && had.ExpiresAt.After(more.ExpiresAt) {
			more.ExpiresAt = had.ExpiresAt
		}
	}
	in[name] = more
	if len(r.tokens)+len(r.users) > 2*r.pruned+1000 {
		r.prune(time.Now())
	}
}

// prune forgets those that have expired, with the tokens that they refused.
func (r *revocations) prune(now time.Time) {
	for _, in := range []map[string]Revocation{r.tokens, r.users} {
		for name, by := range in {
			if !by.holds(now) {
				delete(in, name)
			}
		}
	}
	r.pruned = len(r.tokens) + len(r.users)
}

// replace puts loaded in the place of all, and what was heard since the load
// began: that may or may not be among them.
func (r *revocations) replace(loaded []Revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.tokens)
	clear(r.users)
	r.pruned = len(loaded)
	for _, one := range append(loaded, r.heard...) {
		r.add(one)
	}
	r.loading, r.heard = false, nil
	select {
	case <-r.known:
	default:
		close(r.known)
	}
}

// ready waits until they are known. It reports false when ctx ends before.
func (r *revocations) ready(ctx context.Context) bool {
	select {
	case <-r.known:
		return true
	default:
	}
	select {
	case <-r.known:
		return true
	case <-ctx.Done():
		return false
	}
}

// revoke acts on the signal of a revocation.
func (h *Hub) revoke(e *pgbell.Event) {
	if h.o.Revocations == nil {
		return
	}
	var one Revocation
	if e.Action != "revoked" || json.Unmarshal(e.Data, &one) != nil || (one.Subject == "") == (one.TokenID == "") {
		h.reloadRevocations() // they changed otherwise
		return
	}
	r := &h.revoked
	r.mu.Lock()
	r.add(one)
	if r.loading {
		r.heard = append(r.heard, one)
	}
	r.mu.Unlock()
	h.enforceRevocations()
}

// enforceRevocations has every session looked at, once for all revocations that
// come meanwhile.
func (h *Hub) enforceRevocations() {
	h.revoked.enforce.ask(h.spawn, func() {
		now := time.Now()
		h.each(func(s *session) {
			if s.revokedAt(now) {
				s.refuse(errTokenRevoked, nil)
			}
		})
	})
}

// revocationsRetry is the pause after a load that failed.
const revocationsRetry = time.Second

// reloadRevocations has all of them read, until that succeeds.
func (h *Hub) reloadRevocations() {
	if h.o.Revocations == nil {
		return
	}
	h.revoked.reload.ask(h.spawn, func() {
		for {
			err := h.loadRevocations()
			if err == nil || h.ctx.Err() != nil {
				break
			}
			h.o.Logger.Warn("revocations cannot be read, trying again", "error", err)
			select {
			case <-time.After(revocationsRetry):
			case <-h.ctx.Done():
			}
		}
		h.enforceRevocations()
	})
}

func (h *Hub) loadRevocations() error {
	r := &h.revoked
	r.mu.Lock()
	r.loading, r.heard = true, nil
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(h.ctx, h.o.RequestTimeout)
	defer cancel()
	loaded, err := h.o.Revocations(ctx)
	if err == nil {
		r.replace(loaded)
	}
	return err
}

// errand is work that is done again for those who ask while it is done, once
// for all of them.
type errand struct {
	mu    sync.Mutex // guards what follows
	asked bool
	busy  bool
}

// ask has work done from its beginning, by a goroutine that spawn starts or by
// the one that is at it.
func (e *errand) ask(spawn func(func()), work func()) {
	e.mu.Lock()
	e.asked = true
	start := !e.busy
	e.busy = true
	e.mu.Unlock()
	if start {
		spawn(func() {
			for e.next() {
				work()
			}
		})
	}
}

// next reports whether the work is to be done again.
func (e *errand) next() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	asked := e.asked
	e.asked, e.busy = false, asked
	return asked
}

// revokedAt reports whether the session's token is revoked.
func (s *session) revokedAt(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.closing && s.identity.UserID != "" && s.hub.revoked.refuse(s.identity, now)
}
