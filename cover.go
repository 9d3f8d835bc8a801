package pgbell

import (
	"cmp"
	"math"
	"slices"
	"sort"
)

// Covers reports whether s sees every transaction that o sees.
func (s *Snapshot) Covers(o *Snapshot) bool {
	if o.Xmax > s.Xmax {
		// Of the transactions from s.Xmax on, o must see none.
		from, _ := slices.BinarySearch(o.Xip, s.Xmax)
		first := max(s.Xmax, o.Xmin)
		if first != s.Xmax || uint64(len(o.Xip)-from) != o.Xmax-first {
			return false
		}
	}
	return !slices.ContainsFunc(s.Xip, o.Sees)
}

// maxCovered bounds how many ids of bells Covers looks up one by one: a cursor
// may be forged.
const maxCovered = 4096

// Covers reports whether c certainly contains every event that o contains. It
// may say no where the answer is yes, never the other way round. A cursor knows
// the events that bells delivered by id alone, so xid, which may be nil, tells
// the transaction that wrote an event, if it is known.
func (c Cursor) Covers(o Cursor, xid func(id int64) (uint64, bool)) bool {
	if o.read == nil {
		return true
	}
	if c.read == nil || c.epoch != o.epoch || !c.read.Covers(o.read) {
		return false
	}
	looked := 0
	for _, s := range o.bells {
		if c.rang(s) {
			continue
		}
		for id := s.first; id <= s.last; id++ {
			if looked++; looked > maxCovered || xid == nil {
				return false
			}
			if by, known := xid(id); !known || !c.Contains(id, by) {
				return false
			}
		}
	}
	for _, p := range o.parts() {
		if !c.read.Covers(p.at) && !slices.ContainsFunc(c.parts(), func(q part) bool {
			return p.upto <= q.upto && q.at.Covers(p.at)
		}) {
			return false
		}
	}
	return true
}

// everything is the id up to which a complete read was delivered.
const everything = math.MaxInt64

// Union is the cursor of a session that was delivered what c contains and what
// o contains. A session that comes from another node gets what it lacks in this
// node's order: after each event it has what it came with, and what this node
// has delivered so far. Both must be of one epoch.
//
// Reads that the other one contains are forgotten, so a union is no longer than
// the two together.
func (c Cursor) Union(o Cursor) Cursor {
	switch {
	case o.read == nil:
		return c
	case c.read == nil:
		return o
	}
	theirs := beyond(o.reads(), c.reads())
	reads := append(beyond(c.reads(), theirs), theirs...)
	slices.SortStableFunc(reads, func(a, b part) int {
		return cmp.Or(cmp.Compare(b.upto, a.upto), cmp.Compare(b.at.Xmax, a.at.Xmax))
	})
	u := Cursor{epoch: c.epoch, read: reads[0].at, bells: merge(c.bells, o.bells)}
	if n := len(reads); n > 1 {
		u.cut, u.next, u.upto = reads[1:n-1:n-1], reads[n-1].at, reads[n-1].upto
	}
	return u
}

// beyond are the reads that none of others contains.
func beyond(reads, others []part) []part {
	return slices.DeleteFunc(reads, func(p part) bool {
		return slices.ContainsFunc(others, func(q part) bool { return p.upto <= q.upto && q.at.Covers(p.at) })
	})
}

// reads are all of the cursor's, in a slice of the caller's: the last complete
// one first.
func (c Cursor) reads() []part {
	return append([]part{{c.read, everything}}, c.parts()...)
}

// merge is two lists of spans as one.
func merge(a, b []span) []span {
	if len(a) == 0 || len(b) == 0 {
		return append(a[:len(a):len(a)], b...)
	}
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(x, y span) int { return cmp.Compare(x.first, y.first) })
	merged := all[:1]
	for _, s := range all[1:] {
		if last := &merged[len(merged)-1]; s.first-1 <= last.last {
			last.last = max(last.last, s.last)
		} else {
			merged = append(merged, s)
		}
	}
	return merged
}

// parts are the reads delivered in part.
func (c Cursor) parts() []part {
	if c.next == nil {
		return nil
	}
	return append(c.cut[:len(c.cut):len(c.cut)], part{c.next, c.upto})
}

// rang reports whether bells delivered all of s.
func (c Cursor) rang(s span) bool {
	i := sort.Search(len(c.bells), func(i int) bool { return c.bells[i].last >= s.first })
	return i < len(c.bells) && c.bells[i].first <= s.first && s.last <= c.bells[i].last
}

// With is c and one event more, by id, in any order. Each id that has no
// neighbour makes the cursor longer.
func (c Cursor) With(id int64) Cursor {
	i := sort.Search(len(c.bells), func(i int) bool { return c.bells[i].last >= id-1 })
	bells := make([]span, 0, len(c.bells)+1)
	bells = append(bells, c.bells[:i]...)
	s := span{id, id}
	for i < len(c.bells) && c.bells[i].first <= id+1 {
		s = span{min(s.first, c.bells[i].first), max(s.last, c.bells[i].last)}
		i++
	}
	bells = append(bells, s)
	c.bells = append(bells, c.bells[i:]...)
	return c
}
