package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/pgbell/pgbell/cmd/pgbell/config"
)

// The exit statuses.
const (
	statusOK    = 0
	statusError = 1 // it was tried and failed, or what was asked for is not so
	statusUsage = 2 // the command line or the configuration is wrong
)

// surroundings is what a command knows of the process it runs in, so that tests
// can run many at once.
type surroundings struct {
	stdout, stderr io.Writer
	lookup         func(name string) (string, bool) // the environment
}

// cli is the command line.
type cli struct {
	DatabaseURL string `name:"database-url" placeholder:"URL" help:"Database to work on ($$DATABASE_URL, $$PGBELL_DATABASE_URL)."`
	Config      string `placeholder:"FILE" help:"Configuration ($$PGBELL_CONFIG). Default: pgbell.yaml, if there is one."`
	LogLevel    string `placeholder:"LEVEL" help:"debug, info, warn or error ($$PGBELL_LOG_LEVEL). Default: info."`
	LogFormat   string `placeholder:"FORMAT" help:"text or json ($$PGBELL_LOG_FORMAT). Default: text on a terminal, else json."`

	Demo        demoCommand        `cmd:"" help:"Run a sample marketplace, with a private Postgres and an application that writes to it."`
	Serve       serveCommand       `cmd:"" help:"Serve the events of a database to its users."`
	Migrate     migrateCommand     `cmd:"" help:"Install, upgrade or remove schema pgbell."`
	Triggers    triggersCommand    `cmd:"" help:"Put triggers on the watched tables, look after them, take them off."`
	Tail        tailCommand        `cmd:"" help:"Print events as they come."`
	Why         whyCommand         `cmd:"" help:"Explain who receives a row's events, and why not."`
	Doctor      doctorCommand      `cmd:"" help:"Look for whatever may keep pgbell from working, and say what to do."`
	Init        initCommand        `cmd:"" help:"Write a pgbell.yaml from an existing database."`
	Token       tokenCommand       `cmd:"" help:"Sign a token for development."`
	Healthcheck healthcheckCommand `cmd:"" help:"Ask a running server whether it is well."`
	Version     versionCommand     `cmd:"" help:"Print the version."`
}

// run is the whole program: it returns the exit status. Ctx ends when the
// process was asked to.
func run(ctx context.Context, args []string, env surroundings) int {
	var flags cli
	asked := false // for help, which was then printed
	parser, err := kong.New(&flags,
		kong.Name("pgbell"),
		kong.Description("Realtime events from the rows that your application writes to Postgres."),
		kong.Writers(env.stdout, env.stderr),
		kong.Exit(func(int) { asked = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
	)
	if err != nil {
		return env.fail(err, statusError)
	}
	parsed, err := parser.Parse(args)
	switch {
	case asked:
		return statusOK
	case err != nil:
		return env.fail(err, statusUsage)
	}
	a := &app{surroundings: env, flags: &flags}
	parsed.BindTo(ctx, (*context.Context)(nil))
	if err := parsed.Run(a); err != nil {
		var shown shownError
		var usage *usageError
		var file *config.Error
		switch {
		case errors.As(err, &shown):
			return statusError
		case errors.As(err, &usage), errors.As(err, &file):
			return env.fail(err, statusUsage)
		case ctx.Err() != nil && errors.Is(err, context.Canceled):
			err = errors.New("interrupted")
		}
		return env.fail(err, statusError)
	}
	return statusOK
}

// fail prints the one sentence that a mistake gets; several mistakes get a line
// each.
func (s surroundings) fail(err error, status int) int {
	// pgx puts each address that it tried on a line of its own, after a tab.
	text := strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n\t", " ")
	for line := range strings.SplitSeq(text, "\n") {
		if !strings.HasPrefix(line, " ") { // else it goes on with the one before
			line = "pgbell: " + line
		}
		fmt.Fprintln(s.stderr, line)
	}
	return status
}

// usageError is a mistake in how the program was called.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...)}
}

// shownError ends a command that has printed what is wrong: a finding, and not
// a failure to find out.
type shownError string

func (e shownError) Error() string { return string(e) }
