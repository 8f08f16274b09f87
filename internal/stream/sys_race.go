//go:build linux && race

package stream

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Ordinary calls, which the race detector understands.

func sysRead(fd uintptr, p []byte) (int, syscall.Errno) {
	return again(func() (int, error) { return syscall.Read(int(fd), p) })
}

func sysWrite(fd uintptr, p *byte, n int) (int, syscall.Errno) {
	return again(func() (int, error) { return syscall.Write(int(fd), unsafe.Slice(p, n)) })
}

func sysWritev(fd uintptr, v []syscall.Iovec) (int, syscall.Errno) {
	var all []byte
	for _, p := range v {
		all = append(all, unsafe.Slice(p.Base, int(p.Len))...)
	}
	return again(func() (int, error) { return syscall.Write(int(fd), all) })
}

func sysPeek(fd uintptr) (int, syscall.Errno) {
	var b [1]byte
	return again(func() (int, error) {
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return n, err
	})
}

func again(call func() (int, error)) (int, syscall.Errno) {
	for {
		n, err := call()
		if err == nil {
			return n, 0
		}
		errno, ok := err.(syscall.Errno)
		if !ok {
			errno = syscall.EIO
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}

func sysAccept(fd uintptr, peer *sockaddr) (int, syscall.Errno) {
	n, sa, err := syscall.Accept4(int(fd), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
	if err != nil {
		return -1, err.(syscall.Errno)
	}
	*peer = sockaddr{}
	switch a := sa.(type) {
	case *syscall.SockaddrInet4:
		binary.NativeEndian.PutUint16(peer[:], syscall.AF_INET)
		binary.BigEndian.PutUint16(peer[2:], uint16(a.Port))
		copy(peer[4:], a.Addr[:])
	case *syscall.SockaddrInet6:
		binary.NativeEndian.PutUint16(peer[:], syscall.AF_INET6)
		binary.BigEndian.PutUint16(peer[2:], uint16(a.Port))
		copy(peer[8:], a.Addr[:])
	}
	return n, 0
}

func sysClose(fd int) error { return syscall.Close(fd) }

func sysEvents(epoll int, events []unix.EpollEvent) int {
	n, err := unix.EpollWait(epoll, events, 0)
	if err != nil {
		return 0
	}
	return n
}
