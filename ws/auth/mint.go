package auth

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Claims is what a minted token says.
type Claims struct {
	// Subject is the user id. It is required.
	Subject string
	// Roles and Rooms are what the token grants. Default: nothing.
	Roles, Rooms []string
	// RoleClaim is where the roles go; a path makes nested objects.
	// Default: roles.
	RoleClaim string
	// Issuer and Audience are iss and aud. Default: left out.
	Issuer, Audience string
	// TTL is how long the token lives. Default: one hour.
	TTL time.Duration
	// IssuedAt is when the token's life begins. Default: now.
	IssuedAt time.Time
	// TokenID is jti. Default: random.
	TokenID string
}

// Mint signs an HS256 token. It is for development and tests: in production
// whoever knows the users signs their tokens.
func Mint(secret []byte, c Claims) (string, error) {
	if _, err := algorithmsOf(secret); err != nil {
		return "", err
	}
	if c.Subject == "" {
		return "", errors.New("a token needs a subject")
	}
	if c.TTL < 0 {
		return "", fmt.Errorf("a token cannot live for %s", c.TTL)
	}
	if c.TTL == 0 {
		c.TTL = time.Hour
	}
	if c.IssuedAt.IsZero() {
		c.IssuedAt = time.Now()
	}
	if c.TokenID == "" {
		c.TokenID = rand.Text()
	}
	if c.RoleClaim == "" {
		c.RoleClaim = "roles"
	}
	claims := jwt.MapClaims{
		"sub": c.Subject,
		"jti": c.TokenID,
		"iat": c.IssuedAt.Unix(),
		"exp": c.IssuedAt.Add(c.TTL).Unix(),
	}
	if c.Issuer != "" {
		claims["iss"] = c.Issuer
	}
	if c.Audience != "" {
		claims["aud"] = c.Audience
	}
	if len(c.Rooms) > 0 {
		claims["rooms"] = c.Rooms
	}
	if len(c.Roles) > 0 {
		put(claims, c.RoleClaim, c.Roles)
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return token, nil
}

// put stores a value where lookup finds it.
func put(claims map[string]any, path string, value any) {
	name, rest, nested := strings.Cut(path, ".")
	if !nested {
		claims[path] = value
		return
	}
	inner := map[string]any{}
	put(inner, rest, value)
	claims[name] = inner
}
