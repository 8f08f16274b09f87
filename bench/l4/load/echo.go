//go:build linux

// Package load makes the traffic that HTTP is not: datagrams, for what is
// between it and an [Echo], and streams of bulk data, for what is between it
// and a [Sink].
package load

import (
	"fmt"
	"net/netip"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batch is how many datagrams one system call takes.
const batch = 64

type message struct {
	header unix.Msghdr
	n      uint32
}

// mailbox is memory for a batch of datagrams.
type mailbox struct {
	messages [batch]message
	iovs     [batch]unix.Iovec
	names    [batch]unix.RawSockaddrInet4
	data     [batch][2048]byte
}

func newMailbox(named bool) *mailbox {
	m := new(mailbox)
	for i := range m.messages {
		m.iovs[i].Base = &m.data[i][0]
		m.iovs[i].SetLen(len(m.data[i]))
		h := &m.messages[i].header
		h.Iov = &m.iovs[i]
		h.SetIovlen(1)
		if named {
			h.Name = (*byte)(unsafe.Pointer(&m.names[i]))
			h.Namelen = unix.SizeofSockaddrInet4
		}
	}
	return m
}

func (m *mailbox) receive(fd int) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.messages[0])), batch, unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

func (m *mailbox) send(fd, n int) int {
	for i := range n {
		m.iovs[i].SetLen(int(m.messages[i].n))
	}
	sent, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.messages[0])), uintptr(n), unix.MSG_DONTWAIT, 0, 0)
	for i := range n {
		m.iovs[i].SetLen(len(m.data[i]))
	}
	if errno != 0 {
		return 0
	}
	return int(sent)
}

// Echo is a server that sends back what it gets.
type Echo struct {
	// Addr is where.
	Addr netip.AddrPort
	fd   int
	stop [2]int
	done sync.WaitGroup
}

// NewEcho starts one on an IPv4 address.
func NewEcho(at netip.AddrPort) (*Echo, error) {
	fd, bound, err := open(at)
	if err != nil {
		return nil, err
	}
	e := &Echo{Addr: bound, fd: fd}
	if err := unix.Pipe2(e.stop[:], unix.O_CLOEXEC); err != nil {
		unix.Close(fd)
		return nil, err
	}
	e.done.Go(e.run)
	return e, nil
}

// Close ends it.
func (e *Echo) Close() {
	unix.Close(e.stop[1])
	e.done.Wait()
	unix.Close(e.stop[0])
	unix.Close(e.fd)
}

func (e *Echo) run() {
	box := newMailbox(true)
	for {
		n, errno := box.receive(e.fd)
		if errno == 0 {
			box.send(e.fd, n)
			continue
		}
		poll := []unix.PollFd{{Fd: int32(e.fd), Events: unix.POLLIN}, {Fd: int32(e.stop[0]), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, -1); err == nil && poll[1].Revents != 0 {
			return
		}
	}
}

func open(at netip.AddrPort) (int, netip.AddrPort, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, at, err
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}); err != nil {
		unix.Close(fd)
		return -1, at, fmt.Errorf("bind %v: %w", at, err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		unix.Close(fd)
		return -1, at, err
	}
	in4, ok := sa.(*unix.SockaddrInet4)
	if !ok {
		unix.Close(fd)
		return -1, at, fmt.Errorf("bound to %T", sa)
	}
	return fd, netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), uint16(in4.Port)), nil
}
