package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/listener"
	"github.com/pgbell/pgbell/web"
)

// serveAddress is where serve listens unless told otherwise.
const serveAddress = ":8080"

type serveCommand struct {
	Listen           string `placeholder:"ADDR" help:"Address ($$PGBELL_LISTEN); port 0 picks a free one. Default: :8080."`
	JWTPublicKeyFile string `name:"jwt-public-key-file" placeholder:"FILE" help:"Public keys that tokens are checked with ($$PGBELL_JWT_PUBLIC_KEY_FILE)."`
	JWTJWKSURL       string `name:"jwt-jwks-url" placeholder:"URL" help:"Where such keys are published ($$PGBELL_JWT_JWKS_URL)."`
}

// Run serves until it is told to stop.
func (c *serveCommand) Run(ctx context.Context, a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	s := &cfg.Settings
	for _, flag := range []struct{ name, key, value string }{
		{"--listen", "listen", c.Listen},
		{"--jwt-public-key-file", "jwt.public_key_file", c.JWTPublicKeyFile},
		{"--jwt-jwks-url", "jwt.jwks_url", c.JWTJWKSURL},
	} {
		if flag.value == "" {
			continue
		}
		if err := s.Set(flag.key, flag.value); err != nil {
			return usagef("%s: %v", flag.name, err)
		}
	}
	if _, err := databaseURL(*s); err != nil {
		return err
	}
	address, err := checkAddress(cmp.Or(s.Listen, serveAddress))
	if err != nil {
		return err
	}
	logger := a.logger(s.Log)
	verifier, err := newVerifier(s.JWT, logger)
	if err != nil {
		return err
	}
	srv := &server{
		settings: *s,
		tables:   cfg,
		verifier: verifier,
		logger:   logger,
		address:  address,
		pages:    func(mux *http.ServeMux) { web.Handle(mux, web.Options{}) },
		ready: func(url string) {
			fmt.Fprintf(a.stdout, "pgbell serves %s, for clients at %s/ws\n", url, strings.Replace(url, "http", "ws", 1))
		},
	}
	return srv.run(ctx)
}

// checkAddress refuses what is no address before anything is opened.
func checkAddress(address string) (string, error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return "", usagef("the address to listen at is %q, want host:port, such as 127.0.0.1:8080", address)
	}
	return address, nil
}

// sinks hands the stream to each in turn.
type sinks []listener.Sink

func (all sinks) Deliver(events []pgbell.Event) {
	for _, s := range all {
		s.Deliver(events)
	}
}

func (all sinks) Advance(at pgbell.Cursor) {
	for _, s := range all {
		s.Advance(at)
	}
}

func (all sinks) Gap(gap pgbell.Gap) {
	for _, s := range all {
		s.Gap(gap)
	}
}

func (all sinks) Down(err error) {
	for _, s := range all {
		s.Down(err)
	}
}
