// Command conformance serves what the public test suites of Engine.IO 4,
// Socket.IO 5 and socket.io-client ask of a server, so that they can be run
// against this implementation from a checkout of theirs:
//
//	go run ./ws/socketio/conformance
//
// The protocol suites expect it at localhost:3000, the client's at
// localhost:3210.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sync/errgroup"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	engine := newEngine()
	group.Go(func() error { return engine.Run(ctx) })
	protocols := http.NewServeMux()
	protocols.Handle("/engine.io/", engine)
	protocol := newProtocol()
	group.Go(func() error { return protocol.Run(ctx) })
	protocols.Handle("/socket.io/", protocol)
	group.Go(func() error { return serve(ctx, "localhost:3000", protocols) })
	client, err := newClient()
	if err != nil {
		return err
	}
	group.Go(func() error { return client.Run(ctx) })
	clients := http.NewServeMux()
	clients.Handle("/socket.io/", client)
	group.Go(func() error { return serve(ctx, "localhost:3210", clients) })
	return group.Wait()
}

// serve serves until ctx ends.
func serve(ctx context.Context, address string, handler http.Handler) error {
	server := &http.Server{Addr: address, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", address, err)
	}
	return nil
}
