package ws

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// errorTable is the catalogue as docs/protocol.md lists it.
func errorTable() string {
	var b strings.Builder
	number := func(n int) string {
		if n == 0 {
			return "–"
		}
		return fmt.Sprint(n)
	}
	for _, e := range Errors {
		retryable := "no"
		if e.Retryable {
			retryable = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s | %s | %s | %s |\n", e.Code, retryable, e.Action, number(e.Status), number(e.Close), e.Message, e.Advice)
	}
	return b.String()
}

func TestErrorsAreDocumented(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../docs/protocol.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(doc), "|---|---|---|---|---|---|---|\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	require.Equal(t, strings.TrimSpace(errorTable()), strings.TrimSpace(table))

	seen := map[string]bool{}
	for _, e := range Errors {
		require.False(t, seen[e.Code], e.Code)
		seen[e.Code] = true
		require.LessOrEqual(t, len(e.Code), 100, "it is a close reason")
		if e.Close != 0 {
			require.Contains(t, string(doc), fmt.Sprintf("\n| %d |", e.Close), "close codes")
		}
	}
	for _, code := range []int{CloseForbidden, CloseRevoked} {
		require.Contains(t, string(doc), fmt.Sprintf("\n| %d |", code))
	}
}
