package db

import (
	"cmp"
	"context"
	_ "embed" // the query
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgbell/pgbell"
)

// Notice is a notification that is to be made for each of some users.
type Notice struct {
	// Users are 1 to 1000 ids.
	Users []string
	// Title has 1 to 500 characters, Message at most 4000.
	Title, Message string
	// Level is info, success, warning or error. Default: info.
	Level string
	// Type is what it is about: letters, digits, dots and underscores.
	// Default: notice.
	Type string
	// Data is any JSON of at most 64 KiB. Default: none.
	Data json.RawMessage
	// IdempotencyKey makes the same again, within 24 hours, make none.
	// Default: none, each call makes some.
	IdempotencyKey string
}

// checkViolation and notNullViolation are SQLSTATEs.
const (
	checkViolation   = "23514"
	notNullViolation = "23502"
)

// Notify makes notifications and returns how many once they are committed: one
// for each user who has not muted them. Its errors are those of [Publish]. The
// role needs EXECUTE on pgbell.notify.
func Notify(ctx context.Context, pool *pgxpool.Pool, n Notice) (made int, err error) {
	var data, key *string
	if len(n.Data) > 0 {
		text := string(n.Data)
		data = &text
	}
	if n.IdempotencyKey != "" {
		key = &n.IdempotencyKey
	}
	var answer *int
	err = pool.QueryRow(ctx, `SELECT pgbell.notify($1, $2, $3, level => $4, type => $5, data => $6::text::json, idempotency_key => $7)`,
		n.Users, n.Title, n.Message, cmp.Or(n.Level, "info"), cmp.Or(n.Type, "notice"), data, key).Scan(&answer)
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg) && pg.Code == invalidParameterValue:
		return 0, fmt.Errorf("notify: %w", &PublicationMistake{pg.Message})
	case errors.As(err, &pg) && pg.Code == checkViolation:
		// Constraints are called what they ask for.
		return 0, fmt.Errorf("notify: %w", &PublicationMistake{"want " + strings.ReplaceAll(pg.ConstraintName, "_", " ")})
	case errors.As(err, &pg) && pg.Code == notNullViolation:
		return 0, fmt.Errorf("notify: %w", &PublicationMistake{"a user id is missing"})
	case errors.As(err, &pg) && pg.Code == uniqueViolation:
		return 0, fmt.Errorf("notify: %w", ErrIdempotencyKey)
	case err != nil:
		return 0, fmt.Errorf("notify: %w", err)
	case answer == nil:
		return 0, fmt.Errorf("notify: %w", ErrPublishingIsOff)
	}
	return *answer, nil
}

// Notifications reads users' notifications and marks them as read.
type Notifications struct {
	pool    *pgxpool.Pool
	timeout time.Duration
}

// NewNotifications works over connections of pool. A request takes timeout at
// most; 0 stands for 5 seconds. The role needs what [Grants] names for it.
func NewNotifications(pool *pgxpool.Pool, timeout time.Duration) *Notifications {
	return &Notifications{pool, cmp.Or(timeout, 5*time.Second)}
}

// NotificationsQuery asks for one page.
type NotificationsQuery struct {
	User string
	// Before asks for notifications with a lower id. Default: the newest.
	Before int64
	// Unread leaves out those that were read.
	Unread bool
	// Limit is how many at most. Required.
	Limit int
}

// NotificationsPage is notifications as they stood in one snapshot, the newest
// first.
type NotificationsPage struct {
	// Notifications are JSON objects, as events have them.
	Notifications []json.RawMessage
	// Unread is how many there are unread in all; 10000 stands for more, too.
	Unread int64
	// Cursor contains exactly what the page contains.
	Cursor pgbell.Cursor
	// Next is the Before of the page after this; 0 if there is none.
	Next int64
}

//go:embed queries/notifications.sql
var queryNotifications string

// List returns a page.
func (n *Notifications) List(ctx context.Context, q NotificationsQuery) (NotificationsPage, error) {
	ctx, cancel := context.WithTimeout(ctx, n.timeout)
	defer cancel()
	var before *int64
	if q.Before > 0 {
		before = &q.Before
	}
	var page NotificationsPage
	err := n.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		// The epoch, which lasts as long as the connection.
		present, _, err := Log{}.Position(ctx, conn.Conn())
		if err != nil {
			return err
		}
		return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{BeginQuery: beginRows}, func(tx pgx.Tx) error {
			var text string
			if err := tx.QueryRow(ctx, "SELECT pg_current_snapshot()::text, pgbell.unread_notifications($1)", q.User).Scan(&text, &page.Unread); err != nil {
				return err
			}
			snapshot, err := pgbell.ParseSnapshot(text)
			if err != nil {
				return err
			}
			page.Cursor = pgbell.NewCursor(present.Epoch(), snapshot)
			rows, err := tx.Query(ctx, queryNotifications, q.User, before, q.Unread, q.Limit+1)
			if err != nil {
				return err
			}
			var id, last int64
			var object string
			_, err = pgx.ForEachRow(rows, []any{&id, &object}, func() error {
				if len(page.Notifications) == q.Limit {
					page.Next = last
					return nil
				}
				last = id
				page.Notifications = append(page.Notifications, json.RawMessage(object))
				return nil
			})
			return err
		})
	})
	if err != nil {
		return NotificationsPage{}, fmt.Errorf("list notifications: %w", err)
	}
	return page, nil
}

