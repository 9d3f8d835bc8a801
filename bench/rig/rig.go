package rig

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pgbell/pgbell/db/embedded"
	"github.com/pgbell/pgbell/ws/auth"
)

// Options of a [Rig]. The zero value works.
type Options struct {
	// Settings of Postgres. Default: Postgres's defaults.
	Settings map[string]string
}

// Rig is a private Postgres, a pgbell that was built now, and the processes
// that were started on them. Close it when done.
type Rig struct {
	dir      string
	binary   string // pgbell
	postgres *embedded.Server
	secret   string
	servers  []*Server
}

// New builds pgbell and starts a Postgres. It runs in the module's directory,
// as go run ./bench/… does.
func New(ctx context.Context, opts Options) (_ *Rig, err error) {
	r := &Rig{secret: rand.Text() + rand.Text()}
	if r.dir, err = os.MkdirTemp("", "pgbell-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	r.binary = filepath.Join(r.dir, "pgbell")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", r.binary, "./cmd/pgbell")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("build pgbell: %w", err)
	}
	if r.postgres, err = embedded.Start(ctx, embedded.Options{Settings: opts.Settings}); err != nil {
		return nil, err
	}
	return r, nil
}

// Versions says what was measured on what.
func (r *Rig) Versions() string {
	return fmt.Sprintf("PostgreSQL %s, %s, %d CPUs", r.postgres.Version(), runtime.Version(), runtime.NumCPU())
}

// Close stops the servers and Postgres and removes what New made.
func (r *Rig) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	var err error
	for _, s := range slices.Backward(r.servers) { // those that depend on others came later
		err = errors.Join(err, s.Stop())
	}
	if r.postgres != nil {
		err = errors.Join(err, r.postgres.Stop(ctx))
	}
	return errors.Join(err, os.RemoveAll(r.dir))
}

// Token is a token for a user that lives for an hour.
func (r *Rig) Token(user string) (string, error) { return token(r.secret, user) }

func token(secret, user string) (string, error) {
	return auth.Mint([]byte(secret), auth.Claims{Subject: user})
}

// PostgresCPU is the processor time that Postgres has used so far, with all of
// its backends, also those that have ended.
func (r *Rig) PostgresCPU() (time.Duration, error) {
	text, err := os.ReadFile(filepath.Join(r.postgres.Dir(), "data", "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return 0, fmt.Errorf("read postmaster.pid: %w", err)
	}
	return treeCPU(pid)
}

// PostgresLog is the file that Postgres logs to.
func (r *Rig) PostgresLog() string { return filepath.Join(r.postgres.Dir(), "postgres.log") }
