package steer

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// ReplySocket makes a UDP socket, which does not block, that sends from an
// address and port and never receives: answers to datagrams for one port of
// many leave by it, with sendto or sendmsg. One is enough for all clients of
// a port.
//
// It is connected to itself, so that no lookup of a socket for a datagram
// finds it, neither before the program nor where there is none, and it takes
// nothing from a door that has the same port in an older or a later
// configuration, provided that its sockets have SO_REUSEPORT and the same
// owner, or SO_REUSEADDR. EADDRINUSE: another program has the port; its
// clients have never come here by it. A port below 1024 takes
// CAP_NET_BIND_SERVICE.
func ReplySocket(local netip.AddrPort) (fd int, err error) {
	family := unix.AF_INET6
	if local.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if err = bindReply(fd, local); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("reply from %s: %w", local, err)
	}
	return fd, nil
}

func bindReply(fd int, local netip.AddrPort) error {
	at := sockaddr(local)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return err
	}
	if err := unix.Bind(fd, at); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	if err := unix.Connect(fd, at); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return nil
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}
