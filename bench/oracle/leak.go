package oracle

import "bytes"

// leaked looks for text in raw that its reader must not see, whatever message
// it stands in, and returns it; see schema.sql for how text says who may. A
// watcher may see each row, but no column of one audience alone.
func leaked(raw []byte, user string, watcher bool) string {
	rest := raw
	for {
		i := bytes.IndexByte(rest, '~')
		if i < 0 {
			return ""
		}
		before, after := rest[:i], rest[i+1:]
		first, _, _ := bytes.Cut(after, []byte{'~'})
		mine := string(first) == user
		switch {
		case bytes.HasSuffix(before, []byte("SECRET")):
			return "SECRET~"
		case bytes.HasSuffix(before, []byte("CN")), bytes.HasSuffix(before, []byte("PN")):
			if !mine {
				return string(before[len(before)-2:]) + "~" + string(first)
			}
		case bytes.HasSuffix(before, []byte("IN")):
			if watcher {
				return "IN~"
			}
		case bytes.HasSuffix(before, []byte(`"t`)):
			_, second, _ := bytes.Cut(after, []byte{'~'})
			second, _, _ = bytes.Cut(second, []byte{'~'})
			if !mine && !watcher && string(second) != user {
				return "t~" + string(first) + "~" + string(second)
			}
		}
		rest = after
	}
}

// quick reports whether the row was written by a transaction that committed at
// once; see [planner.stamp].
func quick(data []byte) bool { return bytes.Contains(data, []byte(`.q"`)) }
