package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

type healthcheckCommand struct {
	URL   string `placeholder:"URL" help:"Where the server is. Default: from the configured address."`
	Ready bool   `help:"Ask whether events flow, not only whether the process lives."`
}

// healthTimeout is how long the server may think about how it is.
const healthTimeout = 3 * time.Second

// Run is silent if all is well.
func (c *healthcheckCommand) Run(ctx context.Context, a *app) error {
	base := c.URL
	if base == "" {
		cfg, err := a.config()
		if err != nil {
			return err
		}
		if base, err = localURL(cmp.Or(cfg.Settings.Listen, serveAddress)); err != nil {
			return err
		}
	}
	path := "/healthz"
	if c.Ready {
		path = "/readyz"
	}
	target, err := url.Parse(base)
	if err != nil || target.Host == "" {
		return usagef("--url is %q, want something like http://127.0.0.1:8080", base)
	}
	target = target.JoinPath(path)

	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return usagef("--url: %v", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask the server: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return fmt.Errorf("%s answers %s: %s", target.Redacted(), response.Status, strings.TrimSpace(string(why)))
	}
	return nil
}

// localURL is how a process on this machine reaches a server that listens at
// address.
func localURL(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", usagef("the address to listen at is %q, want host:port", address)
	}
	if port == "0" {
		return "", usagef("the server chose its port itself: give --url")
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port), nil
}
