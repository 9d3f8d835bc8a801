package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/pgbell/pgbell/cmd/pgbell/config"
	"github.com/pgbell/pgbell/ws/auth"
)

// maxKeyFile bounds a file with a key in bytes.
const maxKeyFile = 64 << 10

// tokenSecret is the HMAC secret, or nil if there is none.
func tokenSecret(s config.JWT) ([]byte, error) {
	if s.Secret != "" || s.SecretFile == "" {
		return []byte(s.Secret), nil
	}
	info, err := os.Stat(s.SecretFile)
	if err == nil && info.Mode().Perm()&0o007 != 0 {
		return nil, usagef("jwt.secret_file %s can be read by everybody: chmod o= it", s.SecretFile)
	}
	text, err := readKey("jwt.secret_file", s.SecretFile)
	if err != nil {
		return nil, err
	}
	if text = bytes.TrimSpace(text); len(text) == 0 {
		return nil, usagef("jwt.secret_file %s is empty", s.SecretFile)
	}
	return text, nil
}

func readKey(setting, path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		if reason, ok := errors.AsType[*fs.PathError](err); ok {
			err = reason.Err
		}
		return nil, usagef("%s %s: %v", setting, path, err)
	}
	if len(text) > maxKeyFile {
		return nil, usagef("%s %s has %d bytes, at most %d are a key", setting, path, len(text), maxKeyFile)
	}
	return text, nil
}

// newVerifier makes what believes tokens. Without any key it refuses: a server
// that lets nobody in is a mistake, and one that lets everybody in a worse one.
func newVerifier(s config.JWT, logger *slog.Logger) (*auth.Verifier, error) {
	secret, err := tokenSecret(s)
	if err != nil {
		return nil, err
	}
	if len(secret) == 0 && s.PublicKeyFile == "" && s.JWKSURL == "" {
		return nil, usagef("there is no key to check tokens with: set PGBELL_JWT_SECRET, PGBELL_JWT_PUBLIC_KEY_FILE or PGBELL_JWT_JWKS_URL")
	}
	if s.PublicKeyFile != "" && s.JWKSURL != "" {
		return nil, usagef("jwt.public_key_file and jwt.jwks_url are both set: choose one")
	}
	opts := auth.Options{
		Secret:     secret,
		JWKSURL:    s.JWKSURL,
		Algorithms: s.Algorithms,
		Issuer:     s.Issuer,
		Audience:   s.Audience,
		RoleClaim:  s.RoleClaim,
		Leeway:     s.Leeway,
		Logger:     logger,
	}
	if s.PublicKeyFile != "" {
		pem, err := readKey("jwt.public_key_file", s.PublicKeyFile)
		if err != nil {
			return nil, err
		}
		opts.PublicKeys = []auth.PublicKey{{PEM: pem}}
	}
	v, err := auth.New(opts)
	if err != nil {
		return nil, asUsage(fmt.Errorf("set up tokens: %w", err))
	}
	return v, nil
}
