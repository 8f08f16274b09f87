//go:build linux

// Package sock is the little of TCP that the benchmark's origin and load
// generator need: non-blocking IPv4 sockets and an epoll set, called directly.
//
// The runtime's netpoller would do the same work, but at a cost that varies
// with the scheduler; both programs share two cores with the proxy that is
// measured, so they must be cheap and above all the same for every system.
package sock

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrAgain says that a call would have blocked. It is a temporary net.Error,
// so that crypto/tls keeps what it has read so far and can be asked again.
var ErrAgain error = again{}

type again struct{}

func (again) Error() string   { return "would block" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

// Listen opens a non-blocking listening socket.
func Listen(addr netip.AddrPort, backlog int) (int, error) {
	fd, err := open()
	if err != nil {
		return -1, err
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.Bind(fd, sockaddr(addr)),
		unix.Listen(fd, backlog))
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("listen on %v: %w", addr, err)
	}
	return fd, nil
}

// LocalAddr is the address that a socket is bound to.
func LocalAddr(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	in4, ok := sa.(*unix.SockaddrInet4)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("not an IPv4 socket: %T", sa)
	}
	return netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), uint16(in4.Port)), nil
}

// Connect starts a connection to addr. If src is valid the connection comes
// from that address: one source address has only some 28 000 ports, which a
// connection per request uses up within seconds. The connection may still be
// in progress on return: it is writable once it stands.
func Connect(addr netip.AddrPort, src netip.Addr) (int, error) {
	fd, err := open()
	if err != nil {
		return -1, err
	}
	if err := connect(fd, addr, src); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("connect to %v: %w", addr, err)
	}
	return fd, nil
}

func connect(fd int, addr netip.AddrPort, src netip.Addr) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	if src.IsValid() {
		// The port is chosen at connect time, by the whole 4-tuple.
		if err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
			return err
		}
		if err := unix.Bind(fd, sockaddr(netip.AddrPortFrom(src, 0))); err != nil {
			return err
		}
	}
	if err := unix.Connect(fd, sockaddr(addr)); err != nil && err != unix.EINPROGRESS {
		return err
	}
	return nil
}

// Accept takes a connection, or returns ErrAgain.
func Accept(fd int) (int, error) {
	conn, _, err := unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err == unix.EAGAIN || err == unix.EINTR || err == unix.ECONNABORTED {
		return -1, ErrAgain
	}
	if err != nil {
		return -1, err
	}
	return conn, unix.SetsockoptInt(conn, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
}

func open() (int, error) {
	return unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
}

func sockaddr(addr netip.AddrPort) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
}

// Recv reads into p, which must not be empty. Zero bytes without an error are
// the end of the stream.
func Recv(fd int, p []byte) (int, error) {
	return recvfrom(fd, p, len(p), 0)
}

// Discard takes up to n bytes off the stream without copying them.
// Zero bytes without an error are the end of the stream.
func Discard(fd, n int) (int, error) {
	return recvfrom(fd, nil, n, unix.MSG_TRUNC)
}

func recvfrom(fd int, p []byte, n, flags int) (int, error) {
	got, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(n), uintptr(flags), 0, 0)
	return result(got, errno)
}

// Send writes what the socket takes of p, which must not be empty. ErrAgain
// also means that the connection is still being made.
func Send(fd int, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
	return result(n, errno)
}

func result(n uintptr, errno unix.Errno) (int, error) {
	switch errno {
	case 0:
		return int(n), nil
	case unix.EAGAIN, unix.EINTR:
		return 0, ErrAgain
	default:
		return 0, errno
	}
}

// Await blocks until the socket is readable (or writable), at most timeout.
func Await(fd int, write bool, timeout time.Duration) error {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if write {
		fds[0].Events = unix.POLLOUT
	}
	deadline := time.Now().Add(timeout)
	for {
		n, err := unix.Poll(fds, int(time.Until(deadline).Milliseconds())+1)
		switch {
		case err != nil && err != unix.EINTR:
			return err
		case n > 0:
			return nil
		case time.Now().After(deadline):
			return errors.New("timed out")
		}
	}
}
