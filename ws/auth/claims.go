package auth

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// The bounds of what a token may say.
const (
	maxTextBytes = 256 // user id, token id
	maxNameBytes = 128 // one role or room
	maxRoles     = 32
	maxRooms     = 64
)

// lookup follows a dotted path into claims. At each level it prefers the
// longest name, so that a claim whose name contains dots is found.
func lookup(claims map[string]any, path string) any {
	if v, ok := claims[path]; ok {
		return v
	}
	for i := len(path) - 1; i > 0; i-- {
		if path[i] != '.' {
			continue
		}
		if inner, ok := claims[path[:i]].(map[string]any); ok {
			if v := lookup(inner, path[i+1:]); v != nil {
				return v
			}
		}
	}
	return nil
}

// maxTime is the end of the year 9999 in seconds since the Unix epoch. What is
// beyond would overflow a time, differently on each processor.
const maxTime = 253402300799

// checkTimes refuses times beyond any calendar.
func checkTimes(claims jwt.MapClaims) error {
	for _, claim := range []string{"exp", "nbf", "iat"} {
		n, ok := claims[claim].(json.Number)
		if !ok {
			continue
		}
		if seconds, err := n.Float64(); err != nil || seconds < 0 || seconds > maxTime {
			return invalid("claim %q is out of range", claim)
		}
	}
	return nil
}

// subject reads the user id: text, or an integer.
func subject(claims jwt.MapClaims, path string) (string, error) {
	switch v := lookup(claims, path).(type) {
	case nil:
		return "", invalid("claim %q, the user id, is missing", path)
	case string:
		if v == "" {
			return "", invalid("claim %q, the user id, is empty", path)
		}
		return v, checkText(path, v, maxTextBytes)
	case json.Number:
		// Only what is written as an integer: 1e3 and 1.0 name nobody.
		if strings.ContainsAny(v.String(), ".eE") {
			return "", invalid("claim %q, the user id, is neither text nor an integer", path)
		}
		return v.String(), checkText(path, v.String(), maxTextBytes)
	default:
		return "", invalid("claim %q, the user id, is neither text nor an integer", path)
	}
}

// tokenID reads jti.
func tokenID(claims jwt.MapClaims) (string, error) {
	switch v := claims["jti"].(type) {
	case nil:
		return "", nil
	case string:
		return v, checkText("jti", v, maxTextBytes)
	default:
		return "", invalid("claim %q is not text", "jti")
	}
}

// names reads a string or an array of strings and adds them to those had.
// Empty names grant nothing and are left out, as are repeated ones.
func names(had []string, claims jwt.MapClaims, path string, limit int) ([]string, error) {
	var all []any
	switch v := lookup(claims, path).(type) {
	case nil:
		return had, nil
	case string:
		all = []any{v}
	case []any:
		all = v
	default:
		return nil, invalid("claim %q is neither text nor a list of texts", path)
	}
	for _, one := range all {
		name, ok := one.(string)
		if !ok {
			return nil, invalid("claim %q holds something other than texts", path)
		}
		if name == "" || slices.Contains(had, name) {
			continue
		}
		if err := checkText(path, name, maxNameBytes); err != nil {
			return nil, err
		}
		if len(had) == limit {
			return nil, invalid("claim %q holds more than %d names", path, limit)
		}
		had = append(had, name)
	}
	return had, nil
}

// checkText refuses text that is too long or holds control characters. It also
// refuses the replacement character, which is what decoding leaves of broken
// UTF-8: two different broken names must not become the same one.
func checkText(claim, text string, limit int) error {
	if len(text) > limit {
		return invalid("claim %q is longer than %d bytes", claim, limit)
	}
	for _, r := range text {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return invalid("claim %q holds control characters or broken text", claim)
		}
	}
	return nil
}
