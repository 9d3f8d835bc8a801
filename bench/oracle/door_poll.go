package oracle

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// followPolls asks again and again, until something fails.
func (c *client) followPolls(ctx context.Context, n *node) error {
	visitor := c.visitor()
	defer visitor.CloseIdleConnections()
	c.note("polls %s with cursor %q", n.name, c.place())
	c.counters.connections.Add(1)
	c.connected.Store(time.Now().UnixNano())
	for {
		if err := c.pollOnce(ctx, visitor); err != nil {
			c.note("ends with cursor %s: %v", c.place(), err)
			return err
		}
	}
}

func (c *client) pollOnce(ctx context.Context, visitor *http.Client) error {
	token, _, err := c.token()
	if err != nil {
		return err
	}
	had := c.place()
	limit := choose(c.r, 5, 50, 1000)
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if c.door == LongPoll {
		query.Set("wait", choose(c.r, "100ms", "2", "10s"))
	}
	header := http.Header{}
	conditional := had != "" && c.r.IntN(2) == 0
	if conditional {
		header.Set("If-None-Match", `"`+had+`"`)
	}
	response, err := c.ask(ctx, visitor, token, had, query, header)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotModified && conditional {
		c.silence(ctx)
		return nil
	}
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var answer struct {
		Events []json.RawMessage `json:"events"`
		Cursor string            `json:"cursor"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil || answer.Cursor == "" || answer.Events == nil {
		return &breach{fmt.Sprintf("%s received no answer with events and a cursor: %s", c.name, raw)}
	}
	if len(answer.Events) > limit {
		return &breach{fmt.Sprintf("%s received %d events, and asked for %d", c.name, len(answer.Events), limit)}
	}
	if had == "" && len(answer.Events) > 0 {
		return &breach{fmt.Sprintf("%s received events without having had a cursor: %s", c.name, raw)}
	}
	for _, e := range answer.Events {
		if err := c.take(ctx, e, had); err != nil {
			return err
		}
	}
	c.mu.Lock()
	news := !c.live || len(answer.Events) > 0 // an empty answer is silence
	c.live = true
	c.move(answer.Cursor)
	if news {
		c.signal()
	}
	c.mu.Unlock()
	if len(answer.Events) < limit {
		c.silence(ctx)
	}
	return nil
}

// silence is how long a client waits that has to ask again.
func (c *client) silence(ctx context.Context) {
	if c.door != Poll {
		return
	}
	pause := time.NewTimer(time.Duration(1+c.r.IntN(100)) * time.Millisecond)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
	}
}
