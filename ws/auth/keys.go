package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
)

// PublicKey is one PEM text: PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE blocks.
// Of a certificate only the key counts, not its dates or who signed it.
type PublicKey struct {
	PEM []byte
	// ID is the kid of tokens signed with this key; then the PEM must hold
	// one key only. It is required beside a JWKS URL.
	// Default: the key verifies tokens with any kid or none.
	ID string
}

const (
	minSecret     = 32
	minRSABits    = 2048
	maxRSABits    = 8192
	maxPublicKeys = 16
)

// key verifies the signatures of some algorithms, all of its own type.
type key struct {
	id         string
	algorithms []string
	value      any // []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

func (k key) verifies(algorithm string) bool { return slices.Contains(k.algorithms, algorithm) }

// algorithmsOf is which algorithms a key could verify by its type, the one
// that the type implies first. Here an algorithm is bound to a type of key.
func algorithmsOf(value any) ([]string, error) {
	switch k := value.(type) {
	case []byte:
		// RFC 7518, section 3.2: a key at least as long as the hash.
		switch {
		case len(k) >= 64:
			return []string{"HS256", "HS384", "HS512"}, nil
		case len(k) >= 48:
			return []string{"HS256", "HS384"}, nil
		case len(k) >= minSecret:
			return []string{"HS256"}, nil
		}
		return nil, fmt.Errorf("the secret is too short: %d bytes, at least %d", len(k), minSecret)
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return nil, fmt.Errorf("an RSA key of %d bits is not accepted: from %d to %d", bits, minRSABits, maxRSABits)
		}
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, nil
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return []string{"ES256"}, nil
		case elliptic.P384():
			return []string{"ES384"}, nil
		case elliptic.P521():
			return []string{"ES512"}, nil
		}
		return nil, fmt.Errorf("an EC key on curve %s is not accepted: use P-256", k.Params().Name)
	case ed25519.PublicKey:
		return []string{"EdDSA"}, nil
	}
	return nil, fmt.Errorf("a key of type %T is not accepted: use RSA, EC P-256 or Ed25519", value)
}

// knownAlgorithms is every name that [Options.Algorithms] may hold.
var knownAlgorithms = []string{
	"HS256", "HS384", "HS512",
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
	"ES256", "ES384", "ES512",
	"EdDSA",
}

// newKey binds a key to algorithms: those that its type and the allow-list
// share, or, without a list, the one that named or its type implies.
func newKey(id string, value any, allowed []string, named string) (key, error) {
	possible, err := algorithmsOf(value)
	if err != nil {
		return key{}, err
	}
	if named != "" {
		if !slices.Contains(possible, named) {
			return key{}, fmt.Errorf("a key for %.32q cannot be of its type", named)
		}
		possible = []string{named}
	}
	if len(allowed) == 0 {
		return key{id: id, algorithms: possible[:1], value: value}, nil
	}
	var both []string
	for _, a := range possible {
		if slices.Contains(allowed, a) {
			both = append(both, a)
		}
	}
	if len(both) == 0 {
		return key{}, fmt.Errorf("a key verifies %v, but only %v may be used", possible, allowed)
	}
	return key{id: id, algorithms: both, value: value}, nil
}

// configuredKeys are the keys that stand in the options themselves.
func configuredKeys(o Options) ([]key, error) {
	for _, a := range o.Algorithms {
		if !slices.Contains(knownAlgorithms, a) {
			return nil, fmt.Errorf("unknown algorithm %q: one of %v", a, knownAlgorithms)
		}
	}
	var keys []key
	if len(o.Secret) > 0 {
		if bytes.Contains(o.Secret, []byte("-----BEGIN ")) {
			return nil, errors.New("the secret is a PEM text: give it as a public key instead")
		}
		k, err := newKey("", bytes.Clone(o.Secret), o.Algorithms, "")
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	for i, p := range o.PublicKeys {
		values, err := parsePEM(p.PEM)
		if err != nil {
			return nil, fmt.Errorf("read public key %d: %w", i+1, err)
		}
		if p.ID != "" && len(values) > 1 {
			return nil, fmt.Errorf("read public key %d: %d keys share the id %q", i+1, len(values), p.ID)
		}
		if p.ID == "" && o.JWKSURL != "" {
			return nil, fmt.Errorf("read public key %d: beside a JWKS URL it needs an id", i+1)
		}
		for _, v := range values {
			k, err := newKey(p.ID, v, o.Algorithms, "")
			if err != nil {
				return nil, fmt.Errorf("read public key %d: %w", i+1, err)
			}
			keys = append(keys, k)
		}
	}
	public := len(keys)
	if len(o.Secret) > 0 {
		public--
	}
	if public > maxPublicKeys {
		return nil, fmt.Errorf("%d public keys are too many: at most %d", public, maxPublicKeys)
	}
	// With a key set, any of the list may still get its key.
	if o.JWKSURL == "" {
		for _, a := range o.Algorithms {
			if !slices.ContainsFunc(keys, func(k key) bool { return k.verifies(a) }) {
				return nil, fmt.Errorf("algorithm %s is allowed but no key verifies it", a)
			}
		}
	}
	return keys, nil
}

// parsePEM reads every public key in a PEM text.
func parsePEM(text []byte) ([]any, error) {
	var values []any
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		value, err := parseBlock(block)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	if len(values) == 0 {
		return nil, errors.New("there is no PEM block in it")
	}
	if len(bytes.TrimSpace(text)) > 0 {
		return nil, errors.New("there is something after the last PEM block")
	}
	return values, nil
}

func parseBlock(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return c.PublicKey, nil
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("it is a private key: give the public one, and keep this one secret")
	}
	return nil, fmt.Errorf("a PEM block of type %q is no public key", block.Type)
}
