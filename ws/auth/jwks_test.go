package auth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/ws/auth"
)

// issuer publishes a key set over a real socket.
type issuer struct {
	*httptest.Server
	fetches atomic.Int64
	mu      sync.Mutex
	answer  http.HandlerFunc
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.fetches.Add(1)
		i.mu.Lock()
		answer := i.answer
		i.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) answers(f http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = f
}

func (i *issuer) publishes(keys ...map[string]any) {
	body := keySet(keys...)
	i.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
}

func keySet(keys ...map[string]any) string {
	return string(must(json.Marshal(map[string]any{"keys": append([]map[string]any{}, keys...)})))
}

// jwk is the published form of a key; more are further members.
func jwk(id string, k crypto.PublicKey, more map[string]any) map[string]any {
	made := must(jwkset.NewJWKFromKey(k, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: id}}))
	var m map[string]any
	if err := json.Unmarshal(must(json.Marshal(made.Marshal())), &m); err != nil {
		panic(err)
	}
	delete(m, "alg")
	maps.Copy(m, more)
	return m
}

// run starts v.Run and returns a channel that hears of each fetch.
func run(t *testing.T, o auth.Options) (*auth.Verifier, <-chan error) {
	t.Helper()
	fetched := make(chan error, 100)
	o.Trace = &auth.Trace{JWKSFetched: func(_ int, _ time.Duration, err error) { fetched <- err }}
	v := newVerifier(t, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- v.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return v, fetched
}

func kid(id string) map[string]any { return map[string]any{"kid": id} }

func newEC() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func TestKeySetRotation(t *testing.T) {
	t.Parallel()
	old, next := newEC(), newEC()
	i := newIssuer(t)
	i.publishes(jwk("old", old.Public(), nil), jwk("rsa", rsaKey().Public(), nil), jwk("ed", edKey().Public(), nil))
	v, fetched := run(t, auth.Options{JWKSURL: i.URL, JWKSCooldown: time.Nanosecond})

	require.NoError(t, <-fetched)
	_, err := v.Verify(t.Context(), sign(t, jwt.SigningMethodES256, old, claims(nil), kid("old")))
	require.NoError(t, err)
	_, err = v.Verify(t.Context(), sign(t, jwt.SigningMethodRS256, rsaKey(), claims(nil), kid("rsa")))
	require.NoError(t, err)
	_, err = v.Verify(t.Context(), sign(t, jwt.SigningMethodEdDSA, edKey(), claims(nil), kid("ed")))
	require.NoError(t, err)
	require.EqualValues(t, 1, i.fetches.Load(), "known keys cause no fetch")

	// The issuer rotates: a token signed with the new key works at once, and
	// what the old key signed no longer does.
	i.publishes(jwk("new", next.Public(), nil))
	_, err = v.Verify(t.Context(), sign(t, jwt.SigningMethodES256, next, claims(nil), kid("new")))
	require.NoError(t, err)
	_, err = v.Verify(t.Context(), sign(t, jwt.SigningMethodES256, old, claims(nil), kid("old")))
	require.EqualError(t, err, `token is not valid: the issuer publishes no key "old" for ES256`)

	// The name of a known key does not make a stranger's signature good.
	_, err = v.Verify(t.Context(), sign(t, jwt.SigningMethodES256, old, claims(nil), kid("new")))
	require.EqualError(t, err, "token is not valid: its signature does not match")
}

func TestKeySetCooldown(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.publishes(jwk("k", ecKey().Public(), nil))
	v, fetched := run(t, auth.Options{JWKSURL: i.URL, JWKSCooldown: time.Hour})
	require.NoError(t, <-fetched)

	for _, id := range []string{"a", "b", "c"} {
		_, err := v.Verify(t.Context(), sign(t, jwt.SigningMethodES256, ecKey(), claims(nil), kid(id)))
		require.ErrorIs(t, err, auth.ErrUnavailable)
	}
	// Nor does anything but an unknown key cause a fetch.
	for _, token := range []string{
		sign(t, jwt.SigningMethodHS256, secret, claims(nil), kid("d")),
		sign(t, jwt.SigningMethodRS256, rsaKey(), claims(nil), kid("k")),
		sign(t, jwt.SigningMethodES256, newEC(), claims(nil), nil),
	} {
		_, err := v.Verify(t.Context(), token)
		require.ErrorIs(t, err, auth.ErrInvalid)
	}
	require.EqualValues(t, 1, i.fetches.Load())
}

// Tokens that come before the first fetch has ended wait for it.
func TestKeySetManyAtOnce(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.publishes(jwk("k", ecKey().Public(), nil))
	v, _ := run(t, auth.Options{JWKSURL: i.URL})
	token := sign(t, jwt.SigningMethodES256, ecKey(), claims(nil), kid("k"))
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			_, err := v.Verify(t.Context(), token)
			require.NoError(t, err)
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, i.fetches.Load())
}

