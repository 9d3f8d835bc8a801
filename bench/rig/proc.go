package rig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the kernel's unit of processor time in /proc: USER_HZ is 100 on all
// that Linux runs on here.
const tick = 10 * time.Millisecond

// usage is what /proc/<pid>/stat says of one process.
type usage struct {
	parent int
	own    time.Duration // used by the process
	waited time.Duration // used by its children that have ended
}

// parseStat reads the text of /proc/<pid>/stat; see proc_pid_stat(5).
func parseStat(text string) (usage, error) {
	// The second field is the program's name in parentheses, with whatever
	// characters that has.
	end := strings.LastIndexByte(text, ')')
	fields := strings.Fields(text[end+1:])
	if end < 0 || len(fields) < 15 {
		return usage{}, fmt.Errorf("read process status: unknown format %q", text)
	}
	number := func(field int) (n int64, err error) { return strconv.ParseInt(fields[field-3], 10, 64) }
	parent, err := number(4)
	u := usage{parent: int(parent)}
	for field, into := range map[int]*time.Duration{14: &u.own, 15: &u.own, 16: &u.waited, 17: &u.waited} {
		ticks, bad := number(field)
		err = errors.Join(err, bad)
		*into += time.Duration(ticks) * tick
	}
	if err != nil {
		return usage{}, fmt.Errorf("read process status: %w", err)
	}
	return u, nil
}

// treeCPU is the processor time of a process and of everything below it.
func treeCPU(pid int) (time.Duration, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	all := make(map[int]usage, len(files))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		u, err := parseStat(string(text))
		if err != nil {
			return 0, err
		}
		id, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return 0, err
		}
		all[id] = u
	}
	if _, there := all[pid]; !there {
		return 0, fmt.Errorf("read processor time: there is no process %d in /proc", pid)
	}
	return sumTree(all, pid), nil
}

func sumTree(all map[int]usage, root int) time.Duration {
	sum := all[root].own + all[root].waited
	for id, u := range all {
		if u.parent == root {
			sum += sumTree(all, id)
		}
	}
	return sum
}

// parsePeak reads the text of /proc/<pid>/status.
func parsePeak(text string) (int64, error) {
	for line := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read peak memory: %w", err)
			}
			return kib << 10, nil
		}
	}
	return 0, errors.New("read peak memory: the kernel does not tell it")
}

func peak(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parsePeak(string(text))
}

func resetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}
