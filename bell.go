package pgbell

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Channel is the NOTIFY channel of the bell.
const Channel = "pgbell"

// ErrNoEvent says that a bell carries no event to deliver: go and read the log.
var ErrNoEvent = errors.New("bell carries no event")

// BellKey authenticates what a bell carries. Postgres lets every role NOTIFY
// every channel, so without it any role could forge an event. Both parts are
// random, 64 bytes long (one SHA-256 block), and readable only by the owner of
// schema pgbell and by the server's role; see table pgbell.bell_key.
type BellKey struct {
	Inner, Outer []byte
}

// mac is sha256(outer || sha256(inner || message)): NMAC, the construction
// under HMAC (RFC 2104) with two independent keys, which SQL can compute.
func (k BellKey) mac(message []byte) []byte {
	inner := sha256.Sum256(append(append(make([]byte, 0, len(k.Inner)+len(message)), k.Inner...), message...))
	outer := sha256.Sum256(append(append(make([]byte, 0, len(k.Outer)+len(inner)), k.Outer...), inner[:]...))
	return outer[:]
}

// bell is the NOTIFY payload. At is in microseconds since the Unix epoch.
type bell struct {
	ID   int64           `json:"id"`
	XID  uint64          `json:"xid"`
	At   int64           `json:"at"`
	MAC  string          `json:"mac"`
	Body json.RawMessage `json:"body"`
}

// DecodeBell decodes a payload of [Channel]:
//
//	{"id":7,"xid":742,"at":1767225600000000,"mac":"9f…","body":{…}}
//
// mac is the hexadecimal [BellKey] code of "id:xid:at:body", the first three in
// decimal. An empty payload, with which several events or one over the NOTIFY
// limit ring, gives [ErrNoEvent]. So does anything else that is no such
// document or was not made by our trigger, wrapped with what is wrong: a bell
// is only a hint, and the log has the truth.
func DecodeBell(payload string, key BellKey) (Event, error) {
	if payload == "" {
		return Event{}, ErrNoEvent
	}
	if len(key.Inner) == 0 || len(key.Outer) == 0 {
		return Event{}, fmt.Errorf("%w: there is no key to check it with", ErrNoEvent)
	}
	var b bell
	if err := json.Unmarshal([]byte(payload), &b); err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrNoEvent, err)
	}
	message := make([]byte, 0, len(b.Body)+60)
	message = strconv.AppendInt(message, b.ID, 10)
	message = append(message, ':')
	message = strconv.AppendUint(message, b.XID, 10)
	message = append(message, ':')
	message = strconv.AppendInt(message, b.At, 10)
	message = append(message, ':')
	message = append(message, b.Body...)
	if mac, err := hex.DecodeString(b.MAC); err != nil || subtle.ConstantTimeCompare(mac, key.mac(message)) != 1 {
		return Event{}, fmt.Errorf("%w: its code is wrong, so no trigger of pgbell rang it", ErrNoEvent)
	}
	e, err := NewEvent(b.ID, b.XID, time.UnixMicro(b.At), b.Body)
	if err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrNoEvent, err)
	}
	return e, nil
}