func TestKeySetOutOfReach(t *testing.T) {
	t.Parallel()
	known := sign(t, jwt.SigningMethodES256, ecKey(), claims(nil), kid("k"))
	other := sign(t, jwt.SigningMethodES256, ecKey(), claims(nil), kid("other"))
	for name, answer := range map[string]http.HandlerFunc{
		"error":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"not JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"no set":   func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") },
		"too long": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat(" ", 1<<20+1)) },
		"too many keys": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"keys":[`+strings.Repeat("{},", 64)+`{}]}`)
		},
		"hangs up": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"keys":[]}`)
		},
		"sent to plain http": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://id.example/keys", http.StatusFound)
		},
		"sent in circles": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			i.answers(answer)
			v, fetched := run(t, auth.Options{JWKSURL: i.URL, JWKSCooldown: time.Nanosecond})
			require.Error(t, <-fetched)
			_, err := v.Verify(t.Context(), known)
			require.ErrorIs(t, err, auth.ErrUnavailable)

			// It recovers, and then keeps what it has while the issuer is away.
			i.publishes(jwk("k", ecKey().Public(), nil))
			_, err = v.Verify(t.Context(), known)
			require.NoError(t, err)
			i.answers(answer)
			_, err = v.Verify(t.Context(), other)
			require.EqualError(t, err, "token cannot be verified now: the issuer's keys are out of reach")
			_, err = v.Verify(t.Context(), known)
			require.NoError(t, err)
		})
	}

	t.Run("nobody fetches", func(t *testing.T) {
		t.Parallel()
		v := newVerifier(t, auth.Options{JWKSURL: "https://127.0.0.1:1/keys"})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := v.Verify(ctx, known)
		require.ErrorIs(t, err, auth.ErrUnavailable)
		synctest.Test(t, func(t *testing.T) {
			v := newVerifier(t, auth.Options{JWKSURL: "https://127.0.0.1:1/keys"})
			start := time.Now()
			_, err := v.Verify(t.Context(), known)
			require.ErrorIs(t, err, auth.ErrUnavailable)
			require.Equal(t, 5*time.Second, time.Since(start))
		})
	})
}

