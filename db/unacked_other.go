//go:build !linux

package db

import (
	"syscall"
	"time"
)

// unackedTimeout is for Linux alone; elsewhere keepalive has to do.
func unackedTimeout(time.Duration) func(network, address string, c syscall.RawConn) error { return nil }
