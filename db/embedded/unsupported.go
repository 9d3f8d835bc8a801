//go:build !unix || solaris || aix

package embedded

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
)

// Sessions, accounts and file locks are Unix's here. Elsewhere Start fails at
// its first step, and nothing below is ever reached.
var errUnsupported = errors.New("not on " + runtime.GOOS + "; use a running server with --database-url")

type (
	directory struct{ path string }
	account   struct{}
	binaries  struct{ version string }
	process   struct{}
)

func openDirectory(string) (*directory, error)               { return nil, errUnsupported }
func (*directory) close() error                              { return nil }
func (*directory) majorVersion() (int, error)                { return 0, errUnsupported }
func serverAccount(*directory) (account, error)              { return account{}, errUnsupported }
func launch(context.Context, *Server, int) (*process, error) { return nil, errUnsupported }
func (*process) stop(context.Context, Mode) error            { return errUnsupported }
func freePort(context.Context) (int, error)                  { return 0, errUnsupported }

func (*directory) prepare(context.Context, binaries, account, Options) (string, error) {
	return "", errUnsupported
}

func findBinaries(context.Context, account, int, *slog.Logger) (binaries, error) {
	return binaries{}, errUnsupported
}
