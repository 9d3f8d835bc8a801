package ws

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/pgbell/pgbell"
)

// database is a model of Postgres: transactions that commit in any order, and
// what they wrote.
type database struct {
	epoch   uint64
	nextXID uint64
	nextID  int64
	open    []*transaction
	log     []pgbell.Event // committed, by id
	trimmed uint64         // retention removed what was written below this xid
	updates bool           // what is written is an update
}

type transaction struct {
	xid    uint64
	rows   []int
	events []pgbell.Event
}

func newDatabase() *database { return &database{epoch: 1, nextXID: 100, nextID: 1} }

func (d *database) begin() *transaction {
	x := &transaction{xid: d.nextXID}
	d.nextXID++
	d.open = append(d.open, x)
	return x
}

// write changes a row, unless another transaction holds its lock.
func (d *database) write(x *transaction, row int, owners map[string]string) bool {
	for _, other := range d.open {
		if other != x && slices.Contains(other.rows, row) {
			return false
		}
	}
	x.rows = append(x.rows, row)
	e := bookingEvent(d.nextID, x.xid, row, owners)
	if d.updates && d.nextID%7 != 0 {
		e.Op, e.Action, e.Old = pgbell.Update, "updated", json.RawMessage(`{"status":"`+strconv.FormatInt(d.nextID, 10)+`"}`)
	}
	x.events = append(x.events, e)
	d.nextID++
	return true
}

func (d *database) commit(x *transaction) {
	d.open = slices.DeleteFunc(d.open, func(o *transaction) bool { return o == x })
	d.log = append(d.log, x.events...)
	slices.SortFunc(d.log, func(a, b pgbell.Event) int { return int(a.ID - b.ID) })
}

// insert commits one row of its own.
func (d *database) insert(owner string) pgbell.Event {
	x := d.begin()
	d.write(x, int(d.nextID)+1000, map[string]string{"client": owner})
	d.commit(x)
	return x.events[0]
}

func (d *database) snapshot() *pgbell.Snapshot {
	s := &pgbell.Snapshot{Xmin: d.nextXID, Xmax: d.nextXID}
	for _, x := range d.open {
		s.Xip = append(s.Xip, x.xid)
		s.Xmin = min(s.Xmin, x.xid)
	}
	slices.Sort(s.Xip)
	return s
}

// retain removes from the log what was written below xid.
func (d *database) retain(xid uint64) {
	d.trimmed = max(d.trimmed, xid)
	d.log = slices.DeleteFunc(d.log, func(e pgbell.Event) bool { return e.XID < xid })
}

// Since implements History.
func (d *database) Since(_ context.Context, c pgbell.Cursor, limit int) ([]pgbell.Event, pgbell.Cursor, error) {
	now := d.snapshot()
	for xid := range d.trimmed {
		if !c.Snapshot().Sees(xid) {
			return nil, pgbell.Cursor{}, pgbell.Gap{Reason: pgbell.GapRetention}
		}
	}
	var events []pgbell.Event
	for _, e := range d.log {
		if c.Contains(e.ID, e.XID) {
			continue
		}
		if len(events) == limit {
			return events, events[limit-1].Cursor, nil
		}
		e.Cursor = c.Reached(now, e.ID)
		events = append(events, e)
	}
	return events, pgbell.NewCursor(d.epoch, now), nil
}

func bookingEvent(id int64, xid uint64, row int, owners map[string]string) pgbell.Event {
	key := fmt.Sprintf(`{"id":%d}`, row)
	return pgbell.Event{ID: id, XID: xid, At: time.UnixMicro(id), Size: 100, Body: pgbell.Body{
		Type: "booking", Op: pgbell.Insert, Action: "created", Table: "public.bookings", Key: json.RawMessage(key),
		Owners: owners, Watchers: []string{"ADMIN"},
		Data: json.RawMessage(`{"id":` + strconv.Itoa(row) + `,"status":"NEW"}`),
	}}
}

// feed is a model of the listener: bells, reads in id order,
// and a complete read at the end of each.
type feed struct {
	db      *database
	hub     *Hub
	cursor  pgbell.Cursor
	reading []pgbell.Event // what is left of the read being delivered
	next    *pgbell.Snapshot
	rung    int64
}

func newFeed(db *database, hub *Hub) *feed {
	f := &feed{db: db, hub: hub, cursor: pgbell.NewCursor(db.epoch, db.snapshot())}
	hub.Advance(f.cursor)
	return f
}

// bell delivers one committed event, if the order of bells allows it.
func (f *feed) bell(id int64) {
	if f.next != nil || id <= f.rung {
		return
	}
	for _, e := range f.db.log {
		if e.ID < id && !f.cursor.Contains(e.ID, e.XID) {
			return // a change of the same row may be among these
		}
	}
	for _, x := range f.db.open {
		if len(x.events) > 0 && x.events[0].ID < id {
			return
		}
	}
	for _, e := range f.db.log {
		if e.ID == id && !f.cursor.Contains(e.ID, e.XID) {
			f.rung = id
			f.cursor = f.cursor.Rung(id)
			e.Cursor = f.cursor
			f.hub.Deliver([]pgbell.Event{e})
		}
	}
}

// step delivers the next event of a read, or begins or ends one.
func (f *feed) step() {
	if f.next == nil {
		f.next = f.db.snapshot()
		for _, e := range f.db.log {
			if !f.cursor.Contains(e.ID, e.XID) {
				f.reading = append(f.reading, e)
			}
		}
	}
	if len(f.reading) == 0 {
		f.cursor = pgbell.NewCursor(f.db.epoch, f.next)
		f.next, f.rung = nil, 0
		f.hub.Advance(f.cursor)
		return
	}
	e := f.reading[0]
	f.reading = f.reading[1:]
	f.cursor = f.cursor.Reached(f.next, e.ID)
	e.Cursor = f.cursor
	f.hub.Deliver([]pgbell.Event{e})
}

// read finishes the read being delivered and does a whole one.
func (f *feed) read() {
	for f.next != nil {
		f.step()
	}
	f.step()
	for f.next != nil {
		f.step()
	}
}
