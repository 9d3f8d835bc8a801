package rig

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5"
)

// peerArgument is the first argument of a benchmark that is to be a server.
const peerArgument = "peer"

// Main is the main function of a benchmark: it runs bench, or, if the program
// was started by [Rig.Peer], that bare server.
func Main(bench func(ctx context.Context) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := func() error {
		defer stop()
		if len(os.Args) == 4 && os.Args[1] == peerArgument {
			return servePeer(ctx, os.Args[2], os.Args[3])
		}
		return bench(ctx)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// The bare servers.
const (
	// Floor is the least that can carry a row change to a WebSocket: a
	// connection that listens and writes each payload straight to the sockets.
	Floor = "floor"
	// Naive is the WebSocket server of gorilla's examples: a goroutine that
	// reads and one that writes and pings for each connection, and buffers of
	// the default size.
	Naive = "naive"
)

func servePeer(ctx context.Context, name, address string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	failed := make(chan error, 1)
	switch name {
	case Floor:
		conn, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(ctx))
		if _, err := conn.Exec(ctx, "LISTEN floor"); err != nil {
			return err
		}
		f := &floor{}
		mux.HandleFunc("GET /ws", f.join)
		go func() { failed <- f.pump(ctx, conn) }()
	case Naive:
		mux.HandleFunc("GET /ws", naive)
	default:
		return fmt.Errorf("there is no peer %q", name)
	}
	server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return server.Close()
	}
}

type floor struct {
	mu      sync.Mutex
	sockets []*websocket.Conn
}

func (f *floor) join(w http.ResponseWriter, r *http.Request) {
	c, err := new(websocket.Upgrader).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	f.mu.Lock()
	f.sockets = append(f.sockets, c)
	f.mu.Unlock()
}

func (f *floor) pump(ctx context.Context, conn *pgx.Conn) error {
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		f.mu.Lock()
		for _, c := range f.sockets {
			_ = c.WriteMessage(websocket.TextMessage, []byte(n.Payload))
		}
		f.mu.Unlock()
	}
}

func naive(w http.ResponseWriter, r *http.Request) {
	c, err := new(websocket.Upgrader).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	send, gone := make(chan []byte, 256), make(chan struct{})
	go func() {
		ping := time.NewTicker(25 * time.Second)
		defer ping.Stop()
		for {
			var err error
			select {
			case message := <-send:
				err = c.WriteMessage(websocket.TextMessage, message)
			case <-ping.C:
				err = c.WriteControl(websocket.PingMessage, nil, time.Now().Add(10*time.Second))
			case <-gone:
				return
			}
			if err != nil {
				c.Close()
				return
			}
		}
	}()
	go func() {
		defer close(gone)
		defer c.Close()
		for {
			if _, _, err := c.ReadMessage(); err != nil {
				return
			}
		}
	}()
}
