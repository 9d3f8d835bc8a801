// Command latency measures how long a row change takes from the trigger to the
// client of an idle machine, through all of pgbell, beside the floor: a
// connection that listens and writes the payload straight to a WebSocket.
//
//	go run ./bench/latency
//
// Every event is alone on its way. Both ways are measured in turn, round by
// round, so that whatever else happens on the machine happens to both. The
// time starts when the trigger runs, so it contains the commit. That is why
// there are two tables: with a commit that waits for the disk, as usual, and
// with one that does not (synchronous_commit = off), which leaves pgbell's own
// share.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"text/tabwriter"
	"time"

	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5"

	"github.com/pgbell/pgbell/bench/rig"
)

// lost is how long an event may take before the benchmark gives up.
const lost = 10 * time.Second

// way is one way from a table to a client.
type way struct {
	name   string
	update string
	client *websocket.Conn
	// at reads when the trigger ran from a message; false if it is not an event.
	at func(message []byte) (time.Time, bool, error)
}

func main() {
	rounds := flag.Int("rounds", 20, "rounds of each way")
	events := flag.Int("events", 50, "events in a round")
	pause := flag.Duration("pause", 20*time.Millisecond, "mean pause between events")
	rig.Main(func(ctx context.Context) error {
		flag.Parse()
		return bench(ctx, *rounds, *events, *pause)
	}, nil)
}

func bench(ctx context.Context, rounds, events int, pause time.Duration) (err error) {
	r, err := rig.New(ctx, rig.Options{})
	if err != nil {
		return err
	}
	defer func() {
		if closed := r.Close(); err == nil {
			err = closed
		}
	}()
	d, err := r.Marketplace(ctx)
	if err != nil {
		return err
	}
	ways, err := connect(ctx, r, d)
	if err != nil {
		return err
	}
	defer func() {
		for _, w := range ways {
			w.client.Close()
		}
	}()
	writer, err := pgx.Connect(ctx, d.URL)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer writer.Close(ctx)

	fmt.Printf("%s; %d rounds of %d events, one every %s\n", r.Versions(), rounds, events, pause)
	for _, commit := range []string{"on", "off"} {
		if _, err := writer.Exec(ctx, "SET synchronous_commit = "+commit); err != nil {
			return err
		}
		samples := make([]rig.Rounds, len(ways))
		for round := -1; round < rounds; round++ { // the first only warms up
			for i, w := range ways {
				taken, err := w.measure(ctx, writer, events, pause)
				if err != nil {
					return fmt.Errorf("measure %s: %w", w.name, err)
				}
				if round >= 0 {
					samples[i] = append(samples[i], taken)
				}
			}
		}
		report(commit, ways, samples)
	}
	return nil
}

// connect starts both servers and one client of each.
func connect(ctx context.Context, r *rig.Rig, d *rig.Database) ([]way, error) {
	floor, err := d.Peer(ctx, rig.Floor)
	if err != nil {
		return nil, err
	}
	server, err := d.Serve(ctx)
	if err != nil {
		return nil, err
	}
	token, err := r.Token("c1")
	if err != nil {
		return nil, err
	}
	toFloor, err := dial(ctx, floor, nil)
	if err != nil {
		return nil, err
	}
	toServer, err := dial(ctx, server, http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		toFloor.Close()
		return nil, err
	}
	return []way{
		{"floor", "UPDATE floor SET price = price + 1 WHERE id = 1", toFloor, atFloor},
		{"pgbell", "UPDATE bookings SET price = price + 1 WHERE id = 1", toServer, atServer},
	}, nil
}

func dial(ctx context.Context, s *rig.Server, header http.Header) (*websocket.Conn, error) {
	c, response, err := websocket.DefaultDialer.DialContext(ctx, "ws://"+s.Address+"/ws", header)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", s.Address, err)
	}
	return c, response.Body.Close()
}

func atFloor(message []byte) (time.Time, bool, error) {
	var m struct{ At int64 }
	err := json.Unmarshal(message, &m)
	return time.UnixMicro(m.At), true, err
}

func atServer(message []byte) (time.Time, bool, error) {
	var m struct {
		Event string
		Data  struct{ At time.Time }
	}
	err := json.Unmarshal(message, &m)
	return m.Data.At, m.Event == "booking_update", err
}

// measure makes events one after the other and returns how long each took.
func (w way) measure(ctx context.Context, writer *pgx.Conn, events int, pause time.Duration) ([]time.Duration, error) {
	taken := make([]time.Duration, 0, events)
	for range events {
		// A pause of varying length meets every phase of whatever has a period.
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause/2 + rand.N(pause)):
		}
		if _, err := writer.Exec(ctx, w.update); err != nil {
			return nil, err
		}
		if err := w.client.SetReadDeadline(time.Now().Add(lost)); err != nil {
			return nil, err
		}
		for {
			_, message, err := w.client.ReadMessage()
			now := time.Now()
			if err != nil {
				return nil, err
			}
			at, event, err := w.at(message)
			if err != nil {
				return nil, err
			}
			if event {
				taken = append(taken, now.Sub(at))
				break
			}
		}
	}
	return taken, nil
}

func report(commit string, ways []way, samples []rig.Rounds) {
	fmt.Printf("\nsynchronous_commit = %s\n", commit)
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tp50\tp90\tp99\tmax\tp50 of rounds\tratio of p50, by round\t")
	for i, w := range ways {
		low, mid, high := samples[i].Medians()
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s (%s–%s)\t", w.name,
			ms(samples[i].Percentile(50)), ms(samples[i].Percentile(90)), ms(samples[i].Percentile(99)), ms(samples[i].Percentile(100)),
			ms(mid), ms(low), ms(high))
		low1, mid1, high1 := samples[i].Ratios(samples[0])
		fmt.Fprintf(t, "%.2f (%.2f–%.2f)\t\n", mid1, low1, high1)
	}
	t.Flush()
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000) }
