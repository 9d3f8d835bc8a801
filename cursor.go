package pgbell

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Cursor names exactly the set of events already delivered. It is a predicate,
// not a position: an event was delivered if
//
//   - its transaction is visible in the snapshot of the last complete read, or
//   - its id is among the few that bells delivered since, or
//   - its transaction is visible in the snapshot of the read being delivered
//     and its id is at most the one reached.
//
// A read that was cut off counts too, until a later one has reached as far: see
// [Cursor.Reached].
//
// So a resume is a filter: everything the log holds minus what the cursor
// contains. The same cursor is right for every session of a database, on every
// node and after any restart, because it is stated in Postgres's own terms.
// It holds no secret and grants nothing: who may see what is decided anew for
// each event, so a forged cursor only gives its bearer a wrong place to start.
//
// The zero Cursor is no cursor. A Cursor is immutable; the methods return new
// ones.
type Cursor struct {
	epoch uint64
	read  *Snapshot // the last complete read
	bells []span    // ids delivered by bells since, ascending and disjoint
	next  *Snapshot // the read being delivered, if any
	upto  int64     // the id reached in it
	cut   []part    // reads before it that had reached as far or further, furthest first
}

// part is a read delivered in part: what is visible in at, up to the id upto.
type part struct {
	at   *Snapshot
	upto int64
}

// span is the ids from first to last, both included.
type span struct{ first, last int64 }

// ErrCursor is what every error of [ParseCursor] wraps.
var ErrCursor = errors.New("not a cursor of pgbell")

// maxCursor bounds the encoded length. A snapshot names at most one
// transaction a backend, in a few bytes each.
const maxCursor = 16 << 10

// NewCursor is the cursor after a complete read in snapshot read. Epoch tells
// clusters, timelines and databases apart; see the event log's queries.
func NewCursor(epoch uint64, read *Snapshot) Cursor {
	return Cursor{epoch: epoch, read: read}
}

// IsZero reports whether c is no cursor at all.
func (c Cursor) IsZero() bool { return c.read == nil }

// Epoch is what the cursor's snapshots refer to.
func (c Cursor) Epoch() uint64 { return c.epoch }

// Snapshot is the one of the last complete read: everything not visible in it
// may still have to be delivered. It is nil for the zero Cursor.
func (c Cursor) Snapshot() *Snapshot { return c.read }

// Contains reports whether the event id, written by transaction xid, was
// delivered.
func (c Cursor) Contains(id int64, xid uint64) bool {
	if c.read == nil {
		return false
	}
	if c.read.Sees(xid) {
		return true
	}
	for _, s := range c.bells {
		if s.first <= id && id <= s.last {
			return true
		}
	}
	for _, p := range c.cut {
		if id <= p.upto && p.at.Sees(xid) {
			return true
		}
	}
	return c.next != nil && id <= c.upto && c.next.Sees(xid)
}

// Bells is how many separate runs of ids bells delivered since the last read;
// it is what makes a cursor long.
func (c Cursor) Bells() int { return len(c.bells) }

// Rung is the cursor after a bell also delivered id, which must be above every
// id that a bell delivered since the last read.
func (c Cursor) Rung(id int64) Cursor {
	if n := len(c.bells); n > 0 && c.bells[n-1].last+1 == id {
		bells := append([]span(nil), c.bells...)
		bells[n-1].last = id
		c.bells = bells
		return c
	}
	// The capped slice makes append copy: cursors share nothing that changes.
	c.bells = append(c.bells[:len(c.bells):len(c.bells)], span{id, id})
	return c
}

// Reached is the cursor in the middle of delivering the read taken in snapshot
// next, in id order, after the event id.
//
// A read may be cut off when the connection is lost. Its snapshot is gone then,
// and the one that follows, again from the last complete read, sees more: events
// with lower ids that were not yet visible. While these are delivered, both
// reads count. From the id on where the first was cut off, the second contains
// it, because a later snapshot sees whatever an earlier one saw; so the first is
// forgotten. A cursor therefore grows only by reads that were cut off one after
// another, each having delivered something and each having come less far.
func (c Cursor) Reached(next *Snapshot, id int64) Cursor {
	if c.next != nil && c.next != next && c.upto > id {
		c.cut = append(c.cut[:len(c.cut):len(c.cut)], part{c.next, c.upto})
	}
	n := len(c.cut)
	for n > 0 && c.cut[n-1].upto <= id {
		n--
	}
	c.cut = c.cut[:n]
	c.next, c.upto = next, id
	return c
}

