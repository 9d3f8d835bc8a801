package ws

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/ws/auth"
)

// numbered is an authenticator whose tokens are user/jti, issued at a time.
type numbered struct{ issued time.Time }

func (a numbered) Verify(_ context.Context, token string) (auth.Identity, error) {
	user, id, _ := strings.Cut(token, "/")
	return auth.Identity{UserID: user, TokenID: id, IssuedAt: a.issued, ExpiresAt: time.Now().Add(time.Hour)}, nil
}

// revocation is the signal of one.
func revocation(r Revocation) func(*pgbell.Event) {
	return func(e *pgbell.Event) {
		text, _ := json.Marshal(r)
		e.Body = pgbell.Body{Type: signalRevocation, Op: pgbell.Publish, Action: "revoked", Data: text}
	}
}

func nothingRevoked(context.Context) ([]Revocation, error) { return nil, nil }

func TestRevokedSessionsEnd(t *testing.T) {
	t.Parallel()
	began := time.Now().Truncate(time.Second)
	s := serve(t, Options{Authenticator: numbered{began}, Revocations: nothingRevoked}, HandlerOptions{}).live()
	one, _ := s.connect(t, "u/1", "")
	two, _ := s.connect(t, "u/2", "")
	other, _ := s.connect(t, "v/3", "")

	s.change(revocation(Revocation{TokenID: "1", RevokedAt: time.Now()}))
	require.Equal(t, "token_revoked", one.expect("auth_error").Data["code"])
	one.expectClose(CloseRevoked)
	two.fence()
	other.fence()

	// Tokens from before the revocation, and none from after.
	s.change(revocation(Revocation{Subject: "v", RevokedAt: began}))
	other.fence()
	s.change(revocation(Revocation{Subject: "v", RevokedAt: began.Add(time.Millisecond)}))
	other.expect("auth_error")
	other.expectClose(CloseRevoked)
	two.fence()

	// By every way in.
	_, response, err := s.dial(t, bearer("v/4"), "")
	require.Error(t, err)
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)
	require.NotEmpty(t, response.Header.Get("WWW-Authenticate"))
	c, _, err := s.dial(t, nil, "")
	require.NoError(t, err)
	c.send("authenticate", map[string]string{"token": "u/1"}, nil)
	require.Equal(t, "token_revoked", c.expect("auth_error").Data["code"])
	c.expectClose(CloseRevoked)
	two.send("authenticate", map[string]string{"token": "u/1"}, nil)
	two.expect("auth_error")
	two.expectClose(CloseRevoked)
	fresh, _ := s.connect(t, "u/5", "")
	fresh.fence()
}

// TestRevokedWhileEntering revokes between the two places that ask.
func TestRevokedWhileEntering(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{Authenticator: numbered{}, Revocations: nothingRevoked}, HandlerOptions{}).live()
	identity, refused := s.hub.verify(t.Context(), "", "u/1")
	require.Nil(t, refused)
	session := &session{hub: s.hub, proto: jsonProtocol{}, peer: &replicaPeer{}, opened: s.hub.now()}
	require.Nil(t, s.hub.open(session))
	defer s.hub.finish(session)
	s.change(revocation(Revocation{Subject: "u", RevokedAt: time.Now()}))
	session.admit(identity, "", nil)
	session.mu.Lock()
	defer session.mu.Unlock()
	require.Equal(t, CloseRevoked, session.code)
	require.False(t, session.live)
}

