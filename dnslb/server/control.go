package server

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

// packetInfo finds the packet information among control messages, and its
// level; 0: there is none. The bytes are aligned for a Cmsghdr.
func packetInfo(control []byte) (data []byte, level int32) {
	for len(control) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
		if h.Len < unix.SizeofCmsghdr || uint64(h.Len) > uint64(len(control)) {
			return nil, 0
		}
		data := control[unix.CmsgLen(0):max(int(h.Len), unix.CmsgLen(0))]
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= pktinfo4:
			return data[:pktinfo4], unix.IPPROTO_IP
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= pktinfo6:
			return data[:pktinfo6], unix.IPPROTO_IPV6
		}
		control = control[min(unix.CmsgSpace(len(data)), len(control)):]
	}
	return nil, 0
}

// replyFrom turns the control messages of a query into that of its answer,
// which is to leave from the address that was asked, and returns its length;
// 0: the kernel chooses. The interface is left to the routes, for the way
// back need not be the way here, except for addresses that mean nothing
// without one.
func replyFrom(control []byte) int {
	data, level := packetInfo(control)
	switch level {
	case unix.IPPROTO_IP:
		info := [pktinfo4]byte{4: data[4], 5: data[5], 6: data[6], 7: data[7]}
		return putControl(control, level, unix.IP_PKTINFO, info[:])
	case unix.IPPROTO_IPV6:
		info := [pktinfo6]byte(data)
		if !netip.AddrFrom16([16]byte(info[:16])).IsLinkLocalUnicast() {
			binary.NativeEndian.PutUint32(info[16:], 0)
		}
		return putControl(control, level, unix.IPV6_PKTINFO, info[:])
	}
	return 0
}

// putControl makes control begin with one control message. It has room: there
// was one as long in it.
func putControl(control []byte, level, kind int32, data []byte) int {
	h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(len(data)))
	copy(control[unix.CmsgLen(0):], data)
	// The kernel may have left the padding after the last one out.
	return min(unix.CmsgSpace(len(data)), len(control))
}
