package pgbell

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Snapshot is a Postgres snapshot: exactly which transactions had committed
// (or rolled back) when it was taken. It is the value of pg_current_snapshot()
// (PostgreSQL documentation, section 9.27.8). A Snapshot is immutable.
type Snapshot struct {
	// Xmin is the lowest transaction id that was still in progress; all below
	// had ended.
	Xmin uint64
	// Xmax is one past the highest that had ended; all from it on had not.
	Xmax uint64
	// Xip are the transactions in progress, ascending, from Xmin to below Xmax.
	Xip []uint64
}

// ParseSnapshot reads the text form of pg_snapshot, xmin:xmax:xip,xip,….
func ParseSnapshot(text string) (*Snapshot, error) {
	malformed := fmt.Errorf("parse snapshot %q: want xmin:xmax:xip,…", text)
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return nil, malformed
	}
	var s Snapshot
	var err1, err2 error
	s.Xmin, err1 = strconv.ParseUint(parts[0], 10, 64)
	s.Xmax, err2 = strconv.ParseUint(parts[1], 10, 64)
	if err1 != nil || err2 != nil {
		return nil, malformed
	}
	if parts[2] != "" {
		for x := range strings.SplitSeq(parts[2], ",") {
			xid, err := strconv.ParseUint(x, 10, 64)
			if err != nil {
				return nil, malformed
			}
			s.Xip = append(s.Xip, xid)
		}
	}
	if !s.valid() {
		return nil, malformed
	}
	return &s, nil
}

func (s *Snapshot) valid() bool {
	if s.Xmin == 0 || s.Xmin > s.Xmax {
		return false
	}
	last := s.Xmin - 1
	for _, x := range s.Xip {
		if x <= last || x >= s.Xmax {
			return false
		}
		last = x
	}
	return true
}

// String is the text form that Postgres reads as pg_snapshot.
func (s *Snapshot) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d:%d:", s.Xmin, s.Xmax)
	for i, x := range s.Xip {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatUint(x, 10))
	}
	return b.String()
}

// Sees reports whether the changes of transaction xid are visible in s, given
// that it committed; it is pg_visible_in_snapshot.
func (s *Snapshot) Sees(xid uint64) bool {
	if xid < s.Xmin {
		return true
	}
	if xid >= s.Xmax {
		return false
	}
	_, inProgress := slices.BinarySearch(s.Xip, xid)
	return !inProgress
}
