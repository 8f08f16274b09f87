package server

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// receiveBuffer is what a UDP socket asks for, in bytes: some 10 000 queries,
// that is the tenth of a second in which a process may not get to run. The
// kernel gives no more than net.core.rmem_max.
const receiveBuffer = 4 << 20

// setUDPOptions sets what a bound UDP socket needs; pktinfo: to be told to
// which address each datagram came.
func setUDPOptions(raw syscall.RawConn, pktinfo bool) error {
	return control(raw, func(fd int) error {
		// Where the kernel refuses so much, what it gives has to do.
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
		domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		if err != nil {
			return err
		}
		// Neither the don't-fragment bit nor what ICMP claims the path takes:
		// that is how others are made to send fragments (RFC 9715 3.1, A.1).
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_OMIT)
		if domain == unix.AF_INET6 {
			err = errors.Join(err, unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_OMIT))
		}
		switch {
		case pktinfo && domain == unix.AF_INET6: // of IPv4 datagrams as well
			return errors.Join(err, unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1))
		case pktinfo:
			return errors.Join(err, unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1))
		}
		return err
	})
}

// setShared lets further sockets of this user be bound to the same address,
// and the kernel spread what comes in over them by the client's address.
func setShared(raw syscall.RawConn) error {
	return control(raw, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
}

// setSendBuffer bounds what the kernel keeps for clients that do not read; a
// connection inherits it from the listening socket.
func setSendBuffer(raw syscall.RawConn, n int) error {
	return control(raw, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, n)
	})
}

// control runs f on a socket.
func control(raw syscall.RawConn, f func(fd int) error) error {
	var err error
	return errors.Join(raw.Control(func(fd uintptr) { err = f(int(fd)) }), err)
}
