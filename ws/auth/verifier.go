package auth

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// MaxTokenBytes is the longest token that is looked at.
const MaxTokenBytes = 8 << 10

// Verifier verifies tokens. Its methods may be called from any goroutine.
type Verifier struct {
	options Options
	keys    []key
	remote  *keySet // nil without a JWKS URL
	parser  *jwt.Parser
	rules   *jwt.Validator
}

// New makes a [Verifier]. It does no I/O. Its errors say what is wrong with
// the options, in words for whoever wrote the configuration.
func New(options Options) (*Verifier, error) {
	o, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	v := &Verifier{options: o}
	if v.keys, err = configuredKeys(o); err != nil {
		return nil, err
	}
	if o.JWKSURL != "" {
		if v.remote, err = newKeySet(o); err != nil {
			return nil, err
		}
	}
	// Algorithms are checked where keys are chosen, and claims after the
	// signature, so that each refusal can say why.
	v.parser = jwt.NewParser(jwt.WithJSONNumber(), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
	rules := []jwt.ParserOption{
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(o.Leeway), jwt.WithTimeFunc(o.Clock),
	}
	if o.Issuer != "" {
		rules = append(rules, jwt.WithIssuer(o.Issuer))
	}
	if o.Audience != "" {
		rules = append(rules, jwt.WithAudience(o.Audience))
	}
	v.rules = jwt.NewValidator(rules...)
	return v, nil
}

// Run keeps the key set of [Options.JWKSURL] fresh until ctx ends, then
// returns nil. Failures are retried for ever, after one second at first and
// one minute at most. Without a JWKS URL it only waits for ctx.
func (v *Verifier) Run(ctx context.Context) error {
	if v.remote == nil {
		<-ctx.Done()
		return nil
	}
	v.remote.run(ctx)
	return nil
}

// Verify returns who the bearer of token is. It blocks only while the key set
// is being fetched for it, and for at most 5 seconds. Each error wraps
// [ErrExpired], [ErrInvalid] or [ErrUnavailable] and is safe to show.
func (v *Verifier) Verify(ctx context.Context, token string) (Identity, error) {
	if token == "" {
		return Identity{}, invalid("there is none")
	}
	if len(token) > MaxTokenBytes {
		return Identity{}, invalid("it is longer than %d bytes", MaxTokenBytes)
	}
	// The decoder of base64 skips line breaks; a token has none.
	if strings.ContainsAny(token, "\r\n") {
		return Identity{}, invalid("it is not a well-formed JWT")
	}
	claims := jwt.MapClaims{}
	parsed, err := v.parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		return v.keysFor(ctx, t)
	})
	if err != nil {
		return Identity{}, explainParse(parsed, err)
	}
	if err := checkTimes(claims); err != nil {
		return Identity{}, err
	}
	if err := v.rules.Validate(claims); err != nil {
		return Identity{}, v.explainClaims(claims, err)
	}
	return v.identity(claims)
}

// keysFor chooses which keys may verify a token, by its header. Of the header
// only crit, alg and kid are looked at.
func (v *Verifier) keysFor(ctx context.Context, t *jwt.Token) (any, error) {
	if _, ok := t.Header["crit"]; ok {
		return nil, invalid("it needs an extension (crit) that is not supported")
	}
	algorithm := t.Method.Alg()
	if len(v.options.Algorithms) > 0 && !slices.Contains(v.options.Algorithms, algorithm) {
		return nil, invalid("it is signed with %s, accepted are %v", algorithm, v.options.Algorithms)
	}
	id, ok := t.Header["kid"].(string)
	if _, present := t.Header["kid"]; present && !ok {
		return nil, invalid("the name of its key (kid) is not text")
	}

	var set jwt.VerificationKeySet
	for _, k := range v.keys {
		if k.verifies(algorithm) && (k.id == "" || k.id == id) {
			set.Keys = append(set.Keys, k.value)
		}
	}
	if len(set.Keys) == 0 && v.remote != nil && !symmetric(algorithm) {
		published, err := v.remote.find(ctx, algorithm, id)
		if err != nil {
			return nil, err
		}
		for _, k := range published {
			set.Keys = append(set.Keys, k.value)
		}
	}
	if len(set.Keys) == 0 {
		return nil, invalid("no key verifies %s with key name %.64q", algorithm, id)
	}
	return set, nil
}

// symmetric reports whether an algorithm verifies with a shared secret, which
// no published key set may hold.
func symmetric(algorithm string) bool {
	return algorithm == "none" || strings.HasPrefix(algorithm, "HS")
}

// explainParse turns an error of the parser into one of ours.
func explainParse(t *jwt.Token, err error) error {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r
	}
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed):
		return invalid("it is not a well-formed JWT")
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return invalid("its signature does not match")
	case t != nil && t.Method == nil:
		return invalid("it names no signature algorithm that is known")
	}
	return invalid("it cannot be verified")
}

// explainClaims turns an error of the claims' validator into one of ours. A
// token is expired only if nothing else is wrong with it: otherwise a new one
// would be no better.
func (v *Verifier) explainClaims(claims jwt.MapClaims, err error) error {
	switch {
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return invalid("claim %q is missing", v.missing(claims))
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return invalid("it is from another issuer")
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return invalid("it is for another audience")
	case errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return invalid("it was issued in the future (iat)")
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return invalid("it is not valid yet (nbf)")
	case errors.Is(err, jwt.ErrInvalidType):
		return invalid("one of exp, nbf, iat, iss and aud is of the wrong type")
	case errors.Is(err, jwt.ErrTokenExpired):
		return &refusal{kind: ErrExpired, reason: "get a new one"}
	}
	return invalid("its claims cannot be accepted")
}

// missing is the first claim that the options need and the token lacks.
func (v *Verifier) missing(claims jwt.MapClaims) string {
	if iss, _ := claims.GetIssuer(); iss == "" && v.options.Issuer != "" {
		return "iss"
	}
	if aud, _ := claims.GetAudience(); len(aud) == 0 && v.options.Audience != "" {
		return "aud"
	}
	return "exp"
}

// identity reads what the claims say, within bounds.
func (v *Verifier) identity(claims jwt.MapClaims) (Identity, error) {
	var who Identity
	var err error
	if who.UserID, err = subject(claims, v.options.SubjectClaim); err != nil {
		return Identity{}, err
	}
	roleClaims := []string{"role", "roles"}
	if v.options.RoleClaim != "" {
		roleClaims = []string{v.options.RoleClaim}
	}
	for _, path := range roleClaims {
		if who.Roles, err = names(who.Roles, claims, path, maxRoles); err != nil {
			return Identity{}, err
		}
	}
	if who.Rooms, err = names(nil, claims, v.options.RoomsClaim, maxRooms); err != nil {
		return Identity{}, err
	}
	if who.TokenID, err = tokenID(claims); err != nil {
		return Identity{}, err
	}
	// The rules have accepted both: exp is there, and either is a time.
	if exp, err := claims.GetExpirationTime(); err == nil && exp != nil {
		who.ExpiresAt = exp.Time
	}
	if iat, err := claims.GetIssuedAt(); err == nil && iat != nil {
		who.IssuedAt = iat.Time
	}
	return who, nil
}
