package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// peerArgument is the first argument of a benchmark that is to be a peer.
const peerArgument = "peer"

// secretVariable is where pgbell and the peers find the key of the tokens.
const secretVariable = "PGBELL_JWT_SECRET"

// Peer is what a benchmark runs beside itself as a process of its own. It adds
// what it is asked for to mux, which is served when it returns, and what it
// does by itself to g. The process ends with the first error, or with ctx. It
// finds its database in DATABASE_URL.
type Peer func(ctx context.Context, g *errgroup.Group, mux *http.ServeMux, args []string) error

// The bare servers, which every benchmark has.
const (
	// Floor is the least that can carry a row change to a WebSocket: a
	// connection that listens and writes each payload straight to the sockets.
	Floor = "floor"
	// Naive is the WebSocket server of gorilla's examples: a goroutine that
	// reads and one that writes and pings for each connection, and buffers of
	// the default size.
	Naive = "naive"
)

// Main is the main function of a benchmark: it runs bench, or, if the program
// was started by [Database.Peer], that bare server or that one of peers.
func Main(bench func(ctx context.Context) error, peers map[string]Peer) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := func() error {
		defer stop()
		if len(os.Args) >= 4 && os.Args[1] == peerArgument {
			all := map[string]Peer{Floor: serveFloor, Naive: serveNaive}
			maps.Copy(all, peers)
			return servePeer(ctx, all[os.Args[2]], os.Args[3], os.Args[4:])
		}
		return bench(ctx)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func servePeer(ctx context.Context, peer Peer, address string, args []string) error {
	if peer == nil {
		return errors.New("there is no such peer")
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	g, ctx := errgroup.WithContext(ctx)
	if err := peer(ctx, g, mux, args); err != nil {
		return err
	}
	server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	g.Go(func() error {
		if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Answer makes a handler from a function that takes and returns JSON, for
// [Server.Call].
func Answer[In, Out any](answer func(context.Context, In) (Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		var body []byte
		err := json.NewDecoder(r.Body).Decode(&in)
		if err == nil {
			var out Out
			if out, err = answer(r.Context(), in); err == nil {
				body, err = json.Marshal(out)
			}
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(body) // who asked may have gone
	}
}

// PeerToken is [Rig.Token] for a peer.
func PeerToken(user string) (string, error) { return token(os.Getenv(secretVariable), user) }

func serveFloor(ctx context.Context, g *errgroup.Group, mux *http.ServeMux, _ []string) error {
	conn, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "LISTEN floor"); err != nil {
		return err
	}
	f := &floor{}
	mux.HandleFunc("GET /ws", f.join)
	g.Go(func() error {
		defer conn.Close(context.WithoutCancel(ctx))
		return f.pump(ctx, conn)
	})
	return nil
}

func serveNaive(_ context.Context, _ *errgroup.Group, mux *http.ServeMux, _ []string) error {
	mux.HandleFunc("GET /ws", naive)
	return nil
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
