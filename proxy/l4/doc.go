// Package l4 decides what becomes of TCP and UDP flows: which rule a flow is
// under, whether it is let in, which member of a pool it goes to, and which
// flows there are. It has no sockets; whatever carries the bytes asks it.
//
// A [Balancer] is a configuration compiled. It is replaced as a whole when
// the configuration changes, and what lasts longer than a configuration
// (verdicts, counts, what an operator has drained) lives in a [State] that
// goes from one balancer to the next.
//
// The choice of a member depends on the configuration, its seed, the flow and
// the members' health alone: instances that agree on these choose alike.
package l4

import (
	"net/netip"

	"gatehouse/config"
	"gatehouse/proxy/balance"
)

// Protocol is that of a flow.
type Protocol uint8

// The protocols, by their IANA numbers.
const (
	TCP Protocol = 6
	UDP Protocol = 17
)

// String is tcp or udp.
func (p Protocol) String() string {
	if p == UDP {
		return "udp"
	}
	return "tcp"
}

// Tuple is who talks to whom. Addresses are not IPv4-mapped and have no zone.
type Tuple struct {
	Protocol Protocol
	Client   netip.AddrPort
	Frontend netip.AddrPort // where the client connected to
}

// hash is what chooses the member. With sourceIP neither ports nor the rule
// go into it, so that rules that share a pool send a client to one member.
func (t *Tuple) hash(d config.Distribution, seed uint64) uint64 {
	h := mixAddr(mixAddr(seed, t.Client.Addr()), t.Frontend.Addr())
	switch d {
	case config.DistributeSourceIP:
		return h
	case config.DistributeSourceIPProtocol:
		return balance.Mix(h, uint64(t.Protocol))
	}
	return balance.Mix(h, uint64(t.Protocol)<<32|uint64(t.Client.Port())<<16|uint64(t.Frontend.Port()))
}

func mixAddr(h uint64, a netip.Addr) uint64 {
	if a.Is4() {
		b := a.As4()
		return balance.Mix(h, 1<<40|uint64(b[0])<<24|uint64(b[1])<<16|uint64(b[2])<<8|uint64(b[3]))
	}
	b := a.As16()
	for _, half := range [2][]byte{b[:8], b[8:]} {
		var n uint64
		for _, x := range half {
			n = n<<8 | uint64(x)
		}
		h = balance.Mix(h, n)
	}
	return h
}
