package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFile bounds a configuration file in bytes. A thousand tables take a
// quarter of it.
const maxFile = 1 << 20

// document reads the nodes of one file; it knows what to call it in errors.
type document struct {
	file string
}

// entry is one key of a mapping and its value.
type entry struct {
	key   string
	line  int
	value ast.Node
}

// root is the top mapping of the file's only document; nil if it has none.
func (d *document) root(text []byte) (root ast.Node, err error) {
	if len(text) > maxFile {
		return nil, d.errorf(0, "the file has %d bytes, at most %d are read", len(text), maxFile)
	}
	// The parser has panicked on hostile input before; to us that is one more
	// way to say that this is no YAML.
	defer func() {
		if p := recover(); p != nil {
			root, err = nil, d.errorf(0, "this is not valid YAML")
		}
	}()
	file, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) && syntax.GetToken() != nil {
			return nil, d.errorf(syntax.GetToken().Position.Line, "this is not valid YAML: %s", oneLine(syntax.GetMessage()))
		}
		return nil, d.errorf(0, "this is not valid YAML: %s", oneLine(err.Error()))
	}
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.NullType || doc.Body.Type() == ast.CommentGroupType {
			continue
		}
		if root != nil {
			return nil, d.errorf(line(doc.Body), "the file has a second document; put everything into one")
		}
		root = doc.Body
	}
	return root, nil
}

// oneLine makes the parser's words fit into a sentence.
func oneLine(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	return strings.ReplaceAll(strings.TrimSpace(text), "\t", `\t`)
}

func (d *document) errorf(line int, format string, args ...any) error {
	return &Error{File: d.file, Line: line, Message: fmt.Sprintf(format, args...)}
}

// line is where a node begins.
func line(n ast.Node) int {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 && !m.IsFlowStyle {
		n = m.Values[0].Key
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

// mapping is the entries of n in the file's order. What is how an error calls n.
func (d *document) mapping(n ast.Node, at int, what string) ([]entry, error) {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		return nil, d.wrongType(n, at, what, "keys with values")
	}
	entries := make([]entry, 0, len(m.Values))
	seen := make(map[string]int, len(m.Values))
	for _, v := range m.Values {
		at := line(v.Key)
		key, err := d.text(v.Key, at, "a key of "+what)
		if err != nil {
			return nil, err
		}
		if first, twice := seen[key]; twice {
			return nil, d.errorf(at, "%s has %q twice, first in line %d", what, key, first)
		}
		seen[key] = at
		entries = append(entries, entry{key: key, line: at, value: v.Value})
	}
	return entries, nil
}

// text is the string that n holds. Numbers and such are refused, so that
// nobody's user 007 becomes 7.
func (d *document) text(n ast.Node, at int, what string) (string, error) {
	var s string
	switch n := n.(type) {
	case *ast.StringNode:
		s = n.Value
	case *ast.LiteralNode:
		s = strings.TrimSpace(n.Value.Value)
	default:
		return "", d.wrongType(n, at, what, "text")
	}
	if s == "" {
		return "", d.errorf(at, "%s is empty", what)
	}
	if strings.ContainsRune(s, 0) {
		return "", d.errorf(at, "%s contains a zero byte", what)
	}
	return s, nil
}

// scalar is the text of any scalar as it is written, for settings that have
// their own syntax.
func (d *document) scalar(n ast.Node, at int, what string) (string, error) {
	switch n := n.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return d.text(n, at, what)
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, nil
	}
	return "", d.wrongType(n, at, what, "one value")
}

// list is the texts of a sequence, or the one text that stands in its place.
func (d *document) list(n ast.Node, at int, what string) ([]string, error) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		one, err := d.text(n, at, what)
		if err != nil {
			return nil, err
		}
		return []string{one}, nil
	}
	if len(s.Values) == 0 {
		return nil, d.errorf(at, "%s is an empty list", what)
	}
	texts := make([]string, 0, len(s.Values))
	seen := make(map[string]bool, len(s.Values))
	for _, v := range s.Values {
		text, err := d.text(v, max(at, line(v)), "an element of "+what)
		if err != nil {
			return nil, err
		}
		if seen[text] {
			return nil, d.errorf(max(at, line(v)), "%s names %q twice", what, text)
		}
		seen[text] = true
		texts = append(texts, text)
	}
	return texts, nil
}

// unknown is the error for a key that nobody reads.
func (d *document) unknown(e entry, what string, known []string) error {
	return d.errorf(e.line, "%s has no key %q%s", what, e.key, didYouMean(e.key, known))
}

func (d *document) wrongType(n ast.Node, at int, what, want string) error {
	got := "something else"
	switch n.(type) {
	case nil, *ast.NullNode:
		return d.errorf(at, "%s has no value, want %s", what, want)
	case *ast.StringNode, *ast.LiteralNode:
		got = "text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		got = "a number"
	case *ast.BoolNode:
		got = "true or false"
	case *ast.MappingNode, *ast.MappingValueNode:
		got = "keys with values"
	case *ast.SequenceNode:
		got = "a list"
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return d.errorf(at, "%s uses a YAML anchor or alias, which this file may not; write it out", what)
	case *ast.TagNode:
		return d.errorf(at, "%s has a YAML tag, which this file may not", what)
	}
	hint := ""
	if want == "text" && (got == "a number" || got == "true or false") {
		hint = "; put it in quotes if it is meant so"
	}
	return d.errorf(at, "%s is %s, want %s%s", what, got, want, hint)
}
