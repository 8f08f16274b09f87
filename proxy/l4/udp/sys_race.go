//go:build race

package udp

import (
	"encoding/binary"
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Ordinary calls, which the race detector understands, one datagram each.

const directCalls = false

func receive(fd int, m []message) (int, unix.Errno) {
	for i := range m {
		if err := receiveOne(fd, &m[i]); err != nil {
			return i, unlessSome(i, err)
		}
	}
	return len(m), 0
}

func send(fd int, m []message) (int, unix.Errno) {
	for i := range m {
		if err := sendOne(fd, &m[i]); err != nil {
			return i, unlessSome(i, err)
		}
	}
	return len(m), 0
}

func sendPlain(fd int, m *message) unix.Errno {
	if err := sendOne(fd, m); err != nil {
		return unlessSome(0, err)
	}
	return 0
}

// unlessSome is the error of a call for several messages, of which n were done.
func unlessSome(n int, err error) unix.Errno {
	if n > 0 {
		return 0
	}
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return errno
	}
	return unix.EIO
}

func receiveOne(fd int, m *message) error {
	h := &m.header
	n, control, flags, from, err := unix.Recvmsg(fd, data(m), controls(m), unix.MSG_DONTWAIT)
	if err != nil {
		return err
	}
	m.n, h.Flags = uint32(n), int32(flags)
	h.SetControllen(control)
	if h.Name == nil {
		return nil
	}
	switch sa := from.(type) {
	case *unix.SockaddrInet4:
		name := (*unix.RawSockaddrInet4)(unsafe.Pointer(h.Name))
		*name = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: sa.Addr}
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&name.Port))[:], uint16(sa.Port))
		h.Namelen = unix.SizeofSockaddrInet4
	case *unix.SockaddrInet6:
		name := (*unix.RawSockaddrInet6)(unsafe.Pointer(h.Name))
		*name = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: sa.Addr, Scope_id: sa.ZoneId}
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&name.Port))[:], uint16(sa.Port))
		h.Namelen = unix.SizeofSockaddrInet6
	}
	return nil
}

func sendOne(fd int, m *message) error {
	var parts [][]byte
	for _, v := range unsafe.Slice(m.header.Iov, int(m.header.Iovlen)) {
		parts = append(parts, unsafe.Slice(v.Base, int(v.Len)))
	}
	_, err := unix.SendmsgBuffers(fd, parts, controls(m), destination(m), unix.MSG_DONTWAIT)
	return err
}

// destination is where a datagram goes; nil: the socket is connected.
func destination(m *message) unix.Sockaddr {
	if m.header.Name == nil {
		return nil
	}
	name := (*unix.RawSockaddrInet6)(unsafe.Pointer(m.header.Name))
	if name.Family == unix.AF_INET {
		in4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(m.header.Name))
		return &unix.SockaddrInet4{Port: int(bigEndian(&in4.Port)), Addr: in4.Addr}
	}
	return &unix.SockaddrInet6{Port: int(bigEndian(&name.Port)), Addr: name.Addr, ZoneId: name.Scope_id}
}

func data(m *message) []byte { return unsafe.Slice(m.header.Iov.Base, int(m.header.Iov.Len)) }

func controls(m *message) []byte {
	return unsafe.Slice(m.header.Control, int(m.header.Controllen))
}

func waitBriefly(epoll int, events []unix.EpollEvent, ms int) int {
	n, _ := unix.EpollWait(epoll, events, ms)
	return max(n, 0)
}
