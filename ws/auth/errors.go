package auth

import (
	"errors"
	"fmt"
)

// What every error of [Verifier.Verify] wraps, one of them.
var (
	// ErrInvalid says that the token is refused, and unless it is merely not
	// valid yet, for good.
	ErrInvalid = errors.New("token is not valid")
	// ErrExpired says that the token was good and has run out: get a new one.
	// Nothing else is wrong with it.
	ErrExpired = errors.New("token has expired")
	// ErrUnavailable says that nobody can tell now, because the keys are out
	// of reach. The same token may be tried again.
	ErrUnavailable = errors.New("token cannot be verified now")
)

// refusal is an error with a reason that is safe to show. It is a type of its
// own so that it can be taken back out of what the JWT library wraps it in.
type refusal struct {
	kind   error
	reason string
}

func (r *refusal) Error() string { return r.kind.Error() + ": " + r.reason }
func (r *refusal) Unwrap() error { return r.kind }

func invalid(format string, args ...any) error {
	return &refusal{kind: ErrInvalid, reason: fmt.Sprintf(format, args...)}
}

func unavailable(format string, args ...any) error {
	return &refusal{kind: ErrUnavailable, reason: fmt.Sprintf(format, args...)}
}
