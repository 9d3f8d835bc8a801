package socketio

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ErrPID is returned for a pid that was not sealed with the same key.
var ErrPID = errors.New("pid is not valid")

// Pass is what a pid says about a session.
type Pass struct {
	// ID is the socket's.
	ID string `json:"i"`
	// Subject is whose session it is.
	Subject string `json:"u,omitempty"`
	// Start is the offset at which the session began; nothing older is its.
	Start string `json:"s,omitempty"`
	// Prior tells the offset that the client had when the session began. As
	// long as it still has that one it was told nothing in this session.
	Prior string `json:"p,omitempty"`
	// Anew is a session that began with a reset.
	Anew bool `json:"a,omitempty"`
	// Issued is when.
	Issued time.Time `json:"t"`
}

// PIDs seals passes into pids that nobody can read, forge or change. Whoever
// has the key can open them: after a restart, and on another node.
type PIDs struct{ aead cipher.AEAD }

// maxPID is how long a pid may be, in bytes.
const maxPID = 16 << 10

// NewPIDs makes one from a secret of at least 16 bytes.
func NewPIDs(secret []byte) (*PIDs, error) {
	if len(secret) < 16 {
		return nil, errors.New("secret for pids is shorter than 16 bytes")
	}
	// A key of its own, whatever else the secret is used for.
	key, err := hkdf.Key(sha256.New, secret, nil, "socket.io pid", 32)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	return &PIDs{aead}, nil
}

// Seal makes the pid of a pass.
func (p *PIDs) Seal(pass Pass) (string, error) {
	plain, err := json.Marshal(pass)
	if err != nil {
		return "", fmt.Errorf("encode pass: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(p.aead.Seal(nil, nil, plain, nil)), nil //nolint:gosec // the nonce is random, in front of the text
}

// Open reads a pid. The error is [ErrPID].
func (p *PIDs) Open(pid string) (Pass, error) {
	if len(pid) > maxPID {
		return Pass{}, ErrPID
	}
	sealed, err := base64.RawURLEncoding.DecodeString(pid)
	if err != nil {
		return Pass{}, ErrPID
	}
	plain, err := p.aead.Open(nil, nil, sealed, nil)
	if err != nil {
		return Pass{}, ErrPID
	}
	var pass Pass
	if json.Unmarshal(plain, &pass) != nil {
		return Pass{}, ErrPID
	}
	return pass, nil
}
