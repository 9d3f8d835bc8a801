package socketio

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// ErrArguments is wrapped by the errors of arguments that are not what was
// asked for.
var ErrArguments = errors.New("unexpected arguments")

// Arg is one argument of an event or acknowledgement that was received.
type Arg struct {
	raw    json.RawMessage
	binary [][]byte // the packet's attachments, to which raw refers
}

// Args are the arguments of an event, without its name, or of an
// acknowledgement.
type Args []Arg

// JSON is the argument as it came. Binary data in it is a placeholder.
func (a Arg) JSON() json.RawMessage { return a.raw }

// Bytes is the argument if it is binary data.
func (a Arg) Bytes() (_ []byte, ok bool) {
	if len(a.binary) == 0 {
		return nil, false
	}
	var at struct {
		Placeholder bool `json:"_placeholder"`
		Num         *int `json:"num"`
	}
	if json.Unmarshal(a.raw, &at) != nil || !at.Placeholder || at.Num == nil || *at.Num < 0 || *at.Num >= len(a.binary) {
		return nil, false
	}
	return a.binary[*at.Num], true
}

// Bind decodes the argument into v, as [json.Unmarshal] does. Binary data,
// wherever in the argument, goes into a []byte.
func (a Arg) Bind(v any) error {
	if to, ok := v.(*[]byte); ok {
		if b, ok := a.Bytes(); ok {
			*to = b
			return nil
		}
	}
	raw := a.raw
	if a.hasBinary() {
		tree, err := a.tree()
		if err != nil {
			return err
		}
		// []byte is base64 to encoding/json, both ways.
		if raw, err = json.Marshal(tree); err != nil {
			return fmt.Errorf("%w: %w", ErrArguments, err)
		}
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%w: %w", ErrArguments, err)
	}
	return nil
}

// Bind decodes the first arguments, in order. It is an error if there are
// fewer.
func (a Args) Bind(to ...any) error {
	if len(a) < len(to) {
		return fmt.Errorf("%w: %d instead of %d", ErrArguments, len(a), len(to))
	}
	for i, v := range to {
		if err := a[i].Bind(v); err != nil {
			return err
		}
	}
	return nil
}

// Values are the arguments as they can be sent again.
func (a Args) Values() []any {
	values := make([]any, len(a))
	for i := range a {
		values[i] = a[i]
	}
	return values
}

func (a Arg) hasBinary() bool {
	return len(a.binary) > 0 && bytes.Contains(a.raw, []byte(`"_placeholder"`))
}

// tree is the argument decoded, with a []byte for each placeholder.
func (a Arg) tree() (any, error) {
	d := json.NewDecoder(bytes.NewReader(a.raw))
	d.UseNumber() // not a digit of a number may change
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrArguments, err)
	}
	return a.fill(tree)
}

func (a Arg) fill(node any) (_ any, err error) {
	switch n := node.(type) {
	case []any:
		for i := range n {
			if n[i], err = a.fill(n[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		if n["_placeholder"] == true {
			number, _ := n["num"].(json.Number)
			at, err := number.Int64()
			if err != nil || at < 0 || at >= int64(len(a.binary)) {
				return nil, fmt.Errorf("%w: a placeholder for nothing", ErrArguments)
			}
			return a.binary[at], nil
		}
		for key := range n {
			if n[key], err = a.fill(n[key]); err != nil {
				return nil, err
			}
		}
	}
	return node, nil
}

// encoder turns arguments into JSON and puts binary data aside.
type encoder struct {
	json   []byte
	binary [][]byte
}

// placeholder stands for binary data.
type placeholder struct {
	Placeholder bool `json:"_placeholder"`
	Num         int  `json:"num"`
}

// values appends arguments, with a comma before each but the first of all.
func (e *encoder) values(args []any) error {
	for _, arg := range args {
		if e.json[len(e.json)-1] != '[' {
			e.json = append(e.json, ',')
		}
		if err := e.value(arg); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) value(arg any) error {
	switch v := arg.(type) {
	case json.RawMessage:
		if !json.Valid(v) || !utf8.Valid(v) {
			return fmt.Errorf("%w: not valid JSON", ErrArguments)
		}
		e.json = append(e.json, v...)
		return nil
	case Arg:
		if !v.hasBinary() {
			e.json = append(e.json, v.raw...)
			return nil
		}
		tree, err := v.tree()
		if err != nil {
			return err
		}
		arg = tree
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e.aside(arg)); err != nil {
		return fmt.Errorf("%w: %w", ErrArguments, err)
	}
	e.json = append(e.json, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
	return nil
}

// aside replaces binary data in what it can look into.
func (e *encoder) aside(node any) any {
	switch n := node.(type) {
	case []byte:
		e.binary = append(e.binary, n)
		return placeholder{true, len(e.binary) - 1}
	case []any:
		list := make([]any, len(n))
		for i := range n {
			list[i] = e.aside(n[i])
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(n))
		for key := range n {
			object[key] = e.aside(n[key])
		}
		return object
	default:
		return node
	}
}
