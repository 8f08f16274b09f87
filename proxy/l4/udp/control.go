package udp

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sizes of struct in_pktinfo (interface, local address, destination) and of
// struct in6_pktinfo (destination, interface): ip(7), ipv6(7).
const (
	pktinfo4 = 12
	pktinfo6 = 20
)

// controlWords is the room for the control messages of one datagram, in units
// of 8 bytes, as which they are aligned: packet information, or where it was
// sent to, and the size of segments.
const controlWords = 10

type controlRoom [controlWords]uint64

func (c *controlRoom) bytes() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(c)), controlWords*8)
}

// arrival is what the kernel says about a datagram.
type arrival struct {
	info    []byte // packet information; nil: none
	level   int32  // of info: IPPROTO_IP or IPPROTO_IPV6
	segment int    // several datagrams were joined, each of so many bytes but the last; 0: no
}

// readControl reads control messages, the first of which is aligned.
func readControl(control []byte) (a arrival) {
	for len(control) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
		if h.Len < unix.SizeofCmsghdr || uint64(h.Len) > uint64(len(control)) {
			return a
		}
		data := control[unix.CmsgLen(0):max(int(h.Len), unix.CmsgLen(0))]
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= pktinfo4:
			a.info, a.level = data[:pktinfo4], h.Level
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= pktinfo6:
			a.info, a.level = data[:pktinfo6], h.Level
		case h.Level == unix.SOL_UDP && h.Type == unix.UDP_GRO && len(data) >= 4:
			a.segment = int(binary.NativeEndian.Uint32(data))
		}
		control = control[min(unix.CmsgSpace(len(data)), len(control)):]
	}
	return a
}

// asked is the arrival of a datagram for an address, which came by an
// interface.
func asked(a netip.Addr, four bool, interfaceIndex uint32) arrival {
	if four {
		info := make([]byte, pktinfo4)
		copy(info[4:], a.AsSlice())
		copy(info[8:], a.AsSlice())
		return arrival{info: info, level: unix.IPPROTO_IP}
	}
	info := make([]byte, pktinfo6)
	b := a.As16()
	copy(info, b[:])
	binary.NativeEndian.PutUint32(info[16:], interfaceIndex)
	return arrival{info: info, level: unix.IPPROTO_IPV6}
}

// local is the address that was asked; not valid if the kernel has not said.
func (a *arrival) local() netip.Addr {
	switch {
	case a.info == nil:
	case a.level == unix.IPPROTO_IP:
		return netip.AddrFrom4([4]byte(a.info[4:8]))
	default:
		return netip.AddrFrom16([16]byte(a.info[:16])).Unmap()
	}
	return netip.Addr{}
}

// replyFrom makes the control message of answers, which are to leave from the
// address that was asked, and returns its length; 0: the kernel chooses. The
// interface is left to the routes, for the way back need not be the way here,
// except for addresses that mean nothing without one.
func (a *arrival) replyFrom(room *controlRoom) int {
	switch {
	case a.info == nil:
	case a.level == unix.IPPROTO_IP:
		info := [pktinfo4]byte{4: a.info[4], 5: a.info[5], 6: a.info[6], 7: a.info[7]}
		return putControl(room, 0, a.level, unix.IP_PKTINFO, info[:])
	default:
		info := [pktinfo6]byte(a.info)
		if !netip.AddrFrom16([16]byte(info[:16])).IsLinkLocalUnicast() {
			binary.NativeEndian.PutUint32(info[16:], 0)
		}
		return putControl(room, 0, a.level, unix.IPV6_PKTINFO, info[:])
	}
	return 0
}

// putSegment adds the control message that has the kernel cut what is sent
// into datagrams of a size, and returns how long all are now.
func putSegment(room *controlRoom, at, size int) int {
	var n [2]byte
	binary.NativeEndian.PutUint16(n[:], uint16(size))
	return putControl(room, at, unix.SOL_UDP, unix.UDP_SEGMENT, n[:])
}

// putControl adds a control message at an offset, and returns where the next
// one goes.
func putControl(room *controlRoom, at int, level, kind int32, data []byte) int {
	b := room.bytes()[at:]
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(len(data)))
	copy(b[unix.CmsgLen(0):], data)
	return at + unix.CmsgSpace(len(data))
}
