package oracle

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// transaction is one step of a writer's plan. Its text follows from the seed
// alone; which rows it meets does not.
type transaction struct {
	shapes     []Shape
	statements []string
	// pause is how long the transaction stays open after the first half of its
	// statements.
	pause time.Duration
	// end is COMMIT or ROLLBACK, or empty for one statement that commits by
	// itself.
	end string
}

// The rows that writers meet in: few, so that they do.
const (
	orderKeys = 250
	itemKeys  = 900
	stockKeys = 40 // in each shop
	// ownKeys is the first key of the rows that only one long transaction
	// touches at a time.
	ownKeys = 100_000
)

var shops = []string{"north", "South", `x"y,z`, "ö"}

// planner makes one writer's plan.
type planner struct {
	r      *rand.Rand
	writer int
	users  []string
	shapes []shapeOf // with repetitions by weight
	rare   [2]bool   // whether to truncate stock, orders
	n      int       // statements so far
	quick  bool      // the statement is a transaction of its own
	keys   [2]int    // first key and number of keys of orders; of items likewise
}

func newPlanner(c Config, writer int) *planner {
	p := &planner{
		r:      rand.New(rand.NewPCG(c.Seed, uint64(writer)+1)),
		writer: writer,
		users:  names[:c.Users],
	}
	p.share()
	for _, s := range catalogue() {
		if !slices.Contains(c.Without, s.name) {
			p.shapes = append(p.shapes, slices.Repeat([]shapeOf{s}, s.weight)...)
		}
	}
	p.rare = [2]bool{!slices.Contains(c.Without, truncateStock), !slices.Contains(c.Without, truncateOrders)}
	return p
}

func (p *planner) share() { p.keys = [2]int{1, orderKeys} }
func (p *planner) own()   { p.keys = [2]int{ownKeys + 10*p.writer, 5} }

// next is the writer's next transaction.
func (p *planner) next() transaction {
	switch rare := p.r.IntN(10_000); {
	case rare < 3 && p.rare[0]:
		return truncation(truncateStock, `market."Stock Levels"`)
	case rare == 3 && p.rare[1]:
		return truncation(truncateOrders, "market.orders CASCADE")
	}
	switch k := p.r.IntN(100); {
	case k < 66:
		p.quick = true
		t := p.statements(1)
		p.quick = false
		return t
	case k < 74: // nobody hears of it but by the safety round
		t := p.statements(1 + p.r.IntN(2))
		t.statements = append([]string{"SET LOCAL pgbell.bell = never"}, t.statements...)
		t.end = "COMMIT"
		return t
	case k < 77:
		t := p.statements(1 + p.r.IntN(2))
		t.statements = append([]string{"SET LOCAL pgbell.bell = always"}, t.statements...)
		t.end = "COMMIT"
		return t
	case k < 88:
		t := p.statements(2 + p.r.IntN(4))
		t.end = "COMMIT"
		return t
	case k < 93:
		t := p.statements(1 + p.r.IntN(3))
		t.end = "ROLLBACK"
		return t
	}
	return p.savepoints()
}

// truncation gives up when others hold the table for long: whoever comes later
// waits behind it.
func truncation(s Shape, table string) transaction {
	return transaction{
		shapes:     []Shape{s},
		statements: []string{"SET LOCAL lock_timeout = 200", "TRUNCATE " + table},
		end:        "COMMIT",
	}
}

// savepoints is a transaction of which a part never was.
func (p *planner) savepoints() transaction {
	before, undone, after := p.statements(p.r.IntN(2)), p.statements(1+p.r.IntN(2)), p.statements(1+p.r.IntN(2))
	t := transaction{end: "COMMIT", shapes: slices.Concat(before.shapes, undone.shapes, after.shapes)}
	t.statements = append(t.statements, before.statements...)
	t.statements = append(t.statements, "SAVEPOINT s")
	t.statements = append(t.statements, undone.statements...)
	if p.r.IntN(2) == 0 {
		t.statements = append(t.statements, "SAVEPOINT u", p.statements(1).statements[0], "RELEASE u")
	}
	t.statements = append(t.statements, "ROLLBACK TO s")
	t.statements = append(t.statements, after.statements...)
	if p.r.IntN(4) == 0 {
		t.end = "ROLLBACK"
	}
	return t
}

// long is a transaction that begins early and commits late. It holds rows of
// its own, and takes one that others want just before it ends.
func (p *planner) long() transaction {
	p.own()
	first := p.statements(2 + p.r.IntN(3))
	p.share()
	last := p.statements(1)
	t := transaction{
		shapes:     slices.Concat(first.shapes, last.shapes),
		statements: append(first.statements, last.statements...),
		pause:      time.Duration(20+p.r.IntN(700)) * time.Millisecond,
		end:        "COMMIT",
	}
	switch p.r.IntN(6) {
	case 0:
		t.end = "ROLLBACK"
	case 1, 2:
		t.statements = append([]string{"SET LOCAL pgbell.bell = never"}, t.statements...)
	}
	return t
}

func (p *planner) statements(n int) transaction {
	var t transaction
	for range n {
		s := p.shapes[p.r.IntN(len(p.shapes))]
		p.n++
		t.shapes = append(t.shapes, s.name)
		t.statements = append(t.statements, s.sql(p))
	}
	return t
}

// stamp makes each statement's text its own, and says whether its events were
// committed as soon as they were made.
func (p *planner) stamp() string {
	if p.quick {
		return fmt.Sprintf("%d.%d.q", p.writer, p.n)
	}
	return fmt.Sprintf("%d.%d", p.writer, p.n)
}

func (p *planner) order() int { return p.keys[0] + p.r.IntN(p.keys[1]) }

func (p *planner) item() int {
	if p.keys[0] >= ownKeys {
		return p.order()
	}
	return 1 + p.r.IntN(itemKeys)
}

func (p *planner) price() string { return fmt.Sprintf("%d.%02d", p.r.IntN(1000), p.r.IntN(100)) }

// user is a user as SQL, sometimes NULL.
func (p *planner) user() string {
	if p.r.IntN(12) == 0 {
		return "NULL"
	}
	return "'" + p.users[p.r.IntN(len(p.users))] + "'"
}

// stock is the condition for one row of stock.
func (p *planner) stock() (shop string, sku int) {
	sku = p.r.IntN(stockKeys)
	if p.keys[0] >= ownKeys {
		sku = p.order()
	}
	return "'" + shops[p.r.IntN(len(shops))] + "'", sku
}

// orderOf sets the owners of an order to two expressions, and all that names
// them.
func (p *planner) orderOf(client, provider string) string {
	return fmt.Sprintf("client_id = %s, provider_id = %s, tag = %s, client_note = %s, provider_note = %s",
		client, provider, p.orderTag(client, provider), p.note("CN", client), p.note("PN", provider))
}

func (p *planner) orderTag(client, provider string) string {
	return fmt.Sprintf("'t~' || coalesce(%s, '-') || '~' || coalesce(%s, '-') || '~%s'", client, provider, p.stamp())
}

func (p *planner) note(mark, owner string) string {
	return fmt.Sprintf("'%s~' || coalesce(%s, '-') || '~%s'", mark, owner, p.stamp())
}

func (p *planner) stockTag(owner string) string {
	return fmt.Sprintf("'t~' || coalesce(%s, '-') || '~-~%s'", owner, p.stamp())
}

// pick is one of several.
func pick[T any](p *planner, of ...T) T { return of[p.r.IntN(len(of))] }

// join makes one string of the statements that are sent together.
func join(statements []string) string { return strings.Join(statements, ";\n") }
