package oracle

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
)

// queries tell, for each type, of every row: its key, what each owner sees,
// what its client and its provider alone see, and who they are. Written by
// hand, so that nothing of the server takes part.
var queries = map[string]string{
	"order": `SELECT (SELECT row_to_json(k)::text FROM (SELECT id) AS k),
		(SELECT row_to_json(r)::text FROM (SELECT id, client_id, provider_id, status, price, tag) AS r),
		(SELECT row_to_json(r)::text FROM (SELECT client_note) AS r),
		(SELECT row_to_json(r)::text FROM (SELECT provider_note) AS r),
		client_id, provider_id FROM market.orders`,
	"item": `SELECT (SELECT row_to_json(k)::text FROM (SELECT i.id) AS k),
		(SELECT row_to_json(r)::text FROM (SELECT i.id, order_id, amount, i.tag) AS r),
		'{}', (SELECT row_to_json(r)::text FROM (SELECT i.provider_note) AS r),
		client_id, provider_id FROM market.items AS i JOIN market.orders AS o ON o.id = order_id`,
	"stock": `SELECT (SELECT row_to_json(k)::text FROM (SELECT "Shop", "Sku") AS k),
		(SELECT row_to_json(r)::text FROM (SELECT "Shop", "Sku", "ownerId", qty, tag) AS r),
		'{}', '{}', "ownerId", NULL FROM market."Stock Levels"`,
}

// watched are the types that the watcher's role sees.
var watched = []string{"order", "stock"}

// row is one row of a table, and who may see what of it.
type row struct {
	key                    string
	all                    columns
	forClient, forProvider columns
	clientID, providerID   *string
}

// tables is all rows at one time, by type.
type tables map[string][]row

func readTables(ctx context.Context, conn *pgx.Conn) (tables, error) {
	t := tables{}
	for typ, sql := range queries {
		found, err := conn.Query(ctx, sql)
		if err != nil {
			return nil, err
		}
		t[typ], err = pgx.CollectRows(found, func(r pgx.CollectableRow) (one row, err error) {
			var all, client, owner string
			if err := r.Scan(&one.key, &all, &client, &owner, &one.clientID, &one.providerID); err != nil {
				return one, err
			}
			for _, part := range []struct {
				text string
				into *columns
			}{{all, &one.all}, {client, &one.forClient}, {owner, &one.forProvider}} {
				if err := json.Unmarshal([]byte(part.text), part.into); err != nil {
					return one, err
				}
			}
			return one, nil
		})
		if err != nil {
			return nil, fmt.Errorf("read the rows of %s: %w", typ, err)
		}
	}
	return t, nil
}

// of is what SELECT … WHERE owner = user gives.
func (t tables) of(typ, user string, watcher bool) map[string]columns {
	visible := map[string]columns{}
	for _, r := range t[typ] {
		client := r.clientID != nil && *r.clientID == user
		provider := r.providerID != nil && *r.providerID == user
		watching := watcher && slices.Contains(watched, typ)
		if !client && !provider && !watching {
			continue
		}
		row := columns{}
		for _, part := range []struct {
			columns columns
			seen    bool
		}{{r.all, true}, {r.forClient, client}, {r.forProvider, provider}} {
			if part.seen {
				maps.Copy(row, part.columns)
			}
		}
		visible[r.key] = row
	}
	return visible
}

// diverges says how a client's rows differ from those of the tables.
func (t tables) diverges(typ string, have map[string]string, user string, watcher bool) (found []string) {
	want := t.of(typ, user, watcher)
	for key, row := range want {
		var got columns
		text, ok := have[key]
		if ok && json.Unmarshal([]byte(text), &got) == nil && sameColumns(got, row) {
			continue
		}
		wanted, _ := json.Marshal(row)
		if !ok {
			text = "nothing"
		}
		found = append(found, fmt.Sprintf("%s %s: the client has %s, the table %s", typ, key, text, wanted))
	}
	for key, text := range have {
		if _, ok := want[key]; !ok {
			found = append(found, fmt.Sprintf("%s %s: the client has %s, the user owns no such row", typ, key, text))
		}
	}
	slices.Sort(found)
	return found
}
