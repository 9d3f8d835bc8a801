package config

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// Config is one pgbell.yaml.
type Config struct {
	// File is the path as given, or empty for [Builtin].
	File string
	// Settings are those that the file states.
	Settings Settings
	// Tables are the watched ones, in the file's order.
	Tables []Table
}

//go:embed default.yaml
var builtin []byte

// Builtin is the configuration of who has written none: tables named bookings,
// payments and payouts in schema public, shaped like those of the manual.
func Builtin() *Config {
	c, err := Parse("default.yaml", builtin)
	if err != nil {
		panic(err) // the file is a part of this program and tested
	}
	c.File = ""
	return c
}

// BuiltinText is the file of [Builtin], to be shown or copied.
func BuiltinText() string { return string(builtin) }

// Read reads a file.
func Read(path string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		if reason, ok := errors.AsType[*fs.PathError](err); ok {
			err = reason.Err
		}
		return nil, fmt.Errorf("read configuration %s: %w", path, err)
	}
	return Parse(path, text)
}

// Parse reads the text of a file that errors call file. Every error is an
// [*Error].
func Parse(file string, text []byte) (*Config, error) {
	d := &document{file: file}
	c := &Config{File: file}
	root, err := d.root(text)
	if err != nil || root == nil {
		return c, err
	}
	entries, err := d.mapping(root, line(root), "the file")
	if err != nil {
		return nil, err
	}
	var rules []rule
	for _, e := range entries {
		switch e.key {
		case "tables":
			c.Tables, err = d.tables(e.value, e.line)
		case "notifications":
			rules, err = d.notifications(e)
		default:
			err = d.setting(&c.Settings, e)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := d.attach(rules, c.Tables); err != nil {
		return nil, err
	}
	return c, nil
}

// setting reads a top-level key that is a setting or a group of settings.
func (d *document) setting(s *Settings, e entry) error {
	for _, known := range settings {
		if known.key == e.key {
			return d.value(s, known, e)
		}
	}
	group := e.key + "."
	var inGroup []string
	top := []string{"tables", "notifications"}
	for _, known := range settings {
		name, _, _ := strings.Cut(known.key, ".")
		top = append(top, name)
		if rest, ok := strings.CutPrefix(known.key, group); ok && !known.secret {
			inGroup = append(inGroup, rest)
		}
	}
	if inGroup == nil {
		return d.unknown(e, "the file", top)
	}
	entries, err := d.mapping(e.value, e.line, e.key)
	if err != nil {
		return err
	}
next:
	for _, f := range entries {
		for _, known := range settings {
			if known.key == group+f.key {
				if err := d.value(s, known, f); err != nil {
					return err
				}
				continue next
			}
		}
		return d.unknown(f, e.key, inGroup)
	}
	return nil
}

func (d *document) value(s *Settings, known setting, e entry) error {
	if known.secret {
		return d.errorf(e.line, "%s does not belong into a configuration file; set %s or %s_file", known.key, Variable(known.key), known.key)
	}
	var values []string
	var err error
	if known.list {
		values, err = d.list(e.value, e.line, known.key)
	} else {
		values = make([]string, 1)
		values[0], err = d.scalar(e.value, e.line, known.key)
	}
	if err != nil {
		return err
	}
	if err := known.set(s, values); err != nil {
		return d.errorf(e.line, "%s: %v", known.key, err)
	}
	return nil
}
