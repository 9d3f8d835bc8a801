package oracle

import (
	"encoding/json"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An oracle that sees nothing passes everything, so its eyes are tested.

func TestLeaked(t *testing.T) {
	t.Parallel()
	for text, who := range map[string]struct {
		user    string
		watcher bool
		want    string
	}{
		`{"tag":"t~ada~ben~1.2","client_note":"CN~ada~1"}`: {"ada", false, ""},
		`{"tag":"t~ben~ada~1.2"}`:                          {"ada", false, ""},
		`{"tag":"t~ben~cleo~1.2"}`:                         {"ada", false, "t~ben~cleo"},
		`{"a":"t~ada~ben~1","old":{"tag":"t~dan~eve~1"}}`:  {"ada", false, "t~dan~eve"},
		`{"tag":"t~-~-~1.2"}`:                              {"ada", false, "t~-~-"},
		`{"tag":"t~ben~cleo~1"}`:                           {"zoe", true, ""},
		`{"n":"PN~ben~1"}`:                                 {"ada", false, "PN~ben"},
		`{"m":"CN~ben~1"}`:                                 {"zoe", true, "CN~ben"},
		`{"n":"IN~4.5"}`:                                   {"zoe", true, "IN~"},
		`{"n":"IN~4.6"}`:                                   {"ada", false, ""},
		`{"s":"SECRET~"}`:                                  {"zoe", true, "SECRET~"},
		`pq: value SECRET~1.2 is out of range`:             {"ada", false, "SECRET~"},
	} {
		require.Equal(t, who.want, leaked([]byte(text), who.user, who.watcher), text)
	}
}

func bodyOf(t *testing.T, text string) *body {
	t.Helper()
	b := new(body)
	require.NoError(t, json.Unmarshal([]byte(text), b))
	return b
}

func TestSight(t *testing.T) {
	t.Parallel()
	moved := bodyOf(t, `{"type":"order","op":"update","action":"updated","key":{"id":1},"owners":{"client":"ben","provider":"cleo"},"was":{"client":"ada","provider":"cleo"},
		"watchers":["ADMIN"],"data":{"id":1,"price":2},"old":{"price":1},"only":{"client":{"data":{"note":"n"},"old":{"note":"o"}}}}`)
	see := func(b *body, user string, roles ...string) string {
		s := b.see(user, roles)
		if s == nil {
			return "nothing"
		}
		text, err := json.Marshal([]any{s.op, s.data, s.old})
		require.NoError(t, err)
		return string(text)
	}
	require.Equal(t, `["entered",{"id":1,"note":"n","price":2},null]`, see(moved, "ben"))
	require.Equal(t, `["left",null,null]`, see(moved, "ada"))
	require.Equal(t, `["update",{"id":1,"price":2},{"price":1}]`, see(moved, "cleo"))
	require.Equal(t, `["update",{"id":1,"price":2},{"price":1}]`, see(moved, "zoe", "ADMIN"))
	require.Equal(t, `nothing`, see(moved, "dan"))
	require.Equal(t, `nothing`, see(moved, "zoe", "USER"))

	note := bodyOf(t, `{"type":"order","op":"update","key":{"id":1},"owners":{"client":"ada","provider":"ben"},"data":{"id":1},"old":{},"only":{"client":{"data":{"note":"n"},"old":{"note":"o"}}}}`)
	require.Equal(t, `["update",{"id":1,"note":"n"},{"note":"o"}]`, see(note, "ada"))
	require.Equal(t, `nothing`, see(note, "ben"), "nothing that the provider sees has changed")

	gone := bodyOf(t, `{"type":"order","op":"delete","key":{"id":1},"owners":{"client":"ada"},"old":{"id":1},"only":{"client":{"old":{"note":"o"}}}}`)
	require.Equal(t, `["delete",null,{"id":1,"note":"o"}]`, see(gone, "ada"))
}

func TestCompare(t *testing.T) {
	t.Parallel()
	b := bodyOf(t, `{"type":"order","op":"update","action":"updated","table":"market.orders","key":{"id":1},"owners":{"client":"ada"},"data":{"id":1,"price":2.50},"old":{"price":1}}`)
	message := func(data string) []byte {
		return []byte(`{"event":"order_update","data":{"id":7,"type":"order","action":"updated","table":"market.orders","at":"x",` + data + `},"cursor":"c"}`)
	}
	for data, same := range map[string]bool{
		`"op":"update","key":{"id":1},"data":{"id":1,"price":2.50},"old":{"price":1},"changed":["price"]`:            true,
		`"op":"update","key":{"id":1},"data":{"id":1,"price":2.5},"old":{"price":1},"changed":["price"]`:             false,
		`"op":"update","key":{"id":2},"data":{"id":1,"price":2.50},"old":{"price":1},"changed":["price"]`:            false,
		`"op":"update","key":{"id":1},"data":{"id":1,"price":2.50},"old":{},"changed":["price"]`:                     false,
		`"op":"update","key":{"id":1},"data":{"id":1,"price":2.50},"old":{"price":1},"changed":[]`:                   false,
		`"op":"update","key":{"id":1},"data":{"id":1,"price":2.50,"x":1},"old":{"price":1},"changed":["price"]`:      false,
		`"op":"entered","key":{"id":1},"data":{"id":1,"price":2.50}`:                                                 false,
		`"op":"update","key":{"id":1},"data":{"id":1,"price":2.50},"old":{"price":1},"changed":["price"],"owners":1`: false,
	} {
		require.Equal(t, same, b.compare(message(data), b.see("ada", nil)) == "", data)
	}
}

func TestPlanFollowsFromTheSeed(t *testing.T) {
	t.Parallel()
	plan := func(seed uint64, writer int) (all []transaction) {
		p := newPlanner(Config{Seed: seed}.withDefaults(), writer)
		for range 200 {
			all = append(all, p.next(), p.long())
		}
		return all
	}
	first := plan(1, 0)
	require.Equal(t, first, plan(1, 0))
	require.NotEqual(t, first, plan(1, 1))
	require.NotEqual(t, first, plan(2, 0))
	p := newPlanner(Config{Seed: 1, Without: Shapes()[1:]}.withDefaults(), 0)
	for range 10 {
		require.Empty(t, p.shapes)
	}
}

func TestLinkCutsAtAByte(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write(make([]byte, 100_000))
			_ = conn.(*net.TCPConn).CloseWrite()
		}
	}()
	l, err := newLink(t.Context(), 0)
	require.NoError(t, err)
	defer l.close()
	l.to(listener.Addr().String())
	receive := func() int {
		conn, err := net.Dial("tcp", l.address())
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
		got, _ := io.ReadAll(conn) // it may end with a reset
		return len(got)
	}
	require.Equal(t, 100_000, receive())
	l.cutAfter(1234, false)
	require.Equal(t, 1234, receive())
	require.Equal(t, 100_000, receive(), "a cut happens once")

	release := l.hold()
	done := make(chan int)
	go func() { done <- receive() }()
	select {
	case <-done:
		require.Fail(t, "a held link passes nothing")
	case <-time.After(50 * time.Millisecond):
	}
	release()
	require.Equal(t, 100_000, <-done)
}

func TestHistogram(t *testing.T) {
	t.Parallel()
	h := new(histogram)
	require.Zero(t, h.quantile(0.5))
	for i := range 100 {
		h.add(time.Duration(i+1) * time.Millisecond)
	}
	require.InEpsilon(t, 50*time.Millisecond, h.quantile(0.5), 0.06)
	require.InEpsilon(t, 99*time.Millisecond, h.quantile(0.99), 0.06)
	require.Equal(t, 100, h.count())
}

func TestParseFaults(t *testing.T) {
	t.Parallel()
	require.Equal(t, Faults, ParseFaults("all"))
	require.Empty(t, ParseFaults("none"))
	require.Equal(t, []Fault{CutClient, KillServer}, ParseFaults("cut client, kill server"))
	require.NotContains(t, ParseFaults("all,-quiet crash"), QuietCrash)
}
