package secgroup

import (
	"net/netip"

	"gatehouse/config"
)

// addresses is a set of them. A group's is shared by all rules that name it.
type addresses struct{ v4, v6 ranges }

// addressesOf collects prefixes. IPv4-mapped ones count as IPv4.
func addressesOf(prefixes []netip.Prefix) *addresses {
	var v4, v6 []span
	for _, p := range prefixes {
		switch {
		case !p.IsValid():
		case p.Addr().Is4In6() && p.Bits() >= 96:
			v4 = append(v4, spanOf(netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)))
		case p.Addr().Is4():
			v4 = append(v4, spanOf(p))
		default:
			v6 = append(v6, spanOf(p))
		}
	}
	return &addresses{merged(v4), merged(v6)}
}

func spanOf(p netip.Prefix) span {
	first := keyOf(p.Masked().Addr())
	last, host := first, p.Addr().BitLen()-p.Bits()
	if host > 64 {
		last.hi |= 1<<(host-64) - 1
		host = 64
	}
	last.lo |= 1<<host - 1 // 1<<64 is 0, less 1 all bits
	return span{first, last}
}

// contains says whether an address is in the set; one that is not valid never
// is.
func (a *addresses) contains(ip netip.Addr) bool {
	switch {
	case !ip.IsValid():
		return false
	case ip.Is4():
		return a.v4.contains(keyOf(ip))
	}
	return a.v6.contains(keyOf(ip))
}

// without is every address that is not in the set.
func (a *addresses) without() *addresses {
	return &addresses{a.v4.without(top4), a.v6.without(top6)}
}

// near is VirtualNetwork where nobody says otherwise: what is not routed on
// the internet (RFC 1918, RFC 6598, RFC 4193, RFC 4291), and this machine.
func near() *addresses {
	var list []netip.Prefix
	for _, s := range []string{
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8",
		"fc00::/7", "fe80::/10", "::1/128",
	} {
		list = append(list, netip.MustParsePrefix(s))
	}
	return addressesOf(list)
}

// names are the address groups that rules may name, and those that are always
// there (Azure: service tags).
type names map[string]*addresses

func namesOf(groups []config.AddressGroup) names {
	n := names{config.GroupVirtualNetwork: near(), config.GroupAzureLoadBalancer: {}}
	for _, g := range groups {
		n[g.Name] = addressesOf(g.Addresses)
	}
	n[config.GroupInternet] = n[config.GroupVirtualNetwork].without()
	return n
}
