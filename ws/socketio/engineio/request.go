package engineio

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// ServeHTTP serves all requests of the protocol, whatever their path.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.crossOrigin(w, r) {
		s.refuse(w, errOrigin)
		return
	}
	if r.Method == http.MethodOptions {
		preflight(w, r)
		return
	}
	if r.Method == http.MethodPost {
		// Also for a body that nobody wants: net/http reads what is left of it.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.o.ReadTimeout))
	}
	q := r.URL.Query()
	transport := Transport(q.Get("transport"))
	if !slices.Contains(s.o.Transports, transport) {
		s.refuse(w, errTransport)
		return
	}
	if websocket.IsWebSocketUpgrade(r) != (transport == WebSocket) {
		s.refuse(w, errBadRequest)
		return
	}
	if sid := q.Get("sid"); sid != "" {
		s.resume(w, r, transport, sid)
		return
	}
	s.open(w, r, transport, q)
}

// resume serves a request of a socket.
func (s *Server) resume(w http.ResponseWriter, r *http.Request, transport Transport, sid string) {
	socket := s.find(sid)
	switch {
	case socket == nil:
		s.refuse(w, errUnknownID)
	case transport == WebSocket:
		s.serveUpgrade(w, r, socket)
	case r.Method == http.MethodGet:
		s.servePoll(w, r, socket)
	case r.Method == http.MethodPost:
		s.servePost(w, r, socket)
	default:
		s.refuse(w, errMethod)
	}
}

// open opens a socket.
func (s *Server) open(w http.ResponseWriter, r *http.Request, transport Transport, q url.Values) {
	if r.Method != http.MethodGet {
		s.refuse(w, errMethod)
		return
	}
	if q.Get("EIO") != "4" {
		s.refuse(w, errVersion)
		return
	}
	if err := s.reserve(); err != nil {
		s.refuse(w, err)
		return
	}
	admitted, err := s.admit(r)
	if err != nil {
		s.vacate("")
		s.refuse(w, err)
		return
	}
	var c *conn
	var upgrades []Transport
	if transport == WebSocket {
		if c = s.newConn(w, r); c == nil {
			admitted()
			s.vacate("")
			return
		}
	} else if slices.Contains(s.o.Transports, WebSocket) {
		upgrades = append(upgrades, WebSocket)
	}
	socket := s.newSocket(upgrades, admitted)
	socket.base64 = q.Get("b64") != ""
	socket.receiver = s.accept(socket, r)
	s.o.Trace.opened(transport)
	if s.publish(socket) != nil {
		socket.close(Shutdown)
	}
	if c != nil {
		socket.use(c)
		return
	}
	s.servePoll(w, r, socket)
}

// admit asks the application.
func (s *Server) admit(r *http.Request) (release func(), _ *Refusal) {
	release = func() {}
	if s.o.Admit == nil {
		return release, nil
	}
	freed, err := s.o.Admit(r)
	if err != nil {
		return nil, asRefusal(err)
	}
	if freed != nil {
		release = freed
	}
	return release, nil
}

func asRefusal(err error) *Refusal {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return &Refusal{Status: cmp.Or(r.Status, http.StatusForbidden), Message: r.Message, code: codeForbidden}
	}
	return &Refusal{Status: http.StatusForbidden, Message: err.Error(), code: codeForbidden}
}

// greeting is the packet that opens a socket.
func (s *Server) greeting(id string, upgrades []Transport) Frame {
	if upgrades == nil {
		upgrades = []Transport{}
	}
	open, err := json.Marshal(struct {
		ID           string      `json:"sid"`
		Upgrades     []Transport `json:"upgrades"`
		PingInterval int64       `json:"pingInterval"`
		PingTimeout  int64       `json:"pingTimeout"`
		MaxPayload   int64       `json:"maxPayload"`
	}{id, upgrades, s.o.PingInterval.Milliseconds(), s.o.PingTimeout.Milliseconds(), s.o.MaxPayload})
	if err != nil {
		open = []byte("{}") // cannot be: there is nothing that JSON lacks
	}
	return textFrame(string(typeOpen) + string(open))
}

// crossOrigin lets the page that asks read the answer, also if that is an
// error, and reports whether it may connect.
func (s *Server) crossOrigin(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	if !s.allowsOrigin(origin, r.Host) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if s.o.Credentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	return true
}

func (s *Server) allowsOrigin(origin, host string) bool {
	for _, allowed := range s.o.Origins {
		if allowed == "*" || strings.EqualFold(allowed, origin) {
			return true
		}
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, host)
}

// preflight answers what a browser asks before it lets a page of another
// origin send more than a plain request. crossOrigin has set the rest.
func preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
		h.Add("Vary", "Access-Control-Request-Headers")
	}
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}
