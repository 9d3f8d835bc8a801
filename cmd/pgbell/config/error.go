package config

import "fmt"

// Error is a mistake in a configuration file.
type Error struct {
	// File is the path as it was given.
	File string
	// Line counts from 1. It is 0 if the mistake is in no line.
	Line int
	// Message is one sentence without a full stop.
	Message string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Message)
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message)
}

// nearest is the one of names that word was probably meant to be, or "".
func nearest(word string, names []string) string {
	best, at := "", max(len(word)/3, 2)+1
	for _, name := range names {
		if d := distance(word, name); d < at {
			best, at = name, d
		}
	}
	return best
}

// didYouMean ends a message with the nearest name, or with nothing.
func didYouMean(word string, names []string) string {
	if name := nearest(word, names); name != "" {
		return fmt.Sprintf("; did you mean %q?", name)
	}
	return ""
}

// distance is the least number of bytes to insert, remove or change to turn a
// into b (Levenshtein). Words are short here, and cut at what matters.
func distance(a, b string) int {
	const most = 64
	a, b = a[:min(len(a), most)], b[:min(len(b), most)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
