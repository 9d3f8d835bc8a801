package oracle

import (
	"fmt"
	"strings"
)

// Shape is one way to change rows.
type Shape string

// The shapes that are transactions of their own, and rare.
const (
	truncateStock  Shape = "stock: truncated"
	truncateOrders Shape = "orders: truncated"
)

// Shapes are all of them.
func Shapes() []Shape {
	all := []Shape{truncateStock, truncateOrders}
	for _, s := range catalogue() {
		all = append(all, s.name)
	}
	return all
}

// shapeOf is a shape's place in the plan.
type shapeOf struct {
	name   Shape
	weight int
	sql    func(*planner) string
}

func orders(set, where string) string {
	return "UPDATE market.orders SET " + set + " WHERE " + where
}

func newOrder(p *planner, conflict string) string {
	c, o := p.user(), p.user()
	if p.r.IntN(15) == 0 {
		o = c // client and provider of the same row
	}
	return fmt.Sprintf("INSERT INTO market.orders AS o (id, client_id, provider_id, price, tag, client_note, provider_note) VALUES (%d, %s, %s, %s, %s, %s, %s) ON CONFLICT (id) DO %s",
		p.order(), c, o, p.price(), p.orderTag(c, o), p.note("CN", c), p.note("PN", o), conflict)
}

func newItem(p *planner, conflict string) string {
	return fmt.Sprintf("INSERT INTO market.items AS i (id, order_id, amount, tag, provider_note) SELECT %d, id, %s, '%s', 'IN~%s' FROM market.orders WHERE id = %d ON CONFLICT (id) DO %s",
		p.item(), p.price(), p.stamp(), p.stamp(), p.order(), conflict)
}

func newStock(p *planner, conflict string) string {
	shop, sku := p.stock()
	u := p.user()
	return fmt.Sprintf(`INSERT INTO market."Stock Levels" AS s VALUES (%s, %d, %s, %d, %s) ON CONFLICT ("Shop", "Sku") DO %s`,
		shop, sku, u, p.r.IntN(100), p.stockTag(u), conflict)
}

func stock(p *planner, set string) string {
	shop, sku := p.stock()
	return fmt.Sprintf(`UPDATE market."Stock Levels" SET %s WHERE "Shop" = %s AND "Sku" = %d`, set, shop, sku)
}

func one(p *planner) string { return fmt.Sprintf("id = %d", p.order()) }

// some is a short range of orders.
func some(p *planner, column string, upTo int) string {
	a := p.order()
	return fmt.Sprintf("%s BETWEEN %d AND %d", column, a, a+p.r.IntN(upTo))
}

func moved(p *planner) string {
	switch p.r.IntN(6) {
	case 0:
		return p.orderOf("provider_id", "client_id")
	case 1:
		return p.orderOf(p.user(), p.user())
	case 2, 3:
		return p.orderOf(p.user(), "provider_id")
	default:
		return p.orderOf("client_id", p.user())
	}
}

