package steer

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sizes of what the control messages hold.
const (
	sizeAddr4 = unix.SizeofSockaddrInet4
	sizeAddr6 = unix.SizeofSockaddrInet6
)

// ControlSpace is how many bytes of control messages the message with the
// destination takes; more, for those of other options.
var ControlSpace = unix.CmsgSpace(sizeAddr6)

// RecordDestination has the kernel say with each datagram which address and
// port it was sent to: a control message IP_ORIGDSTADDR or IPV6_ORIGDSTADDR.
// The socket may be of either family, or of both.
func RecordDestination(fd int) error {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return err
	}
	if domain == unix.AF_INET6 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVORIGDSTADDR, 1); err != nil {
			return err
		}
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVORIGDSTADDR, 1)
}

// Destination finds among the control messages of a datagram where it was
// sent to. The bytes are aligned for a Cmsghdr, as those of a variable or an
// allocation are.
func Destination(control []byte) (netip.AddrPort, bool) {
	for len(control) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
		if h.Len < unix.SizeofCmsghdr || uint64(h.Len) > uint64(len(control)) {
			break
		}
		data := control[unix.SizeofCmsghdr:h.Len]
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_ORIGDSTADDR && len(data) >= sizeAddr4:
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte(data[4:])), binary.BigEndian.Uint16(data[2:])), true
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_ORIGDSTADDR && len(data) >= sizeAddr6:
			return netip.AddrPortFrom(netip.AddrFrom16([16]byte(data[8:])), binary.BigEndian.Uint16(data[2:])), true
		}
		control = control[min(unix.CmsgSpace(len(data)), len(control)):]
	}
	return netip.AddrPort{}, false
}
