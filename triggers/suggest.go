package triggers

import (
	"fmt"
	"strings"
)

// suggest is "; did you mean …?" with the candidate nearest to a mistyped
// name, or nothing if none is near.
func suggest(name string, candidates []string) string {
	// A third of the name may be wrong, not counting its schema.
	best, distance := "", len(name[strings.LastIndexByte(name, '.')+1:])/3+2
	for _, c := range candidates {
		if d := editDistance(name, c); d < distance {
			best, distance = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// editDistance is Levenshtein's: how many letters to insert, remove or replace.
// Case costs nothing here, so that a name folded by habit finds its original.
func editDistance(a, b string) int {
	ra, rb := []rune(a), []rune(b)
	row := make([]int, len(rb)+1)
	for j := range row {
		row[j] = j
	}
	for i, x := range ra {
		diagonal := row[0]
		row[0] = i + 1
		for j, y := range rb {
			cost := 1
			if lower(x) == lower(y) {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(rb)]
}

func lower(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}
