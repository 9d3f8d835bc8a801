// Command storm measures what happens when thousands of clients come back at
// once: how long it takes until each is live and has exactly what it missed,
// and what that costs the server and the database.
//
//	go run ./bench/storm
//
// There are two cases. In the first pgbell is killed with -9 and started again,
// so that it has nothing in memory but what it reads from the log as it starts.
// In the second it runs on, and all links are cut. The clients are a process of
// their own. Each has a cursor of its own from its first connection, for events
// come while they are connected, too.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgbell/pgbell/bench/rig"
)

// options are the flags.
type options struct {
	clients, users int
	before, missed int // events
	dials          int // at once
	jitter         time.Duration
}

func main() {
	var o options
	flag.IntVar(&o.clients, "clients", 5000, "clients; each needs a file descriptor on both sides")
	flag.IntVar(&o.users, "users", 1000, "users whose clients they are")
	flag.IntVar(&o.before, "before", 2000, "events while the clients are connected first")
	flag.IntVar(&o.missed, "missed", 10_000, "events while they are away")
	flag.IntVar(&o.dials, "dials", 500, "connections that the clients open at once")
	flag.DurationVar(&o.jitter, "jitter", 0, "time over which the clients spread their return at random")
	rig.Main(func(ctx context.Context) error {
		flag.Parse()
		return bench(ctx, o, os.Stdout)
	}, map[string]rig.Peer{crowd: join})
}

// schema is one row a user. Its version counts the user's events.
const schema = `
CREATE TABLE public.bookings (
    id        bigint PRIMARY KEY,
    client_id text NOT NULL,
    status    text NOT NULL,
    price     numeric(10, 2) NOT NULL,
    version   bigint NOT NULL
);
INSERT INTO public.bookings SELECT i, 'u' || i, 'PENDING', 10, 0 FROM generate_series(1, %d) AS i;
`

const configuration = `tables:
  public.bookings:
    type: booking
    owners: {client: client_id}
    columns: [id, client_id, status, price, version]
`

// settings have Postgres log every statement, with the name of who asks.
var settings = map[string]string{
	"log_line_prefix":    "%a|",
	"log_statement":      "all",
	"synchronous_commit": "off",
	"timezone":           "UTC",
}

func bench(ctx context.Context, o options, out io.Writer) (err error) {
	if o.users > o.clients {
		return fmt.Errorf("%d users need as many clients, not %d", o.users, o.clients)
	}
	if err := raiseFiles(uint64(o.clients + spareFiles)); err != nil {
		return err
	}
	r, err := rig.New(ctx, rig.Options{Settings: settings})
	if err != nil {
		return err
	}
	defer func() {
		if closed := r.Close(); err == nil {
			err = closed
		}
	}()
	database, err := r.Database(ctx, "storm", fmt.Sprintf(schema, o.users))
	if err != nil {
		return err
	}
	if err := database.Install(ctx, configuration); err != nil {
		return err
	}
	s := &storm{options: o, rig: r, database: database}
	if s.crowd, err = database.Peer(ctx, crowd); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s. %d clients of %d users; %d events while they were away; %d dials at once, jitter %s.\n\n",
		r.Versions(), o.clients, o.users, o.missed, o.dials, o.jitter)

	if s.server, err = database.Serve(ctx); err != nil {
		return err
	}
	if err := s.gather(ctx); err != nil {
		return fmt.Errorf("first connections: %w", err)
	}
	var outcomes []outcome
	for _, c := range []struct {
		name string
		away func(context.Context) error
	}{
		{"pgbell killed and restarted", s.restart},
		{"links cut", s.cut},
	} {
		done, err := s.weather(ctx, c.away)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		done.name = c.name
		outcomes = append(outcomes, done)
	}
	report(out, outcomes)
	return nil
}

// storm is what takes part.
type storm struct {
	options
	rig      *rig.Rig
	database *rig.Database
	crowd    *rig.Server
	server   *rig.Server // pgbell
	version  int         // of every row, so how many events each client has or misses
}

// gather connects all clients for the first time.
func (s *storm) gather(ctx context.Context) error {
	var none returned
	err := s.crowd.Call(ctx, "/connect", call{Address: s.server.Address, Clients: s.clients, Users: s.users, Dials: s.dials}, &none)
	if err != nil {
		return err
	}
	if err := s.write(ctx, s.before/s.users); err != nil {
		return err
	}
	return s.crowd.Call(ctx, "/await", s.version, &none)
}

// restart kills pgbell, lets events happen, and starts it again.
func (s *storm) restart(ctx context.Context) error {
	if err := s.server.Kill(); err != nil {
		return err
	}
	if err := s.miss(ctx); err != nil {
		return err
	}
	var err error
	s.server, err = s.database.Serve(ctx)
	return err
}

// cut cuts all links and lets events happen.
func (s *storm) cut(ctx context.Context) error {
	var none struct{}
	if err := s.crowd.Call(ctx, "/cut", none, &none); err != nil {
		return err
	}
	return s.miss(ctx)
}

func (s *storm) miss(ctx context.Context) error { return s.write(ctx, s.missed/s.users) }

// write changes the row of every user times times, each change a transaction.
func (s *storm) write(ctx context.Context, times int) error {
	const writers = 4
	g, ctx := errgroup.WithContext(ctx)
	for w := range writers {
		g.Go(func() error {
			conn, err := pgx.Connect(ctx, s.database.URL)
			if err != nil {
				return err
			}
			defer conn.Close(context.WithoutCancel(ctx))
			for range times {
				for user := 1 + w; user <= s.users; user += writers {
					if _, err := conn.Exec(ctx, "UPDATE bookings SET version = version + 1, price = price + 1 WHERE id = $1", user); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	s.version += times
	return g.Wait()
}

// weather has all clients go away and come back at once.
func (s *storm) weather(ctx context.Context, away func(context.Context) error) (outcome, error) {
	if err := away(ctx); err != nil {
		return outcome{}, err
	}
	var none struct{}
	if err := s.crowd.Call(ctx, "/gone", none, &none); err != nil {
		return outcome{}, err
	}
	o := outcome{clients: s.clients, missed: s.missed / s.users}
	if err := s.server.ResetPeak(); err != nil {
		return outcome{}, err
	}
	var err error
	if o.before, err = s.server.Peak(); err != nil {
		return outcome{}, err
	}
	cpu, err := s.server.CPU()
	if err != nil {
		return outcome{}, err
	}
	asked, err := openLog(s.rig.PostgresLog())
	if err != nil {
		return outcome{}, err
	}
	began := time.Now()
	err = s.crowd.Call(ctx, "/return", call{
		Address: s.server.Address, Dials: s.dials, Jitter: s.jitter, Version: s.version,
	}, &o.returned)
	if err != nil {
		return outcome{}, err
	}
	o.lasted = time.Since(began)
	if o.queries, err = asked.count(); err != nil {
		return outcome{}, err
	}
	after, err := s.server.CPU()
	if err != nil {
		return outcome{}, err
	}
	o.cpu = after - cpu
	if o.peak, err = s.server.Peak(); err != nil {
		return outcome{}, err
	}
	// Whatever comes twice would come by now.
	return o, s.crowd.Call(ctx, "/verify", s.version, &none)
}
