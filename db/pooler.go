package db

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// hearingTime is how long a notification may take before it counts as lost.
const hearingTime = 2 * time.Second

// Pooler tells what stands between us and Postgres: nothing, a pooler that
// lends a connection for as long as we have ours (which works), or one that
// lends another for each transaction. There LISTEN does not last, and neither do
// the session's advisory locks. It opens two connections and changes nothing.
func Pooler(ctx context.Context, url string) (f Finding, err error) {
	defer func() { f.Check = "pooler" }()
	opts := Options{ApplicationName: "pgbell doctor"}
	hearer, err := Connect(ctx, url, opts)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, hearer.Close(context.WithoutCancel(ctx))) }()
	caller, err := Connect(ctx, url, opts)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, caller.Close(context.WithoutCancel(ctx))) }()

	channel := "pgbell_doctor_" + strings.ToLower(rand.Text())
	if _, err := hearer.Exec(ctx, "LISTEN "+channel); err != nil {
		return f, fmt.Errorf("listen: %w", err)
	}
	before, err := backend(ctx, hearer)
	if err != nil {
		return f, err
	}
	// While the caller's transaction is open, a pooler cannot give its
	// connection to the hearer.
	var after uint32
	err = pgx.BeginFunc(ctx, caller, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_notify($1, '')", pgx.QueryExecModeExec, channel); err != nil {
			return err
		}
		after, err = backend(ctx, hearer)
		return err
	})
	if err != nil {
		return f, fmt.Errorf("notify: %w", err)
	}
	patience, cancel := context.WithTimeout(ctx, hearingTime)
	defer cancel()
	_, err = hearer.WaitForNotification(patience)
	if ctx.Err() != nil {
		return f, ctx.Err()
	}
	return poolerFinding(err == nil, before != after, before != hearer.PgConn().PID()), nil
}

// poolerFinding judges: whether the notification was heard, whether the
// backend changed, and whether it is another than the one that greeted us.
func poolerFinding(heard, changed, foreign bool) Finding {
	switch {
	case !heard || changed:
		return Finding{
			Level:  Error,
			What:   "a pooler lends another connection for each transaction, so LISTEN does not last and pgbell would hear no bell",
			Remedy: "give pgbell the address of Postgres itself, or a pool in session mode; the application may stay behind its pooler",
		}
	case foreign:
		return Finding{Level: Note, What: "a pooler in session mode stands in between: it works, and each pgbell serve takes up to " + strconv.Itoa(nodeConnections) + " of its connections for good"}
	}
	return Finding{Level: OK, What: "no pooler stands in between: a notification arrived"}
}

// backend is the process that answers. Nothing is prepared: another process
// would not know of it.
func backend(ctx context.Context, conn *pgx.Conn) (pid uint32, err error) {
	if err := conn.QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeExec).Scan(&pid); err != nil {
		return 0, fmt.Errorf("ask for the backend: %w", err)
	}
	return pid, nil
}
