package ws

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/ws/auth"
)

// replica is a client of the model: it is connected to one hub after the other
// and takes the frames that its session has for it, one by one.
type replica struct {
	t        require.TestingT
	user     string
	roles    []string
	session  *session
	cursor   string
	base     pgbell.Cursor // where its state was fetched last
	got      []receipt     // since then, in order
	merged   int           // of them those that stand for several
	live     bool          // authenticated came
	resets   int
	recovers int
	slow     int
	taken    [][]byte // from the queue, and has not arrived yet
}

// receipt is an event that came, and how many it stands for.
type receipt struct {
	id     int64
	merged int
}

// replicaPeer is a connection that only its client drives.
type replicaPeer struct{ woken atomic.Int64 }

func (p *replicaPeer) wake()  { p.woken.Add(1) }
func (p *replicaPeer) sweep() {}
func (p *replicaPeer) abort() {}

func (r *replica) connect(h *Hub) {
	r.session = &session{hub: h, proto: jsonProtocol{}, peer: &replicaPeer{}, id: "s", opened: h.now()}
	require.Nil(r.t, h.open(r.session))
	r.live = false
	r.session.admit(auth.Identity{UserID: r.user, Roles: r.roles, ExpiresAt: time.Now().Add(time.Hour)}, r.cursor, nil)
	synctest.Wait()
}

// cut loses what has not arrived.
func (r *replica) cut() {
	r.session.lost()
	r.session.hub.finish(r.session)
	r.session, r.taken = nil, nil
	synctest.Wait()
}

// receive handles up to n frames.
func (r *replica) receive(n int) {
	for range n {
		if len(r.taken) == 0 {
			frames, size, last := r.session.next(nil, 0)
			require.False(r.t, last, "the session was closed")
			if len(frames) == 0 {
				return
			}
			r.taken = frames
			// Sent, as far as the server can tell.
			r.session.mu.Lock()
			r.session.bytes -= size
			r.session.signalSpace()
			r.session.mu.Unlock()
			synctest.Wait()
		}
		frame := r.taken[0]
		r.taken = r.taken[1:]
		if frame[0] == 0x88 { // it was too slow and comes back
			require.Equal(r.t, CloseSlow, int(binary.BigEndian.Uint16(payload(frame))))
			r.slow++
			h := r.session.hub
			r.cut()
			r.connect(h)
			continue
		}
		r.handle(frame)
	}
}

func (r *replica) handle(frame []byte) { r.handleText(payload(frame)) }

func (r *replica) handleText(text []byte) {
	var m struct {
		Event  string
		Cursor string
		Data   json.RawMessage
	}
	require.NoError(r.t, json.Unmarshal(text, &m))
	if m.Cursor != "" {
		r.cursor = m.Cursor
	}
	cursor, err := pgbell.ParseCursor(m.Cursor)
	require.NoError(r.t, err)
	switch m.Event {
	case "authenticated":
		var data struct{ Recovered bool }
		require.NoError(r.t, json.Unmarshal(m.Data, &data))
		if r.live = true; data.Recovered {
			r.recovers++
		} else if r.base.IsZero() {
			r.base = cursor // a first connection, at which the state is fetched
		}
	case "reset":
		require.True(r.t, r.live)
		require.False(r.t, cursor.IsZero())
		r.base, r.got = cursor, nil
		r.resets++
	case "booking_update":
		require.True(r.t, r.live, "an event before authenticated")
		var data struct {
			ID     int64
			Merged int
		}
		require.NoError(r.t, json.Unmarshal(m.Data, &data))
		require.NotEqual(r.t, 1, data.Merged)
		if data.Merged > 1 {
			r.merged++
		}
		r.got = append(r.got, receipt{data.ID, max(1, data.Merged)})
	case "cursor", "stream":
	default:
		require.Fail(r.t, m.Event)
	}
}

// poller is a replica that polls. An answer may be lost on its way.
type poller struct {
	replica
	pending chan *poll // the request under way; nil if there is none
	cancel  context.CancelFunc
}