// MarkRead marks a user's notifications as read, those of the ids or, with
// none, all. It returns how many are unread then. Ids of others are passed
// over.
func (n *Notifications) MarkRead(ctx context.Context, user string, ids []int64) (unread int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, n.timeout)
	defer cancel()
	if err := n.pool.QueryRow(ctx, "SELECT pgbell.read_notifications($1, $2)", user, ids).Scan(&unread); err != nil {
		return 0, fmt.Errorf("mark notifications as read: %w", err)
	}
	return unread, nil
}

// Unread counts the unread notifications of each of the users, all in one
// snapshot.
func (n *Notifications) Unread(ctx context.Context, users []string) (map[string]int64, error) {
	rows, err := n.pool.Query(ctx, "SELECT u, pgbell.unread_notifications(u) FROM unnest($1::text[]) AS u", users)
	if err != nil {
		return nil, fmt.Errorf("count unread notifications: %w", err)
	}
	counts := make(map[string]int64, len(users))
	var user string
	var unread int64
	if _, err := pgx.ForEachRow(rows, []any{&user, &unread}, func() error {
		counts[user] = unread
		return nil
	}); err != nil {
		return nil, fmt.Errorf("count unread notifications: %w", err)
	}
	return counts, nil
}

// Preference is whether a user wants notifications of a type and an audience.
// An asterisk is any that has no preference of its own; a preference that names
// the type counts before one that names the audience.
type Preference struct {
	Type, Audience string
	// Delivery is in_app or muted. A muted notification is not made.
	Delivery string
}

// Preferences returns a user's, in order.
func (n *Notifications) Preferences(ctx context.Context, user string) ([]Preference, error) {
	ctx, cancel := context.WithTimeout(ctx, n.timeout)
	defer cancel()
	rows, err := n.pool.Query(ctx, `SELECT p.type, p.audience, p.delivery FROM pgbell.notification_preferences AS p WHERE p.user_id = $1 ORDER BY p.type, p.audience`, user)
	if err != nil {
		return nil, fmt.Errorf("read notification preferences: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Preference])
	if err != nil {
		return nil, fmt.Errorf("read notification preferences: %w", err)
	}
	return all, nil
}

// SetPreferences replaces a user's. They are checked: each type and audience
// once, all within bounds.
func (n *Notifications) SetPreferences(ctx context.Context, user string, all []Preference) error {
	ctx, cancel := context.WithTimeout(ctx, n.timeout)
	defer cancel()
	var types, audiences, deliveries []string
	for _, p := range all {
		types, audiences, deliveries = append(types, p.Type), append(audiences, p.Audience), append(deliveries, p.Delivery)
	}
	err := pgx.BeginFunc(ctx, n.pool, func(tx pgx.Tx) error {
		// One device of the user after the other, each whole.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1, hashtext($2))", lockPreferences, user); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM pgbell.notification_preferences WHERE user_id = $1", user); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			INSERT INTO pgbell.notification_preferences (user_id, type, audience, delivery)
			SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[])`, user, types, audiences, deliveries)
		return err
	})
	if err != nil {
		return fmt.Errorf("set notification preferences: %w", err)
	}
	return nil
}

// ExpireEvery is how often [Notifications.Expire] is to be called.
const ExpireEvery = 10 * time.Minute

// The bounds of one call of [Notifications.Expire]: statements, and rows of
// each. Each is a transaction of its own.
const (
	expireStatements = 100
	expireRows       = 1000
)

// Expire removes notifications that were read longer ago than read, or made
// longer ago than unread and never read, in short transactions, and returns how
// many. What a call leaves the next one removes. Any number of nodes may call
// it at once.
func (n *Notifications) Expire(ctx context.Context, read, unread time.Duration) (removed int64, err error) {
	for range expireStatements {
		var some int64
		err := n.pool.QueryRow(ctx, "SELECT pgbell.expire_notifications($1, $2, $3)", read, unread, expireRows).Scan(&some)
		if err != nil {
			return removed, fmt.Errorf("remove old notifications: %w", err)
		}
		if removed += some; some < expireRows {
			break
		}
	}
	return removed, nil
}
