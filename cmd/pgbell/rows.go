package main

import (
	"context"
	"errors"

	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/triggers"
	"github.com/pgbell/pgbell/ws"
	"github.com/pgbell/pgbell/ws/auth"
)

// rowReader answers for rows in the words of package ws.
type rowReader struct{ rows *db.Rows }

// ReadRows implements [ws.RowReader].
func (r rowReader) ReadRows(ctx context.Context, id auth.Identity, q ws.RowsQuery) (ws.RowsPage, error) {
	page, err := r.rows.Read(ctx, db.RowsQuery{
		Type: q.Type, User: id.UserID, Roles: id.Roles, Filter: q.Filter, Page: q.Page, Limit: q.Limit,
	})
	var mistake *db.RowsMistake
	switch {
	case errors.Is(err, db.ErrUnknownType):
		return ws.RowsPage{}, ws.ErrUnknownType
	case errors.As(err, &mistake):
		return ws.RowsPage{}, ws.Mistake(mistake.Message)
	case err != nil:
		return ws.RowsPage{}, err
	}
	return ws.RowsPage{Rows: page.Rows, Cursor: page.Cursor, Next: page.Next}, nil
}

// tables are the watches in the words of package db.
func tables(watches []triggers.Watch) []db.Table {
	all := make([]db.Table, len(watches))
	for i, w := range watches {
		t := db.Table{
			Type: w.Type, Schema: w.Table.Schema, Name: w.Table.Name,
			Key: w.Key, Watchers: w.Watchers, Columns: w.Columns, AllColumns: w.AllColumns, Only: w.Only,
		}
		for _, o := range w.Owners {
			owner := db.TableOwner{Audience: o.Audience, Column: o.Column}
			if o.Via != nil {
				owner.Via = &db.TableVia{Column: o.Via.Column, Schema: o.Via.Table.Schema, Name: o.Via.Table.Name, Owner: o.Via.Owner}
			}
			t.Owners = append(t.Owners, owner)
		}
		all[i] = t
	}
	return all
}
