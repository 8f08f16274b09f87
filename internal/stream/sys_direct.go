//go:build linux && !race

package stream

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The direct calls skip the scheduler's bookkeeping around system calls: the
// sockets are non-blocking, so they return at once. The race detector cannot
// see through them; see sys_race.go.
//
// recvfrom and sendto do what read and write do, without what the kernel does
// for files.

func sysRead(fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), syscall.MSG_DONTWAIT, 0, 0)
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}

func sysWrite(fd uintptr, p *byte, n int) (int, syscall.Errno) {
	for {
		w, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(p)), uintptr(n), syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
		if errno != syscall.EINTR {
			return int(w), errno
		}
	}
}

func sysWritev(fd uintptr, v []syscall.Iovec) (int, syscall.Errno) {
	for {
		w, _, errno := syscall.RawSyscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&v[0])), uintptr(len(v)))
		if errno != syscall.EINTR {
			return int(w), errno
		}
	}
}

// sysPeek looks at the next byte without taking it.
func sysPeek(fd uintptr) (int, syscall.Errno) {
	var b [1]byte
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), 1,
			syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}

// sysAccept takes a connection off a listening socket.
func sysAccept(fd uintptr, peer *sockaddr) (int, syscall.Errno) {
	size := uint32(len(peer))
	n, _, errno := syscall.RawSyscall6(syscall.SYS_ACCEPT4, fd, uintptr(unsafe.Pointer(peer)), uintptr(unsafe.Pointer(&size)),
		syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0, 0)
	return int(n), errno
}

// sysClose closes a socket, which does not wait: there is no SO_LINGER time.
func sysClose(fd int) error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// sysEvents takes the events of an epoll set that are there.
func sysEvents(epoll int, events []unix.EpollEvent) int {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}
