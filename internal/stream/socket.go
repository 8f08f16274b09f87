package stream

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socket is the descriptor below a Conn. One that was accepted is kept from
// the runtime's poller until something has to be waited for: a connection
// whose request is there already, and whose response fits into the socket, is
// served without registering it and taking it out again.
type socket struct {
	polled atomic.Pointer[polled] // nil: the poller does not know it

	mu     sync.Mutex // held by every call on fd, so that none meets a closed one
	fd     int        // -1: closed, or polled's
	local  netip.AddrPort
	remote netip.AddrPort
}

// polled is a descriptor that the poller knows: a net.Conn or an *os.File.
type polled struct {
	pollable
	raw syscall.RawConn
}

type pollable interface {
	SyscallConn() (syscall.RawConn, error)
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	Close() error
}

func newPolled(f pollable) (*polled, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &polled{pollable: f, raw: raw}, nil
}

// direct calls f once if the poller does not know the socket yet; f must not
// wait. With false, f has to be called by way of await or awaitWrite.
func (s *socket) direct(f func(uintptr) bool) bool {
	if s.polled.Load() != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fd >= 0 && f(uintptr(s.fd))
}

// poll makes the socket known to the poller.
func (s *socket) poll() (*polled, error) {
	if p := s.polled.Load(); p != nil {
		return p, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.polled.Load(); p != nil {
		return p, nil
	}
	if s.fd < 0 {
		return nil, net.ErrClosed
	}
	fd := s.fd
	s.fd = -1
	p, err := pollFile(fd)
	if err == nil {
		s.polled.Store(p)
	}
	return p, err
}

// pollFile makes a descriptor known to the poller, or closes it.
func pollFile(fd int) (*polled, error) {
	f := os.NewFile(uintptr(fd), "")
	p, err := newPolled(f)
	if err == nil {
		err = f.SetReadDeadline(time.Time{}) // NewFile does not say whether the poller took it
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return p, nil
}

// unpoll takes the socket from the poller again, by way of another descriptor
// of it. Nobody may be reading or writing.
func (s *socket) unpoll() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.polled.Load()
	if p == nil {
		return nil
	}
	fd, err := -1, error(nil)
	gone := p.raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if gone != nil {
		return net.ErrClosed
	}
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	s.fd = fd
	s.polled.Store(nil)
	return p.Close()
}

// control calls f with the descriptor, whoever polls or unpolls it meanwhile.
func (s *socket) control(f func(fd uintptr)) error {
	for {
		if p := s.polled.Load(); p != nil {
			if err := p.raw.Control(f); err == nil || s.polled.Load() == p {
				return err
			}
		} else if done, err := s.controlUnpolled(f); done {
			return err
		}
	}
}

// controlUnpolled is control, unless the poller knows the socket by now: false.
func (s *socket) controlUnpolled(f func(fd uintptr)) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.fd >= 0:
		f(uintptr(s.fd))
		return true, nil
	case s.polled.Load() == nil:
		return true, net.ErrClosed
	}
	return false, nil
}

// close closes the descriptor; calls that wait for it return.
func (s *socket) close() error {
	if p := s.polled.Load(); p != nil {
		return p.Close()
	}
	s.mu.Lock()
	fd := s.fd
	s.fd = -1
	s.mu.Unlock()
	switch p := s.polled.Load(); {
	case p != nil: // by now
		return p.Close()
	case fd < 0:
		return net.ErrClosed
	}
	return sysClose(fd)
}

// shutdownWrite sends a FIN.
func (s *socket) shutdownWrite() (err error) {
	e := s.control(func(fd uintptr) { err = unix.Shutdown(int(fd), unix.SHUT_WR) })
	if e != nil {
		return e
	}
	return err
}

// reset closes the descriptor with a RST.
func (s *socket) reset() error {
	_ = s.control(func(fd uintptr) {
		_ = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // nothing to a unix socket
	})
	return s.close()
}

// disconnect sends a RST and keeps the descriptor.
func (s *socket) disconnect() {
	_ = s.control(func(fd uintptr) {
		if sysDisconnect(fd) != nil {
			_ = unix.Shutdown(int(fd), unix.SHUT_RDWR)
		}
	})
}

// localAddr asks the kernel where a listener's address does not say it.
func (s *socket) localAddr() netip.AddrPort {
	if s.local.IsValid() && s.local.Addr().IsUnspecified() {
		_ = s.control(func(fd uintptr) {
			if sa, err := unix.Getsockname(int(fd)); err == nil {
				s.local = fromSockaddr(sa)
			}
		})
	}
	return s.local
}

func fromSockaddr(sa unix.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}

// RTT is the kernel's estimate of the time to the other end and back; false
// where there is none, as on a unix socket.
func (s *socket) RTT() (time.Duration, bool) {
	var info *unix.TCPInfo
	err := s.control(func(fd uintptr) { info, _ = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err != nil || info == nil || info.Rtt == 0 {
		return 0, false
	}
	return time.Duration(info.Rtt) * time.Microsecond, true
}
