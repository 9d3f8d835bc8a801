package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"
)

// statements is the end of Postgres's log, from a moment on.
type statements struct {
	file string
	from int64
}

func openLog(file string) (statements, error) {
	info, err := os.Stat(file)
	if err != nil {
		return statements{}, err
	}
	return statements{file: file, from: info.Size()}, nil
}

// count is how many statements pgbell made, by the name of the connection.
func (s statements) count() (map[string]int, error) {
	f, err := os.Open(s.file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Seek(s.from, io.SeekStart); err != nil {
		return nil, err
	}
	return countStatements(f)
}

func countStatements(log io.Reader) (map[string]int, error) {
	counts := map[string]int{}
	for r := bufio.NewReader(log); ; {
		line, err := r.ReadString('\n')
		if name := asker(line); name != "" {
			counts[name]++
		}
		if errors.Is(err, io.EOF) {
			return counts, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// asker is the name of the connection of pgbell that made the statement that
// line logs. It is empty for any other line.
func asker(line string) string {
	name, said, found := strings.Cut(line, "|")
	if !found || !strings.HasPrefix(name, "pgbell") {
		return ""
	}
	if strings.HasPrefix(said, "LOG:  statement: ") || strings.HasPrefix(said, "LOG:  execute ") {
		return name
	}
	return ""
}
