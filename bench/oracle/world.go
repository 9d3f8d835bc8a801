package oracle

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgbell/pgbell/db/embedded"
)

//go:embed schema.sql
var schema string

//go:embed pgbell.yaml
var configuration string

// world is everything that a history needs, running.
type world struct {
	config   Config
	dir      string
	postgres *embedded.Server
	nodes    []*node
	clients  []*client
	rows     *rowsAPI // nil: the server has none
	writers  []*writer
	faults   *faultPlan
	tally    *tally
	latency  *histogram
	counters *counters

	stop context.CancelFunc
	work *errgroup.Group

	lastID  int64  // of the last event verified
	lastXID string // the next read of the log begins there
}

// settings make crashes quick to recover from. What they give up is safety
// against the machine's failure alone: killing processes loses nothing.
var settings = map[string]string{
	"fsync":            "off",
	"full_page_writes": "off",
	"max_connections":  "100",
	"shared_buffers":   "128MB",
	"deadlock_timeout": "50ms",
	"wal_writer_delay": "10s", // a crash loses what nobody waited for
}

// start brings everything up, with empty tables and clients that are live.
func start(ctx context.Context, config Config) (_ *world, err error) {
	w := &world{config: config, tally: newTally(), latency: &histogram{}, counters: newCounters(), lastXID: "0"}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if w.dir, err = os.MkdirTemp("", "pgbell-oracle-"); err != nil {
		return w, err
	}
	file := filepath.Join(w.dir, "pgbell.yaml")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		return w, err
	}
	if w.postgres, err = embedded.Start(ctx, embedded.Options{Settings: settings}); err != nil {
		return w, err
	}
	database := w.postgres.URL("postgres")
	conn, err := dial(ctx, database)
	if err != nil {
		return w, err
	}
	_, err = conn.Exec(ctx, schema)
	conn.Close(ctx)
	if err != nil {
		return w, fmt.Errorf("make the tables: %w", err)
	}
	for _, args := range [][]string{{"migrate", "up"}, {"triggers", "apply", "--config", file}} {
		if err := command(ctx, config.Binary, database, args...); err != nil {
			return w, err
		}
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	w.stop = stop
	w.work, running = errgroup.WithContext(running)
	w.faults = newFaultPlan(w)
	for i := range config.Nodes {
		n, err := newNode(ctx, fmt.Sprintf("node%d", i+1), config.Binary, file, w.dir, database)
		if err != nil {
			return w, err
		}
		w.nodes = append(w.nodes, n)
		w.work.Go(func() error { return n.run(running) })
	}
	if err := w.allLive(ctx); err != nil {
		return w, err
	}
	if w.rows, err = w.findRows(ctx); err != nil {
		return w, err
	}
	if err := w.startClients(ctx, running); err != nil {
		return w, err
	}
	for i := range config.Writers + longWriters {
		next := (*planner).next
		if i >= config.Writers {
			next = (*planner).long
		}
		w.writers = append(w.writers, &writer{url: database, plan: newPlanner(config, i), next: next, tally: w.tally})
	}
	return w, nil
}

// longWriters hold long transactions, longRatio times fewer than the others run.
const (
	longWriters = 2
	longRatio   = 30
)

func (w *world) startClients(ctx, running context.Context) error {
	add := func(name, user string, roles ...string) error {
		// Less than the loopback's segments of 64 KiB would stall for lack of
		// room, time and again, as no real line does.
		l, err := newLink(ctx, 64<<10)
		if err != nil {
			return err
		}
		c := newClient(name, user, roles, w.config.Seed)
		c.link, c.rows, c.nodes, c.door = l, w.rows, w.nodes, w.config.Door.of(len(w.clients))
		c.latency, c.counters, c.calm = w.latency, w.counters, w.faults.calm
		c.ttl = func(r *rand.Rand) time.Duration {
			ttl := time.Duration(2+r.IntN(8)) * time.Second
			if !w.config.has(ExpireToken) {
				ttl = time.Hour
			}
			return ttl
		}
		w.clients = append(w.clients, c)
		w.work.Go(func() error { return c.run(running) })
		return nil
	}
	for _, user := range names[:w.config.Users] {
		for i := range w.config.ClientsPerUser {
			if err := add(fmt.Sprintf("%s/%d", user, i+1), user); err != nil {
				return err
			}
		}
	}
	if err := add("watcher/1", "zoe", watcherRole); err != nil {
		return err
	}
	for _, c := range w.clients {
		if err := c.until(ctx, patience, func() bool { return c.live && c.cursor != "" }); err != nil {
			return fmt.Errorf("%s does not become live: %w", c.name, err)
		}
	}
	return nil
}

