package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// The bounds of a key set and of fetching it.
const (
	maxSetBytes  = 1 << 20
	maxSetKeys   = 64
	fetchTimeout = 10 * time.Second
	maxRedirects = 3
	// findTimeout is how long one token may wait for a fetch.
	findTimeout = 5 * time.Second
	minBackoff  = time.Second
	maxBackoff  = time.Minute
)

// keySet is the issuer's published keys as last fetched.
type keySet struct {
	url      string
	client   *http.Client
	refresh  time.Duration
	cooldown time.Duration
	allowed  []string
	logger   *slog.Logger
	trace    *Trace

	// wanted asks run for a fetch before the next one is due.
	wanted chan struct{}

	mu      sync.Mutex
	keys    []key
	started time.Time     // when the last fetch began; zero before the first
	busy    bool          // a fetch is under way
	err     error         // why the last fetch failed
	fetched chan struct{} // closed, and replaced, at the end of each fetch
}

func newKeySet(o Options) (*keySet, error) {
	u, err := url.Parse(o.JWKSURL)
	if err != nil {
		return nil, fmt.Errorf("read JWKS URL: %w", err)
	}
	if err := checkURL(u); err != nil {
		return nil, fmt.Errorf("read JWKS URL %q: %w", u.Redacted(), err)
	}
	client := &http.Client{Transport: &http.Transport{
		Proxy:             http.ProxyFromEnvironment,
		DisableKeepAlives: true, // a fetch every few minutes keeps nothing open
	}}
	if o.HTTPClient != nil {
		c := *o.HTTPClient
		client = &c
	}
	client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return errors.New("too many redirects")
		}
		return checkURL(r.URL)
	}
	return &keySet{
		url:      o.JWKSURL,
		client:   client,
		refresh:  o.JWKSRefresh,
		cooldown: o.JWKSCooldown,
		allowed:  o.Algorithms,
		logger:   o.Logger.With("url", u.Redacted()),
		trace:    o.Trace,
		wanted:   make(chan struct{}, 1),
		fetched:  make(chan struct{}),
	}, nil
}

// checkURL refuses what anybody on the way could answer.
func checkURL(u *url.URL) error {
	switch {
	case u.Hostname() == "":
		return errors.New("it names no host")
	case u.Scheme == "https":
		return nil
	case u.Scheme != "http":
		return fmt.Errorf("its scheme is %q: use https", u.Scheme)
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() == "localhost" || ip.IsLoopback() {
		return nil
	}
	return errors.New("plain http is accepted on a loopback address only: use https")
}

// run fetches at once, then at each refresh and whenever a key is wanted.
func (s *keySet) run(ctx context.Context) {
	failures := 0
	for {
		failed := s.fetch(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := s.refresh
		if failed {
			wait = backoff(failures)
			failures++
		} else {
			failures = 0
		}
		if !s.sleep(ctx, wait) {
			return
		}
	}
}

// sleep waits until it is time to fetch again; it is false when ctx ended.
func (s *keySet) sleep(ctx context.Context, wait time.Duration) bool {
	due := time.NewTimer(wait)
	defer due.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-due.C:
			return true
		case <-s.wanted:
			// It may have been asked for just as another one began.
			s.mu.Lock()
			cool := time.Since(s.started) >= s.cooldown
			s.mu.Unlock()
			if cool {
				return true
			}
		}
	}
}

// backoff is how long to wait after a number of failures: doubling, with full
// jitter above half of minBackoff.
func backoff(failures int) time.Duration {
	ceiling := min(minBackoff<<min(failures, 10), maxBackoff)
	return minBackoff/2 + rand.N(ceiling)
}

