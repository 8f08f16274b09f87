package main

import "net/netip"

// The addresses that have no place, whatever a table says: those that IANA's
// special-purpose registries (RFC 6890 and its updates) call not globally
// reachable, what they keep for tunnels and documentation, multicast, and all
// that is not IPv6 global unicast (2000::/3).
var (
	special4 = spans(
		"0.0.0.0-0.255.255.255",
		"10.0.0.0-10.255.255.255",
		"100.64.0.0-100.127.255.255",
		"127.0.0.0-127.255.255.255",
		"169.254.0.0-169.254.255.255",
		"172.16.0.0-172.31.255.255",
		"192.0.0.0-192.0.0.255",
		"192.0.2.0-192.0.2.255",
		"192.88.99.0-192.88.99.255",
		"192.168.0.0-192.168.255.255",
		"198.18.0.0-198.19.255.255",
		"198.51.100.0-198.51.100.255",
		"203.0.113.0-203.0.113.255",
		"224.0.0.0-255.255.255.255",
	)
	special6 = spans(
		"::-1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		"2001::-2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", // protocol assignments, Teredo among them
		"2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
		"2002::-2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", // 6to4
		"3fff::-3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
		"4000::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	)
)

func spans(texts ...string) []span {
	var list []span
	for _, t := range texts {
		for i := range t {
			if t[i] == '-' {
				list = append(list, span{first: netip.MustParseAddr(t[:i]), last: netip.MustParseAddr(t[i+1:])})
			}
		}
	}
	return list
}