// errSilent says that something is missing and nothing comes.
var errSilent = errors.New("nothing has come for a while")

// until waits until holds is true, as long as events, gaps or rows come from
// time to time. Refreshed tokens and new connections are none of these. Holds is
// called with the mutex held.
func (c *client) until(ctx context.Context, patience time.Duration, holds func() bool) error {
	silence := time.NewTimer(patience)
	defer silence.Stop()
	had := [3]int{}
	for {
		c.mu.Lock()
		ok := holds()
		has := [3]int{len(c.received), len(c.gaps), len(c.fetching)}
		c.mu.Unlock()
		if ok {
			return nil
		}
		if has != had {
			had = has
			silence.Reset(patience)
		}
		select {
		case <-c.changed:
		case <-silence.C:
			return errSilent
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (w *world) allLive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, n := range w.nodes {
		if err := n.live(ctx); err != nil {
			return err
		}
	}
	return nil
}

// findRows reports whether the server gives rows.
func (w *world) findRows(ctx context.Context) (*rowsAPI, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.nodes[0].address+"/api/rows/order", http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotFound {
		return nil, nil //nolint:nilnil // there is none, and that is no error
	}
	return &rowsAPI{}, nil
}

// kill finds a backend by its application's name. End kills it, or returns SQL
// that does.
func (w *world) kill(ctx context.Context, application string, end func(pid int) (string, error)) error {
	if ctx.Err() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	conn, err := dial(ctx, w.postgres.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var pid int
	err = conn.QueryRow(ctx, "SELECT pid FROM pg_stat_activity WHERE application_name LIKE $1 ORDER BY random() LIMIT 1", application).Scan(&pid)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	sql, err := end(pid)
	if err == nil && sql != "" {
		_, err = conn.Exec(ctx, sql)
	}
	return err
}

// round runs the writers' next transactions while faults happen.
func (w *world) round(ctx context.Context, number int) error {
	if w.config.has(QuietCrash) && number%4 == 1 {
		if err := w.faults.quietCrash(ctx); err != nil {
			return err
		}
	}
	disturbed, heal := context.WithCancel(ctx)
	defer heal()
	var faults errgroup.Group
	faults.Go(func() error { return w.faults.run(disturbed) })
	writing, finish := context.WithCancel(ctx)
	defer finish()
	var busy sync.WaitGroup // the writers that are not long
	var all errgroup.Group
	for i, one := range w.writers {
		if i >= w.config.Writers {
			all.Go(func() error { return one.run(writing, max(w.config.Transactions/longRatio, 1)) })
			continue
		}
		busy.Add(1)
		all.Go(func() error {
			defer busy.Done()
			return one.run(ctx, w.config.Transactions)
		})
	}
	busy.Wait()
	finish()
	err := all.Wait()
	heal()
	return errors.Join(err, faults.Wait(), w.allLive(ctx))
}

// close ends everything.
func (w *world) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var errs []error
	for _, one := range w.writers {
		one.close(ctx)
	}
	if w.stop != nil {
		w.stop()
		errs = append(errs, w.work.Wait())
	}
	if w.rows != nil {
		w.rows.wg.Wait()
		w.rows.client.CloseIdleConnections()
	}
	for _, c := range w.clients {
		c.link.close()
	}
	for _, n := range w.nodes {
		n.link.close()
	}
	if w.postgres != nil {
		errs = append(errs, w.postgres.Stop(ctx))
	}
	if w.dir != "" {
		errs = append(errs, os.RemoveAll(w.dir))
	}
	return errors.Join(errs...)
}
