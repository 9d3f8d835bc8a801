// Package auth decides who somebody is: it verifies the JSON Web Tokens
// (RFC 7519) that clients present and turns each into an [Identity].
//
// A [Verifier] holds keys of three kinds: a shared secret, public keys given
// as PEM, and a JSON Web Key Set (RFC 7517) behind a URL. One token passes
// these gates, in this order:
//
//	size ─▶ well-formed ─▶ no crit ─▶ alg allowed ─▶ key of that alg ─▶ signature
//	     ─▶ exp, nbf, iat ─▶ iss, aud ─▶ subject, roles, rooms within bounds ─▶ Identity
//
// The algorithm is a property of the key, never of the token: each key
// verifies the algorithms of its own type and no other, so a public key cannot
// be passed off as a shared secret and "none" verifies nothing. What a token's
// header says about where to find keys (jku, x5u, jwk, x5c) is ignored.
//
// # Key sets
//
// Keys behind a URL are fetched by [Verifier.Run], which the caller starts and
// stops; nothing else starts a goroutine. They are fetched at start, then at
// each refresh interval, and at once when a token names a key that is not
// there, which is what a rotation looks like. That happens at most once in a
// cool-down, so tokens with invented key names cannot hammer the issuer.
// While the issuer cannot be reached, the keys fetched last stay good; a token
// that needs another one gets [ErrUnavailable] and may be tried again. Tokens
// that do not name their key (kid) are accepted while the issuer publishes one
// key for their algorithm; they see a rotation at the next refresh only.
//
// # Errors
//
// Each error wraps [ErrExpired], [ErrInvalid] or [ErrUnavailable] and adds a
// reason that is safe to show to whoever sent the token. No error holds any
// part of the token but the name of its key or algorithm, shortened and quoted.
package auth
