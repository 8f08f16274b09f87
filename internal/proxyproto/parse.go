// Package proxyproto reads and writes PROXY protocol headers, versions 1 and
// 2: the client's address, told by a proxy to what is behind it.
//
// Source: "The PROXY protocol, versions 1 & 2", HAProxy Technologies.
package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
)

// MaxHeader is the longest header accepted: a version 2 header with a few
// kilobytes of TLVs.
const MaxHeader = 4096

// maxV1 is the longest version 1 header with its CRLF.
const maxV1 = 107

// ErrIncomplete means that what is there may be the beginning of a header.
var ErrIncomplete = errors.New("incomplete PROXY header")

// Header is a parsed header.
type Header struct {
	Len int // bytes of the header itself
	// Source and Destination are invalid when the proxy speaks for itself
	// (LOCAL, UNKNOWN) or for a family without addresses: the addresses of
	// the connection count then.
	Source, Destination netip.AddrPort
}

var signature = []byte("\r\n\r\n\x00\r\nQUIT\n")

// Parse reads the header at the start of b.
func Parse(b []byte) (Header, error) {
	switch {
	case hasStart(b, signature):
		return parseV2(b)
	case hasStart(b, []byte("PROXY ")):
		return parseV1(b)
	}
	return Header{}, errors.New("no PROXY header")
}

// hasStart reports whether b begins with, or is the beginning of, start.
func hasStart(b, start []byte) bool {
	n := min(len(b), len(start))
	return bytes.Equal(b[:n], start[:n])
}

func parseV1(b []byte) (Header, error) {
	end := bytes.Index(b[:min(len(b), maxV1)], []byte("\r\n"))
	if end < 0 {
		if len(b) >= maxV1 {
			return Header{}, errors.New("PROXY v1 header without an end")
		}
		return Header{}, ErrIncomplete
	}
	h := Header{Len: end + 2}
	parts := bytes.Split(b[:end], []byte(" "))
	if string(parts[1]) == "UNKNOWN" {
		return h, nil
	}
	if len(parts) != 6 {
		return Header{}, errors.New("PROXY v1 header: want 6 words")
	}
	var err error
	is4 := string(parts[1]) == "TCP4"
	if !is4 && string(parts[1]) != "TCP6" {
		return Header{}, errors.New("PROXY v1 header: unknown protocol")
	}
	if h.Source, err = v1Address(parts[2], parts[4], is4); err != nil {
		return Header{}, err
	}
	if h.Destination, err = v1Address(parts[3], parts[5], is4); err != nil {
		return Header{}, err
	}
	return h, nil
}

func v1Address(addr, port []byte, is4 bool) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(string(addr))
	if err != nil || a.Is4() != is4 || a.Zone() != "" {
		return netip.AddrPort{}, errors.New("PROXY v1 header: bad address")
	}
	p, err := strconv.ParseUint(string(port), 10, 16)
	if err != nil || len(port) > 1 && port[0] == '0' {
		return netip.AddrPort{}, errors.New("PROXY v1 header: bad port")
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(p)), nil
}

func parseV2(b []byte) (Header, error) {
	if len(b) < 16 {
		return Header{}, ErrIncomplete
	}
	if b[12]>>4 != 2 || b[12]&15 > 1 {
		return Header{}, errors.New("PROXY v2 header: unknown version or command")
	}
	size := 16 + int(binary.BigEndian.Uint16(b[14:]))
	if size > MaxHeader {
		return Header{}, fmt.Errorf("PROXY v2 header: %d bytes, more than %d", size, MaxHeader)
	}
	if len(b) < size {
		return Header{}, ErrIncomplete
	}
	h := Header{Len: size}
	body := b[16:size]
	if b[12]&15 == 0 { // LOCAL: a health check of the proxy's own
		return h, nil
	}
	family, err := addressLen(b[13])
	if err != nil || family == 0 {
		return h, err
	}
	if len(body) < 2*family+4 {
		return Header{}, errors.New("PROXY v2 header: too short for its addresses")
	}
	if err := checkTLVs(body[2*family+4:]); err != nil {
		return Header{}, err
	}
	h.Source = v2Address(body[:family], body[2*family:])
	h.Destination = v2Address(body[family:2*family], body[2*family+2:])
	return h, nil
}

// addressLen is the size of one address of a family; 0 for those without an
// IP address.
func addressLen(family byte) (int, error) {
	switch family {
	case 0x11: // TCP over IPv4
		return 4, nil
	case 0x21: // TCP over IPv6
		return 16, nil
	case 0x00, 0x31: // unspecified, unix stream
		return 0, nil
	}
	return 0, errors.New("PROXY v2 header: not a TCP connection")
}

func v2Address(addr, port []byte) netip.AddrPort {
	a, _ := netip.AddrFromSlice(addr)
	return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(port))
}

// checkTLVs refuses lengths that do not add up.
func checkTLVs(b []byte) error {
	for len(b) > 0 {
		if len(b) < 3 || len(b) < 3+int(binary.BigEndian.Uint16(b[1:])) {
			return errors.New("PROXY v2 header: bad TLV length")
		}
		b = b[3+int(binary.BigEndian.Uint16(b[1:])):]
	}
	return nil
}
