package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/cmd/pgbell/config"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/listener"
	"github.com/pgbell/pgbell/ws"
	"github.com/pgbell/pgbell/ws/socketio"
)

// revocations reads what is revoked in the words of package ws.
func revocations(pool *pgxpool.Pool) func(context.Context) ([]ws.Revocation, error) {
	return func(ctx context.Context) ([]ws.Revocation, error) {
		list, err := db.Revocations(ctx, pool)
		if err != nil {
			return nil, err
		}
		all := make([]ws.Revocation, len(list))
		for i, r := range list {
			all[i] = ws.Revocation(r)
		}
		return all, nil
	}
}

// canary is the way of a node's canary into the database.
func canary(pool *pgxpool.Pool) func(context.Context, string, int64) error {
	return func(ctx context.Context, node string, flight int64) error {
		return db.ReleaseCanary(ctx, pool, node, flight)
	}
}

// recovery is what seals the sessions of Socket.IO clients, with a secret that
// all nodes have from the database. Without one nothing is recovered. That the
// database cannot be asked just then is no reason to go without: it is an error,
// as for everything else that the start needs of it.
func recovery(ctx context.Context, pool *pgxpool.Pool, o config.SocketIO, logger *slog.Logger) (*socketio.PIDs, error) {
	if o.Recovery == "off" {
		return nil, nil //nolint:nilnil // there is none, and that is no error
	}
	secret, err := db.NodeSecret(ctx, pool)
	if hasNoSecret(err) {
		logger.WarnContext(ctx, "Socket.IO clients do not recover", "error", err)
		return nil, nil //nolint:nilnil // as above
	}
	if err != nil {
		return nil, err
	}
	return socketio.NewPIDs(secret)
}

// hasNoSecret reports whether there is no secret to read, or not for us.
func hasNoSecret(err error) bool {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		const insufficientPrivilege, undefinedTable = "42501", "42P01"
		return refused.Code == insufficientPrivilege || refused.Code == undefinedTable
	}
	return errors.Is(err, pgx.ErrNoRows)
}

// warmStart is where the stream begins, such that it fills the window of a node
// that comes up. Its clients come back all at once, with cursors of before.
func warmStart(ctx context.Context, pool *pgxpool.Pool, w config.Window, logger *slog.Logger) (start pgbell.Cursor) {
	err := pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) (err error) {
		start, err = db.Log{}.Recent(ctx, conn.Conn(), db.RecentOptions{Bytes: int64(w.Bytes), Age: w.Age})
		return err
	})
	if err != nil {
		logger.WarnContext(ctx, "the window starts empty", "err", err)
	}
	return start
}

// notificationType is the event type that tells a user of notifications.
const notificationType = "pgbell.notification"

// isSignal reports an event that is not for any user: pgbell tells its nodes
// something.
func isSignal(e *pgbell.Event) bool {
	return strings.HasPrefix(e.Type, "pgbell.") && e.Type != notificationType
}

// spectator shows its sink what happens from now on: neither what fills the
// window nor signals.
type spectator struct {
	listener.Sink
	live bool
}

func (s *spectator) Deliver(events []pgbell.Event) {
	if !s.live {
		return
	}
	var shown []pgbell.Event
	for i := range events {
		if !isSignal(&events[i]) {
			shown = append(shown, events[i])
		}
	}
	if len(shown) > 0 {
		s.Sink.Deliver(shown)
	}
}

func (s *spectator) Advance(at pgbell.Cursor) {
	s.live = true
	s.Sink.Advance(at)
}
