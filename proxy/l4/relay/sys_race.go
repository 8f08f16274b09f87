//go:build race

package relay

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Ordinary calls, which the race detector understands.

func sysRead(fd int, p []byte) (int, unix.Errno) {
	return again(func() (int, error) { return unix.Read(fd, p) })
}

func sysWrite(fd int, p []byte) (int, unix.Errno) {
	return again(func() (int, error) { return unix.Write(fd, p) })
}

func sysAccept(fd int, peer *sockaddr) (int, unix.Errno) {
	n, sa, err := unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err != nil {
		return -1, errnoOf(err)
	}
	*peer = sockaddr{}
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		binary.NativeEndian.PutUint16(peer[:], unix.AF_INET)
		binary.BigEndian.PutUint16(peer[2:], uint16(a.Port))
		copy(peer[4:], a.Addr[:])
	case *unix.SockaddrInet6:
		binary.NativeEndian.PutUint16(peer[:], unix.AF_INET6)
		binary.BigEndian.PutUint16(peer[2:], uint16(a.Port))
		copy(peer[8:], a.Addr[:])
	}
	return n, 0
}

func sysConnect(fd int, to *sockaddr, _ int) unix.Errno {
	return errnoOf(unix.Connect(fd, sockaddrOf(to.addrPort())))
}

func sysShutdown(fd int) { _ = unix.Shutdown(fd, unix.SHUT_WR) }

func sysClose(fd int) { _ = unix.Close(fd) }

func sysSplice(from, to, n int) (int, unix.Errno) {
	return again(func() (int, error) {
		moved, err := unix.Splice(from, nil, to, nil, n, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		return int(moved), err
	})
}

func sysWait(epoll int, events []unix.EpollEvent, ms int) int {
	n, _ := unix.EpollWait(epoll, events, ms)
	return max(n, 0)
}

func again(call func() (int, error)) (int, unix.Errno) {
	for {
		n, err := call()
		if err == nil {
			return n, 0
		}
		if errno := errnoOf(err); errno != unix.EINTR {
			return 0, errno
		}
	}
}
