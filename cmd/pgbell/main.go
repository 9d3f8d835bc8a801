// Command pgbell turns a stock Postgres into a realtime backend.
//
// It is the only place that composes: commands read their configuration
// (package config), open what they need and hand each part to the others. A
// command is a struct with its flags and a Run method, in a file of its name.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(command()) }

// command is what main would be if it could return a status.
func command() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal asks for an orderly end. After it signals are what they
	// are for any program again, so the second ends this one at once.
	context.AfterFunc(ctx, stop)
	return run(ctx, os.Args[1:], surroundings{
		stdout: os.Stdout,
		stderr: os.Stderr,
		lookup: os.LookupEnv,
	})
}