// TestRevocationsAreKnown follows what is loaded and what is heard.
func TestRevocationsAreKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var loads atomic.Int32
		var table atomic.Pointer[[]Revocation]
		var fails atomic.Bool
		var hold atomic.Pointer[chan struct{}]
		table.Store(&[]Revocation{{TokenID: "early"}})
		fails.Store(true)
		h := NewHub(Options{
			Authenticator: numbered{time.Now()}, RequestTimeout: 10 * time.Second,
			Revocations: func(context.Context) ([]Revocation, error) {
				loads.Add(1)
				if fails.Load() {
					return nil, errors.New("no database")
				}
				list := *table.Load()
				if wait := hold.Load(); wait != nil {
					<-*wait
				}
				return list, nil
			},
		})
		defer func() { h.cancel(); h.wg.Wait() }()
		refused := func(token string) string {
			t.Helper()
			_, err := h.verify(t.Context(), "", token)
			if err == nil {
				return ""
			}
			return err.Code
		}
		f := newFeed(newDatabase(), h)
		s := &server{feed: f}

		// Nobody is believed until they are known.
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err := h.verify(ctx, "", "u/1")
		cancel()
		require.Equal(t, errAuthUnavailable, err)
		require.Equal(t, 5*time.Second, time.Since(began))
		require.InDelta(t, 6, loads.Load(), 1, "one a second")
		fails.Store(false)
		require.Empty(t, refused("u/1"), "as soon as they are")
		require.Equal(t, "token_revoked", refused("u/early"))

		// What is heard while a load is under way is not lost to it.
		wait := make(chan struct{})
		hold.Store(&wait)
		table.Store(&[]Revocation{{TokenID: "other"}})
		h.Gap(pgbell.Gap{Reason: pgbell.GapRetention})
		synctest.Wait()
		s.change(revocation(Revocation{TokenID: "heard"}))
		require.Equal(t, "token_revoked", refused("u/heard"))
		close(wait)
		synctest.Wait()
		require.Equal(t, "token_revoked", refused("u/heard"))
		require.Equal(t, "token_revoked", refused("u/other"))
		require.Empty(t, refused("u/early"), "it was taken back")

		// What was taken back, and what nobody understands, is looked up.
		hold.Store(nil)
		for _, data := range []string{``, `{}`, `[]`, `{"subject":"a","tokenId":"b"}`} {
			before := loads.Load()
			s.change(func(e *pgbell.Event) {
				e.Body = pgbell.Body{Type: signalRevocation, Op: pgbell.Publish, Action: "revoked", Data: json.RawMessage(data)}
			})
			synctest.Wait()
			require.Equal(t, before+1, loads.Load(), data)
		}
		require.Empty(t, refused("u/heard"))

		// Expired ones mean nothing, and are forgotten.
		s.change(revocation(Revocation{Subject: "w", RevokedAt: time.Now().Add(time.Second), ExpiresAt: time.Now().Add(time.Minute)}))
		s.change(revocation(Revocation{Subject: "w", RevokedAt: time.Now().Add(-time.Hour), ExpiresAt: time.Now().Add(2 * time.Minute)}))
		require.Equal(t, "token_revoked", refused("w/1"))
		time.Sleep(90 * time.Second)
		require.Equal(t, "token_revoked", refused("w/1"), "the later of the two")
		time.Sleep(90 * time.Second)
		require.Empty(t, refused("w/1"))
		for range 1002 {
			s.change(revocation(Revocation{TokenID: time.Now().String(), ExpiresAt: time.Now().Add(time.Second)}))
			time.Sleep(time.Second)
		}
		synctest.Wait()
		require.Less(t, len(h.revoked.tokens), 1000)
	})
}

func TestSignalsReachNoClient(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{}, HandlerOptions{}).live()
	c, m := s.connect(t, "u:ADMIN", "")
	for _, body := range []pgbell.Body{
		{Type: signalCanary, Op: pgbell.Publish, Users: []string{"u"}, Data: json.RawMessage(`{}`)},
		{Type: "pgbell.later", Op: pgbell.Insert, Owners: map[string]string{"client": "u"}, Watchers: []string{"ADMIN"}, Key: json.RawMessage(`{}`)},
		{Type: "pgbell.", Op: pgbell.Reset, Reason: "truncate"},
		{Type: signalRevocation, Op: pgbell.Publish, Action: "revoked", Users: []string{"u"}, Data: json.RawMessage(`{"subject":"u"}`)},
	} {
		s.change(func(e *pgbell.Event) { e.Body = body })
	}
	c.fence()
	again, _ := s.connect(t, "u:ADMIN", m.Cursor) // nor by a replay
	again.fence()
}
