package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// rowKey is a row's key as somebody writes it on the command line: the value
// alone (42), column=value once or more, or a JSON object.
type rowKey struct {
	alone  string            // the value of the only key column
	values map[string]string // by column, as text
	given  bool
}

// namedValue is column=value. Other names than plain ones need JSON.
var namedValue = regexp.MustCompile(`^([\p{L}_][\p{L}\p{N}_]*)=(?s:(.*))$`)

// parseKey reads what --key was given, once or repeatedly.
func parseKey(args []string) (rowKey, error) {
	k := rowKey{given: len(args) > 0, values: make(map[string]string)}
	for _, arg := range args {
		if strings.HasPrefix(strings.TrimSpace(arg), "{") {
			values, err := keyValues([]byte(arg))
			if err == nil && len(values) == 0 {
				err = errors.New("{} names no column")
			}
			if err != nil {
				return k, usagef("--key: %v", err)
			}
			maps.Copy(k.values, values)
			continue
		}
		if m := namedValue.FindStringSubmatch(arg); m != nil {
			if _, twice := k.values[m[1]]; twice {
				return k, usagef("--key: %s is given twice", m[1])
			}
			k.values[m[1]] = m[2]
			continue
		}
		if len(args) > 1 {
			return k, usagef("--key: a key of several columns is column=value for each, or one JSON object; %q is neither", arg)
		}
		k.alone = arg
	}
	return k, nil
}

// keyValues are the values of a JSON object as text. A key has no other kind
// of value than strings, numbers and booleans.
func keyValues(document []byte) (map[string]string, error) {
	var raw map[string]json.RawMessage
	d := json.NewDecoder(bytes.NewReader(document))
	if err := d.Decode(&raw); err != nil || d.More() {
		return nil, fmt.Errorf("%s is no JSON object", document)
	}
	values := make(map[string]string, len(raw))
	for column, v := range raw {
		var text string
		switch {
		case json.Unmarshal(v, &text) == nil && v[0] == '"':
			values[column] = text
		case v[0] == '{' || v[0] == '[' || string(v) == "null":
			return nil, fmt.Errorf("the value of %s must be a text, a number, true or false", column)
		default:
			values[column] = string(v)
		}
	}
	return values, nil
}

func (k rowKey) empty() bool { return !k.given }

// matches reports whether an event's key is this one.
func (k rowKey) matches(key json.RawMessage) bool {
	values, err := keyValues(key)
	if err != nil {
		return false
	}
	if len(k.values) > 0 {
		return maps.Equal(k.values, values)
	}
	only := slices.Collect(maps.Values(values))
	return len(only) == 1 && only[0] == k.alone
}

// forColumns are the values for a table's key columns, in their order.
func (k rowKey) forColumns(columns []string) ([]string, error) {
	if len(k.values) == 0 {
		if len(columns) != 1 {
			return nil, usagef("--key: the key has the columns %s; give each as column=value, or one JSON object", strings.Join(columns, ", "))
		}
		return []string{k.alone}, nil
	}
	values := make([]string, len(columns))
	for i, c := range columns {
		v, ok := k.values[c]
		if !ok {
			return nil, usagef("--key: there is no value for %s; the key has the columns %s", c, strings.Join(columns, ", "))
		}
		values[i] = v
	}
	for _, c := range slices.Sorted(maps.Keys(k.values)) {
		if !slices.Contains(columns, c) {
			return nil, usagef("--key: %s is no column of the key, which has %s", c, strings.Join(columns, ", "))
		}
	}
	return values, nil
}
