package pgbell_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/pgbell/pgbell"

// topLevel is every name at the top, beside the root package's own files and
// dot-files.
var topLevel = []string{
	"db", "triggers", "listener", "ws", "cmd", "web", "bench", "docs",
	"go.mod", "go.sum", "Taskfile.yml", "compose.yaml", "Dockerfile",
	"README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md",
}

func TestTopLevel(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		if name := e.Name(); !strings.HasPrefix(name, ".") && (e.IsDir() || filepath.Ext(name) != ".go") {
			names = append(names, name)
		}
	}
	require.Subset(t, topLevel, names, "the top level holds nothing else")
	require.DirExists(t, ".ci")
}

// place is a directory with all below it that no longer name covers.
type place struct {
	// inside is which packages of this module it may import, with all below
	// them.
	inside []string
	// outside is which other modules it may import. The standard library is
	// open to everybody; database/sql is not, see imports.
	outside []string
}

const (
	pgx       = "github.com/jackc/pgx/v5"
	gorilla   = "github.com/gorilla/websocket"
	xsync     = "golang.org/x/sync"
	xtime     = "golang.org/x/time"
	anywhere  = "*" // any package of this module, or any other module
	root      = module
	testMain  = "go.uber.org/goleak"
	testTools = "github.com/stretchr/testify"
)

// places is who may import what; the reasons are in docs/architecture.md.
var places = map[string]place{
	"":            {},
	"db":          {inside: []string{root, module + "/db"}, outside: []string{pgx, "github.com/pressly/goose/v3", xsync, "golang.org/x/sys", "database/sql"}},
	"db/embedded": {outside: []string{pgx, "github.com/fergusstrange/embedded-postgres", "golang.org/x/sys"}},
	"db/pgtest":   {inside: []string{module + "/db"}, outside: []string{pgx, testMain, testTools}},
	"triggers":    {inside: []string{root}, outside: []string{pgx}},
	"listener":    {inside: []string{root}, outside: []string{pgx, xsync}},
	"ws":          {inside: []string{root, module + "/ws"}, outside: []string{gorilla, xsync, xtime}},
	"ws/auth":     {outside: []string{"github.com/golang-jwt/jwt/v5", "github.com/MicahParks/jwkset"}},
	"cmd":         {inside: []string{anywhere}, outside: []string{anywhere}},
	"bench":       {inside: []string{anywhere}, outside: []string{anywhere}},
	"web":         {},
}

// TestImports holds the import rules for everything but tests, whatever their
// build tags: data flows one way, and the parts meet in cmd only.
func TestImports(t *testing.T) {
	t.Parallel()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != "." && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		where, rule := placeOf(filepath.ToSlash(filepath.Dir(path)))
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range file.Imports {
			imported, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			if !rule.allows(imported) {
				t.Errorf("%s imports %s, which %q may not", path, imported, where)
			}
		}
		return nil
	})
	require.NoError(t, err)
}

// placeOf is the nearest place above a directory.
func placeOf(directory string) (string, place) {
	for directory != "." {
		if p, ok := places[directory]; ok {
			return directory, p
		}
		directory = filepath.ToSlash(filepath.Dir(directory))
	}
	return "", places[""]
}

func (p place) allows(imported string) bool {
	within := func(parents []string) bool {
		return slices.ContainsFunc(parents, func(parent string) bool {
			return parent == anywhere || imported == parent || strings.HasPrefix(imported, parent+"/")
		})
	}
	if imported == root || strings.HasPrefix(imported, module+"/") {
		if slices.Contains(p.inside, anywhere) {
			// Test tools stay out of programs, and programs out of each other.
			return imported != module+"/db/pgtest"
		}
		// The root package is one package, not a parent.
		below := slices.DeleteFunc(slices.Clone(p.inside), func(i string) bool { return i == root })
		return imported == root && slices.Contains(p.inside, root) || within(below)
	}
	first, _, _ := strings.Cut(imported, "/")
	if standard := !strings.Contains(first, "."); standard && imported != "database/sql" {
		return true
	}
	return within(p.outside)
}

// TestOneCommand holds that CI runs what the README tells people to run, with
// the same version, and that it is the one the other documents name.
func TestOneCommand(t *testing.T) {
	t.Parallel()
	const command = "go run github.com/go-task/task/v3/cmd/task@v3.52.0 test"
	for _, path := range []string{"README.md", "CONTRIBUTING.md", ".ci/run", "Taskfile.yml"} {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Contains(t, string(text), command, path)
	}
}
