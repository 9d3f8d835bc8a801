package main

import (
	"fmt"
	"syscall"
)

// spareFiles is what a process has open besides its clients' sockets.
const spareFiles = 200

// raiseFiles sees to it that this process, and those that it starts, may have n
// files open.
func raiseFiles(n uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	if limit.Cur >= n {
		return nil
	}
	want := syscall.Rlimit{Cur: n, Max: max(n, limit.Max)}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want); err != nil {
		return fmt.Errorf("%d open files are needed and only %d allowed; raise the limit with ulimit -n, or have fewer clients: %w", n, limit.Max, err)
	}
	return nil
}
