package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgbell/pgbell/cmd/pgbell/config"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/ws"
)

// notifications answers in the words of package ws. What the stream waits for
// does not share connections with what clients cause in bulk.
type notifications struct{ stream, bulk *db.Notifications }

func newNotifications(stream, bulk *pgxpool.Pool) notifications {
	return notifications{db.NewNotifications(stream, 0), db.NewNotifications(bulk, 0)}
}

// Unread implements [ws.Notifications].
func (n notifications) Unread(ctx context.Context, users []string) (map[string]int64, error) {
	return n.stream.Unread(ctx, users)
}

// MarkRead implements [ws.Notifications].
func (n notifications) MarkRead(ctx context.Context, user string, ids []int64) (int64, error) {
	return n.bulk.MarkRead(ctx, user, ids)
}

// Notifications implements [ws.Inbox].
func (n notifications) Notifications(ctx context.Context, user string, q ws.NotificationsQuery) (ws.NotificationsPage, error) {
	page, err := n.bulk.List(ctx, db.NotificationsQuery{User: user, Before: q.Before, Unread: q.Unread, Limit: q.Limit})
	return ws.NotificationsPage(page), err
}

// Preferences implements [ws.Inbox].
func (n notifications) Preferences(ctx context.Context, user string) ([]ws.Preference, error) {
	list, err := n.bulk.Preferences(ctx, user)
	if err != nil {
		return nil, err
	}
	all := make([]ws.Preference, len(list))
	for i, p := range list {
		all[i] = ws.Preference(p)
	}
	return all, nil
}

// SetPreferences implements [ws.Inbox].
func (n notifications) SetPreferences(ctx context.Context, user string, list []ws.Preference) error {
	all := make([]db.Preference, len(list))
	for i, p := range list {
		all[i] = db.Preference(p)
	}
	return n.bulk.SetPreferences(ctx, user, all)
}

// Notify implements [ws.Publisher].
func (p publisher) Notify(ctx context.Context, n ws.Notice) (int, error) {
	made, err := db.Notify(ctx, p.pool, db.Notice(n))
	return made, toldPublishing(err)
}

// toldPublishing is an error in the words of package ws.
func toldPublishing(err error) error {
	var mistake *db.PublicationMistake
	switch {
	case errors.As(err, &mistake):
		return ws.Mistake(mistake.Message + ".")
	case errors.Is(err, db.ErrIdempotencyKey):
		return ws.ErrIdempotencyKey
	}
	return err
}

// expire keeps the notifications from growing for ever.
func expire(pool *pgxpool.Pool, keep config.Retention, logger *slog.Logger) func(context.Context) {
	n := db.NewNotifications(pool, 0)
	read, unread := cmp.Or(keep.NotificationsRead, config.KeepRead), cmp.Or(keep.NotificationsUnread, config.KeepUnread)
	return func(ctx context.Context) {
		removed, err := n.Expire(ctx, read, unread)
		if err != nil && ctx.Err() == nil {
			logger.WarnContext(ctx, "old notifications cannot be removed; they stay until they can", "error", err)
		}
		if removed > 0 {
			logger.InfoContext(ctx, "old notifications were removed", "notifications", removed)
		}
	}
}
