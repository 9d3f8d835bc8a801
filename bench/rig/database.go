package rig

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Database is one of the rig's Postgres.
type Database struct {
	// URL is where it can be reached.
	URL string

	rig    *Rig
	config string // of pgbell
}

// Database makes one with what the application has in it.
func (r *Rig) Database(ctx context.Context, name, schema string) (*Database, error) {
	if err := execute(ctx, r.postgres.URL("postgres"), "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return nil, err
	}
	d := &Database{URL: r.postgres.URL(name), rig: r, config: filepath.Join(r.dir, name+".yaml")}
	if err := execute(ctx, d.URL, schema); err != nil {
		return nil, fmt.Errorf("make the tables of %s: %w", name, err)
	}
	return d, nil
}

func execute(ctx context.Context, url, sql string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// Install puts pgbell into the database: its schema, and the triggers that the
// configuration asks for.
func (d *Database) Install(ctx context.Context, configuration string) error {
	if err := os.WriteFile(d.config, []byte(configuration), 0o600); err != nil {
		return err
	}
	for _, args := range [][]string{{"migrate", "up"}, {"triggers", "apply"}} {
		if out, err := d.pgbell(ctx, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("pgbell %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

func (d *Database) pgbell(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, d.rig.binary, args...)
	c.Env = append(d.environment(), "PGBELL_CONFIG="+d.config, "PGBELL_LOG_LEVEL=warn")
	return c
}

func (d *Database) environment() []string {
	return append(os.Environ(), "DATABASE_URL="+d.URL, secretVariable+"="+d.rig.secret)
}

// Serve starts pgbell serve and waits until it is ready.
func (d *Database) Serve(ctx context.Context) (*Server, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	return d.rig.start(ctx, d.pgbell(ctx, "serve", "--listen", address), address)
}

// Peer starts this same program again as the peer of that name; see [Main].
func (d *Database) Peer(ctx context.Context, name string, args ...string) (*Server, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(ctx, self, append([]string{peerArgument, name, address}, args...)...)
	c.Env = d.environment()
	return d.rig.start(ctx, c, address)
}