// Of a published set only keys that verify signatures are used, and only for
// the algorithms they are meant for.
func TestKeySetChoosesKeys(t *testing.T) {
	t.Parallel()
	ec, r := ecKey(), rsaKey()
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	shared := map[string]any{"kty": "oct", "kid": "k", "alg": "HS256", "k": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}
	const unknown = `the issuer publishes no key "k" for `
	for name, c := range map[string]struct {
		keys    []map[string]any
		allowed []string
		method  jwt.SigningMethod
		key     any
		header  map[string]any
		reason  string
	}{
		"a key for signatures":       {[]map[string]any{jwk("k", ec.Public(), map[string]any{"use": "sig", "alg": "ES256", "key_ops": []string{"verify"}})}, nil, jwt.SigningMethodES256, ec, kid("k"), ""},
		"a key for encryption":       {[]map[string]any{jwk("k", ec.Public(), map[string]any{"use": "enc"})}, nil, jwt.SigningMethodES256, ec, kid("k"), unknown + "ES256"},
		"a key for other operations": {[]map[string]any{jwk("k", ec.Public(), map[string]any{"key_ops": []string{"deriveKey"}})}, nil, jwt.SigningMethodES256, ec, kid("k"), unknown + "ES256"},
		"alg of another type":        {[]map[string]any{jwk("k", ec.Public(), map[string]any{"alg": "HS256"})}, nil, jwt.SigningMethodES256, ec, kid("k"), unknown + "ES256"},
		"alg names a stronger hash":  {[]map[string]any{jwk("k", r.Public(), map[string]any{"alg": "RS512"})}, nil, jwt.SigningMethodRS512, r, kid("k"), ""},
		"and no other":               {[]map[string]any{jwk("k", r.Public(), map[string]any{"alg": "RS512"})}, nil, jwt.SigningMethodRS256, r, kid("k"), `its key "k" does not verify RS256`},
		"not in the allow-list":      {[]map[string]any{jwk("k", r.Public(), nil)}, []string{"ES256"}, jwt.SigningMethodRS256, r, kid("k"), "it is signed with RS256, accepted are [ES256]"},
		"P-384":                      {[]map[string]any{jwk("k", p384.Public(), nil)}, nil, jwt.SigningMethodES384, p384, kid("k"), ""},
		"a small RSA key":            {[]map[string]any{jwk("k", small.Public(), nil)}, nil, jwt.SigningMethodRS256, small, kid("k"), unknown + "RS256"},
		"a shared secret":            {[]map[string]any{shared}, nil, jwt.SigningMethodHS256, secret, kid("k"), `no key verifies HS256 with key name "k"`},
		"a broken key beside a good": {[]map[string]any{{"kty": "EC"}, {"kty": "?"}, jwk("k", ec.Public(), nil)}, nil, jwt.SigningMethodES256, ec, kid("k"), ""},
		"certificates elsewhere":     {[]map[string]any{jwk("k", ec.Public(), map[string]any{"x5u": "https://127.0.0.1:1/", "x5c": []string{"AAAA"}})}, nil, jwt.SigningMethodES256, ec, kid("k"), ""},
		"one key, not named":         {[]map[string]any{jwk("k", ec.Public(), nil), jwk("r", r.Public(), nil)}, nil, jwt.SigningMethodES256, ec, nil, ""},
		"one key without a name":     {[]map[string]any{jwk("", ec.Public(), nil)}, nil, jwt.SigningMethodES256, ec, kid("k"), ""},
		"several keys, not named":    {[]map[string]any{jwk("k", ec.Public(), nil), jwk("k2", newEC().Public(), nil)}, nil, jwt.SigningMethodES256, ec, nil, "it must name its key (kid): the issuer publishes several for ES256"},
		"two keys of one name":       {[]map[string]any{jwk("k", newEC().Public(), nil), jwk("k", ec.Public(), nil)}, nil, jwt.SigningMethodES256, ec, kid("k"), ""},
		"no keys":                    {[]map[string]any{}, nil, jwt.SigningMethodES256, ec, kid("k"), unknown + "ES256"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			i.publishes(c.keys...)
			v, fetched := run(t, auth.Options{JWKSURL: i.URL, JWKSCooldown: time.Nanosecond, Algorithms: c.allowed})
			require.NoError(t, <-fetched)
			_, err := v.Verify(t.Context(), sign(t, c.method, c.key, claims(nil), c.header))
			if c.reason == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, "token is not valid: "+c.reason)
		})
	}
}

// A key set and keys of one's own verify side by side.
func TestKeySetBesideOthers(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.publishes(jwk("k", ecKey().Public(), nil))
	v, _ := run(t, auth.Options{JWKSURL: i.URL, Secret: secret, PublicKeys: []auth.PublicKey{{PEM: publicPEM(rsaKey()), ID: "mine"}}})
	for _, token := range []string{
		sign(t, jwt.SigningMethodHS256, secret, claims(nil), nil),
		sign(t, jwt.SigningMethodRS256, rsaKey(), claims(nil), kid("mine")),
		sign(t, jwt.SigningMethodES256, ecKey(), claims(nil), kid("k")),
	} {
		_, err := v.Verify(t.Context(), token)
		require.NoError(t, err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The set is fetched again at each interval, and after a failure sooner: after
// a second at first, a minute at most, and a second again after a success.
func TestKeySetSchedule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var reachable bool
		var at []time.Time
		reach := func(can bool) {
			mu.Lock()
			defer mu.Unlock()
			reachable = can
		}
		client := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, time.Now())
			if !reachable {
				return nil, io.ErrUnexpectedEOF
			}
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(keySet()))}, nil
		})}
		v := newVerifier(t, auth.Options{JWKSURL: "https://id.example", HTTPClient: client})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = v.Run(ctx) }()
		gaps := func(d time.Duration) (gaps []time.Duration) {
			time.Sleep(d)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			for i := 1; i < len(at); i++ {
				gaps = append(gaps, at[i].Sub(at[i-1]))
			}
			at = at[len(at)-1:]
			return gaps
		}

		failing := gaps(20 * time.Minute)
		require.Less(t, failing[0], 2*time.Second)
		require.Greater(t, len(failing), 20)
		for _, g := range failing {
			require.Less(t, g, 61*time.Second)
			require.GreaterOrEqual(t, g, 500*time.Millisecond)
		}
		reach(true)
		gaps(2 * time.Minute)
		require.Equal(t, []time.Duration{15 * time.Minute, 15 * time.Minute}, gaps(30*time.Minute))
		reach(false)
		require.Less(t, gaps(16 * time.Minute)[1], 2*time.Second)
		cancel()
		synctest.Wait()
	})
}