// fetch gets the set once and publishes what came of it. It reports failure.
func (s *keySet) fetch(ctx context.Context) (failed bool) {
	start := time.Now()
	s.mu.Lock()
	select {
	case <-s.wanted: // this fetch is the wanted one
	default:
	}
	s.started, s.busy = start, true
	s.mu.Unlock()

	keys, err := s.get(ctx)

	s.mu.Lock()
	before := s.err
	s.err, s.busy = err, false
	if err == nil {
		s.keys = keys
	}
	usable := len(s.keys)
	close(s.fetched)
	s.fetched = make(chan struct{})
	s.mu.Unlock()

	if ctx.Err() != nil {
		return err != nil
	}
	s.trace.jwksFetched(usable, time.Since(start), err)
	switch {
	case err != nil && before == nil:
		s.logger.WarnContext(ctx, "the key set cannot be fetched; keys known already stay good", "error", err, "keys", usable)
	case err == nil && before != nil:
		s.logger.InfoContext(ctx, "the key set can be fetched again", "keys", usable)
	}
	if err == nil && usable == 0 {
		s.logger.WarnContext(ctx, "the key set holds no key that can be used")
	}
	return err != nil
}

// get downloads and decodes the set.
func (s *keySet) get(ctx context.Context) ([]key, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, fmt.Errorf("fetch key set: %w", err)
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := s.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("fetch key set: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch key set: the answer is %d, not 200", response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxSetBytes+1))
	if err != nil {
		return nil, fmt.Errorf("fetch key set: %w", err)
	}
	if len(body) > maxSetBytes {
		return nil, fmt.Errorf("fetch key set: it is longer than %d bytes", maxSetBytes)
	}
	return decodeSet(body, s.allowed, func(index int, err error) {
		s.logger.DebugContext(ctx, "a key of the set is not used", "index", index, "reason", err)
	})
}

// find is the keys that may verify a token signed with algorithm by the key
// called id, which may be empty. If there is none, it asks for a fetch and
// waits for it. It never returns none without an error.
func (s *keySet) find(ctx context.Context, algorithm, id string) ([]key, error) {
	s.mu.Lock()
	keys, started, busy, lastErr, fetched := s.keys, s.started, s.busy, s.err, s.fetched
	s.mu.Unlock()

	if chosen, err := choose(keys, algorithm, id); len(chosen) > 0 || err != nil {
		return chosen, err
	}
	if !busy && !started.IsZero() && time.Since(started) < s.cooldown {
		if lastErr != nil {
			return nil, unavailable("the issuer's keys are out of reach")
		}
		// A key this fresh is unlikely but possible, so this is not final.
		return nil, unavailable("its key %.64q is unknown, and the issuer's keys were fetched a moment ago", id)
	}
	if !busy {
		select {
		case s.wanted <- struct{}{}:
		default:
		}
	}
	timeout := time.NewTimer(findTimeout)
	defer timeout.Stop()
	select {
	case <-fetched:
	case <-timeout.C:
		return nil, unavailable("the issuer's keys take too long to come")
	case <-ctx.Done():
		return nil, unavailable("there was no time to wait for the issuer's keys")
	}

	s.mu.Lock()
	keys, lastErr = s.keys, s.err
	s.mu.Unlock()
	chosen, err := choose(keys, algorithm, id)
	switch {
	case len(chosen) > 0 || err != nil:
		return chosen, err
	case lastErr != nil:
		return nil, unavailable("the issuer's keys are out of reach")
	}
	return nil, invalid("the issuer publishes no key %.64q for %s", id, algorithm)
}

// choose picks from published keys. None and no error means that the key may
// only not have been fetched yet.
func choose(keys []key, algorithm, id string) ([]key, error) {
	var named, open []key
	known := false
	for _, k := range keys {
		match := id != "" && k.id == id
		known = known || match
		switch {
		case !k.verifies(algorithm):
		case match:
			named = append(named, k)
		case id == "" || k.id == "":
			open = append(open, k)
		}
	}
	switch {
	case len(named) > 0:
		return named, nil
	case known:
		return nil, invalid("its key %.64q does not verify %s", id, algorithm)
	case len(open) > 1:
		return nil, invalid("it must name its key (kid): the issuer publishes several for %s", algorithm)
	}
	return open, nil
}
