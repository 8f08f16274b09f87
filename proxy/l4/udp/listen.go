package udp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// buffer is what the sockets of a door may hold either way, in bytes, where
// the kernel lets them (net.core.rmem_max, wmem_max).
const buffer = 4 << 20

// Listen opens n sockets for a door; further ones of this user can be bound to
// the same address. The kernel spreads clients over them. [::] is every
// address of both families. With port 0 they agree on one that nobody has.
func Listen(ctx context.Context, at netip.AddrPort, n int) ([]net.PacketConn, error) {
	var list []net.PacketConn
	for range n {
		c, err := listen(ctx, at)
		if err != nil {
			for _, c := range list {
				c.Close()
			}
			return nil, err
		}
		list = append(list, c)
		at = netip.AddrPortFrom(at.Addr(), c.LocalAddr().(*net.UDPAddr).AddrPort().Port())
	}
	return list, nil
}

// listen opens one. To a socket that shares, the kernel may give as any port
// one that others of this user have and share: where it is to choose, the socket
// shares its port only once it has it.
func listen(ctx context.Context, at netip.AddrPort) (net.PacketConn, error) {
	network := "udp"
	if at.Addr().Is4() {
		network = "udp4"
	}
	lc := net.ListenConfig{Control: Share}
	if at.Port() == 0 {
		lc.Control = nil
	}
	c, err := lc.ListenPacket(ctx, network, at.String())
	if err != nil || at.Port() != 0 {
		return c, err
	}
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err == nil {
		err = Share("", "", raw)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Share is the Control of a net.ListenConfig for sockets that share an
// address, as those of a door do.
func Share(_, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}); e != nil {
		return e
	}
	return err
}

// ShareAlone is Share for the first of them, where no other process may have
// the address: the kernel would give it a part of the clients and tell nobody.
func ShareAlone(network, address string, c syscall.RawConn) error {
	alone, err := (&net.ListenConfig{}).ListenPacket(context.Background(), network, address)
	if err != nil {
		return err
	}
	if err = alone.Close(); err != nil {
		return err
	}
	return Share(network, address, c)
}

// duplicate makes another descriptor of a socket.
func duplicate(c syscall.Conn) (fd int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	var e error
	if err = raw.Control(func(old uintptr) { fd, e = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return -1, err
	}
	if e != nil {
		return -1, e
	}
	return fd, nil
}

// setOptions sets what the socket of a door needs; wildcard: the kernel is to
// tell which address was asked.
func setOptions(fd int, wildcard, joins bool) error {
	// Where the kernel refuses so much, what it gives has to do.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, buffer)
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	switch {
	case err != nil || !wildcard:
	case domain == unix.AF_INET6: // of IPv4 datagrams as well
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	default:
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
	}
	if joins {
		err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1))
	}
	return err
}

// overflowed is how many datagrams a socket had no room for: SO_MEMINFO of
// socket(7), SK_MEMINFO_DROPS.
func overflowed(fd int) uint64 {
	const drops, count = 8, 9
	var info [count]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 || int(size) < 4*count {
		return 0
	}
	return uint64(info[drops])
}
