package ws

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pgbell/pgbell/ws/auth"
	"github.com/pgbell/pgbell/ws/socketio"
)

// HandlerOptions of a [Handler].
type HandlerOptions struct {
	// Origins are the web origins whose pages may connect, as
	// https://app.example.com, beside the server's own; "*" means all.
	// Clients that send no Origin are no browsers and always may.
	// Default: the server's own alone.
	Origins []string
	// ClientAddress tells where a request comes from, for MaxPerAddress. Behind
	// a proxy it reads the header that this proxy sets. Default: the address of
	// the TCP connection.
	ClientAddress func(*http.Request) string
	// AdminRoles are token roles that may see who is connected and what went
	// wrong. Default: none.
	AdminRoles []string
	// ServiceRoles are token roles that may publish, and see who is connected.
	// Default: none.
	ServiceRoles []string
	// Publisher takes what POST /api/socket publishes. Default: none, nobody
	// may.
	Publisher Publisher
	// Version is what GET /api/socket calls this build. Default: "".
	Version string
	// ReadyWithin is how old the last complete read may be for /readyz.
	// Default: 10 s.
	ReadyWithin time.Duration
	// CanaryWithin is how long a canary may take for /readyz, if the hub has
	// one. Default: 2 s.
	CanaryWithin time.Duration
	// Rows answers GET /api/rows/{type}. Default: none, there is nothing at
	// that address.
	Rows RowReader
	// Recovery seals the sessions of Socket.IO clients, by which they recover
	// on any node that has the same secret. Default: none, each of their
	// connections is a new session.
	Recovery *socketio.PIDs
	// Inbox answers /api/notifications and what is below. Default: none, there
	// is nothing at these addresses.
	Inbox Inbox
	// Console answers what is asked below /api/console/. Default: none, there
	// is nothing at those addresses.
	Console Console
}

// Handler serves a hub over HTTP:
//
//	GET /ws       the JSON protocol; see docs/protocol.md
//	GET /healthz  200 while the process lives
//	GET /readyz   200 if a client that came now would be live, and a canary
//	              arrives, else 503
//	GET /api/rows/{type}  the caller's rows and where the stream goes on
//	/api/notifications    the caller's notifications, marking them as read, and
//	                      which the caller wants
//	GET /api/events       the stream as server-sent events, or polled
//	/api/events/cookie    a token for EventSource, which cannot send headers
//	GET /api/socket       the state of the server
//	POST /api/socket      publishes
//	/socket.io/           the stream for clients of Socket.IO
//	GET /api/socket/errors  what clients were told
//	GET /api/console/…      what operators ask
//
// Errors are JSON, {code, message, retryable, action}.
type Handler struct {
	hub      *Hub
	o        HandlerOptions
	mux      *http.ServeMux
	upgrader websocket.Upgrader
	sockets  *socketDoor

	requests *throttle // those that are no connections, by user

	rowsUsers  counter
	rowsPlaces chan struct{}

	console console
}

// NewHandler serves hub.
func NewHandler(hub *Hub, o HandlerOptions) *Handler {
	o.ReadyWithin = cmp.Or(o.ReadyWithin, 10*time.Second)
	o.CanaryWithin = cmp.Or(o.CanaryWithin, 2*time.Second)
	if o.ClientAddress == nil {
		o.ClientAddress = remoteAddress
	}
	h := &Handler{hub: hub, o: o, mux: http.NewServeMux(), rowsPlaces: make(chan struct{}, rowsAtOnce)}
	h.requests = newThrottle(Rate{hub.o.MessageRate, hub.o.MessageBurst})
	h.upgrader = websocket.Upgrader{
		Subprotocols:    []string{Subprotocol},
		ReadBufferSize:  256,      // what one idle connection keeps
		WriteBufferPool: noPool{}, // gorilla writes nothing but the handshake
		CheckOrigin:     func(*http.Request) bool { return true },
		Error: func(w http.ResponseWriter, _ *http.Request, _ int, reason error) {
			refuse(w, errBadRequest.because(reason.Error()))
		},
	}
	h.mux.HandleFunc("GET /ws", h.serve)
	h.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	h.mux.HandleFunc("GET /readyz", h.ready)
	if o.Rows != nil {
		h.mux.HandleFunc("GET /api/rows/{type}", h.api(h.serveRows))
		h.mux.HandleFunc("OPTIONS /api/rows/{type}", h.preflight)
	}
	h.serveInbox()
	h.serveEvents()
	h.serveSocket()
	h.serveSocketIO()
	h.serveConsole()
	h.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { refuse(w, errNotFound) })
	return h
}

