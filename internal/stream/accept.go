package stream

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Acceptor accepts the connections of a listening socket with direct system
// calls: one for each connection, where package net makes four and a
// registration with the poller. One goroutine uses it; any may close it.
type Acceptor struct {
	file   *os.File // a duplicate of the listener's descriptor: package net lends its own to nobody who reads
	raw    syscall.RawConn
	local  netip.AddrPort
	next   accepted
	fn     func(uintptr) bool
	closed atomic.Bool
}

// accepted is the outcome of one accept4.
type accepted struct {
	fd   int
	peer sockaddr
	err  syscall.Errno
}

// NewAcceptor makes an acceptor for a TCP or unix listener, which stays open
// and is still the caller's to close. The listener may be wrapped in
// something that has a method Unwrap.
func NewAcceptor(l net.Listener) (*Acceptor, error) {
	if w, ok := l.(interface{ Unwrap() net.Listener }); ok {
		l = w.Unwrap()
	}
	d, ok := l.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, errors.New("stream: not a listening socket")
	}
	f, err := d.File()
	if err != nil {
		return nil, err
	}
	a := &Acceptor{file: f, local: addrPort(l.Addr())}
	a.fn = a.accept
	if a.raw, err = f.SyscallConn(); err != nil {
		f.Close()
		return nil, err
	}
	if a.local.IsValid() {
		// Accepted connections inherit it.
		_ = a.raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) })
	}
	return a, nil
}

// Accept waits for a connection. After Close the error is os.ErrClosed.
func (a *Acceptor) Accept() (*Conn, error) {
	if err := a.raw.Read(a.fn); err != nil {
		if a.closed.Load() {
			err = os.ErrClosed // which package os says in its own words here
		}
		return nil, err
	}
	if a.next.err != 0 {
		return nil, os.NewSyscallError("accept4", a.next.err)
	}
	c := newConn()
	c.fd, c.local, c.remote = a.next.fd, a.local, a.next.peer.addrPort()
	return c, nil
}

// Close ends Accept. The listener has a descriptor of its own, which must be
// closed as well before the socket is gone.
func (a *Acceptor) Close() error {
	a.closed.Store(true)
	return a.file.Close()
}

func (a *Acceptor) accept(fd uintptr) bool {
	for {
		a.next.fd, a.next.err = sysAccept(fd, &a.next.peer)
		switch a.next.err {
		case syscall.EAGAIN:
			return false
		case syscall.EINTR, syscall.ECONNABORTED: // reset while it waited in the queue
			continue
		}
		return true
	}
}

// sockaddr is room for a struct sockaddr_in6, the longest that matters. All
// but the family is in network byte order.
type sockaddr [28]byte

// addrPort is the address without its zone, which would keep it from being
// found in prefixes; the zero AddrPort for a unix socket.
func (b *sockaddr) addrPort() netip.AddrPort {
	port := binary.BigEndian.Uint16(b[2:])
	switch binary.NativeEndian.Uint16(b[:]) {
	case syscall.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:])), port)
	case syscall.AF_INET6:
		// Behind the port is the flow label.
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:])).Unmap(), port)
	}
	return netip.AddrPort{}
}