// catalogue is all ways in which the plan changes rows, but truncation.
func catalogue() []shapeOf {
	return []shapeOf{
		{"order: new or changed", 10, func(p *planner) string {
			return newOrder(p, "UPDATE SET price = excluded.price, tag = "+p.orderTag("o.client_id", "o.provider_id"))
		}},
		{"order: new or moved", 3, func(p *planner) string { return newOrder(p, "UPDATE SET "+moved(p)) }},
		{"order: new or nothing", 5, func(p *planner) string { return newOrder(p, "NOTHING") }},
		{"order: price", 14, func(p *planner) string {
			return orders("price = "+p.price()+", tag = "+p.orderTag("client_id", "provider_id"), one(p))
		}},
		{"order: status", 6, func(p *planner) string {
			return orders("status = "+pick(p, "'NEW'", "'ACCEPTED'", "'DONE'")+", tag = "+p.orderTag("client_id", "provider_id"), one(p))
		}},
		{"order: note", 5, func(p *planner) string {
			return orders(pick(p,
				"client_note = "+p.note("CN", "client_id"),
				"provider_note = "+p.note("PN", "provider_id"),
				"client_note = NULL, provider_note = "+p.note("PN", "provider_id")), one(p))
		}},
		{"order: nothing visible", 3, func(p *planner) string { return orders("secret = 'SECRET~"+p.stamp()+"'", one(p)) }},
		{"order: nothing at all", 2, func(p *planner) string { return orders("price = price, tag = tag", one(p)) }},
		{"order: moved", 8, func(p *planner) string { return orders(moved(p), one(p)) }},
		{"order: key", 2, func(p *planner) string {
			to := p.order()
			return orders(fmt.Sprintf("id = %d", to), fmt.Sprintf("%s AND NOT EXISTS (SELECT FROM market.orders WHERE id = %d)", one(p), to))
		}},
		{"order: key and moved", 1, func(p *planner) string {
			to := p.order()
			return orders(fmt.Sprintf("id = %d, ", to)+moved(p), fmt.Sprintf("%s AND NOT EXISTS (SELECT FROM market.orders WHERE id = %d)", one(p), to))
		}},
		{"order: deleted", 3, func(p *planner) string { return "DELETE FROM market.orders WHERE " + one(p) }},
		{"orders: price", 4, func(p *planner) string {
			return orders("price = price + 1, tag = "+p.orderTag("client_id", "provider_id"), some(p, "id", 60))
		}},
		{"orders: moved", 1, func(p *planner) string { return orders(moved(p), some(p, "id", 12)) }},
		{"orders: deleted", 1, func(p *planner) string { return "DELETE FROM market.orders WHERE " + some(p, "id", 4) }},
		{"orders: inserted", 2, func(p *planner) string {
			c, o := p.user(), p.user()
			return fmt.Sprintf("INSERT INTO market.orders (id, client_id, provider_id, tag, client_note, provider_note) SELECT id, %s, %s, %s, %s, %s FROM generate_series(%d, %d) AS id ON CONFLICT DO NOTHING",
				c, o, p.orderTag(c, o), p.note("CN", c), p.note("PN", o), p.keys[0]+p.r.IntN(p.keys[1]), p.keys[0]+p.r.IntN(p.keys[1]))
		}},

		{"item: new or changed", 12, func(p *planner) string {
			return newItem(p, "UPDATE SET amount = excluded.amount, tag = excluded.tag")
		}},
		{"item: new or moved", 3, func(p *planner) string {
			return newItem(p, "UPDATE SET order_id = excluded.order_id, tag = excluded.tag")
		}},
		{"item: changed", 10, func(p *planner) string {
			return fmt.Sprintf("UPDATE market.items SET amount = amount + 1, tag = '%s' WHERE id = %d", p.stamp(), p.item())
		}},
		{"item: note", 3, func(p *planner) string {
			return fmt.Sprintf("UPDATE market.items SET provider_note = 'IN~%s', secret = 'SECRET~%s' WHERE id = %d", p.stamp(), p.stamp(), p.item())
		}},
		{"item: moved", 3, func(p *planner) string {
			to := p.order()
			return fmt.Sprintf("UPDATE market.items SET order_id = %d, tag = '%s' WHERE id = %d AND EXISTS (SELECT FROM market.orders WHERE id = %d)", to, p.stamp(), p.item(), to)
		}},
		{"item: deleted", 4, func(p *planner) string { return fmt.Sprintf("DELETE FROM market.items WHERE id = %d", p.item()) }},
		{"items: changed", 3, func(p *planner) string {
			return fmt.Sprintf("UPDATE market.items SET amount = amount + 0.5, tag = '%s' WHERE %s", p.stamp(), some(p, "order_id", 25))
		}},
		{"items: inserted", 2, func(p *planner) string {
			return fmt.Sprintf("INSERT INTO market.items (id, order_id, tag) SELECT %d + id %% 20, id, '%s' FROM market.orders WHERE %s ON CONFLICT (id) DO NOTHING",
				p.item(), p.stamp(), some(p, "id", 20))
		}},
		{"items: deleted", 1, func(p *planner) string { return "DELETE FROM market.items WHERE " + some(p, "order_id", 4) }},
		{"order moved and items changed", 1, func(p *planner) string {
			k := p.order()
			return fmt.Sprintf("WITH moved AS (%s RETURNING id) UPDATE market.items SET tag = '%s' FROM moved WHERE order_id = moved.id",
				orders(moved(p), fmt.Sprintf("id = %d", k)), p.stamp())
		}},

		{"stock: new or changed", 10, func(p *planner) string {
			return newStock(p, "UPDATE SET qty = excluded.qty, tag = "+p.stockTag(`s."ownerId"`))
		}},
		{"stock: changed", 8, func(p *planner) string { return stock(p, "qty = qty - 1, tag = "+p.stockTag(`"ownerId"`)) }},
		{"stock: nothing visible", 2, func(p *planner) string { return stock(p, `"Secret" = 'SECRET~`+p.stamp()+"'") }},
		{"stock: moved", 4, func(p *planner) string {
			u := p.user()
			return stock(p, `"ownerId" = `+u+", tag = "+p.stockTag(u))
		}},
		{"stock: key", 2, func(p *planner) string {
			shop, sku := p.stock()
			return fmt.Sprintf(`UPDATE market."Stock Levels" SET "Sku" = 1000 - "Sku" WHERE "Shop" = %s AND "Sku" IN (%d, %d)`, shop, sku, 1000-sku)
		}},
		{"stock: deleted", 3, func(p *planner) string {
			shop, sku := p.stock()
			return fmt.Sprintf(`DELETE FROM market."Stock Levels" WHERE "Shop" = %s AND "Sku" = %d`, shop, sku)
		}},
		{"stock: merged", 3, merge},
	}
}

func merge(p *planner) string {
	var rows []string
	u := p.user()
	shop, first := p.stock()
	for i := range 1 + p.r.IntN(6) {
		rows = append(rows, fmt.Sprintf("(%d, %d)", first+i, p.r.IntN(50)))
	}
	return fmt.Sprintf(`MERGE INTO market."Stock Levels" AS s USING (VALUES %s) AS v (sku, qty) ON s."Shop" = %s AND s."Sku" = v.sku
WHEN MATCHED AND v.qty < 5 THEN DELETE
WHEN MATCHED THEN UPDATE SET qty = v.qty, tag = %s
WHEN NOT MATCHED THEN INSERT ("Shop", "Sku", "ownerId", qty, tag) VALUES (%s, v.sku, %s, v.qty, %s)`,
		strings.Join(rows, ", "), shop, p.stockTag(`s."ownerId"`), shop, u, p.stockTag(u))
}