// Run keeps the deadlines of Socket.IO connections until ctx ends. It then drops
// them and returns nil once all are gone. A handler runs once, as long as its
// hub does.
func (h *Handler) Run(ctx context.Context) error { return h.sockets.server.Run(ctx) }

// Drain drains the hub, and closes the Socket.IO connections that have no
// session. It returns as [Hub.Drain] does.
func (h *Handler) Drain(ctx context.Context) error {
	err := h.hub.Drain(ctx)
	return errors.Join(err, h.sockets.server.Drain(ctx))
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// serve takes a WebSocket. It returns at once, so that net/http's goroutine,
// its buffers and the request are gone while the connection lives.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request) {
	refused := func(err *Error) {
		h.hub.refused(err, TransportWebSocket)
		refuse(w, err)
	}
	if !websocket.IsWebSocketUpgrade(r) {
		refused(errUpgradeRequired)
		return
	}
	place, knocked := h.knock(r)
	if knocked != nil {
		refused(knocked)
		return
	}
	c := &conn{release: place.release}
	c.session = newSession(h.hub, jsonProtocol{}, c, TransportWebSocket, place.address)

	credentials, cursor := credentialsOf(r), strings.Clone(r.URL.Query().Get("cursor"))
	var identity auth.Identity
	if credentials.header != "" {
		var err *Error
		if identity, err = h.identify(r, credentials.header, TransportWebSocket); err != nil {
			c.release()
			refused(err)
			return
		}
	}
	grabber := &hijacker{ResponseWriter: w}
	socket, err := h.upgrader.Upgrade(grabber, r, nil)
	if err != nil {
		c.release()
		h.hub.refused(errBadRequest, TransportWebSocket)
		return
	}
	grabber.conn.muted = true
	c.attach(socket, grabber.conn.Conn)
	if err := h.hub.open(&c.session); err != nil {
		c.release()
		_, _ = c.net.Write(c.proto.goodbye(cmp.Or(err.Close, CloseTryLater), err.Code))
		c.abort()
		h.hub.refused(err, TransportWebSocket)
		return
	}
	h.hub.o.Trace.opened(TransportWebSocket)
	token := strings.Clone(credentials.subprotocol)
	go func() {
		switch {
		case identity.UserID != "":
			c.admit(identity, cursor, nil)
		case token != "":
			ctx, cancel := context.WithTimeout(c.hub.ctx, c.hub.o.RequestTimeout)
			c.authenticate(ctx, token, cursor, nil)
			cancel()
		}
		go c.read() // on a stack of its own
	}()
}

// noPool has no buffers to give.
type noPool struct{}

func (noPool) Get() any { return nil }
func (noPool) Put(any)  {}

// hijacker puts a mute under the connection that gorilla takes over.
type hijacker struct {
	http.ResponseWriter
	conn *mute
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	raw, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.conn = &mute{Conn: raw}
	return h.conn, rw, nil
}

// credentials are the token of a handshake, if any.
type credentials struct{ header, subprotocol string }

// bearerPrefix marks a token among the subprotocols, for browsers cannot set
// headers.
const bearerPrefix = "bearer."

func credentialsOf(r *http.Request) credentials {
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return credentials{header: strings.TrimSpace(token)}
	}
	for _, p := range websocket.Subprotocols(r) {
		if token, ok := strings.CutPrefix(p, bearerPrefix); ok {
			return credentials{subprotocol: token}
		}
	}
	return credentials{}
}

// allowsOrigin reports whether the page that opens the connection may.
func (h *Handler) allowsOrigin(r *http.Request) bool {
	return slices.Contains(h.o.Origins, "*") || h.trustsOrigin(r)
}

// trustsOrigin reports whether it is no page, or one of an origin that is
// allowed by name.
func (h *Handler) trustsOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	if slices.ContainsFunc(h.o.Origins, func(allowed string) bool { return strings.EqualFold(allowed, origin) }) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// retryAfter is when to come back after an error that may pass, in seconds.
const retryAfter = "2"

func refuse(w http.ResponseWriter, err *Error) {
	if err.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if err.Retryable {
		w.Header().Set("Retry-After", retryAfter)
	}
	writeJSON(w, cmp.Or(err.Status, http.StatusInternalServerError), err)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(plainJSON(v), '\n'))
}
