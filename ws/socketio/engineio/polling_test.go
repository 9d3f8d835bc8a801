package engineio

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPollingEcho(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	for _, payload := range []string{"4hello", "4a\x1e4b\x1e4c", "4hello\x1ebAQIDBA==", "4", "4ключ 🔑", "b"} {
		query, _ := r.polling(t)
		status, body, _ := r.do(t, "POST", query, payload)
		require.Equal(t, 200, status)
		require.Equal(t, "ok", body)
		_, body, _ = r.do(t, "GET", query, "")
		require.Equal(t, payload, body)
	}
}

func TestPollingMalformed(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{MaxPayload: 100})
	for _, c := range []struct {
		name, body string
		status     int
		headers    []string
	}{
		{"no packet", "abc", 400, nil},
		{"nothing", "", 400, nil},
		{"empty packet", "4a\x1e", 400, nil},
		{"ping", "2", 400, nil},
		{"upgrade", "5", 400, nil},
		{"open", "0", 400, nil},
		{"no base64", "b!", 400, nil},
		{"not UTF-8", "4\xff", 400, nil},
		{"too large", "4" + strings.Repeat("a", 100), 413, nil},
		{"bytes", "4a", 400, []string{"Content-Type", "application/octet-stream"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			query, p := r.polling(t)
			status, _, _ := r.do(t, "POST", query, c.body, c.headers...)
			require.Equal(t, c.status, status)
			require.Equal(t, ParseError, p.reason(t))
			status, _, _ = r.do(t, "GET", query, "")
			require.Equal(t, 400, status, "the socket is gone")
		})
	}
}

// hang sends a request that waits and returns what it gets.
func (r *rig) hang(t *testing.T, p *peer, query string) <-chan string {
	t.Helper()
	got := make(chan string, 1)
	go func() {
		_, body, _ := r.do(t, "GET", query, "")
		got <- body
	}()
	require.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.poll != nil
	}, patient, time.Millisecond)
	return got
}

func TestPollTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	query, p := r.polling(t)
	first := r.hang(t, p, query)
	status, _, _ := r.do(t, "GET", query, "")
	require.Equal(t, 400, status)
	require.Equal(t, "1", <-first)
	require.Equal(t, ParseError, p.reason(t))
	status, _, _ = r.do(t, "GET", query, "")
	require.Equal(t, 400, status)
}

func TestPostTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	query, p := r.polling(t)
	body, first := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"?"+query, body)
	require.NoError(t, err)
	done := make(chan int, 1)
	go func() {
		res, err := r.http.Do(req)
		if err != nil {
			done <- 0
			return
		}
		_ = res.Body.Close()
		done <- res.StatusCode
	}()
	_, err = first.Write([]byte("4a"))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.posting
	}, patient, time.Millisecond)
	status, _, _ := r.do(t, "POST", query, "4b")
	require.Equal(t, 400, status)
	require.Equal(t, ParseError, p.reason(t))
	require.NoError(t, first.Close())
	<-done
}

func TestPollAborted(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	query, p := r.polling(t)
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"?"+query, nil)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		res, err := r.http.Do(req)
		if err == nil {
			_ = res.Body.Close()
		}
		done <- err
	}()
	require.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.poll != nil
	}, patient, time.Millisecond)
	cancel()
	require.Error(t, <-done)
	require.Equal(t, TransportError, p.reason(t))
}

// TestPollAgain holds that a request which a browser sends again by itself,
// because the connection broke, gets the answer that was lost.
func TestPollAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	query, p := r.polling(t)
	u, err := url.Parse(r.url)
	require.NoError(t, err)
	broken, err := net.Dial("tcp", u.Host)
	require.NoError(t, err)
	_, err = fmt.Fprintf(broken, "GET %s?%s&t=a HTTP/1.1\r\nHost: %s\r\n\r\n", u.Path, query, u.Host)
	require.NoError(t, err)
	require.True(t, p.Send(TextMessage([]byte("one")), TextMessage([]byte("two"))))
	require.NoError(t, p.Flush(t.Context()), "it was answered")
	require.NoError(t, broken.Close())

	_, body, _ := r.do(t, "GET", query+"&t=a", "")
	require.Equal(t, "4one\x1e4two", body)
	require.NoError(t, p.Flush(t.Context()), "what is repeated does not count twice")
	got := r.hang(t, p, query+"&t=b")
	p.Send(TextMessage([]byte("three")))
	require.Equal(t, "4three", <-got)

	// The same tag on the same connection is another request: the client got
	// the answer. So is one without a tag.
	for _, tag := range []string{"&t=b", "", "", "&t=", "&t=", "&t=" + strings.Repeat("x", 100), "&t=" + strings.Repeat("x", 100)} {
		got = r.hang(t, p, query+tag)
		p.Send(TextMessage([]byte("news")))
		require.Equal(t, "4news", <-got, tag)
		r.http.CloseIdleConnections() // from now on on others
	}
}

// TestPollingLeave holds that a client which says goodbye gets an answer to its
// waiting request, in either order of arrival.
func TestPollingLeave(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	for _, pollFirst := range []bool{true, false} {
		query, p := r.polling(t)
		var poll <-chan string
		if pollFirst {
			poll = r.hang(t, p, query)
		}
		status, body, _ := r.do(t, "POST", query, "1\x1e4late")
		require.Equal(t, 200, status)
		require.Equal(t, "ok", body)
		if pollFirst {
			require.Equal(t, "6", <-poll)
		} else {
			_, body, _ = r.do(t, "GET", query, "")
			require.Equal(t, "6", body)
		}
		require.Equal(t, TransportClose, p.reason(t))
		status, _, _ = r.do(t, "GET", query, "")
		require.Equal(t, 400, status)
	}
}

func TestPollingClosed(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	query, p := r.polling(t)
	require.True(t, p.Send(TextMessage([]byte("last"))))
	p.Close()
	require.False(t, p.Send(TextMessage([]byte("too late"))))
	require.Equal(t, ForcedClose, p.reason(t))
	_, body, _ := r.do(t, "GET", query, "")
	require.Equal(t, "4last\x1e1", body)

	// A client that never fetches its last packets is forgotten.
	brief := newRig(t, Options{CloseTimeout: 20 * time.Millisecond})
	_, p = brief.polling(t)
	p.Close()
	require.Eventually(t, func() bool { return brief.Len() == 0 }, patient, time.Millisecond)
}