// ask sends a request.
func (r *poller) ask(h *Hub, limit int) {
	ctx, cancel := context.WithCancel(context.Background())
	r.pending, r.cancel = make(chan *poll, 1), cancel
	p := newPoll(h, "", limit)
	p.cursor = r.cursor
	require.Nil(r.t, h.open(&p.session))
	p.admit(auth.Identity{UserID: r.user, Roles: r.roles, ExpiresAt: time.Now().Add(time.Hour)}, r.cursor, nil)
	pending := r.pending
	go func() {
		if !p.ask(ctx, 0) {
			p.ended = "gone"
		}
		pending <- p
	}()
	synctest.Wait()
}

// answer takes what came, if it came.
func (r *poller) answer(lost bool) {
	if r.pending == nil {
		return
	}
	if lost {
		r.cancel()
		synctest.Wait()
	}
	select {
	case p := <-r.pending:
		r.cancel()
		r.pending = nil
		if lost || p.ended != "" && p.ended != errTooSlow.Code && len(p.events) == 0 {
			return
		}
		r.live = true
		for _, text := range p.events {
			r.handleText(text)
		}
		r.cursor = p.cursor
		if r.base.IsZero() {
			var err error
			r.base, err = pgbell.ParseCursor(p.cursor)
			require.NoError(r.t, err)
		}
	default:
	}
}

// check compares with the truth: what was committed and not part of the state
// that was fetched came exactly once, by itself or as one of those that another
// stands for, and each row's changes in order.
func (r *replica) check(truth []pgbell.Event) {
	want := map[string][]int64{}
	rowOf := map[int64]string{}
	slices.SortFunc(truth, func(a, b pgbell.Event) int { return int(a.ID - b.ID) })
	for _, e := range truth {
		rowOf[e.ID] = string(e.Key)
		mine := slices.Contains(r.roles, "ADMIN") || slices.Contains(concerned(&e), r.user)
		if mine && !r.base.Contains(e.ID, e.XID) {
			want[string(e.Key)] = append(want[string(e.Key)], e.ID)
		}
	}
	for _, got := range r.got {
		row := rowOf[got.id]
		require.GreaterOrEqual(r.t, len(want[row]), got.merged, "%s got %v, too much of %s", r.user, r.got, row)
		require.Equal(r.t, got.id, want[row][got.merged-1], "%s got %v, of %s there was still %v", r.user, r.got, row, want[row])
		want[row] = want[row][got.merged:]
	}
	for row, missing := range want {
		require.Empty(r.t, missing, "%s got %v, nothing of these of %s", r.user, r.got, row)
	}
}

// bubble keeps rapid from asking for a deadline, which has no meaning in there.
type bubble struct{ *testing.T }

