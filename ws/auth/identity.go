package auth

import "time"

// Identity is what a verified token says about its bearer.
//
// Every text in it is bounded and free of control characters, so it can be
// logged, compared and shown without further checks.
type Identity struct {
	// UserID is the token's subject. It is never empty.
	UserID string

	// Roles are the roles the token grants, in the token's order, without
	// duplicates. It is empty when the token names none.
	Roles []string

	// Rooms are the rooms the token opens, in the token's order, without
	// duplicates. It is empty when the token names none.
	Rooms []string

	// TokenID is the jti claim, empty when the token has none.
	TokenID string

	// IssuedAt is the iat claim, zero when the token has none.
	IssuedAt time.Time

	// ExpiresAt is the exp claim. It is never zero: a token without an end
	// is refused.
	ExpiresAt time.Time
}
