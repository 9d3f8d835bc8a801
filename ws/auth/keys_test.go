package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/ws/auth"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(ecKey()))})
	small := publicPEM(must(rsa.GenerateKey(rand.Reader, 1024)))
	p224 := publicPEM(must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)))
	ec := publicPEM(ecKey())
	public := func(text []byte) auth.Options {
		return auth.Options{PublicKeys: []auth.PublicKey{{PEM: text}}}
	}
	many := auth.Options{}
	for range 17 {
		many.PublicKeys = append(many.PublicKeys, auth.PublicKey{PEM: ec})
	}
	for want, o := range map[string]auth.Options{
		"no key to verify tokens with: give a secret, a public key or a JWKS URL":                                          {},
		"the secret is too short: 31 bytes, at least 32":                                                                   {Secret: secret[:31]},
		"the secret is a PEM text: give it as a public key instead":                                                        {Secret: ec},
		"read public key 1: there is no PEM block in it":                                                                   public([]byte("x")),
		"read public key 1: there is something after the last PEM block":                                                   public(slices.Concat(ec, []byte("x"))),
		"read public key 1: it is a private key: give the public one, and keep this one secret":                            public(private),
		"read public key 1: an RSA key of 1024 bits is not accepted: from 2048 to 8192":                                    public(small),
		"read public key 1: an EC key on curve P-224 is not accepted: use P-256":                                           public(p224),
		`read public key 1: 2 keys share the id "k"`:                                                                       {PublicKeys: []auth.PublicKey{{PEM: slices.Concat(ec, ec), ID: "k"}}},
		"read public key 1: beside a JWKS URL it needs an id":                                                              {PublicKeys: []auth.PublicKey{{PEM: ec}}, JWKSURL: "https://id.example"},
		"17 public keys are too many: at most 16":                                                                          many,
		`unknown algorithm "none": one of [HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA]`: {Secret: secret, Algorithms: []string{"none"}},
		"algorithm RS256 is allowed but no key verifies it":                                                                {Secret: secret, Algorithms: []string{"HS256", "RS256"}},
		"a key verifies [HS256], but only [HS512] may be used":                                                             {Secret: secret, Algorithms: []string{"HS512"}},
		"leeway of 5m0.000000001s is too long: at most 5m0s":                                                               {Secret: secret, Leeway: 5*time.Minute + 1},
		"key set refresh of 59s is too short: at least 1m0s":                                                               {JWKSURL: "https://id.example", JWKSRefresh: 59 * time.Second},
		`read JWKS URL "http://id.example/keys": plain http is accepted on a loopback address only: use https`:             {JWKSURL: "http://id.example/keys"},
		`read JWKS URL "http://127.0.0.1.example": plain http is accepted on a loopback address only: use https`:           {JWKSURL: "http://127.0.0.1.example"},
		`read JWKS URL "file:///etc/passwd": it names no host`:                                                             {JWKSURL: "file:///etc/passwd"},
		`read JWKS URL "ftp://id.example": its scheme is "ftp": use https`:                                                 {JWKSURL: "ftp://id.example"},
	} {
		v, err := auth.New(o)
		require.EqualError(t, err, want, want)
		require.Nil(t, v)
	}
}

func TestPublicKeyForms(t *testing.T) {
	t.Parallel()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "issuer"}}
	for name, text := range map[string][]byte{
		"PUBLIC KEY":     publicPEM(rsaKey()),
		"RSA PUBLIC KEY": pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey)}),
		"CERTIFICATE": pem.EncodeToMemory(&pem.Block{
			Type: "CERTIFICATE", Bytes: must(x509.CreateCertificate(rand.Reader, template, template, rsaKey().Public(), rsaKey())),
		}),
	} {
		v := newVerifier(t, auth.Options{PublicKeys: []auth.PublicKey{{PEM: text, ID: "k1"}}})
		_, err := v.Verify(t.Context(), sign(t, jwt.SigningMethodRS256, rsaKey(), claims(nil), map[string]any{"kid": "k1"}))
		require.NoError(t, err, name)
		_, err = v.Verify(t.Context(), sign(t, jwt.SigningMethodRS256, rsaKey(), claims(nil), map[string]any{"kid": "k2"}))
		require.EqualError(t, err, `token is not valid: no key verifies RS256 with key name "k2"`, name)
	}
}
