package stream

import (
	"errors"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// advance moves a piece's start by n bytes, fewer than it has.
func advance(v *syscall.Iovec, n int) {
	v.Base = (*byte)(unsafe.Add(unsafe.Pointer(v.Base), n))
	v.SetLen(int(v.Len) - n)
}

// closed gives the error of a closed descriptor, for which the packages os and
// net each have their own, one name. Nothing else but a deadline ends a call.
func closed(err error) error {
	if err != nil {
		return net.ErrClosed
	}
	return nil
}

// isDeadline reports whether the runtime's timer ended a wait.
func isDeadline(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// sysDisconnect ends a TCP connection with a RST, as connecting to an address
// of no family does.
func sysDisconnect(fd uintptr) error {
	var none sockaddr // AF_UNSPEC is zero
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&none)), syscall.SizeofSockaddrInet4); errno != 0 {
		return errno
	}
	return nil
}
