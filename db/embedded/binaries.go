//go:build unix && !solaris && !aix

package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
)

// binaries is a directory with PostgreSQL's programs.
type binaries struct {
	dir     string
	version string // as postgres --version says, 17.5
	major   int
}

func (b binaries) path(program string) string { return filepath.Join(b.dir, program) }

// findBinaries finds PostgreSQL on this machine, or downloads it. With a major
// version only that one will do: data of another can't be read.
func findBinaries(ctx context.Context, acc account, major int, log *slog.Logger) (binaries, error) {
	cache, err := cacheDir()
	if err != nil {
		return binaries{}, err
	}
	fetch := downloader{repository: mavenCentral, cache: cache, log: log}
	return choose(ctx, acc, major, candidates(), fetch)
}

// choose takes the first candidate that fits, or else a download.
func choose(ctx context.Context, acc account, major int, candidates []string, fetch downloader) (binaries, error) {
	fits := func(b binaries) bool { return b.major >= MinMajor && (major == 0 || b.major == major) }
	if dir := os.Getenv(BinariesVariable); dir != "" {
		b, err := inspect(ctx, acc, dir)
		if err != nil {
			return binaries{}, fmt.Errorf("%s=%s: %w", BinariesVariable, dir, err)
		}
		if !fits(b) {
			return binaries{}, fmt.Errorf("%s=%s has PostgreSQL %s, need %s", BinariesVariable, dir, b.version, need(major))
		}
		return b, nil
	}
	var refused []error
	for _, dir := range candidates {
		b, err := inspect(ctx, acc, dir)
		if err == nil && !fits(b) {
			err = fmt.Errorf("%s has PostgreSQL %s, need %s", dir, b.version, need(major))
		}
		if err == nil {
			return b, nil
		}
		refused = append(refused, err)
	}
	dir, err := fetch.download(ctx, major)
	if err == nil {
		var b binaries
		if b, err = inspect(ctx, acc, dir); err == nil {
			return b, nil
		}
	}
	return binaries{}, fmt.Errorf("%w\n%w", ErrNoBinaries, errors.Join(append(refused, err)...))
}

func need(major int) string {
	if major > 0 {
		return fmt.Sprintf("%d, which made the data", major)
	}
	return fmt.Sprintf("%d or newer", MinMajor)
}

// candidates are the directories that have both postgres and initdb, best
// first: what PATH has, then the newest installed.
func candidates() []string {
	var dirs []string
	for _, program := range []string{"postgres", "initdb"} {
		if path, err := exec.LookPath(program); err == nil {
			if path, err = filepath.EvalSymlinks(path); err == nil {
				dirs = append(dirs, filepath.Dir(path))
			}
		}
	}
	patterns := []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin"}
	if runtime.GOOS == "darwin" {
		patterns = []string{
			"/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin",
			"/Applications/Postgres.app/Contents/Versions/*/bin",
			"/Library/PostgreSQL/*/bin",
			"/opt/local/lib/postgresql*/bin",
		}
	}
	var installed []string
	for _, pattern := range patterns {
		found, _ := filepath.Glob(pattern) // the patterns are well formed
		installed = append(installed, found...)
	}
	slices.SortStableFunc(installed, func(a, b string) int { return cmp.Compare(pathVersion(b), pathVersion(a)) })
	return slices.DeleteFunc(slices.Concat(dirs, installed), func(dir string) bool {
		return !executable(filepath.Join(dir, "postgres")) || !executable(filepath.Join(dir, "initdb"))
	})
}

var number = regexp.MustCompile(`\d+`)

// pathVersion is the last number in a path such as /usr/lib/postgresql/17/bin.
func pathVersion(path string) int {
	all := number.FindAllString(path, -1)
	if len(all) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(all[len(all)-1])
	return n
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// "postgres (PostgreSQL) 17.5 (Debian 17.5-1)", "… 18beta1", "… 18devel".
var versionLine = regexp.MustCompile(`\(PostgreSQL\) ((\d+)\S*)`)

// inspect asks the postgres in dir, as the account that will run it, for its
// version.
func inspect(ctx context.Context, acc account, dir string) (binaries, error) {
	for _, program := range []string{"postgres", "initdb"} {
		if !executable(filepath.Join(dir, program)) {
			return binaries{}, fmt.Errorf("no program %s in %s", program, dir)
		}
	}
	out, err := acc.command(ctx, filepath.Join(dir, "postgres"), "--version").CombinedOutput()
	if err != nil {
		if reach := acc.canReach(dir); reach != nil {
			err = reach
		}
		return binaries{}, fmt.Errorf("run %s --version: %w", filepath.Join(dir, "postgres"), err)
	}
	match := versionLine.FindSubmatch(out)
	if match == nil {
		return binaries{}, fmt.Errorf("%s --version says %q", filepath.Join(dir, "postgres"), lastLines(out))
	}
	major, err := strconv.Atoi(string(match[2]))
	return binaries{dir: dir, version: string(match[1]), major: major}, err
}
