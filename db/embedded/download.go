//go:build unix && !solaris && !aix

package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// mavenCentral is where the zonky project publishes PostgreSQL's programs for
// many systems, and the library finds them.
const mavenCentral = "https://repo1.maven.org/maven2"

// defaultMajor is downloaded where any version would do.
const defaultMajor = 17

var downloads = map[int]embeddedpostgres.PostgresVersion{
	15: embeddedpostgres.V15,
	16: embeddedpostgres.V16,
	17: embeddedpostgres.V17,
	18: embeddedpostgres.V18,
}

// downloader fetches PostgreSQL's programs, some 30 MB, once into cache.
type downloader struct {
	repository string
	cache      string
	log        *slog.Logger
}

// downloadTimeout bounds a download.
const downloadTimeout = 10 * time.Minute

// download returns the directory of the programs.
func (d downloader) download(ctx context.Context, major int) (string, error) {
	version, ok := downloads[cmp.Or(major, defaultMajor)]
	if !ok {
		return "", fmt.Errorf("no PostgreSQL %d to download", major)
	}
	home := filepath.Join(d.cache, "postgresql-"+string(version))
	bin := filepath.Join(home, "bin")
	if executable(filepath.Join(bin, "postgres")) {
		return bin, nil
	}
	if err := os.MkdirAll(d.cache, 0o755); err != nil {
		return "", err
	}
	d.log.InfoContext(ctx, "downloading postgres", "version", string(version), "from", d.repository, "to", home)
	ctx, cancel := context.WithTimeoutCause(ctx, downloadTimeout, fmt.Errorf("took more than %s", downloadTimeout))
	defer cancel()
	// The library knows no context. If ours ends first, the download is left
	// to itself and cleans up when it is through.
	done := make(chan error, 1)
	go func() { done <- d.fetch(ctx, version, home) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("download postgres %s from %s: %w", version, d.repository, err)
	}
	return bin, nil
}

// fetch lets the library download, check and unpack the programs. It offers no
// way to do that alone, and starts servers as the caller only, never as another
// account. So we give it a data directory that holds nothing but a version:
// it unpacks, finds no cluster to make, and fails to start one. That failure is
// how we know that all before it went well.
func (d downloader) fetch(ctx context.Context, version embeddedpostgres.PostgresVersion, home string) (err error) {
	work, err := os.MkdirTemp(d.cache, "download-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	stub := filepath.Join(work, "stub")
	if err := os.Mkdir(stub, 0o700); err != nil {
		return err
	}
	major, _, _ := strings.Cut(string(version), ".")
	if err := os.WriteFile(filepath.Join(stub, "PG_VERSION"), []byte(major+"\n"), 0o600); err != nil {
		return err
	}
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	unpacked := filepath.Join(work, "postgresql")
	err = embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().
		Version(version).
		BinaryRepositoryURL(d.repository).
		CachePath(filepath.Join(work, "archive")).
		RuntimePath(filepath.Join(work, "runtime")).
		BinariesPath(unpacked).
		DataPath(stub).
		Port(uint32(port)).
		Logger(io.Discard)).Start()
	switch {
	case err == nil:
		return errors.New("a server started where it could not; " + strconv.Quote(stub))
	case !strings.HasPrefix(err.Error(), "could not start postgres"):
		return err
	}
	if err := os.Chmod(unpacked, 0o755); err != nil {
		return err
	}
	if err := os.Rename(unpacked, home); err != nil && !executable(filepath.Join(home, "bin", "postgres")) {
		return err // else another process was faster
	}
	return nil
}
