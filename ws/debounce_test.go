package ws

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/ws/auth"
)

// debounced is a live session of a hub with a window of 100 ms, on the clock of
// a bubble.
type debounced struct {
	t *testing.T
	*server
	session *session
}

func newDebounced(t *testing.T, cursor string) *debounced {
	h := NewHub(Options{Debounce: map[string]time.Duration{"booking": 100 * time.Millisecond}})
	d := &debounced{t: t, server: &server{feed: newFeed(newDatabase(), h)}}
	t.Cleanup(func() { h.cancel(); h.wg.Wait() })
	d.connect(cursor)
	return d
}

func (d *debounced) connect(cursor string) []told {
	d.session = &session{hub: d.hub, proto: jsonProtocol{}, peer: &replicaPeer{}, opened: d.hub.now()}
	require.Nil(d.t, d.hub.open(d.session))
	d.session.admit(d.identity("ADMIN"), cursor, nil)
	synctest.Wait()
	d.t.Cleanup(func() { d.session.lost(); d.hub.finish(d.session) })
	return d.frames()
}

func (d *debounced) identity(roles ...string) auth.Identity {
	return auth.Identity{UserID: "u", Roles: roles, ExpiresAt: time.Now().Add(time.Hour)}
}

// told is a frame.
type told struct {
	Event, Cursor string
	Data          struct {
		ID, Merged int64
		Op, Action string
		Changed    []string
		Data, Old  json.RawMessage
	}
}

func (m told) String() string { return fmt.Sprint(m.Event, m.Data.Op, m.Data.ID, "×", m.Data.Merged) }

func (d *debounced) frames() (list []told) {
	frames, size, _ := d.session.next(nil, 0)
	for _, f := range frames {
		var m told
		require.NoError(d.t, json.Unmarshal(payload(f), &m))
		list = append(list, m)
	}
	_, _, _ = d.session.next(nil, size)
	return list
}

// wait lets time pass.
func (d *debounced) wait(by time.Duration) []told {
	time.Sleep(by)
	d.hub.endWindows()
	return d.frames()
}

// update changes a row.
func (d *debounced) update(row int, old string) []told {
	d.change(func(e *pgbell.Event) {
		e.Op, e.Action, e.Owners = pgbell.Update, "updated", map[string]string{"client": "u"}
		e.Key = json.RawMessage(fmt.Sprintf(`{"id":%d}`, row))
		e.Old = json.RawMessage(old)
		e.Data = json.RawMessage(fmt.Sprintf(`{"n":%d}`, e.ID))
	})
	return d.frames()
}

func (d *debounced) other(op pgbell.Op, row int) []told {
	d.change(func(e *pgbell.Event) {
		e.Op, e.Owners, e.Key, e.Old = op, map[string]string{"client": "u"}, json.RawMessage(fmt.Sprintf(`{"id":%d}`, row)), json.RawMessage(`{"n":0}`)
	})
	return d.frames()
}

func TestDebounce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDebounced(t, "")
		first := d.update(1, `{"a":1}`)
		require.Len(t, first, 1, "at once")
		require.Zero(t, first[0].Data.Merged)
		require.Empty(t, d.update(1, `{"a":2}`))
		require.Empty(t, d.update(1, `{"a":3,"b":1}`))
		require.Empty(t, d.wait(99*time.Millisecond))
		last := d.wait(time.Millisecond)
		require.Len(t, last, 1)
		require.EqualValues(t, 2, last[0].Data.Merged)
		require.EqualValues(t, 3, last[0].Data.ID)
		require.JSONEq(t, `{"n":3}`, string(last[0].Data.Data))
		require.JSONEq(t, `{"a":2,"b":1}`, string(last[0].Data.Old), "before the first")
		require.ElementsMatch(t, []string{"a", "b"}, last[0].Data.Changed)
		require.Equal(t, d.cursor.String(), last[0].Cursor, "nothing is held back: the stream's own")

		// What was sent at a window's end opens the next.
		require.Empty(t, d.update(1, `{"a":4}`))
		last = d.wait(100 * time.Millisecond)
		require.Len(t, last, 1)
		require.Zero(t, last[0].Data.Merged, "it stands for itself")
		// And when nothing came, the next is at once.
		require.Empty(t, d.wait(100*time.Millisecond))
		require.Nil(t, d.session.held, "nothing is kept")
		require.Len(t, d.update(1, `{"a":5}`), 1)

		// An end that is late: what comes after it takes with it what is held.
		require.Empty(t, d.update(1, `{"a":6}`))
		time.Sleep(150 * time.Millisecond)
		last = d.update(1, `{"a":7}`)
		require.Len(t, last, 1)
		require.EqualValues(t, 2, last[0].Data.Merged)
		require.JSONEq(t, `{"a":6}`, string(last[0].Data.Old))
	})
}

