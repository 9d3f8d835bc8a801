package auth_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/ws/auth"
)

func many(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("n%d", i)
	}
	return names
}

func TestVerifyClaims(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options auth.Options
		changes jwt.MapClaims
		user    string // default u1
		roles   []string
		rooms   []string
		reason  string
	}{
		"number as subject":    {changes: jwt.MapClaims{"sub": 9007199254740993}, user: "9007199254740993"},
		"negative number":      {changes: jwt.MapClaims{"sub": -7}, user: "-7"},
		"fraction as subject":  {changes: jwt.MapClaims{"sub": 1.5}, reason: `claim "sub", the user id, is neither text nor an integer`},
		"no subject":           {changes: jwt.MapClaims{"sub": nil}, reason: `claim "sub", the user id, is missing`},
		"empty subject":        {changes: jwt.MapClaims{"sub": ""}, reason: `claim "sub", the user id, is empty`},
		"list as subject":      {changes: jwt.MapClaims{"sub": []string{"u1"}}, reason: `claim "sub", the user id, is neither text nor an integer`},
		"subject of 256 bytes": {changes: jwt.MapClaims{"sub": strings.Repeat("u", 256)}, user: strings.Repeat("u", 256)},
		"subject of 257 bytes": {changes: jwt.MapClaims{"sub": strings.Repeat("u", 257)}, reason: `claim "sub" is longer than 256 bytes`},
		"line feed in subject": {changes: jwt.MapClaims{"sub": "u1\nu2"}, reason: `claim "sub" holds control characters or broken text`},
		"NUL in subject":       {changes: jwt.MapClaims{"sub": "u1\x00"}, reason: `claim "sub" holds control characters or broken text`},
		"broken UTF-8":         {changes: jwt.MapClaims{"sub": "u\xff"}, reason: `claim "sub" holds control characters or broken text`},
		"other alphabets":      {changes: jwt.MapClaims{"sub": "Zoë 雪"}, user: "Zoë 雪"},
		"other subject claim":  {options: auth.Options{SubjectClaim: "user.id"}, changes: jwt.MapClaims{"user": map[string]any{"id": 7}}, user: "7"},
		"other one is missing": {options: auth.Options{SubjectClaim: "uid"}, reason: `claim "uid", the user id, is missing`},
		"token id a number":    {changes: jwt.MapClaims{"jti": 7}, reason: `claim "jti" is not text`},
		"one role":             {changes: jwt.MapClaims{"role": "ADMIN"}, roles: []string{"ADMIN"}},
		"a role with a space":  {changes: jwt.MapClaims{"role": "Super Admin"}, roles: []string{"Super Admin"}},
		"role and roles":       {changes: jwt.MapClaims{"role": "b", "roles": []string{"a", "b", "", "a"}}, roles: []string{"b", "a"}},
		"no role":              {changes: jwt.MapClaims{"role": ""}},
		"null roles":           {changes: jwt.MapClaims{"role": jwt.MapClaims(nil)}},
		"roles an object":      {changes: jwt.MapClaims{"role": map[string]any{"a": 1}}, reason: `claim "role" is neither text nor a list of texts`},
		"roles of numbers":     {changes: jwt.MapClaims{"roles": []any{"a", 1}}, reason: `claim "roles" holds something other than texts`},
		"roles true":           {changes: jwt.MapClaims{"roles": true}, reason: `claim "roles" is neither text nor a list of texts`},
		"32 roles":             {changes: jwt.MapClaims{"roles": many(32)}, roles: many(32)},
		"33 roles":             {changes: jwt.MapClaims{"roles": many(33)}, reason: `claim "roles" holds more than 32 names`},
		"a role too long":      {changes: jwt.MapClaims{"role": strings.Repeat("r", 129)}, reason: `claim "role" is longer than 128 bytes`},
		"escape in a role":     {changes: jwt.MapClaims{"role": "\x1b[2J"}, reason: `claim "role" holds control characters or broken text`},
		"path":                 {options: auth.Options{RoleClaim: "realm_access.roles"}, changes: jwt.MapClaims{"role": "x", "realm_access": map[string]any{"roles": []string{"a"}}}, roles: []string{"a"}},
		"path to nothing":      {options: auth.Options{RoleClaim: "app_metadata.role"}, changes: jwt.MapClaims{"app_metadata": "x"}},
		"name with dots":       {options: auth.Options{RoleClaim: "https://example.com/roles"}, changes: jwt.MapClaims{"https://example.com/roles": []string{"a"}}, roles: []string{"a"}},
		"path under such a name": {
			options: auth.Options{RoleClaim: "https://example.com/claims.roles"},
			changes: jwt.MapClaims{"https://example.com/claims": map[string]any{"roles": "a"}}, roles: []string{"a"},
		},
		"64 rooms":         {changes: jwt.MapClaims{"rooms": many(64)}, rooms: many(64)},
		"65 rooms":         {changes: jwt.MapClaims{"rooms": many(65)}, reason: `claim "rooms" holds more than 64 names`},
		"other room claim": {options: auth.Options{RoomsClaim: "chat.rooms"}, changes: jwt.MapClaims{"rooms": "x", "chat": map[string]any{"rooms": []string{"a"}}}, rooms: []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.options.Secret = secret
			v := newVerifier(t, c.options)
			who, err := v.Verify(t.Context(), sign(t, jwt.SigningMethodHS256, secret, claims(c.changes), nil))
			if c.reason != "" {
				require.EqualError(t, err, "token is not valid: "+c.reason)
				require.Equal(t, auth.Identity{}, who)
				return
			}
			require.NoError(t, err)
			if c.user == "" {
				c.user = "u1"
			}
			require.Equal(t, c.user, who.UserID)
			require.Equal(t, c.roles, who.Roles)
			require.Equal(t, c.rooms, who.Rooms)
		})
	}
}

func TestMint(t *testing.T) {
	t.Parallel()
	v := newVerifier(t, auth.Options{Secret: secret, Issuer: "me", Audience: "you", RoleClaim: "realm_access.roles"})
	token, err := auth.Mint(secret, auth.Claims{
		Subject: "u1", Roles: []string{"ADMIN", "PROVIDER"}, Rooms: []string{"lobby"},
		RoleClaim: "realm_access.roles", Issuer: "me", Audience: "you", IssuedAt: now,
	})
	require.NoError(t, err)
	who, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	require.NotEmpty(t, who.TokenID)
	who.TokenID = ""
	require.Equal(t, auth.Identity{
		UserID: "u1", Roles: []string{"ADMIN", "PROVIDER"}, Rooms: []string{"lobby"},
		IssuedAt: now, ExpiresAt: now.Add(3600e9),
	}, inUTC(who))

	_, err = auth.Mint(secret[:31], auth.Claims{Subject: "u1"})
	require.EqualError(t, err, "the secret is too short: 31 bytes, at least 32")
	_, err = auth.Mint(secret, auth.Claims{})
	require.EqualError(t, err, "a token needs a subject")
	_, err = auth.Mint(secret, auth.Claims{Subject: "u1", TTL: -1})
	require.EqualError(t, err, "a token cannot live for -1ns")
}
