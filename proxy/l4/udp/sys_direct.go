//go:build !race

package udp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The direct calls skip the scheduler's bookkeeping around system calls: they
// never wait. The race detector cannot see through them; see sys_race.go.

// directCalls tells that these are.
const directCalls = true

// receive takes what has arrived, up to len(m) datagrams.
func receive(fd int, m []message) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// send sends datagrams up to the first that fails, and returns how many; an
// error is that of the first one.
func send(fd int, m []message) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// sendPlain sends one datagram by a connected socket.
func sendPlain(fd int, m *message) unix.Errno {
	for {
		iov := m.header.Iov
		_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(iov.Base)), uintptr(iov.Len), unix.MSG_DONTWAIT, 0, 0)
		if errno != unix.EINTR {
			return errno
		}
	}
}

// waitBriefly waits for events, so many milliseconds, of which the scheduler
// does not know; signals end it.
func waitBriefly(epoll int, events []unix.EpollEvent, ms int) int {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(ms), 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}
