package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/ws/auth"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

// now is what the clock of most tests says.
var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func clock() time.Time { return now }

// The keys are made once: an RSA key takes long.
var (
	rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKey  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	edKey  = sync.OnceValue(func() ed25519.PrivateKey { _, k, err := ed25519.GenerateKey(rand.Reader); return must(k, err) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func publicPEM(k crypto.Signer) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(k.Public()))})
}

// claims are good ones, with changes; a nil value takes a claim away.
func claims(changes jwt.MapClaims) jwt.MapClaims {
	c := jwt.MapClaims{"sub": "u1", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// sign makes a token; header entries are added to alg and typ.
func sign(t *testing.T, method jwt.SigningMethod, key any, c jwt.MapClaims, header map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, c)
	maps.Copy(token.Header, header)
	signed, err := token.SignedString(key)
	require.NoError(t, err)
	return signed
}

func newVerifier(t *testing.T, o auth.Options) *auth.Verifier {
	t.Helper()
	if o.Clock == nil {
		o.Clock = clock
	}
	v, err := auth.New(o)
	require.NoError(t, err)
	return v
}

func TestVerifyEveryKindOfKey(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method  jwt.SigningMethod
		key     any
		options auth.Options
	}{
		"HS256": {jwt.SigningMethodHS256, secret, auth.Options{Secret: secret}},
		"RS256": {jwt.SigningMethodRS256, rsaKey(), auth.Options{PublicKeys: []auth.PublicKey{{PEM: publicPEM(rsaKey())}}}},
		"ES256": {jwt.SigningMethodES256, ecKey(), auth.Options{PublicKeys: []auth.PublicKey{{PEM: publicPEM(ecKey())}}}},
		"EdDSA": {jwt.SigningMethodEdDSA, edKey(), auth.Options{PublicKeys: []auth.PublicKey{{PEM: publicPEM(edKey())}}}},
		"PS512 by the allow-list": {jwt.SigningMethodPS512, rsaKey(), auth.Options{
			PublicKeys: []auth.PublicKey{{PEM: publicPEM(rsaKey())}}, Algorithms: []string{"PS512"},
		}},
		"one of several": {jwt.SigningMethodEdDSA, edKey(), auth.Options{
			Secret:     secret,
			PublicKeys: []auth.PublicKey{{PEM: append(publicPEM(rsaKey()), publicPEM(ecKey())...)}, {PEM: publicPEM(edKey())}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVerifier(t, c.options)
			token := sign(t, c.method, c.key, claims(jwt.MapClaims{"jti": "t1", "roles": []string{"ADMIN"}, "rooms": "lobby"}), nil)
			who, err := v.Verify(t.Context(), token)
			require.NoError(t, err)
			require.Equal(t, auth.Identity{
				UserID: "u1", Roles: []string{"ADMIN"}, Rooms: []string{"lobby"}, TokenID: "t1",
				IssuedAt: now, ExpiresAt: now.Add(time.Hour),
			}, inUTC(who))

			// One changed bit of the signature, or of what is signed, refuses it.
			i := strings.LastIndexByte(token, '.')
			forged := sign(t, jwt.SigningMethodHS256, secret, claims(jwt.MapClaims{"sub": "u2"}), nil)
			_, err = v.Verify(t.Context(), token[:i]+".AAAA"+token[i+5:])
			require.ErrorIs(t, err, auth.ErrInvalid)
			_, err = v.Verify(t.Context(), token[:strings.IndexByte(token, '.')]+forged[strings.IndexByte(forged, '.'):strings.LastIndexByte(forged, '.')]+token[i:])
			require.EqualError(t, err, "token is not valid: its signature does not match")
		})
	}
}

func inUTC(who auth.Identity) auth.Identity {
	who.IssuedAt, who.ExpiresAt = who.IssuedAt.UTC(), who.ExpiresAt.UTC()
	return who
}

// The attacks that JWT libraries are known for. Each token is one that a
// careless verifier accepts.
func TestVerifyAlgorithmConfusion(t *testing.T) {
	t.Parallel()
	public := publicPEM(rsaKey())
	der := must(x509.MarshalPKIXPublicKey(rsaKey().Public()))
	rsaOnly := newVerifier(t, auth.Options{PublicKeys: []auth.PublicKey{{PEM: public}}})
	everything := newVerifier(t, auth.Options{
		Secret: secret, PublicKeys: []auth.PublicKey{{PEM: public, ID: "r"}, {PEM: publicPEM(ecKey()), ID: "e"}, {PEM: publicPEM(edKey()), ID: "d"}},
	})
	none := func(name string) string {
		token := sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims(nil), nil)
		_, rest, _ := strings.Cut(token, ".")
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"`+name+`"}`)) + "." + rest
	}
	for name, c := range map[string]struct {
		verifier *auth.Verifier
		token    string
		reason   string
	}{
		"public key as secret, PEM": {rsaOnly, sign(t, jwt.SigningMethodHS256, public, claims(nil), nil), `no key verifies HS256 with key name ""`},
		"public key as secret, DER": {rsaOnly, sign(t, jwt.SigningMethodHS256, der, claims(nil), nil), `no key verifies HS256 with key name ""`},
		"public key as secret, beside one": {
			everything, sign(t, jwt.SigningMethodHS256, public, claims(nil), map[string]any{"kid": "r"}),
			"its signature does not match",
		},
		"none":                      {everything, none("none"), `no key verifies none with key name ""`},
		"None":                      {everything, none("None"), "it names no signature algorithm that is known"},
		"NONE":                      {everything, none("NONE"), "it names no signature algorithm that is known"},
		"empty":                     {everything, none(""), "it names no signature algorithm that is known"},
		"hs256 in small letters":    {everything, none("hs256"), "it names no signature algorithm that is known"},
		"none with a signature":     {everything, none("none") + "AAAA", `no key verifies none with key name ""`},
		"stronger than configured":  {everything, sign(t, jwt.SigningMethodHS512, secret, claims(nil), nil), `no key verifies HS512 with key name ""`},
		"key named, other type":     {everything, sign(t, jwt.SigningMethodES256, ecKey(), claims(nil), map[string]any{"kid": "r"}), `no key verifies ES256 with key name "r"`},
		"key named, other key":      {everything, sign(t, jwt.SigningMethodES256, ecKey(), claims(nil), map[string]any{"kid": "d"}), `no key verifies ES256 with key name "d"`},
		"key not named":             {everything, sign(t, jwt.SigningMethodES256, ecKey(), claims(nil), nil), `no key verifies ES256 with key name ""`},
		"key named by a number":     {everything, sign(t, jwt.SigningMethodES256, ecKey(), claims(nil), map[string]any{"kid": 1}), "the name of its key (kid) is not text"},
		"key named like a path":     {everything, sign(t, jwt.SigningMethodES256, ecKey(), claims(nil), map[string]any{"kid": "../../dev/null"}), `no key verifies ES256 with key name "../../dev/null"`},
		"an extension that matters": {everything, sign(t, jwt.SigningMethodHS256, secret, claims(nil), map[string]any{"crit": []string{"b64"}, "b64": false}), "it needs an extension (crit) that is not supported"},
		"an empty list of those":    {everything, sign(t, jwt.SigningMethodHS256, secret, claims(nil), map[string]any{"crit": nil}), "it needs an extension (crit) that is not supported"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := c.verifier.Verify(t.Context(), c.token)
			require.EqualError(t, err, "token is not valid: "+c.reason)
			require.ErrorIs(t, err, auth.ErrInvalid)
		})
	}

	t.Run("keys inside the header are ignored", func(t *testing.T) {
		t.Parallel()
		stranger := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
		header := map[string]any{
			"kid": "e", "jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/cert",
			"jwk": map[string]any{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
			"x5c": []string{"AAAA"},
		}
		_, err := everything.Verify(t.Context(), sign(t, jwt.SigningMethodES256, stranger, claims(nil), header))
		require.EqualError(t, err, "token is not valid: its signature does not match")
		_, err = everything.Verify(t.Context(), sign(t, jwt.SigningMethodES256, ecKey(), claims(nil), header))
		require.NoError(t, err)
	})

	t.Run("allow-list", func(t *testing.T) {
		t.Parallel()
		v := newVerifier(t, auth.Options{PublicKeys: []auth.PublicKey{{PEM: public}}, Algorithms: []string{"RS512"}})
		_, err := v.Verify(t.Context(), sign(t, jwt.SigningMethodRS256, rsaKey(), claims(nil), nil))
		require.EqualError(t, err, "token is not valid: it is signed with RS256, accepted are [RS512]")
	})
}

func TestVerifyTime(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	for name, c := range map[string]struct {
		leeway  time.Duration
		changes jwt.MapClaims
		want    error
		reason  string
	}{
		"no exp":                          {changes: jwt.MapClaims{"exp": nil}, want: auth.ErrInvalid, reason: `claim "exp" is missing`},
		"exp of zero":                     {changes: jwt.MapClaims{"exp": 0}, want: auth.ErrExpired},
		"exp as text":                     {changes: jwt.MapClaims{"exp": "tomorrow"}, want: auth.ErrInvalid, reason: "wrong type"},
		"exp beyond calendars":            {changes: jwt.MapClaims{"exp": 1e18}, want: auth.ErrInvalid, reason: "out of range"},
		"exp beyond numbers":              {changes: jwt.MapClaims{"exp": json.RawMessage("1e400")}, want: auth.ErrInvalid, reason: "out of range"},
		"exp null":                        {changes: jwt.MapClaims{"exp": json.RawMessage("null")}, want: auth.ErrInvalid, reason: "wrong type"},
		"negative exp":                    {changes: jwt.MapClaims{"exp": -1}, want: auth.ErrInvalid, reason: "out of range"},
		"exp within the leeway":           {changes: jwt.MapClaims{"exp": at(-29 * time.Second)}},
		"exp at the leeway":               {changes: jwt.MapClaims{"exp": at(-30 * time.Second)}, want: auth.ErrExpired},
		"exp now, without leeway":         {leeway: -1, changes: jwt.MapClaims{"exp": at(0)}, want: auth.ErrExpired},
		"exp in a second, without leeway": {leeway: -1, changes: jwt.MapClaims{"exp": at(time.Second)}},
		"exp within the longest leeway":   {leeway: 5 * time.Minute, changes: jwt.MapClaims{"exp": at(-299 * time.Second)}},
		"nbf at the leeway":               {changes: jwt.MapClaims{"nbf": at(30 * time.Second)}},
		"nbf beyond the leeway":           {changes: jwt.MapClaims{"nbf": at(31 * time.Second)}, want: auth.ErrInvalid, reason: "not valid yet"},
		"nbf now, without leeway":         {leeway: -1, changes: jwt.MapClaims{"nbf": at(0)}},
		"iat at the leeway":               {changes: jwt.MapClaims{"iat": at(30 * time.Second)}},
		"iat beyond the leeway":           {changes: jwt.MapClaims{"iat": at(31 * time.Second)}, want: auth.ErrInvalid, reason: "issued in the future"},
		"no iat":                          {changes: jwt.MapClaims{"iat": nil}},
		"expired and not valid yet":       {changes: jwt.MapClaims{"exp": at(-time.Hour), "nbf": at(time.Hour)}, want: auth.ErrInvalid, reason: "not valid yet"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVerifier(t, auth.Options{Secret: secret, Leeway: c.leeway})
			_, err := v.Verify(t.Context(), sign(t, jwt.SigningMethodHS256, secret, claims(c.changes), nil))
			if c.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, c.want)
			require.ErrorContains(t, err, c.reason)
		})
	}
}

func TestVerifyIssuerAndAudience(t *testing.T) {
	t.Parallel()
	v := newVerifier(t, auth.Options{Secret: secret, Issuer: "https://id.example", Audience: "dashboard"})
	for name, c := range map[string]struct {
		changes jwt.MapClaims
		reason  string
	}{
		"right":            {jwt.MapClaims{"iss": "https://id.example", "aud": "dashboard"}, ""},
		"one of several":   {jwt.MapClaims{"iss": "https://id.example", "aud": []string{"other", "dashboard"}}, ""},
		"no issuer":        {jwt.MapClaims{"aud": "dashboard"}, `claim "iss" is missing`},
		"other issuer":     {jwt.MapClaims{"iss": "https://id.example/", "aud": "dashboard"}, "it is from another issuer"},
		"issuer a number":  {jwt.MapClaims{"iss": 7, "aud": "dashboard"}, "one of exp, nbf, iat, iss and aud is of the wrong type"},
		"no audience":      {jwt.MapClaims{"iss": "https://id.example"}, `claim "aud" is missing`},
		"other audience":   {jwt.MapClaims{"iss": "https://id.example", "aud": []string{"dash", "board"}}, "it is for another audience"},
		"expired and both": {jwt.MapClaims{"iss": "x", "aud": "dashboard", "exp": 1}, "it is from another issuer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := v.Verify(t.Context(), sign(t, jwt.SigningMethodHS256, secret, claims(c.changes), nil))
			if c.reason == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, "token is not valid: "+c.reason)
		})
	}
}

func TestVerifyMalformed(t *testing.T) {
	t.Parallel()
	v := newVerifier(t, auth.Options{Secret: secret})
	good := sign(t, jwt.SigningMethodHS256, secret, claims(nil), nil)
	large := sign(t, jwt.SigningMethodHS256, secret, claims(jwt.MapClaims{"x": strings.Repeat("x", auth.MaxTokenBytes)}), nil)
	for token, reason := range map[string]string{
		"":                                      "there is none",
		"x":                                     "it is not a well-formed JWT",
		"a.b":                                   "it is not a well-formed JWT",
		"a.b.c.d":                               "it is not a well-formed JWT",
		"..":                                    "it is not a well-formed JWT",
		good + ".":                              "it is not a well-formed JWT",
		good + "=":                              "it is not a well-formed JWT",
		" " + good:                              "it is not a well-formed JWT",
		good + "\n":                             "it is not a well-formed JWT",
		"e30" + good[strings.Index(good, "."):]: "it names no signature algorithm that is known",
		large:                                   "it is longer than 8192 bytes",
	} {
		_, err := v.Verify(t.Context(), token)
		require.EqualError(t, err, "token is not valid: "+reason, "%.80q", token)
	}
}
