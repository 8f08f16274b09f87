package http3

import (
	"net"
	"net/netip"
)

// AddrPort is an address of package net's; not valid when it is not of UDP.
func AddrPort(a net.Addr) netip.AddrPort {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := u.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
