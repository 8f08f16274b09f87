package secgroup

import (
	"net/netip"

	"gatehouse/config"
)

// condition is what a packet must be for a rule to match.
type condition struct {
	protocol                      config.SecurityProtocol
	source, destination           addressTest
	sourcePorts, destinationPorts portTest
}

// addressTest is passed by the addresses of all its sets together.
type addressTest struct {
	any bool
	of  []*addresses
}

// portTest is passed by ports.
type portTest struct {
	any bool
	in  ranges
}

func conditionOf(r *config.SecurityRule, groups names) condition {
	return condition{
		protocol: r.Protocol,
		source:   addressTestOf(r.Source, groups), destination: addressTestOf(r.Destination, groups),
		sourcePorts: portTestOf(r.SourcePorts), destinationPorts: portTestOf(r.DestinationPorts),
	}
}

func addressTestOf(m config.AddressMatch, groups names) addressTest {
	if m.Any {
		return addressTest{any: true}
	}
	t := addressTest{}
	if len(m.Prefixes) > 0 {
		t.of = append(t.of, addressesOf(m.Prefixes))
	}
	for _, name := range m.Groups {
		if a := groups[name]; a != nil {
			t.of = append(t.of, a)
		}
	}
	return t
}

func portTestOf(list []config.PortRange) portTest {
	if len(list) == 0 {
		return portTest{any: true}
	}
	var spans []span
	for _, r := range list {
		first, last := max(r.First, 0), min(r.Last, 1<<16-1)
		if first <= last {
			spans = append(spans, span{key{lo: uint64(first)}, key{lo: uint64(last)}})
		}
	}
	return portTest{in: merged(spans)}
}

func (t *addressTest) passes(a netip.Addr) bool {
	if t.any {
		return true
	}
	for _, set := range t.of {
		if set.contains(a) {
			return true
		}
	}
	return false
}

func (t *portTest) passes(port uint16) bool {
	return t.any || t.in.contains(key{lo: uint64(port)})
}

func passesProtocol(want config.SecurityProtocol, udp bool) bool {
	return want == config.SecurityAny || udp == (want == config.SecurityUDP)
}

// met says whether a packet, whose addresses are not IPv4-mapped, is what the
// rule is about.
func (c *condition) met(p *Packet) bool {
	return passesProtocol(c.protocol, p.UDP) &&
		c.destinationPorts.passes(p.Destination.Port()) && c.sourcePorts.passes(p.Source.Port()) &&
		c.source.passes(p.Source.Addr()) && c.destination.passes(p.Destination.Addr())
}

// miss says what of the packet is not what the rule is about.
func (c *condition) miss(p *Packet) (m Mismatch) {
	for _, test := range [...]struct {
		passed bool
		what   Mismatch
	}{
		{passesProtocol(c.protocol, p.UDP), MissProtocol},
		{c.source.passes(p.Source.Addr()), MissSource},
		{c.sourcePorts.passes(p.Source.Port()), MissSourcePort},
		{c.destination.passes(p.Destination.Addr()), MissDestination},
		{c.destinationPorts.passes(p.Destination.Port()), MissDestinationPort},
	} {
		if !test.passed {
			m |= test.what
		}
	}
	return m
}
