// Package ws brings events to clients: the hub that routes them, the sessions
// that wait for them, and the WebSocket protocol that docs/protocol.md
// describes.
//
//	listener ─▶ Hub ─▶ rooms ─▶ view ─▶ frame ─▶ session's queue ─▶ conn
//	             │                                   ▲
//	             └─▶ window ──────── replay ─────────┘
//
// A [Hub] is the sink of the listener. It looks up the sessions that may be
// concerned by room, decides by each one's identity what it sees of the event
// ([viewOf], the one place that decides), encodes each view once per wire
// protocol, and puts the same bytes into every queue. Nothing on this way waits
// for a client. A queue that is full ends its session, which resumes with its
// cursor.
//
// A session that comes or comes back joins the stream under its lock, at one
// exact event. What it missed is replayed before from the window, the recent
// events in memory, or from [History] if its cursor is older; see joining.
//
// What pgbell tells its own nodes comes by the same stream: signals, events that
// no client sees. Tokens that were revoked end their sessions that way, and a
// canary shows that the whole way from the database is open.
//
// An idle connection costs its session, its socket and one goroutine on a small
// stack. There is no writer while there is nothing to write, and no timer: one
// sweep of the hub sees to all deadlines.
//
// A session knows nothing of WebSocket, and the hub nothing of JSON. A further
// protocol implements protocol (bytes for what a session is told) and peer (a
// connection that takes them). There are three of each:
//
//	GET /ws      jsonProtocol         conn         a WebSocket
//	GET /api/events  eventStreamProtocol  eventStream  server-sent events
//	                 pollProtocol         poll         one answer
//
// A door asks for a place (knock), verifies the token (identify), opens a
// session with its identity and cursor (enter), and from then on writes what
// next gives it until that says last, or the client is gone (lost); then it
// finishes the session. Everything else is the same code for all.
//
// Where a type has a debounce, a session holds back all but the first and the
// last of a row's updates within a window. Its cursors then say so; see
// debounce.go.
package ws
