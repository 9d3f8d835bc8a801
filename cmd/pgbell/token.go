package main

import (
	"fmt"
	"time"

	"github.com/pgbell/pgbell/cmd/pgbell/config"
	"github.com/pgbell/pgbell/ws/auth"
)

type tokenCommand struct {
	Sub  string        `required:"" placeholder:"USER" help:"User id, the token's subject."`
	Role []string      `placeholder:"ROLE" help:"Role, such as ADMIN; may be repeated."`
	TTL  time.Duration `default:"1h" help:"How long the token is good."`
}

// Run prints the token alone, so that it can stand in $(…).
func (c *tokenCommand) Run(a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	if c.TTL <= 0 {
		return usagef("--ttl is %s, which is no time at all", c.TTL)
	}
	secret, err := tokenSecret(cfg.Settings.JWT)
	if err != nil {
		return err
	}
	if len(secret) == 0 {
		return usagef("there is no secret to sign with: set PGBELL_JWT_SECRET to the one that the server has")
	}
	token, err := mint(secret, cfg.Settings.JWT, c.Sub, c.Role, c.TTL)
	if err != nil {
		return asUsage(fmt.Errorf("sign a token: %w", err))
	}
	_, err = fmt.Fprintln(a.stdout, token)
	return err
}

// mint signs a token that a server with these settings accepts.
func mint(secret []byte, s config.JWT, user string, roles []string, ttl time.Duration) (string, error) {
	return auth.Mint(secret, auth.Claims{
		Subject:   user,
		Roles:     roles,
		RoleClaim: s.RoleClaim,
		Issuer:    s.Issuer,
		Audience:  s.Audience,
		TTL:       ttl,
	})
}
