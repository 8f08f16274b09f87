package relay

import (
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Listener is a listening TCP socket that no poller but a loop's knows.
type Listener struct {
	fd   int
	addr netip.AddrPort
}

// ListenOptions are those of the sockets of a door.
type ListenOptions struct {
	// Backlog is how many connections wait to be accepted, in each socket; if
	// zero, the system's most.
	Backlog int
	// Transparent accepts what a TPROXY rule sends here: connections to any
	// address and port (IP_TRANSPARENT; needs CAP_NET_ADMIN).
	Transparent bool
}

// mostBacklog is more than the kernel allows, which takes its most then.
const mostBacklog = 1 << 30

// Listen opens n sockets with one address among which the kernel shares out
// connections (SO_REUSEPORT). With port 0 they agree on one. An unspecified
// IPv6 address is all of both families. Nobody else may have the address.
func Listen(addr netip.AddrPort, n int, o ListenOptions) ([]*Listener, error) {
	var list []*Listener
	for i := range n {
		l, err := listen(addr, i == 0, o)
		if err != nil {
			for _, l := range list {
				l.Close()
			}
			return nil, fmt.Errorf("listen on tcp/%v: %w", addr, err)
		}
		addr = l.addr
		list = append(list, l)
	}
	return list, nil
}

func listen(addr netip.AddrPort, first bool, o ListenOptions) (*Listener, error) {
	fd, err := unix.Socket(family(addr.Addr()), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return nil, err
	}
	l := &Listener{fd: fd, addr: addr}
	if err := l.open(first, o); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// open binds the socket and begins to listen. The first of a door shares its
// address only once it has it, so that it cannot join those of a stranger.
func (l *Listener) open(first bool, o ListenOptions) error {
	steps := []func() error{
		func() error { return l.set(unix.SOL_SOCKET, unix.SO_REUSEADDR) },
		func() error { return l.set(unix.IPPROTO_TCP, unix.TCP_NODELAY) }, // accepted connections inherit it
		func() error { return l.setFamily(o.Transparent) },
		func() error { return unix.Bind(l.fd, sockaddrOf(l.addr)) },
		func() error { return unix.Listen(l.fd, backlog(o.Backlog)) },
		l.learn,
	}
	share := func() error { return l.set(unix.SOL_SOCKET, unix.SO_REUSEPORT) }
	at := 3
	if first {
		at = 4
	}
	for i, step := range steps {
		if i == at {
			if err := share(); err != nil {
				return os.NewSyscallError("setsockopt", err)
			}
		}
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func backlog(n int) int {
	if n == 0 {
		return mostBacklog
	}
	return n
}

func (l *Listener) set(level, option int) error { return unix.SetsockoptInt(l.fd, level, option, 1) }

func (l *Listener) setFamily(transparent bool) error {
	a := l.addr.Addr()
	if a.Is4() {
		if transparent {
			return l.set(unix.SOL_IP, unix.IP_TRANSPARENT)
		}
		return nil
	}
	only := 1
	if a.IsUnspecified() {
		only = 0
	}
	if err := unix.SetsockoptInt(l.fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil || !transparent {
		return err
	}
	return l.set(unix.SOL_IPV6, unix.IPV6_TRANSPARENT)
}

// learn asks the kernel for the address.
func (l *Listener) learn() error {
	sa, err := unix.Getsockname(l.fd)
	if err == nil {
		l.addr = fromSockaddr(sa)
	}
	return err
}

// Inherit makes a listener of a socket that another process has opened; f
// stays the caller's.
func Inherit(f *os.File) (*Listener, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	l := &Listener{fd: -1}
	if e := raw.Control(func(fd uintptr) { l.fd, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); e != nil {
		return nil, e
	}
	if err != nil {
		return nil, err
	}
	if err := l.adopt(); err != nil {
		l.Close()
		return nil, fmt.Errorf("inherited socket %s: %w", f.Name(), err)
	}
	return l, nil
}

func (l *Listener) adopt() error {
	if listening, err := unix.GetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listening == 0 {
		return fmt.Errorf("not a listening socket (%v)", err)
	}
	if err := unix.SetNonblock(l.fd, true); err != nil {
		return err
	}
	if err := l.set(unix.IPPROTO_TCP, unix.TCP_NODELAY); err != nil {
		return err
	}
	if err := l.learn(); err != nil {
		return err
	}
	if !l.addr.IsValid() {
		return fmt.Errorf("not a socket of TCP")
	}
	return nil
}

// Addr is where the socket listens.
func (l *Listener) Addr() netip.AddrPort { return l.addr }

// File is a duplicate of the descriptor for another process: while it is open
// the socket is.
func (l *Listener) File() (*os.File, error) {
	fd, err := unix.FcntlInt(uintptr(l.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), "tcp/"+l.addr.String()), nil
}

// Close closes a socket that no server has.
func (l *Listener) Close() error { return unix.Close(l.fd) }
