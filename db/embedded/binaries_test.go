//go:build unix && !solaris && !aix

package embedded

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakePrograms is a directory of programs that know only their version.
func fakePrograms(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	for _, program := range []string{"postgres", "initdb"} {
		script := fmt.Sprintf("#!/bin/sh\necho '%s (PostgreSQL) %s'\n", program, version)
		require.NoError(t, os.WriteFile(filepath.Join(dir, program), []byte(script), 0o755))
	}
	return dir
}

func testDownloader(t *testing.T, handler http.HandlerFunc) downloader {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections) // the library's
	return downloader{repository: server.URL, cache: t.TempDir(), log: slog.New(slog.DiscardHandler)}
}

func TestChoose(t *testing.T) {
	t.Setenv(BinariesVariable, "") // as if nobody had chosen for us
	old, fifteen, eighteen := fakePrograms(t, "14.9"), fakePrograms(t, "15.3 (Debian 15.3-1)"), fakePrograms(t, "18beta1")
	empty := t.TempDir()
	nothing := testDownloader(t, http.NotFound)
	for _, test := range []struct {
		major      int
		candidates []string
		want       string
		version    string
	}{
		{0, []string{empty, old, fifteen, eighteen}, fifteen, "15.3"},
		{18, []string{old, fifteen, eighteen}, eighteen, "18beta1"},
	} {
		got, err := choose(t.Context(), account{}, test.major, test.candidates, nothing)
		require.NoError(t, err)
		require.Equal(t, test.want, got.dir)
		require.Equal(t, test.version, got.version)
	}

	_, err := choose(t.Context(), account{}, 0, []string{old}, nothing)
	require.ErrorIs(t, err, ErrNoBinaries)
	for _, part := range []string{
		"apt-get install postgresql", "brew install", BinariesVariable, "--database-url", "docker run",
		"14.9", "need 15 or newer", nothing.repository,
	} {
		require.ErrorContains(t, err, part)
	}
	_, err = choose(t.Context(), account{}, 16, []string{fifteen}, nothing)
	require.ErrorContains(t, err, "need 16, which made the data")
}

func TestBinariesVariable(t *testing.T) {
	for dir, want := range map[string]string{
		fakePrograms(t, "14.1"): "need 15 or newer",
		t.TempDir():             "no program postgres",
	} {
		t.Setenv(BinariesVariable, dir)
		_, err := findBinaries(t.Context(), account{}, 0, slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, BinariesVariable)
	}
	dir := fakePrograms(t, "16.2")
	t.Setenv(BinariesVariable, dir)
	b, err := findBinaries(t.Context(), account{}, 0, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.Equal(t, binaries{dir: dir, version: "16.2", major: 16}, b)
}

func TestPathVersion(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]int{
		"/usr/lib/postgresql/17/bin":                          17,
		"/usr/pgsql-16/bin":                                   16,
		"/opt/homebrew/opt/postgresql@18/bin":                 18,
		"/Applications/Postgres.app/Contents/Versions/15/bin": 15,
		"/usr/local/pgsql/bin":                                0,
	} {
		require.Equal(t, want, pathVersion(path), path)
	}
}

// repository serves programs.txz, whose programs are scripts, as the real one
// serves PostgreSQL: packed into a jar, with its checksum beside it.
func repository(t *testing.T, sum func([]byte) string, requests *atomic.Int32) http.HandlerFunc {
	t.Helper()
	programs, err := os.ReadFile("testdata/programs.txz")
	require.NoError(t, err)
	var jar bytes.Buffer
	z := zip.NewWriter(&jar)
	w, err := z.Create("postgres.txz")
	require.NoError(t, err)
	_, err = w.Write(programs)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if strings.HasSuffix(r.URL.Path, ".sha256") {
			fmt.Fprint(w, sum(jar.Bytes()))
			return
		}
		_, _ = w.Write(jar.Bytes())
	}
}

func TestDownload(t *testing.T) {
	t.Setenv(BinariesVariable, "") // as if nobody had chosen for us
	var requests atomic.Int32
	d := testDownloader(t, repository(t, func(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }, &requests))
	b, err := choose(t.Context(), account{}, 0, nil, d)
	require.NoError(t, err)
	require.Equal(t, "17.5", b.version)
	require.Equal(t, filepath.Join(d.cache, "postgresql-17.5.0/bin"), b.dir)
	require.EqualValues(t, 2, requests.Load())

	_, err = choose(t.Context(), account{}, 0, nil, d)
	require.NoError(t, err)
	require.EqualValues(t, 2, requests.Load(), "the second time it is there")
	entries, err := os.ReadDir(d.cache)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing else is left")
}

func TestDownloadIsChecked(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	d := testDownloader(t, repository(t, func([]byte) string { return "0000" }, &requests))
	_, err := d.download(t.Context(), 17)
	require.ErrorContains(t, err, "checksums do not match")
	_, err = d.download(t.Context(), 99)
	require.ErrorContains(t, err, "no PostgreSQL 99")
	entries, err := os.ReadDir(d.cache)
	require.NoError(t, err)
	require.Empty(t, entries)
}