// TestDebounceCursors: what is held back is in no cursor, what was sent is in
// all.
func TestDebounceCursors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDebounced(t, "")
		d.update(1, `{"a":1}`)
		require.Empty(t, d.update(1, `{"a":2}`)) // 2
		two := d.update(2, `{"a":1}`)            // 3
		require.Len(t, two, 1)
		require.Empty(t, d.update(2, `{"a":2}`)) // 4
		three := d.update(3, `{"a":1}`)          // 5
		require.Len(t, three, 1)
		contains := func(m told) (ids []int64) {
			c, err := pgbell.ParseCursor(m.Cursor)
			require.NoError(t, err)
			for _, e := range d.db.log {
				if c.Contains(e.ID, e.XID) {
					ids = append(ids, e.ID)
				}
			}
			return ids
		}
		require.Equal(t, []int64{1, 3}, contains(two[0]))
		require.Equal(t, []int64{1, 3, 5}, contains(three[0]))
		ends := d.wait(100 * time.Millisecond)
		require.Len(t, ends, 2)
		require.Equal(t, []int64{1, 2, 3, 5}, contains(ends[0]))
		require.Equal(t, []int64{1, 2, 3, 4, 5}, contains(ends[1]))

		// Resuming anywhere in between brings the rest.
		for _, test := range []struct {
			at   told
			rest []int64
		}{{two[0], []int64{2, 4, 5}}, {three[0], []int64{2, 4}}, {ends[0], []int64{4}}, {ends[1], nil}} {
			var rest []int64
			for _, m := range d.connect(test.at.Cursor)[1:] {
				rest = append(rest, m.Data.ID)
			}
			require.Equal(t, test.rest, rest)
		}
		// An idle session is not told of a position that contains what is held.
		d.update(9, `{"a":1}`)
		require.Empty(t, d.update(9, `{"a":2}`))
		d.session.mu.Lock()
		d.session.told = 0
		d.session.mu.Unlock()
		for range 20 {
			d.other(pgbell.Insert, 10)
		}
		d.session.mu.Lock()
		d.session.told = 0
		d.session.mu.Unlock()
		require.False(t, d.session.catchUp(lag{settled: d.hub.stream.seq, half: 100}, map[protocol][]byte{}))
	})
}

func TestDebounceHoldsUpdatesAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDebounced(t, "")
		require.Len(t, d.other(pgbell.Insert, 1), 1)
		require.Empty(t, d.update(1, `{"a":1}`))
		gone := d.other(pgbell.Delete, 1)
		require.Len(t, gone, 1, "at once")
		require.Equal(t, "delete", gone[0].Data.Op)
		require.EqualValues(t, 2, gone[0].Data.Merged)
		require.Len(t, d.other(pgbell.Insert, 1), 1, "a new row")
		require.Empty(t, d.wait(time.Second))

		// A reset comes after what is older than it.
		d.update(2, `{"a":1}`)
		require.Empty(t, d.update(2, `{"a":2}`))
		d.change(func(e *pgbell.Event) {
			e.Body = pgbell.Body{Type: "booking", Op: pgbell.Reset, Reason: "truncate"}
		})
		both := d.frames()
		require.Len(t, both, 2)
		require.Equal(t, "booking_update", both[0].Event)
		require.Equal(t, "reset", both[1].Event)
		require.Empty(t, d.update(2, `{"a":3}`))
		d.hub.Gap(pgbell.Gap{Reason: "retention"})
		both = d.frames()
		require.Len(t, both, 2)
		require.Equal(t, "reset", both[1].Event)

		// With a new token for the same user, what is held back is sent first.
		require.Empty(t, d.update(2, `{"a":4}`))
		d.session.admit(d.identity(), "", nil)
		both = d.frames()
		require.Len(t, both, 2)
		require.Equal(t, "authenticated", both[1].Event)
		// Another one never gets it.
		d.update(3, `{"a":1}`)
		require.Empty(t, d.update(3, `{"a":2}`))
		d.session.admit(auth.Identity{UserID: "v", ExpiresAt: time.Now().Add(time.Hour)}, "", nil)
		synctest.Wait()
		require.Len(t, d.frames(), 1)
		require.Empty(t, d.wait(time.Second))
	})
}

// TestDebounceIsBounded holds more than may be held.
func TestDebounceIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDebounced(t, "")
		sent := 0
		for i := range 3 * maxHeldEvents {
			got := d.update(i%2, `{"a":1}`)
			for _, m := range got {
				sent += max(1, int(m.Data.Merged))
				require.Less(t, len(m.Cursor), maxResumeCursor)
			}
			require.LessOrEqual(t, d.session.held.events, maxHeldEvents)
		}
		for _, m := range d.wait(time.Second) {
			sent += max(1, int(m.Data.Merged))
		}
		require.Equal(t, 3*maxHeldEvents, sent)
		d.wait(time.Second)
		require.Nil(t, d.session.held)
		for i := range maxHeldRows + 10 {
			require.Len(t, d.update(i, `{"a":1}`), 1)
		}
		require.Len(t, d.session.held.rows, maxHeldRows)
		require.Len(t, d.update(maxHeldRows+1, `{"a":1}`), 1, "not debounced")
		large := `{"a":"` + strings.Repeat("x", 100<<10) + `"}`
		for i := range 4 {
			d.update(i, large)
		}
		require.LessOrEqual(t, d.session.held.bytes, maxHeldBytes)
		d.session.lost()
		require.Nil(t, d.session.held)
		d.wait(time.Second)
		require.Empty(t, d.hub.windows.open.all)
	})
}

// TestDebounceRuns has windows end by themselves.
func TestDebounceRuns(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{Debounce: map[string]time.Duration{"booking": 20 * time.Millisecond}}, HandlerOptions{}).live()
	c, m := s.connect(t, "u", "")
	e := s.listen(t, bearer("u"), "")
	e.expect("authenticated")
	for range 10 {
		s.change(func(e *pgbell.Event) {
			e.Op, e.Owners, e.Key, e.Old = pgbell.Update, map[string]string{"client": "u"}, json.RawMessage(`{"id":1}`), json.RawMessage(`{"a":1}`)
		})
	}
	total := 0
	for total < 10 {
		merged, _ := c.expect("booking_update").Data["merged"].(float64)
		total += max(1, int(merged))
	}
	c.fence()
	for total = 0; total < 10; {
		var data struct{ Merged int }
		require.NoError(t, json.Unmarshal([]byte(e.expect("booking_update").Data), &data))
		total += max(1, data.Merged)
	}
	require.Equal(t, 10, total)
	require.Len(t, s.poll(t, "u", "?cursor="+m.Cursor).Events, 10, "whoever polls gets all")
}
