package netns

import (
	"fmt"
	"net/netip"
	"os"
)

// Join lays a cable between two hosts. Its ends are called after the host at
// the other end; a gets the first address of each network, b the second.
func Join(a, b *Host, networks ...string) {
	a.t.Helper()
	a.IP(fmt.Sprintf("link add name %s type veth peer name %s netns /proc/%d/fd/%d", b.Name, a.Name, os.Getpid(), b.ns.Fd()))
	for _, network := range networks {
		p := netip.MustParsePrefix(network)
		first := p.Masked().Addr().Next()
		a.addAddress(b.Name, netip.PrefixFrom(first, p.Bits()))
		b.addAddress(a.Name, netip.PrefixFrom(first.Next(), p.Bits()))
	}
	a.IP("link set dev " + b.Name + " up")
	b.IP("link set dev " + a.Name + " up")
}

// addAddress gives an interface an address that can be used at once.
func (h *Host) addAddress(device string, p netip.Prefix) {
	h.t.Helper()
	command := fmt.Sprintf("address add %s dev %s", p, device)
	if p.Addr().Is6() {
		command += " nodad"
	}
	h.IP(command)
}

// Address gives the host another address, on its loopback interface: one that
// others reach by a route.
func (h *Host) Address(address string) {
	h.t.Helper()
	a := netip.MustParseAddr(address)
	h.addAddress("lo", netip.PrefixFrom(a, a.BitLen()))
}

// Via makes an address of another host the way to all that is not near.
func (h *Host) Via(gateways ...string) {
	h.t.Helper()
	for _, gateway := range gateways {
		if netip.MustParseAddr(gateway).Is4() {
			h.IP("route add default via " + gateway)
		} else {
			h.IP("-6 route add default via " + gateway)
		}
	}
}
