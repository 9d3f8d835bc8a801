package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgbell/pgbell/bench/rig"
)

// ear is the peer that hears a variant's changes and clocks them, in a process
// of its own, for the writers' keeps the machine busy.
const ear = "ear"

// The ways to hear: the first argument of the peer. The second is the address
// of pgbell.
const (
	byWebSocket = "websocket" // a client of pgbell that owns one row in a hundred
	byNotify    = "notify"    // a connection that listens; the payload is the row
	byOutbox    = "outbox"    // one that listens, and one that empties the outbox
)

func listen(ctx context.Context, g *errgroup.Group, mux *http.ServeMux, args []string) error {
	l := &listenings{came: make(chan struct{})}
	mux.HandleFunc("POST /take", rig.Answer(l.take))
	switch args[0] {
	case byWebSocket:
		return l.webSocket(ctx, g, args[1])
	case byNotify:
		return l.notify(ctx, g)
	case byOutbox:
		return l.outbox(ctx, g)
	}
	return fmt.Errorf("there is no way %q to hear", args[0])
}

// hearing is what was heard, in order.
type hearing struct {
	// Written is when each row was, in microseconds since 1970, and Delay how
	// many microseconds later it was heard.
	Written, Delay []int64
	// Disordered is how many events came after one with a higher id. Only
	// pgbell's have one.
	Disordered int
}

// between is the delays of what was written in a time.
func (h hearing) between(from, to time.Time) []time.Duration {
	var delays []time.Duration
	for i, at := range h.Written {
		if at >= from.UnixMicro() && at <= to.UnixMicro() {
			delays = append(delays, time.Duration(h.Delay[i])*time.Microsecond)
		}
	}
	return delays
}

// listenings collects what is heard until it is taken.
type listenings struct {
	mu     sync.Mutex // guards what follows
	heard  hearing
	status string        // of the row that was heard last
	last   int64         // event heard last
	came   chan struct{} // closed when a status came that is no booking's
}

// row is what is read of a changed row.
type row struct {
	Status    string    `json:"status"`
	UpdatedAt time.Time `json:"updated_at"`
}

// hear notes a change. Event is its number, 0 where it has none.
func (l *listenings) hear(event int64, text []byte) error {
	now := time.Now().UnixMicro()
	var r row
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("read a row: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	at := r.UpdatedAt.UnixMicro()
	l.heard.Written = append(l.heard.Written, at)
	l.heard.Delay = append(l.heard.Delay, now-at)
	if event < l.last {
		l.heard.Disordered++
	}
	l.last = event
	if r.Status != l.status {
		l.status = r.Status
		close(l.came)
		l.came = make(chan struct{})
	}
	return nil
}

// take waits for a row with the status mark, and takes what was heard before.
func (l *listenings) take(ctx context.Context, mark string) (hearing, error) {
	for {
		l.mu.Lock()
		if l.status == mark {
			h := l.heard
			l.heard = hearing{}
			l.mu.Unlock()
			return h, nil
		}
		came, n := l.came, len(l.heard.Written)
		l.mu.Unlock()
		select {
		case <-came:
		case <-ctx.Done():
			return hearing{}, fmt.Errorf("no row %q came, but %d others: %w", mark, n, ctx.Err())
		}
	}
}

// webSocket hears as a client of pgbell.
func (l *listenings) webSocket(ctx context.Context, g *errgroup.Group, address string) error {
	token, err := rig.PeerToken(owner)
	if err != nil {
		return err
	}
	conn, response, err := websocket.DefaultDialer.DialContext(ctx, "ws://"+address+"/ws", http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		return fmt.Errorf("connect to pgbell: %w", err)
	}
	response.Body.Close()
	g.Go(func() error {
		<-ctx.Done()
		return conn.Close()
	})
	g.Go(func() error {
		for {
			_, text, err := conn.ReadMessage()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				return fmt.Errorf("hear from pgbell: %w", err)
			}
			var m struct {
				Event string
				Data  struct {
					ID   int64
					Data json.RawMessage
				}
			}
			if err := json.Unmarshal(text, &m); err != nil {
				return err
			}
			switch m.Event {
			case "booking_update":
				if err := l.hear(m.Data.ID, m.Data.Data); err != nil {
					return err
				}
			case "reset":
				return errors.New("pgbell reset the client: events are missing")
			}
		}
	})
	return nil
}

// notify hears rows by a connection that listens.
func (l *listenings) notify(ctx context.Context, g *errgroup.Group) error {
	return changes(ctx, g, func(payload string) error { return l.hear(0, []byte(payload)) })
}

// changes calls what for every notification.
func changes(ctx context.Context, g *errgroup.Group, what func(payload string) error) error {
	conn, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "LISTEN changes"); err != nil {
		return err
	}
	g.Go(func() error {
		defer conn.Close(context.WithoutCancel(ctx))
		for {
			n, err := conn.WaitForNotification(ctx)
			if err != nil {
				return err
			}
			if err := what(n.Payload); err != nil {
				return err
			}
		}
	})
	return nil
}

// outbox is told that something was written and reads it, on another
// connection: notifications that come meanwhile count as one.
func (l *listenings) outbox(ctx context.Context, g *errgroup.Group) error {
	conn, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	written := make(chan struct{}, 1)
	err = changes(ctx, g, func(string) error {
		select {
		case written <- struct{}{}:
		default:
		}
		return nil
	})
	if err != nil {
		return err
	}
	g.Go(func() error {
		defer conn.Close(context.WithoutCancel(ctx))
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-written:
			}
			if err := l.empty(ctx, conn); err != nil {
				return err
			}
		}
	})
	return nil
}

// empty takes everything out of the outbox.
func (l *listenings) empty(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, "WITH taken AS (DELETE FROM outbox RETURNING id, body) SELECT body FROM taken ORDER BY id")
	if err != nil {
		return err
	}
	bodies, err := pgx.CollectRows(rows, pgx.RowTo[json.RawMessage])
	if err != nil {
		return fmt.Errorf("empty the outbox: %w", err)
	}
	for _, body := range bodies {
		if err := l.hear(0, body); err != nil {
			return err
		}
	}
	return nil
}
