package ws

import (
	"bytes"
	"encoding/json"
	"iter"
	"unicode/utf8"
)

// Column values come from Postgres as JSON text and leave as the same bytes:
// decoding a numeric into a float64 would lose digits. So objects are taken
// apart and put together here without ever decoding a value.

// members yields the members of a valid JSON object, both parts raw: the key
// with its quotes and escapes, and the value. What is no object has none.
func members(object json.RawMessage) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		b := skipSpace(object)
		if len(b) == 0 || b[0] != '{' {
			return
		}
		for b = skipSpace(b[1:]); len(b) > 0 && b[0] == '"'; b = skipSpace(b) {
			n := valueLen(b)
			key := b[:n]
			b = skipSpace(b[n:])
			if len(b) == 0 || b[0] != ':' {
				return
			}
			b = skipSpace(b[1:])
			n = valueLen(b)
			if n == 0 || !yield(key, b[:n]) {
				return
			}
			b = skipSpace(b[n:])
			if len(b) > 0 && b[0] == ',' {
				b = skipSpace(b[1:])
			}
		}
	}
}

// hasMembers reports whether object has any.
func hasMembers(object json.RawMessage) bool {
	for range members(object) {
		return true
	}
	return false
}

func skipSpace(b []byte) []byte { return bytes.TrimLeft(b, " \t\r\n") }

// valueLen is the length of the JSON value that b starts with.
func valueLen(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			if i >= len(b) {
				return len(b)
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return len(b)
}

// appendMerged appends one object with the members of all parts; of two with
// the same key the first counts. Without any member it appends null.
func appendMerged(dst []byte, parts []json.RawMessage) []byte {
	var single json.RawMessage
	count := 0
	for _, p := range parts {
		if hasMembers(p) {
			single = p
			count++
		}
	}
	switch count {
	case 0:
		return append(dst, "null"...)
	case 1:
		return append(dst, bytes.TrimSpace(single)...)
	}
	seen := make(map[string]struct{})
	open := byte('{')
	for _, p := range parts {
		for key, value := range members(p) {
			if _, twice := seen[string(key)]; twice {
				continue
			}
			seen[string(key)] = struct{}{}
			dst = append(append(append(append(dst, open), key...), ':'), value...)
			open = ','
		}
	}
	return append(dst, '}')
}

// appendKeys appends the keys of all parts as an array of strings, each once.
func appendKeys(dst []byte, parts []json.RawMessage) []byte {
	seen := make(map[string]struct{})
	dst = append(dst, '[')
	for _, p := range parts {
		for key := range members(p) {
			if _, twice := seen[string(key)]; twice {
				continue
			}
			if len(seen) > 0 {
				dst = append(dst, ',')
			}
			seen[string(key)] = struct{}{}
			dst = append(dst, key...)
		}
	}
	return append(dst, ']')
}

// appendString appends s as a JSON string.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return append(dst, plainJSON(s)...)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}

// plainJSON encodes without the HTML escapes of json.Marshal. What cannot be
// encoded is null; nothing that this package encodes is of that kind.
func plainJSON(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return []byte("null")
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