// TestResume runs random histories on a model of Postgres with two nodes whose
// orders of delivery differ, and clients that are cut off at any frame and come
// back to either.
func TestResume(t *testing.T) {
	t.Parallel()
	var recovered, reset, slow, merged atomic.Int64
	synctest.Test(t, func(t *testing.T) {
		history := func(t *rapid.T) {
			db := newDatabase()
			var truth []pgbell.Event
			options := Options{WindowBytes: rapid.SampledFrom([]int64{3000, 8000, 1 << 20}).Draw(t, "window"), QueueBytes: 3000}
			if rapid.Bool().Draw(t, "history") {
				options.History = db
			}
			if rapid.Bool().Draw(t, "debounce") {
				db.updates = true
				options.Debounce = map[string]time.Duration{"booking": 100 * time.Millisecond}
			}
			var nodes []*feed
			for range 2 {
				nodes = append(nodes, newFeed(db, NewHub(options)))
			}
			clients := []*replica{{t: t, user: "u"}, {t: t, user: "v"}, {t: t, user: "w", roles: []string{"ADMIN"}}}
			polling := &poller{replica: replica{t: t, user: "u"}}
			defer func() { // also when it fails
				polling.answer(true)
				for _, c := range clients {
					if c.session != nil {
						c.cut()
					}
				}
			}()
			for _, c := range clients {
				c.connect(nodes[0].hub)
			}
			commit := func(x *transaction) {
				db.commit(x)
				truth = append(truth, x.events...)
			}
			steps := rapid.IntRange(1, 150).Draw(t, "steps")
			for range steps {
				node := nodes[rapid.IntRange(0, 1).Draw(t, "node")]
				client := clients[rapid.IntRange(0, 2).Draw(t, "client")]
				switch rapid.IntRange(0, 15).Draw(t, "step") {
				case 15:
					time.Sleep(time.Duration(rapid.IntRange(1, 120).Draw(t, "milliseconds")) * time.Millisecond)
					node.hub.endWindows()
				case 13:
					if polling.pending == nil {
						polling.ask(node.hub, rapid.SampledFrom([]int{1, 2, 100}).Draw(t, "limit"))
					}
				case 14:
					polling.answer(rapid.IntRange(0, 3).Draw(t, "lost") == 0)
				case 0:
					if len(db.open) < 4 {
						db.begin()
					}
				case 1, 2, 3:
					if len(db.open) > 0 {
						x := rapid.SampledFrom(db.open).Draw(t, "writer")
						owners := map[string]string{"client": rapid.SampledFrom([]string{"u", "v"}).Draw(t, "owner")}
						db.write(x, rapid.IntRange(1, 6).Draw(t, "row"), owners)
					}
				case 4:
					if len(db.open) > 0 {
						x := rapid.SampledFrom(db.open).Draw(t, "committer")
						commit(x)
						if len(x.events) == 1 {
							node.bell(x.events[0].ID)
						}
					}
				case 5, 6:
					node.step()
				case 7:
					node.read()
				case 8, 12: // often, and so between any two frames
					if client.session == nil {
						client.connect(node.hub)
					} else {
						client.cut()
					}
				case 9:
					if client.session != nil {
						client.receive(rapid.SampledFrom([]int{1, 1, 2, 10}).Draw(t, "frames"))
					}
				case 10:
					node.hub.sweep()
				case 11:
					switch rapid.IntRange(0, 9).Draw(t, "rare") {
					case 0:
						node.hub.Down(nil)
					case 1: // what both nodes have read
						db.retain(min(nodes[0].cursor.Snapshot().Xmin, nodes[1].cursor.Snapshot().Xmin))
					}
				}
				synctest.Wait()
			}
			for len(db.open) > 0 {
				commit(db.open[0])
			}
			for _, c := range clients {
				if c.session == nil {
					c.connect(nodes[1].hub)
				}
			}
			for range 3 { // a session may wait for two reads
				for _, n := range nodes {
					n.read()
					synctest.Wait()
				}
				time.Sleep(time.Second)
				for _, n := range nodes {
					n.hub.endWindows()
				}
				for _, c := range clients {
					for range 100 {
						c.receive(100)
						synctest.Wait()
					}
				}
			}
			for range 20 {
				if polling.pending == nil {
					polling.ask(nodes[0].hub, 100)
				}
				for range 2 {
					nodes[0].read()
					synctest.Wait()
				}
				polling.answer(false)
			}
			if polling.pending != nil {
				polling.answer(true)
			}
			polling.check(truth)
			for _, c := range clients {
				c.check(truth)
				recovered.Add(int64(c.recovers))
				reset.Add(int64(c.resets))
				slow.Add(int64(c.slow))
				merged.Add(int64(c.merged))
				c.cut()
			}
			for _, n := range nodes {
				n.hub.cancel()
				n.hub.wg.Wait()
				require.Empty(t, n.hub.rooms.all(), "rooms are left empty")
				require.Empty(t, n.hub.perUser.of)
				require.Empty(t, n.hub.stream.waiting)
			}
		}
		for range 4 { // what is rare, as a cut between two certain frames, needs many
			rapid.Check(bubble{t}, history)
		}
	})
	t.Logf("%d sessions resumed, %d resets, %d were too slow, %d events stood for several", recovered.Load(), reset.Load(), slow.Load(), merged.Load())
	require.Positive(t, merged.Load())
	require.Positive(t, recovered.Load())
	require.Positive(t, reset.Load())
}

