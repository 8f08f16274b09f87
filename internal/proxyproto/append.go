package proxyproto

import (
	"encoding/binary"
	"net/netip"
	"strconv"
)

// AppendV1 appends a version 1 header for a TCP connection from src to dst:
// at most 107 bytes. IPv4-mapped addresses are written as IPv4, zones are
// left out. Version 1 has one family for both ends, so that for two that
// differ, and for an address that is not valid, it says UNKNOWN (section
// 2.1): the receiver goes by its own connection then.
func AppendV1(b []byte, src, dst netip.AddrPort) []byte {
	s, d := plain(src.Addr()), plain(dst.Addr())
	switch {
	case !s.IsValid() || s.BitLen() != d.BitLen():
		return append(b, "PROXY UNKNOWN\r\n"...)
	case s.Is4():
		b = append(b, "PROXY TCP4 "...)
	default:
		b = append(b, "PROXY TCP6 "...)
	}
	b = append(s.AppendTo(b), ' ')
	b = append(d.AppendTo(b), ' ')
	b = append(strconv.AppendUint(b, uint64(src.Port()), 10), ' ')
	b = strconv.AppendUint(b, uint64(dst.Port()), 10)
	return append(b, "\r\n"...)
}

// AppendV2 appends a version 2 header without TLVs for a connection from src
// to dst, or with udp for a datagram: at most 52 bytes. IPv4-mapped addresses
// are written as IPv4, zones are left out. Of two families IPv4 is mapped
// into IPv6 (section 2.2 has one family for both ends). With an address that
// is not valid the family is unspecified, without addresses: the receiver
// goes by its own connection then.
func AppendV2(b []byte, src, dst netip.AddrPort, udp bool) []byte {
	const command = 0x21 // version 2, PROXY
	family, size := byte(0x10), uint16(12)
	s, d := plain(src.Addr()), plain(dst.Addr())
	switch {
	case !s.IsValid() || !d.IsValid():
		return append(append(b, signature...), command, 0, 0, 0)
	case s.Is6() || d.Is6():
		family, size = 0x20, 36
	}
	transport := byte(1) // STREAM
	if udp {
		transport = 2 // DGRAM
	}
	b = append(append(b, signature...), command, family|transport)
	b = binary.BigEndian.AppendUint16(b, size)
	b = appendAddr(b, s, size == 12)
	b = appendAddr(b, d, size == 12)
	b = binary.BigEndian.AppendUint16(b, src.Port())
	return binary.BigEndian.AppendUint16(b, dst.Port())
}

func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

func appendAddr(b []byte, a netip.Addr, is4 bool) []byte {
	if is4 {
		four := a.As4()
		return append(b, four[:]...)
	}
	sixteen := a.As16() // of IPv4: mapped
	return append(b, sixteen[:]...)
}
