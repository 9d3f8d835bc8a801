// Package pgtest gives tests a real Postgres: one private server a test
// process, started when the first test asks for it, and in it a fresh database
// for each test.
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		t.Parallel()
//		conn := pgtest.Connect(t, pgtest.Database(t))
//		…
//	}
//
// With PGBELL_TEST_DATABASE_URL set, databases are made on that server instead;
// its user must be allowed to create them.
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/embedded"
)

// URLVariable names the environment variable with an existing server's URL.
const URLVariable = "PGBELL_TEST_DATABASE_URL"

// timeout bounds each thing the harness itself does.
const timeout = time.Minute

// settings are for tests alone: a crash of the machine may lose everything.
func settings() map[string]string {
	return map[string]string{
		"fsync":            "off",
		"full_page_writes": "off",
		"max_connections":  "200",
		"shared_buffers":   "64MB",
	}
}

// shared is the server of this test process.
var shared = sync.OnceValues(start)

// started says that shared has something to stop.
var started atomic.Bool

type server struct {
	admin    string           // URL of a database to create others from
	embedded *embedded.Server // nil if it is somebody else's
	template string           // name of a migrated database to copy
	prefix   string           // of all names, this process's own
	made     atomic.Int64     // names given out so far
}

func start() (*server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	s := &server{admin: os.Getenv(URLVariable), prefix: "pgtest_" + strings.ToLower(rand.Text()[:8])}
	if s.admin == "" {
		e, err := embedded.Start(ctx, embedded.Options{Settings: settings()})
		if err != nil {
			return nil, err
		}
		s.embedded, s.admin = e, e.URL("postgres")
	}
	started.Store(true)
	s.template = s.newName()
	if err := s.run(ctx, "CREATE DATABASE "+s.template); err != nil {
		return s, err
	}
	m, err := db.NewMigrator(s.url(s.template), db.Options{})
	if err != nil {
		return s, err
	}
	_, err = m.Up(ctx)
	return s, err
}

func (s *server) newName() string {
	return fmt.Sprintf("%s_%d", s.prefix, s.made.Add(1))
}

func (s *server) url(database string) string {
	u, err := url.Parse(s.admin)
	if err != nil {
		return s.admin // connecting says what is wrong
	}
	u.Path = "/" + database
	return u.String()
}

// run executes one statement on the server.
func (s *server) run(ctx context.Context, sql string) error {
	conn, err := db.Connect(ctx, s.admin, db.Options{ApplicationName: "pgtest"})
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}

// stop leaves nothing behind.
func (s *server) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if s.embedded != nil {
		return s.embedded.Stop(ctx)
	}
	return s.run(ctx, "DROP DATABASE IF EXISTS "+s.template+" WITH (FORCE)")
}

// Main runs the tests, stops the server, checks that no goroutine is left and
// exits.
func Main(m *testing.M, opts ...goleak.Option) {
	code := m.Run()
	if started.Load() {
		if s, _ := shared(); s != nil {
			if err := s.stop(); err != nil {
				fmt.Fprintln(os.Stderr, "pgtest:", err)
				code = max(code, 1)
			}
		}
	}
	if code == 0 {
		if err := goleak.Find(opts...); err != nil {
			fmt.Fprintln(os.Stderr, "pgtest:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// Database is the URL of a fresh database with schema pgbell. It is dropped
// when the test ends, also if somebody is still connected.
func Database(t testing.TB) string {
	t.Helper()
	s := running(t)
	return create(t, s, "TEMPLATE "+s.template)
}

// Empty is the URL of a fresh database without anything of ours.
func Empty(t testing.TB) string {
	t.Helper()
	return create(t, running(t), "TEMPLATE template0")
}

// DatabaseIn is as [Database], but stores text in the encoding.
func DatabaseIn(t testing.TB, encoding string) string {
	t.Helper()
	url := create(t, running(t), "ENCODING '"+encoding+"' LOCALE 'C' TEMPLATE template0")
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	m, err := db.NewMigrator(url, db.Options{})
	if err == nil {
		_, err = m.Up(ctx)
	}
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return url
}

func running(t testing.TB) *server {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return s
}

func create(t testing.TB, s *server, options string) string {
	t.Helper()
	name := s.newName()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	if err := s.run(ctx, "CREATE DATABASE "+name+" "+options); err != nil {
		t.Fatalf("pgtest: create database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		if err := s.run(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("pgtest: drop database: %v", err)
		}
	})
	return s.url(name)
}

// Connect opens a connection that is closed when the test ends.
func Connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	conn, err := db.Connect(ctx, url, db.Options{ApplicationName: "pgtest"})
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		_ = conn.Close(ctx) // a test may have closed or killed it
	})
	return conn
}

// Server starts a private server for this test alone, to be restarted, killed
// or filled up. It takes about a second; use Database where that will do.
func Server(t testing.TB) *embedded.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	s, err := embedded.Start(ctx, embedded.Options{Settings: settings()})
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return s
}