// cursorVersion is the first byte of the encoded form.
const cursorVersion = 1

// String is the opaque form that clients keep: URL-safe, some 20 to 60
// characters. The zero Cursor is the empty string.
func (c Cursor) String() string {
	if c.read == nil {
		return ""
	}
	b := make([]byte, 0, 48)
	b = append(b, cursorVersion)
	b = binary.LittleEndian.AppendUint64(b, c.epoch)
	b = appendSnapshot(b, c.read)
	b = binary.AppendUvarint(b, uint64(len(c.bells)))
	last := int64(0)
	for _, s := range c.bells {
		b = binary.AppendUvarint(b, uint64(s.first-last))
		b = binary.AppendUvarint(b, uint64(s.last-s.first))
		last = s.last
	}
	for _, p := range c.cut {
		b = appendPart(b, p)
	}
	if c.next != nil {
		b = appendPart(b, part{c.next, c.upto})
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func appendPart(b []byte, p part) []byte {
	return binary.AppendUvarint(appendSnapshot(b, p.at), uint64(p.upto))
}

// appendSnapshot writes xmin, then the rest as differences.
func appendSnapshot(b []byte, s *Snapshot) []byte {
	b = binary.AppendUvarint(b, s.Xmin)
	b = binary.AppendUvarint(b, s.Xmax-s.Xmin)
	b = binary.AppendUvarint(b, uint64(len(s.Xip)))
	last := s.Xmin
	for _, x := range s.Xip {
		b = binary.AppendUvarint(b, x-last)
		last = x
	}
	return b
}

// ParseCursor reads what [Cursor.String] wrote. The empty string is the zero
// Cursor. Anything else that is no cursor is an error that wraps [ErrCursor].
func ParseCursor(text string) (Cursor, error) {
	if text == "" {
		return Cursor{}, nil
	}
	if len(text) > maxCursor {
		return Cursor{}, fmt.Errorf("%w: %d characters, at most %d", ErrCursor, len(text), maxCursor)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err == nil && strings.ContainsAny(text, "\r\n") {
		err = errors.New("line break") // which the decoder passes over
	}
	if err != nil {
		return Cursor{}, fmt.Errorf("%w: %w", ErrCursor, err)
	}
	if len(b) < 9 || b[0] != cursorVersion {
		return Cursor{}, fmt.Errorf("%w: unknown version", ErrCursor)
	}
	d := cursorDecoder{rest: b[9:]}
	c := Cursor{epoch: binary.LittleEndian.Uint64(b[1:9]), read: d.snapshot()}
	last := int64(0)
	for range d.count() {
		first := last + int64(d.uvarint())
		s := span{first, first + int64(d.uvarint())}
		if s.first <= last || s.last < s.first {
			d.failed = true
			break
		}
		last = s.last
		c.bells = append(c.bells, s)
	}
	for !d.failed && len(d.rest) > 0 {
		p := d.part()
		if c.next != nil {
			if p.upto > c.upto {
				d.failed = true
			}
			c.cut = append(c.cut, part{c.next, c.upto})
		}
		c.next, c.upto = p.at, p.upto
	}
	if d.failed {
		return Cursor{}, fmt.Errorf("%w: malformed", ErrCursor)
	}
	return c, nil
}

// cursorDecoder reads varints until one is missing; then it has failed.
type cursorDecoder struct {
	rest   []byte
	failed bool
}

func (d *cursorDecoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.failed, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// count reads a number of elements, each of at least one byte.
func (d *cursorDecoder) count() int {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.failed, d.rest = true, nil
		return 0
	}
	return int(n)
}

func (d *cursorDecoder) snapshot() *Snapshot {
	s := &Snapshot{Xmin: d.uvarint()}
	s.Xmax = s.Xmin + d.uvarint()
	last := s.Xmin
	for range d.count() {
		last += d.uvarint()
		s.Xip = append(s.Xip, last)
	}
	if !s.valid() {
		d.failed = true
	}
	return s
}

func (d *cursorDecoder) part() part {
	p := part{at: d.snapshot(), upto: int64(d.uvarint())}
	if p.upto < 0 {
		d.failed = true
	}
	return p
}

// MarshalText implements [encoding.TextMarshaler].
func (c Cursor) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (c *Cursor) UnmarshalText(text []byte) (err error) {
	*c, err = ParseCursor(string(text))
	return err
}
