package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5"

	"github.com/pgbell/pgbell/bench/rig"
)

// guest is a well-behaved client with the writer of the rows that it owns.
type guest struct {
	socket *websocket.Conn
	writer *pgx.Conn
	url    string // of the database
}

// lost is how long an event may take before the benchmark gives up.
const lost = 20 * time.Second

func newGuest(ctx context.Context, r *rig.Rig, d *rig.Database, s *rig.Server) (*guest, error) {
	g := &guest{url: d.URL}
	token, err := r.Token("c1")
	if err != nil {
		return nil, err
	}
	if g.writer, err = pgx.Connect(ctx, d.URL); err != nil {
		return nil, err
	}
	var response *http.Response
	g.socket, response, err = websocket.DefaultDialer.DialContext(ctx, "ws://"+s.Address+"/ws", http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		return nil, errors.Join(err, g.writer.Close(ctx))
	}
	return g, response.Body.Close()
}

func (g *guest) close(ctx context.Context) {
	g.socket.Close()
	g.writer.Close(ctx)
}

// measure makes events one after the other and returns how long each took from
// the trigger to the client.
func (g *guest) measure(ctx context.Context, events int, pause time.Duration) ([]time.Duration, error) {
	taken := make([]time.Duration, 0, events)
	for range events {
		// A pause of varying length meets every phase of whatever has a period.
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause/2 + rand.N(pause)):
		}
		if _, err := g.writer.Exec(ctx, "UPDATE bookings SET price = price + 1 WHERE id = 1"); err != nil {
			return nil, err
		}
		at, err := g.next()
		if err != nil {
			return nil, err
		}
		taken = append(taken, time.Since(at))
	}
	return taken, nil
}

// next waits for the next event and returns when the trigger ran.
func (g *guest) next() (time.Time, error) {
	if err := g.socket.SetReadDeadline(time.Now().Add(lost)); err != nil {
		return time.Time{}, err
	}
	for {
		_, message, err := g.socket.ReadMessage()
		if err != nil {
			return time.Time{}, err
		}
		var m struct {
			Event string
			Data  struct{ At time.Time }
		}
		if err := json.Unmarshal(message, &m); err != nil {
			return time.Time{}, err
		}
		if m.Event == "booking_update" {
			return m.Data.At, nil
		}
	}
}

// feed changes a row of the user c2 a hundred times a second, 4 KB each time,
// until it is stopped.
func (g *guest) feed(ctx context.Context) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		conn, err := pgx.Connect(ctx, g.url)
		if err != nil {
			done <- err
			return
		}
		defer conn.Close(context.WithoutCancel(ctx))
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			if _, err := conn.Exec(ctx, "UPDATE bookings SET price = price + 1, status = repeat('x', 4000) WHERE id = 2"); err != nil {
				done <- err
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				done <- nil
				return
			}
		}
	}()
	return func() error {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("feed: %w", err)
		}
		return nil
	}
}
