package secgroup

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"

	"gatehouse/config"
)

// naive decides by reading the configuration from top to bottom: what Decide
// is compared with. It shares nothing with it but the types.
type naive struct {
	rules  []config.SecurityRule
	groups []config.AddressGroup
}

func newNaive(g config.SecurityGroup, groups []config.AddressGroup) naive {
	vnet, all := config.AddressMatch{Groups: []string{"VirtualNetwork"}}, config.AddressMatch{Any: true}
	rules := append(slices.Clone(g.Rules),
		config.SecurityRule{Name: "DefaultRule_AllowVnetInBound", Priority: 65000, Allow: true, Source: vnet, Destination: vnet},
		config.SecurityRule{Name: "DefaultRule_AllowAzureLoadBalancerInBound", Priority: 65001, Allow: true,
			Source: config.AddressMatch{Groups: []string{"AzureLoadBalancer"}}, Destination: all},
		config.SecurityRule{Name: "DefaultRule_DenyAllInBound", Priority: 65500, Source: all, Destination: all})
	slices.SortStableFunc(rules, func(a, b config.SecurityRule) int { return a.Priority - b.Priority })
	return naive{rules, groups}
}

func (n naive) decide(p Packet) (name string, allow bool) {
	for _, r := range n.rules {
		if r.Protocol != config.SecurityAny && p.UDP != (r.Protocol == config.SecurityUDP) {
			continue
		}
		if n.address(r.Source, p.Source.Addr()) && n.address(r.Destination, p.Destination.Addr()) &&
			naivePort(r.SourcePorts, p.Source.Port()) && naivePort(r.DestinationPorts, p.Destination.Port()) {
			return r.Name, r.Allow
		}
	}
	return "none", false
}

func (n naive) address(m config.AddressMatch, a netip.Addr) bool {
	return m.Any || naivePrefixes(m.Prefixes, a) ||
		slices.ContainsFunc(m.Groups, func(name string) bool { return n.group(name, a) })
}

func (n naive) group(name string, a netip.Addr) bool {
	if name == "Internet" {
		return a.IsValid() && !n.group("VirtualNetwork", a)
	}
	for _, g := range n.groups {
		if g.Name == name {
			return naivePrefixes(g.Addresses, a)
		}
	}
	a = a.Unmap()
	return name == "VirtualNetwork" && (a.IsPrivate() || a.IsLoopback() || a.Is6() && a.IsLinkLocalUnicast() ||
		netip.MustParsePrefix("100.64.0.0/10").Contains(a))
}

func naivePrefixes(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Addr().Is4In6() {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		if p.Contains(a.Unmap().WithZone("")) {
			return true
		}
	}
	return false
}

func naivePort(list []config.PortRange, port uint16) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(r config.PortRange) bool {
		return r.First <= int(port) && int(port) <= r.Last
	})
}

// dice makes rules and packets that meet often: their numbers are put
// together of few bytes.
type dice struct{ *rand.Rand }

func (d dice) byte() byte { return []byte{0, 1, 10, 127, 128, 192, 254, 255}[d.IntN(8)] }

func (d dice) addr() netip.Addr {
	if d.IntN(50) == 0 {
		return netip.MustParseAddr([]string{"10.1.2.3", "100.64.0.0", "100.128.0.0", "fe80::1", "fec0::", "::1", "127.0.0.1", "8.8.8.8"}[d.IntN(8)])
	}
	four := [4]byte{[]byte{10, 192, 127, 8}[d.IntN(4)], d.byte(), d.byte(), d.byte()}
	switch d.IntN(4) {
	case 0:
		a := netip.AddrFrom4(four).As16()
		return netip.AddrFrom16(a)
	case 1:
		var a [16]byte
		for i := range a {
			a[i] = d.byte()
		}
		if d.IntN(2) == 0 {
			copy(a[:], "\x20\x01\x0d\xb8\x00\x00\x00")
		}
		return netip.AddrFrom16(a)
	}
	return netip.AddrFrom4(four)
}

func (d dice) prefix() netip.Prefix {
	a := d.addr()
	longest := a.BitLen()
	bits := longest - d.IntN(longest+1)
	if d.IntN(2) == 0 {
		bits = longest - d.IntN(10)
	}
	if a.Is4In6() {
		bits = max(bits, 96)
	}
	return netip.PrefixFrom(a, bits)
}

func (d dice) port() int {
	if d.IntN(4) == 0 {
		return d.IntN(1 << 16)
	}
	return []int{0, 1, 22, 80, 443, 1024, 32768, 65535}[d.IntN(8)]
}

func (d dice) ports() (list []config.PortRange) {
	if d.IntN(2) == 0 {
		return nil
	}
	for range 1 + d.IntN(3) {
		a, b := d.port(), d.port()
		if d.IntN(2) == 0 {
			b = a
		}
		list = append(list, config.PortRange{First: min(a, b), Last: max(a, b)})
	}
	return list
}

func (d dice) match(groups []config.AddressGroup) (m config.AddressMatch) {
	if d.IntN(4) == 0 {
		return config.AddressMatch{Any: true}
	}
	for range d.IntN(4) {
		m.Prefixes = append(m.Prefixes, d.prefix())
	}
	for range d.IntN(3) {
		names := []string{"VirtualNetwork", "Internet", "AzureLoadBalancer"}
		for _, g := range groups {
			names = append(names, g.Name)
		}
		m.Groups = append(m.Groups, names[d.IntN(len(names))])
	}
	return m
}

func (d dice) groups() (list []config.AddressGroup) {
	names := []string{"VirtualNetwork", "AzureLoadBalancer", "one", "two", "three"}
	d.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, name := range names[:d.IntN(6)] {
		g := config.AddressGroup{Name: name}
		for range d.IntN(20) {
			g.Addresses = append(g.Addresses, d.prefix())
		}
		list = append(list, g)
	}
	return list
}

// group makes a group of n rules; priorities are as good as unique.
func (d dice) group(n int, groups []config.AddressGroup) (g config.SecurityGroup) {
	for i := range n {
		g.Rules = append(g.Rules, config.SecurityRule{
			Name: fmt.Sprintf("rule-%d", i), Priority: 100 + d.IntN(60_000), Allow: d.IntN(2) == 0,
			Protocol: config.SecurityProtocol(d.IntN(3)),
			Source:   d.match(groups), SourcePorts: d.ports(),
			Destination: d.match(groups), DestinationPorts: d.ports(),
		})
	}
	return g
}

// packet makes one that may lie at the edge of one of the prefixes.
func (d dice) packet(g config.SecurityGroup) Packet {
	end := func(m func(config.SecurityRule) config.AddressMatch) netip.AddrPort {
		a := d.addr()
		if len(g.Rules) > 0 && d.IntN(2) == 0 {
			if list := m(g.Rules[d.IntN(len(g.Rules))]).Prefixes; len(list) > 0 {
				a = list[d.IntN(len(list))].Masked().Addr()
				if prev := a.Prev(); prev.IsValid() && d.IntN(2) == 0 {
					a = prev
				}
			}
		}
		if d.IntN(200) == 0 {
			a = netip.Addr{}
		}
		return netip.AddrPortFrom(a, uint16(d.port()))
	}
	return Packet{
		Source:      end(func(r config.SecurityRule) config.AddressMatch { return r.Source }),
		Destination: end(func(r config.SecurityRule) config.AddressMatch { return r.Destination }),
		UDP:         d.IntN(2) == 0,
	}
}