// A client comes from a node that is ahead, in the midst of what this node reads
// at once. It gets thousands of events before its cursor is this node's, and the
// cursors that come with them stay short: they are sent with every single one,
// and each comes back in a request.
func TestForeignCursorsStayShort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const changes = 3000
		db := newDatabase()
		ahead, behind := newFeed(db, NewHub(Options{})), newFeed(db, NewHub(Options{}))
		c := &replica{t: t, user: "u"}
		c.connect(ahead.hub)
		c.receive(10)

		var truth []pgbell.Event
		for i := range changes {
			if i == 10 {
				ahead.read()
				c.receive(100)
				require.Len(t, c.got, 5)
			}
			truth = append(truth, db.insert([]string{"u", "v"}[i%2]))
		}
		ahead.step() // begins to read the rest
		ahead.step()
		c.receive(1)
		require.Len(t, c.got, 6)
		had := len(c.cursor)
		c.cut()

		behind.read() // all of it at once
		longest := 0
		for hops := 0; len(c.got) < changes/2; hops++ {
			require.Less(t, hops, 10, "it gets no further")
			c.connect(behind.hub)
			for range 200 {
				c.receive(1)
				longest = max(longest, len(c.cursor))
			}
			c.cut()
		}
		c.connect(behind.hub)
		c.receive(10)
		t.Logf("a cursor of %d characters has become one of %d at most", had, longest)
		require.Less(t, longest, had+64)
		require.Zero(t, c.resets)
		c.check(truth)
		c.cut()
		for _, n := range []*feed{ahead, behind} {
			n.hub.cancel()
			n.hub.wg.Wait()
		}
	})
}

// TestResetIsNotBehind has clients come from a node that is ahead, with cursors
// from which they cannot go on. What they had does not come again: the reset
// waits until this node has seen it, too.
func TestResetIsNotBehind(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options Options
		anew    string
		pages   int // frames of history before the reset
	}{
		"a session that cannot go on": {Options{}, anew, 0},
		"too many":                    {Options{HistoryEvents: 2, WindowBytes: 1}, "", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				db := newDatabase()
				test.options.History = db
				ahead, behind := newFeed(db, NewHub(Options{})), newFeed(db, NewHub(test.options))
				c := &replica{t: t, user: "u"}
				c.connect(ahead.hub)
				c.receive(10)
				db.insert("u")
				ahead.read()
				behind.read() // what its window forgets
				c.receive(10)
				require.Len(t, c.got, 1)
				if test.pages == 0 {
					db.insert("u")
					ahead.read()
					c.receive(10)
				}
				c.cut()
				for range test.pages + 1 {
					db.insert("u")
				}
				had := len(c.got)

				c.cursor = test.anew + c.cursor
				c.connect(behind.hub)
				c.receive(10)
				require.Zero(t, c.resets, "it is behind")
				require.Len(t, c.got, had+test.pages)
				for range 3 {
					behind.read()
					synctest.Wait()
				}
				c.receive(10)
				require.Equal(t, 1, c.resets)
				require.Empty(t, c.got, "what was there before the reset is part of what is fetched")
				e := db.insert("u")
				behind.read()
				c.receive(10)
				require.Equal(t, []receipt{{e.ID, 1}}, c.got)
				c.cut()
				for _, n := range []*feed{ahead, behind} {
					n.hub.cancel()
					n.hub.wg.Wait()
				}
			})
		})
	}
}

// all names the rooms that exist.
func (r *rooms) all() []string {
	var names []string
	for i := range r.shards {
		shard := &r.shards[i]
		shard.mu.RLock()
		for name, members := range shard.rooms {
			names = append(names, fmt.Sprint(name, len(members)))
		}
		shard.mu.RUnlock()
	}
	return names
}
