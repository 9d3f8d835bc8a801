package auth_test

import (
	"encoding/base64"
	"errors"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pgbell/pgbell/ws/auth"
)

// FuzzVerify throws any text at a verifier that knows every kind of key.
// Nobody without a key gets an identity, and every error is one of ours.
func FuzzVerify(f *testing.F) {
	v, err := auth.New(auth.Options{Secret: secret, Clock: clock, PublicKeys: []auth.PublicKey{
		{PEM: publicPEM(rsaKey())}, {PEM: publicPEM(ecKey())}, {PEM: publicPEM(edKey())},
	}})
	if err != nil {
		f.Fatal(err)
	}
	stranger := []byte("another secret, of sufficient length")
	for _, seed := range []string{
		must(jwt.NewWithClaims(jwt.SigningMethodHS256, claims(nil)).SignedString(stranger)),
		must(jwt.NewWithClaims(jwt.SigningMethodNone, claims(nil)).SignedString(jwt.UnsafeAllowNoneSignatureType)),
		must(jwt.NewWithClaims(jwt.SigningMethodES256, claims(nil)).SignedString(newEC())),
		"", "..", "e30.e30.", "eyJhbGciOiJIUzI1NiJ9.bnVsbA.AA",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		who, err := v.Verify(t.Context(), token)
		if err == nil {
			t.Fatalf("%q was accepted as %+v", token, who)
		}
		if !errors.Is(err, auth.ErrInvalid) && !errors.Is(err, auth.ErrExpired) {
			t.Fatalf("%q: %v", token, err)
		}
	})
}

// FuzzClaims signs any payload with the right secret: what an issuer may say.
// Whatever is accepted is within bounds.
func FuzzClaims(f *testing.F) {
	v, err := auth.New(auth.Options{Secret: secret, Clock: clock, RoleClaim: "a.b.c"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"sub":"u1","exp":1767326645}`))
	f.Add([]byte(`{"sub":7,"exp":1767326645.5,"a":{"b.c":["x","y"]},"rooms":"r","jti":"j"}`))
	f.Add([]byte(`{"sub":"u1","exp":1e400,"nbf":-1e400,"iat":null,"a.b":{"c":{}}}`))
	f.Add([]byte(`[]`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload)
		signature := must(jwt.SigningMethodHS256.Sign(signed, secret))
		who, err := v.Verify(t.Context(), signed+"."+base64.RawURLEncoding.EncodeToString(signature))
		if err != nil {
			if !errors.Is(err, auth.ErrInvalid) && !errors.Is(err, auth.ErrExpired) {
				t.Fatalf("%q: %v", payload, err)
			}
			return
		}
		if who.UserID == "" || len(who.UserID) > 256 || len(who.Roles) > 32 || len(who.Rooms) > 64 || len(who.TokenID) > 256 {
			t.Fatalf("%q: out of bounds: %+v", payload, who)
		}
		if !who.ExpiresAt.After(now.Add(-31e9)) {
			t.Fatalf("%q: accepted after its end: %+v", payload, who)
		}
	})
}
