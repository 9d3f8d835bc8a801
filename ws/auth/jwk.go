package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/MicahParks/jwkset"
)

// decodeSet reads a key set (RFC 7517). A key that cannot be used is skipped,
// as section 5 asks.
func decodeSet(body []byte, allowed []string, skipped func(index int, err error)) ([]key, error) {
	var set struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("decode key set: %w", err)
	}
	if set.Keys == nil {
		return nil, errors.New("decode key set: it has no member keys")
	}
	if len(*set.Keys) > maxSetKeys {
		return nil, fmt.Errorf("decode key set: %d keys, at most %d", len(*set.Keys), maxSetKeys)
	}
	var keys []key
	for i, raw := range *set.Keys {
		k, err := decodeKey(raw, allowed)
		if err != nil {
			skipped(i, err)
			continue
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// decodeKey reads one JSON Web Key that verifies signatures.
func decodeKey(raw []byte, allowed []string) (key, error) {
	var jwk jwkset.JWKMarshal
	if err := json.Unmarshal(raw, &jwk); err != nil {
		return key{}, fmt.Errorf("decode key: %w", err)
	}
	switch {
	case jwk.KTY == jwkset.KtyOct:
		return key{}, errors.New("it is a shared secret, which nobody may publish")
	case jwk.USE != "" && jwk.USE != jwkset.UseSig:
		return key{}, fmt.Errorf("its use is %.32q, not sig", jwk.USE)
	case len(jwk.KEYOPS) > 0 && !slices.Contains(jwk.KEYOPS, jwkset.KeyOpsVerify):
		return key{}, errors.New("its key_ops do not contain verify")
	case len(jwk.KID) > maxTextBytes:
		return key{}, fmt.Errorf("its kid is longer than %d bytes", maxTextBytes)
	}
	// The key itself counts; where certificates for it may be found does not.
	jwk.X5U, jwk.X5C, jwk.X5T, jwk.X5TS256 = "", nil, "", ""
	decoded, err := jwkset.NewJWKFromMarshal(jwk, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return key{}, err
	}
	return newKey(jwk.KID, decoded.Key(), allowed, string(jwk.ALG))
}
