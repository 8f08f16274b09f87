//go:build !race

package relay

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The direct calls skip the scheduler's bookkeeping around system calls: the
// sockets are non-blocking, so they return at once. The race detector cannot
// see through them; see sys_race.go.

// sysRead reads at least a byte into p, which has room.
func sysRead(fd int, p []byte) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_DONTWAIT, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// sysWrite writes as much of p, which is not empty, as the socket takes.
func sysWrite(fd int, p []byte) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// sysAccept takes a connection off a listening socket.
func sysAccept(fd int, peer *sockaddr) (int, unix.Errno) {
	size := uint32(len(peer))
	n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(peer)), uintptr(unsafe.Pointer(&size)),
		unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	return int(n), errno
}

// sysConnect begins to connect.
func sysConnect(fd int, to *sockaddr, size int) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(to)), uintptr(size))
	return errno
}

// sysShutdown sends a FIN.
func sysShutdown(fd int) {
	_, _, _ = unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
}

// sysClose closes a socket, which does not wait: no linger time is set but 0.
func sysClose(fd int) { _, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// sysSplice moves up to n bytes between a socket and a pipe.
func sysSplice(from, to, n int) (int, unix.Errno) {
	for {
		moved, _, errno := unix.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(n), unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		if errno != unix.EINTR {
			return int(moved), errno
		}
	}
}

// sysWait waits for events, at most so many milliseconds; signals end it. The
// scheduler does not know, so it must be short.
func sysWait(epoll int, events []unix.EpollEvent, ms int) int {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(ms), 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}
