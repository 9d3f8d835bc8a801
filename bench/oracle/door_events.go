package oracle

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// followEvents is one stream of server-sent events.
func (c *client) followEvents(ctx context.Context, n *node, token string) error {
	visitor := c.visitor()
	defer visitor.CloseIdleConnections()
	had := c.place()
	response, err := c.ask(ctx, visitor, token, had, url.Values{}, http.Header{"Accept": {"text/event-stream"}})
	if err != nil {
		return err
	}
	defer response.Body.Close()
	c.note("streams from %s with cursor %q", n.name, had)
	c.counters.connections.Add(1)
	c.connected.Store(time.Now().UnixNano())
	lines := bufio.NewReader(response.Body)
	var event, id, data string
	for {
		line, err := lines.ReadString('\n')
		if err != nil { // a message that was cut short is none
			c.counters.closed(0)
			c.note("cut with cursor %s: %v", c.place(), err)
			return err
		}
		line = strings.TrimSuffix(line, "\n")
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "" && event == "close":
			c.ended(data)
			return nil
		case line == "" && event != "":
			if err := c.take(ctx, envelopeOf(event, data, id), had); err != nil {
				return err
			}
			event, id, data = "", "", ""
		case name == "event":
			event = value
		case name == "id":
			id = value
		case name == "data":
			data = value
		case line == "" || strings.HasPrefix(line, ":") || name == "retry":
		default:
			return &breach{fmt.Sprintf("%s received a line that is none of server-sent events: %q", c.name, line)}
		}
	}
}

// envelopeOf is what a WebSocket would have brought.
func envelopeOf(event, data, id string) []byte {
	text := fmt.Sprintf(`{"event":%q,"data":%s`, event, data)
	if id != "" {
		text += fmt.Sprintf(`,"cursor":%q`, id)
	}
	return []byte(text + "}")
}

// ended notes a close.
func (c *client) ended(data string) {
	var told struct {
		Code int `json:"code"`
	}
	if json.Unmarshal([]byte(data), &told) == nil {
		c.counters.closed(told.Code)
	}
	c.note("closed with cursor %s: %s", c.place(), data)
}
