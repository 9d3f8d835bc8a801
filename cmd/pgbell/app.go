package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/lmittmann/tint"
	"github.com/mattn/go-isatty"

	"github.com/pgbell/pgbell/cmd/pgbell/config"
	"github.com/pgbell/pgbell/db"
)

// app is what every command starts from.
type app struct {
	surroundings
	flags *cli
}

// defaultFile is the configuration that is read when none is named.
const defaultFile = "pgbell.yaml"

// config reads the configuration: the file, then the environment, then flags.
func (a *app) config() (*config.Config, error) {
	path := a.flags.Config
	if path == "" {
		path, _ = a.lookup("PGBELL_CONFIG")
	}
	if path == "" {
		if _, err := os.Stat(defaultFile); err == nil || !errors.Is(err, fs.ErrNotExist) {
			path = defaultFile
		}
	}
	if path == "" {
		c := config.Builtin()
		return c, a.override(&c.Settings)
	}
	c, err := config.Read(path)
	if err != nil {
		return nil, asUsage(err)
	}
	return c, a.override(&c.Settings)
}

// override puts what the environment and the flags say over s.
func (a *app) override(s *config.Settings) error {
	if err := s.FromEnvironment(a.lookup); err != nil {
		return asUsage(err)
	}
	for _, flag := range []struct{ name, key, value string }{
		{"--database-url", "database_url", a.flags.DatabaseURL},
		{"--log-level", "log.level", a.flags.LogLevel},
		{"--log-format", "log.format", a.flags.LogFormat},
	} {
		if flag.value == "" {
			continue
		}
		if err := s.Set(flag.key, flag.value); err != nil {
			return usagef("%s: %v", flag.name, err)
		}
	}
	return nil
}

// asUsage marks an error as a mistake of the caller's.
func asUsage(err error) error {
	var file *config.Error
	if err == nil || errors.As(err, &file) {
		return err
	}
	return &usageError{message: err.Error()}
}

// databaseURL is where to work. It is checked as far as its form goes.
func databaseURL(s config.Settings) (string, error) {
	if s.DatabaseURL == "" {
		return "", usagef("no database is named: give --database-url or set DATABASE_URL")
	}
	// A migrator reads the URL and does not connect yet.
	if _, err := db.NewMigrator(s.DatabaseURL, db.Options{}); err != nil {
		return "", asUsage(err)
	}
	return s.DatabaseURL, nil
}

// connect opens one connection for a command. The caller closes it.
func connect(ctx context.Context, s config.Settings) (*pgx.Conn, error) {
	url, err := databaseURL(s)
	if err != nil {
		return nil, err
	}
	return db.Connect(ctx, url, db.Options{ApplicationName: "pgbell command"})
}

// closeConn says goodbye to the server, also when ctx has ended, but not for
// long.
func closeConn(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // there is nothing left to lose
}

// logger writes to standard error: for people on a terminal, else JSON.
func (a *app) logger(s config.Log) *slog.Logger {
	terminal := isTerminal(a.stderr)
	format := cmp.Or(s.Format, map[bool]string{true: "text", false: "json"}[terminal])
	level := s.SlogLevel()
	if format == "json" {
		return slog.New(slog.NewJSONHandler(a.stderr, &slog.HandlerOptions{Level: level}))
	}
	return slog.New(tint.NewTextHandler(a.stderr, &tint.Options{
		Level:      level,
		TimeFormat: "15:04:05.000",
		NoColor:    !a.colours(a.stderr),
	}))
}

// colours reports whether w shows colours and nobody asked for none
// (https://no-color.org).
func (a *app) colours(w io.Writer) bool {
	no, _ := a.lookup("NO_COLOR")
	term, _ := a.lookup("TERM")
	return no == "" && term != "dumb" && isTerminal(w)
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}
