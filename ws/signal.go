package ws

import (
	"strings"

	"github.com/pgbell/pgbell"
)

// The types of signals: events by which pgbell tells its own nodes something,
// in order with all the others and without a query. No watch can have a type
// with a dot, and no client ever sees such an event; see [viewOf].
//
// One type that no watch can have is for clients: it tells a user of
// notifications.
const (
	ownPrefix        = "pgbell."
	signalRevocation = ownPrefix + "revocation"
	signalCanary     = ownPrefix + "canary"
	typeNotification = ownPrefix + "notification"
)

func isSignal(e *pgbell.Event) bool {
	return strings.HasPrefix(e.Type, ownPrefix) && !isNotification(e)
}

// signal acts on a signal.
func (h *Hub) signal(e *pgbell.Event) {
	switch e.Type {
	case signalRevocation:
		h.revoke(e)
	case signalCanary:
		h.canary.land(e, h.now())
	}
}
