package ws

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"sync"
	"time"

	"github.com/pgbell/pgbell/ws/socketio"
)

// A Socket.IO client that comes back shows the pid and the last offset that it
// was told, which is a cursor. The pid seals what the server would have to
// remember: whose session it is and where that began. So any node restores any
// session, also after a restart, and a pid without a good token of the same
// user restores nothing.
//
// A client keeps its offset when it gets a new pid. So the new pid tells which
// one that was: while the client still shows that, it was told nothing in the
// new session, and goes on from where that began, or hears its reset again.

// resumption is how a client goes on that asks to.
type resumption struct {
	asked socketio.Resume
	// id is the session's that goes on, if its cursor can be resumed; empty:
	// there is none.
	id string
	// cursor is where the client stands: empty if it has nothing. If its session
	// cannot go on, [anew] is before it.
	cursor string
}

// resumption decides what a client of a user may go on with. Without a user it
// has yet to authenticate.
func (d *socketDoor) resumption(asked socketio.Resume, user string) resumption {
	r := resumption{asked: asked}
	if d.pids == nil || asked.PID == "" {
		return r
	}
	pass, err := d.pids.Open(asked.PID)
	switch {
	case err != nil, pass.Subject != user, d.left.has(pass.ID):
		r.cursor = anew + asked.Offset
	case pass.Prior != prior(asked.Offset):
		r.id, r.cursor = pass.ID, asked.Offset
	case pass.Anew:
		r.cursor = anew + asked.Offset
	case pass.Start != "":
		r.id, r.cursor = pass.ID, pass.Start
	default:
		r.id, r.cursor = pass.ID, asked.Offset
	}
	return r
}

// begin makes the session with which a client is answered that does not go on
// with the one it had. A client that had nothing starts at a cursor.
func (d *socketDoor) begin(r resumption, user, start string) socketio.Session {
	s := socketio.Session{ID: rand.Text()}
	if d.pids == nil {
		return s
	}
	pass := socketio.Pass{ID: s.ID, Subject: user, Prior: prior(r.asked.Offset), Issued: time.Now()}
	if r.cursor == "" {
		pass.Start = start
	} else {
		pass.Anew = user != "" || strings.HasPrefix(r.cursor, anew)
	}
	var err error
	if s.PID, err = d.pids.Seal(pass); err != nil {
		d.hub.o.Logger.Warn("a session cannot be sealed", "error", err)
	}
	return s
}

// prior is how a pass tells an offset.
func prior(offset string) string {
	sum := sha256.Sum256([]byte(offset))
	return base64.RawStdEncoding.EncodeToString(sum[:9])
}

// maxLeft is how many sessions that were left are remembered, in each of two
// generations.
const maxLeft = 32 << 10

// leftSessions are those that ended on purpose: this node does not restore
// them.
type leftSessions struct {
	mu         sync.Mutex // guards what follows
	young, old map[string]struct{}
}

func (l *leftSessions) add(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.young == nil || len(l.young) >= maxLeft {
		l.young, l.old = make(map[string]struct{}), l.young
	}
	l.young[id] = struct{}{}
}

func (l *leftSessions) has(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, young := l.young[id]
	_, old := l.old[id]
	return young || old
}
