package auth

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// Options say which tokens a [Verifier] accepts. At least one of Secret,
// PublicKeys and JWKSURL is needed; several may be given together.
type Options struct {
	// Secret verifies HS256. It is used as it stands, without decoding, and
	// must be at least 32 bytes long (RFC 7518, section 3.2). Default: none.
	Secret []byte

	// PublicKeys verify RS256 (RSA, 2048 to 8192 bits), ES256 (EC P-256) or
	// EdDSA (Ed25519), by their type. At most 16 keys. Default: none.
	PublicKeys []PublicKey

	// JWKSURL is where the issuer publishes its key set. It must be https,
	// except on a loopback address. [Verifier.Run] must run for it.
	// Default: none.
	JWKSURL string

	// Algorithms is the allow-list, of HS256, HS384, HS512, RS256, RS384,
	// RS512, PS256, PS384, PS512, ES256, ES384, ES512 and EdDSA. A key still
	// verifies only those of its type. Default: for each key the one its type
	// implies, or, in a key set, the one its alg names.
	Algorithms []string

	// Issuer is what iss must be. Default: anything.
	Issuer string

	// Audience is what aud must be or contain. Default: anything.
	Audience string

	// Leeway is how far the issuer's clock may be off, at most 5 minutes; a
	// negative value means not at all. Default: 30 s.
	Leeway time.Duration

	// SubjectClaim is the claim that holds the user id: a string, or an
	// integer, which becomes its decimal text. Default: sub.
	SubjectClaim string

	// RoleClaim is the claim that holds the roles: a string, which is one role
	// however many spaces it holds, or an array of strings. A path descends
	// into objects, as realm_access.roles does; a claim whose name itself
	// contains dots, as https://example.com/roles, is found too.
	// Default: role and roles, both.
	RoleClaim string

	// RoomsClaim is the claim that holds the rooms, in the same forms.
	// Default: rooms.
	RoomsClaim string

	// JWKSRefresh is the interval at which the key set is fetched again, at
	// least one minute. A key that the issuer withdraws is trusted for this
	// long at most, while the issuer can be reached. Default: 15 minutes.
	JWKSRefresh time.Duration

	// JWKSCooldown is the least time from one fetch to the next that an
	// unknown key causes. Default: 10 s.
	JWKSCooldown time.Duration

	// HTTPClient fetches the key set; its redirects obey the same rule as
	// JWKSURL. Default: a client of its own that keeps no connection.
	HTTPClient *http.Client

	// Logger hears of key sets that cannot be fetched. Default: none.
	Logger *slog.Logger

	// Trace observes. Default: nothing.
	Trace *Trace

	// Clock is what exp, nbf and iat are compared with. Default: time.Now.
	Clock func() time.Time
}

// Trace is told what a [Verifier] does. A nil Trace and nil fields are fine.
// The functions are called from the goroutine of [Verifier.Run] and must not
// block.
type Trace struct {
	// JWKSFetched is called after each attempt to fetch the key set: how many
	// keys can be used now, how long it took, and what went wrong if it did.
	JWKSFetched func(keys int, took time.Duration, err error)
}

func (t *Trace) jwksFetched(keys int, took time.Duration, err error) {
	if t != nil && t.JWKSFetched != nil {
		t.JWKSFetched(keys, took, err)
	}
}

const (
	defaultLeeway       = 30 * time.Second
	maxLeeway           = 5 * time.Minute
	defaultJWKSRefresh  = 15 * time.Minute
	minJWKSRefresh      = time.Minute
	defaultJWKSCooldown = 10 * time.Second
)

// withDefaults fills in what is not set and refuses what cannot be.
func (o Options) withDefaults() (Options, error) {
	if len(o.Secret) == 0 && len(o.PublicKeys) == 0 && o.JWKSURL == "" {
		return o, errors.New("no key to verify tokens with: give a secret, a public key or a JWKS URL")
	}
	if o.Leeway > maxLeeway {
		return o, fmt.Errorf("leeway of %s is too long: at most %s", o.Leeway, maxLeeway)
	}
	switch {
	case o.Leeway == 0:
		o.Leeway = defaultLeeway
	case o.Leeway < 0:
		o.Leeway = 0
	}
	if o.JWKSRefresh == 0 {
		o.JWKSRefresh = defaultJWKSRefresh
	}
	if o.JWKSRefresh < minJWKSRefresh {
		return o, fmt.Errorf("key set refresh of %s is too short: at least %s", o.JWKSRefresh, minJWKSRefresh)
	}
	if o.JWKSCooldown <= 0 {
		o.JWKSCooldown = defaultJWKSCooldown
	}
	if o.SubjectClaim == "" {
		o.SubjectClaim = "sub"
	}
	if o.RoomsClaim == "" {
		o.RoomsClaim = "rooms"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return o, nil
}
