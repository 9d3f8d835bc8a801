package db

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unackedTimeout bounds how long sent data may go without an acknowledgement.
// Keepalive does not: it only speaks when nothing is under way, and the
// kernel's own patience is some 15 minutes.
func unackedTimeout(d time.Duration) func(network, address string, c syscall.RawConn) error {
	return func(network, _ string, c syscall.RawConn) error {
		if network == "unix" {
			return nil
		}
		var set error
		err := c.Control(func(fd uintptr) {
			set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
		})
		return errors.Join(err, set)
	}
}
