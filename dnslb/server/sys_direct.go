//go:build !race

package server

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The direct calls skip the scheduler's bookkeeping around system calls: they
// never wait. The race detector cannot see through them; see sys_race.go.

// receive takes what has arrived, up to len(m) datagrams.
func receive(fd uintptr, m []message) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), unix.MSG_DONTWAIT, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// send sends datagrams up to the first that fails, and returns how many; an
// error is that of the first one.
func send(fd uintptr, m []message) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), unix.MSG_DONTWAIT, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}
