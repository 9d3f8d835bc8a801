package ws

import (
	"context"
	"encoding/json"
)

// Publisher writes a broadcast to the event log.
type Publisher interface {
	Publish(ctx context.Context, p Publication) (id int64, err error)
}

// Publication is a broadcast.
type Publication struct {
	Type, Action        string
	Data                json.RawMessage
	Users, Roles, Rooms []string
	IdempotencyKey      string
}

func (h *Handler) serveSocket() {}
