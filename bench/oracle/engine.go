package oracle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// transport is how an engine is connected.
type transport string

// The transports. A client that begins by polling moves to a WebSocket when it
// has found one, as Socket.IO's own does.
const (
	byWebSocket transport = "websocket"
	byPolling   transport = "polling"
	byUpgrade   transport = "polling, then websocket"
)

// engine is a client of Engine.IO 4, on one connection.
type engine struct {
	visitor *http.Client
	address string
	header  http.Header
	sid     string

	ctx    context.Context //nolint:containedctx // the connection's: when it ends, so does everything here
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	silent *time.Timer // ends the connection on which no ping comes
	limit  time.Duration
	found  chan *websocket.Conn // one to move to
	waits  [][]byte             // received and not yet read
	asked  atomic.Int64         // requests of polling

	mu   sync.Mutex      // held while something is sent; guards conn
	conn *websocket.Conn // nil: polling
}

// errNoPing is why a client leaves a connection that is dead.
var errNoPing = errors.New("the server has not pinged in time")

// refused is an answer of HTTP that is none of the protocol.
type refused struct {
	status  int
	code    int
	polling bool // a request of a session was
	said    string
}

func (r *refused) Error() string { return fmt.Sprintf("refused: %d: %s", r.status, r.said) }

// dialEngine connects. The engine has to be closed.
func dialEngine(ctx context.Context, visitor *http.Client, address string, header http.Header, by transport) (_ *engine, err error) {
	e := &engine{visitor: visitor, address: address, header: header, found: make(chan *websocket.Conn, 1)}
	e.ctx, e.cancel = context.WithCancelCause(ctx)
	defer func() {
		if err != nil {
			e.close()
		}
	}()
	e.silent = time.AfterFunc(dialTimeout, func() { e.cancel(errNoPing) })
	if by == byWebSocket {
		if e.conn, err = e.dial(); err != nil {
			return e, err
		}
	}
	first, err := e.next()
	if err != nil {
		return e, err
	}
	var open struct {
		SID                       string
		Upgrades                  []string
		PingInterval, PingTimeout int64
	}
	if first[0] != '0' || json.Unmarshal(first[1:], &open) != nil || open.SID == "" || open.PingInterval <= 0 {
		return e, &breach{fmt.Sprintf("a connection began with %q", first)}
	}
	e.sid = open.SID
	e.limit = time.Duration(open.PingInterval+open.PingTimeout) * time.Millisecond
	e.silent.Reset(e.limit)
	if by == byUpgrade {
		if len(open.Upgrades) != 1 || open.Upgrades[0] != "websocket" {
			return e, &breach{fmt.Sprintf("polling has no WebSocket to move to: %q", first)}
		}
		e.wg.Go(e.probe)
	}
	return e, nil
}

// close ends the connection without a word.
func (e *engine) close() {
	e.cancel(nil)
	e.silent.Stop()
	e.wg.Wait()
	select {
	case conn := <-e.found:
		conn.Close()
	default:
	}
	if e.conn != nil {
		e.conn.Close()
	}
}

// url is where the protocol is spoken.
func (e *engine) url(scheme, transport string) string {
	u := scheme + "://" + e.address + "/socket.io/?EIO=4&transport=" + transport
	if e.sid != "" {
		u += "&sid=" + e.sid
	}
	return u
}

// dial opens a WebSocket, which ends with the engine.
func (e *engine) dial() (*websocket.Conn, error) {
	dialer := websocket.Dialer{HandshakeTimeout: dialTimeout, ReadBufferSize: 16 << 10}
	conn, response, err := dialer.DialContext(e.ctx, e.url("ws", "websocket"), e.header)
	if err != nil {
		if response != nil && response.StatusCode != http.StatusSwitchingProtocols {
			return nil, refusalOf(response)
		}
		return nil, err
	}
	response.Body.Close()
	context.AfterFunc(e.ctx, func() { conn.Close() })
	return conn, nil
}

// refusalOf reads an answer that says no.
func refusalOf(response *http.Response) error {
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return err
	}
	r := &refused{status: response.StatusCode, code: -1, said: string(raw)}
	var told struct {
		Code *int
	}
	if json.Unmarshal(raw, &told) == nil && told.Code != nil {
		r.code = *told.Code
	}
	return r
}

// probe looks for a WebSocket to move to. Not to find one is no error: polling
// goes on.
func (e *engine) probe() {
	conn, err := e.dial()
	if err != nil {
		return
	}
	if conn.WriteMessage(websocket.TextMessage, []byte("2probe")) == nil {
		if _, answer, err := conn.ReadMessage(); err == nil && string(answer) == "3probe" {
			e.found <- conn
			return
		}
	}
	conn.Close()
}

// move goes over to a WebSocket that was found. No request is under way.
func (e *engine) move() error {
	if e.conn != nil {
		return nil
	}
	select {
	case conn := <-e.found:
		e.mu.Lock()
		defer e.mu.Unlock()
		e.conn = conn
		return conn.WriteMessage(websocket.TextMessage, []byte("5"))
	default:
		return nil
	}
}

// read returns the next message, and answers what comes before it.
func (e *engine) read() ([]byte, error) {
	for {
		packet, err := e.next()
		if err != nil {
			return nil, err
		}
		switch packet[0] {
		case '4':
			return packet[1:], nil
		case '2':
			e.silent.Reset(e.limit)
			if err := e.send("3"); err != nil {
				return nil, err
			}
		case '6':
		case '1':
			return nil, io.EOF
		default:
			return nil, &breach{fmt.Sprintf("a packet is none of a server's: %q", packet)}
		}
	}
}

// next returns the next packet, which is not empty.
func (e *engine) next() (packet []byte, err error) {
	for len(e.waits) == 0 {
		if err := e.move(); err != nil {
			return nil, err
		}
		if e.waits, err = e.receive(); err != nil {
			return nil, errors.Join(err, context.Cause(e.ctx))
		}
	}
	packet, e.waits = e.waits[0], e.waits[1:]
	if len(packet) == 0 {
		return nil, &breach{"an empty packet came"}
	}
	return packet, nil
}

// receive gets one frame, or one payload with all its packets.
func (e *engine) receive() ([][]byte, error) {
	if e.conn != nil {
		_, packet, err := e.conn.ReadMessage()
		return [][]byte{packet}, err
	}
	payload, err := e.exchange(http.MethodGet, "")
	return bytes.Split(payload, []byte{0x1e}), err
}

// send sends packets, in one request if it is one.
func (e *engine) send(packets ...string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn == nil {
		_, err := e.exchange(http.MethodPost, strings.Join(packets, "\x1e"))
		return err
	}
	for _, p := range packets {
		if err := e.conn.WriteMessage(websocket.TextMessage, []byte(p)); err != nil {
			return err
		}
	}
	return nil
}

// exchange is one request of polling.
func (e *engine) exchange(method, body string) ([]byte, error) {
	// Socket.IO's client puts another t into each request. It does not mean
	// this, but so a server can tell one that is sent again: as browsers do,
	// Go's client repeats a GET when the connection breaks before its answer.
	u := e.url("http", "polling") + "&t=" + strconv.FormatInt(e.asked.Add(1), 36)
	request, err := http.NewRequestWithContext(e.ctx, method, u, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header = e.header.Clone()
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	response, err := e.visitor.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		err := refusalOf(response)
		if r, ok := errors.AsType[*refused](err); ok {
			r.polling = e.sid != ""
		}
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}
