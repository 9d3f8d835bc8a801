package demo

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

// Traffic is the simulated application: a few workers that do what people in a
// marketplace do, one step after another. The zero value but for URL is ready.
type Traffic struct {
	// URL is the marketplace's database. Whoever it names must be allowed to
	// put on role [Role].
	URL string
	// Rate is the steps a second, of all workers together. Default 2.
	Rate float64
	// Workers is how many write at once, each by its own connection. Default 3.
	Workers int
	// Seed makes the choices repeatable, as far as the workers' race allows.
	// Default: random.
	Seed uint64
	// Logger hears of steps that fail. Default: nobody does.
	Logger *slog.Logger
	// Stepped is called after every step that changed something, by its name.
	// Default: nobody is.
	Stepped func(name string)
}

// retry is how long a worker rests after an error, such as a Postgres that is
// being restarted.
const retry = time.Second

// Run writes until ctx ends, then returns nil. It fails only if it cannot begin.
func (t Traffic) Run(ctx context.Context) error {
	t.Rate = cmp.Or(t.Rate, 2)
	t.Workers = cmp.Or(t.Workers, 3)
	t.Seed = cmp.Or(t.Seed, rand.Uint64())
	if t.Logger == nil {
		t.Logger = slog.New(slog.DiscardHandler)
	}
	pool, err := Open(ctx, t.URL, t.Workers)
	if err != nil {
		return err
	}
	defer pool.Close()

	pace := rate.NewLimiter(rate.Limit(t.Rate), 1)
	var g errgroup.Group
	for worker := range t.Workers {
		random := rand.New(rand.NewPCG(t.Seed, uint64(worker)))
		g.Go(func() error {
			t.work(ctx, pool, pace, random)
			return nil
		})
	}
	return g.Wait()
}

func (t Traffic) work(ctx context.Context, pool *pgxpool.Pool, pace *rate.Limiter, random *rand.Rand) {
	for pace.Wait(ctx) == nil {
		name, err := next(ctx, pool, random)
		switch {
		case err == nil:
			if t.Stepped != nil && name != "" {
				t.Stepped(name)
			}
		case ctx.Err() != nil:
			return
		default:
			t.Logger.Warn("the simulated application failed", "step", name, "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(retry):
			}
		}
	}
}

// next takes one step: the first in a random order that finds something to do.
// It is named "" if none did.
func next(ctx context.Context, pool *pgxpool.Pool, random *rand.Rand) (name string, err error) {
	for _, s := range shuffled(random) {
		changed := false
		err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) (err error) {
			changed, err = s.run(ctx, tx, random)
			return err
		})
		if err != nil {
			return s.name, fmt.Errorf("%s: %w", s.name, err)
		}
		if changed {
			return s.name, nil
		}
	}
	return "", nil
}

// shuffled is the steps in a random order, in which a heavier one tends to come
// earlier.
func shuffled(random *rand.Rand) []step {
	rest := append([]step(nil), steps...)
	order := make([]step, 0, len(rest))
	for len(rest) > 0 {
		total := 0
		for _, s := range rest {
			total += s.weight
		}
		n, i := random.IntN(total), 0
		for n >= rest[i].weight {
			n -= rest[i].weight
			i++
		}
		order = append(order, rest[i])
		rest = append(rest[:i], rest[i+1:]...)
	}
	return order
}
