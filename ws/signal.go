package ws

import (
	"strings"

	"github.com/pgbell/pgbell"
)

// The types of signals: events by which pgbell tells its own nodes something,
// in order with all the others and without a query. No watch can have a type
// with a dot, and no client ever sees such an event; see [viewOf].
const (
	signalPrefix     = "pgbell."
	signalRevocation = signalPrefix + "revocation"
	signalCanary     = signalPrefix + "canary"
)

func isSignal(e *pgbell.Event) bool { return strings.HasPrefix(e.Type, signalPrefix) }

// signal acts on a signal.
func (h *Hub) signal(e *pgbell.Event) {
	switch e.Type {
	case signalRevocation:
		h.revoke(e)
	case signalCanary:
		h.canary.land(e, h.now())
	}
}
