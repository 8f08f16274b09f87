package secgroup

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"gatehouse/config"
)

func packet(source, destination string) Packet {
	return Packet{Source: netip.MustParseAddrPort(source), Destination: netip.MustParseAddrPort(destination)}
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

var anybody = config.AddressMatch{Any: true}

func TestDefaultRulesDecideWhereNoOtherDoes(t *testing.T) {
	plain := Compile(config.SecurityGroup{}, nil)
	defined := Compile(config.SecurityGroup{}, []config.AddressGroup{
		{Name: "VirtualNetwork", Addresses: prefixes("203.0.113.0/24")},
		{Name: "AzureLoadBalancer", Addresses: prefixes("168.63.129.16/32")},
	})
	const vnet, probe, deny = "DefaultRule_AllowVnetInBound", "DefaultRule_AllowAzureLoadBalancerInBound", "DefaultRule_DenyAllInBound"
	for _, tt := range []struct {
		name, source, destination string
		group                     *Group
		want                      string
	}{
		{"private", "10.255.255.255:1", "192.168.0.1:80", plain, vnet},
		{"behind private", "11.0.0.0:1", "192.168.0.1:80", plain, deny},
		{"172.16/12", "172.31.255.255:1", "172.16.0.0:1", plain, vnet},
		{"behind 172.16/12", "172.32.0.0:1", "172.16.0.0:1", plain, deny},
		{"shared", "100.64.0.1:1", "100.127.255.255:1", plain, vnet},
		{"unique local", "[fd00::1]:1", "[fc00::1]:1", plain, vnet},
		{"link-local with zone", "[fe80::1%eth0]:1", "[febf::1]:1", plain, vnet},
		{"loopback", "127.0.0.1:1", "[::1]:1", plain, vnet},
		{"mapped", "[::ffff:10.0.0.1]:1", "[::ffff:192.168.0.1]:1", plain, vnet},
		{"from the internet", "8.8.8.8:1", "10.0.0.1:80", plain, deny},
		{"to the internet", "10.0.0.1:80", "8.8.8.8:1", plain, deny},
		{"nobody is a load balancer", "168.63.129.16:1", "10.0.0.1:80", plain, deny},
		{"virtual network defined", "203.0.113.1:1", "203.0.113.255:1", defined, vnet},
		{"private no more", "10.0.0.1:1", "10.0.0.2:1", defined, deny},
		{"load balancer defined", "168.63.129.16:1", "8.8.8.8:80", defined, probe},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := tt.group.Decide(packet(tt.source, tt.destination))
			if d.Rule.Name != tt.want || d.Allow != (tt.want != deny) || !d.Rule.Default || d.Allow != d.Rule.Allow {
				t.Errorf("%v by %+v, want %s", d.Allow, d.Rule, tt.want)
			}
		})
	}
}

func TestLowestPriorityThatMatchesDecides(t *testing.T) {
	g := Compile(config.SecurityGroup{Rules: []config.SecurityRule{
		{Name: "web", Priority: 300, Allow: true, Protocol: config.SecurityTCP, Source: config.AddressMatch{Groups: []string{"Internet"}},
			Destination: anybody, DestinationPorts: []config.PortRange{{First: 80, Last: 80}, {First: 443, Last: 443}}},
		{Name: "scanner", Priority: 100, Source: config.AddressMatch{Prefixes: prefixes("198.51.100.0/24")}, Destination: anybody},
		{Name: "privileged", Priority: 200, Source: anybody, Destination: anybody, SourcePorts: []config.PortRange{{First: 0, Last: 1023}}},
		{Name: "v6", Priority: 400, Allow: true, Source: config.AddressMatch{Prefixes: prefixes("::/0")}, Destination: config.AddressMatch{Prefixes: prefixes("2001:db8::5/128")}},
		{Name: "mapped", Priority: 410, Allow: true, Source: config.AddressMatch{Prefixes: prefixes("::ffff:9.0.0.0/104")}, Destination: anybody},
		{Name: "nobody", Priority: 101, Allow: true, Destination: anybody},
		{Name: "unknown", Priority: 102, Allow: true, Source: config.AddressMatch{Groups: []string{"what"}}, Destination: anybody},
	}}, nil)
	for _, tt := range []struct {
		name, source, destination string
		udp                       bool
		want                      string
	}{
		{"allowed", "8.8.8.8:5000", "192.0.2.1:443", false, "web"},
		{"other protocol", "8.8.8.8:5000", "192.0.2.1:443", true, "DefaultRule_DenyAllInBound"},
		{"other port", "8.8.8.8:5000", "192.0.2.1:81", false, "DefaultRule_DenyAllInBound"},
		{"earlier prefix", "198.51.100.9:5000", "192.0.2.1:443", false, "scanner"},
		{"earlier source port", "8.8.8.8:1023", "192.0.2.1:443", false, "privileged"},
		{"not from the internet", "10.0.0.1:5000", "192.0.2.1:443", false, "DefaultRule_DenyAllInBound"},
		{"IPv6 on the internet", "[2a00::1]:5000", "192.0.2.1:80", false, "web"},
		{"host prefix", "[2a00::1]:5000", "[2001:db8::5]:7", true, "v6"},
		{"beside host prefix", "[2a00::1]:5000", "[2001:db8::6]:7", true, "DefaultRule_DenyAllInBound"},
		{"IPv4 is not in ::/0", "8.8.8.8:5000", "[2001:db8::5]:7", true, "DefaultRule_DenyAllInBound"},
		{"mapped is IPv4", "9.1.2.3:5000", "192.0.2.1:7", true, "mapped"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := packet(tt.source, tt.destination)
			p.UDP = tt.udp
			if d := g.Decide(p); d.Rule.Name != tt.want {
				t.Errorf("decided by %+v, want %s", d.Rule, tt.want)
			}
		})
	}
	open := Compile(config.SecurityGroup{Rules: []config.SecurityRule{
		{Name: "all", Priority: 100, Allow: true, Source: anybody, Destination: anybody},
	}}, nil)
	if d := open.Decide(packet("8.8.8.8:1", "9.9.9.9:1")); d.Rule.Name != "all" || !d.Allow {
		t.Errorf("a rule for everything: %+v", d.Rule)
	}
	if d := g.Decide(Packet{}); d.Rule.Name != "privileged" || d.Allow {
		t.Errorf("without addresses: %+v", d.Rule)
	}
}

// The index must be a faster way to the same answer: many random groups whose
// rules overlap, also with tables so small that intervals are taken together
// and rules compared themselves.
func TestDecisionsAreThoseOfTheFirstMatch(t *testing.T) {
	rounds := 200
	if testing.Short() {
		rounds = 60
	}
	budgets := []int{1, 50, 500, 5000, tableBudget}
	var byUser, inexact int
	for round := range rounds {
		d := dice{rand.New(rand.NewPCG(7, uint64(round)))}
		n := d.IntN(150)
		if round%50 == 49 {
			n = 4000 + d.IntN(5000) // several blocks
		}
		groups := d.groups()
		conf := d.group(n, groups)
		g, want := compile(conf, groups, budgets[d.IntN(len(budgets))]), newNaive(conf, groups)
		if !g.index.exact {
			inexact++
		}
		for range 400 {
			p := d.packet(conf)
			name, allow := want.decide(p)
			got := g.Decide(p)
			if got.Rule.Name != name || got.Allow != allow {
				t.Fatalf("round %d, %d rules, %+v: %v by %s, want %v by %s", round, n, p, got.Allow, got.Rule.Name, allow, name)
			}
			if steps := g.Explain(p); steps[len(steps)-1].Rule != got.Rule {
				t.Fatalf("round %d, %+v: Explain ends with %s, decided by %s", round, p, steps[len(steps)-1].Rule.Name, name)
			}
			if !got.Rule.Default {
				byUser++
			}
		}
	}
	// The rules would prove nothing if they were never met.
	if byUser < rounds*100 || inexact < rounds/5 || inexact > rounds*4/5 {
		t.Errorf("%d of %d decisions by rules of the configuration, %d of %d groups are not exact", byUser, rounds*400, inexact, rounds)
	}
}

// distinct is a group whose rules have prefixes of their own for both ends, as
// lists of known addresses have.
func distinct(n, prefixes int) config.SecurityGroup {
	d := dice{rand.New(rand.NewPCG(1, 2))}
	own := func() (m config.AddressMatch) {
		for range prefixes {
			a := d.Uint32()
			m.Prefixes = append(m.Prefixes, netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)}), 20+d.IntN(13)).Masked())
		}
		return m
	}
	g := config.SecurityGroup{}
	for i := range n {
		g.Rules = append(g.Rules, config.SecurityRule{
			Name: fmt.Sprint("r", i), Priority: 100 + i, Allow: i%2 == 0, Protocol: config.SecurityTCP, Source: own(), Destination: own(),
			DestinationPorts: []config.PortRange{{First: i % 5000, Last: i%5000 + 10}},
		})
	}
	return g
}

// wide is a group half of whose prefixes are so short that hundreds of rules
// overlap everywhere, and the other half long, so that there are many places.
func wide(n, prefixes int) config.SecurityGroup {
	g := distinct(n, prefixes)
	for i := range g.Rules {
		for _, list := range [][]netip.Prefix{g.Rules[i].Source.Prefixes, g.Rules[i].Destination.Prefixes} {
			for j := 0; j < len(list); j += 2 {
				list[j] = netip.PrefixFrom(list[j].Addr(), 4+list[j].Bits()%7)
			}
		}
	}
	return g
}

func (x *index) bytes() (n int) {
	for i := range x.by {
		n += x.by[i].v4.bytes() + x.by[i].v6.bytes() + 8*len(x.by[i].any.words)
	}
	return n
}

func TestMemoryIsBounded(t *testing.T) {
	for _, tt := range []struct {
		name   string
		group  config.SecurityGroup
		budget int
		exact  bool
		most   int // bytes
	}{
		{"distinct", distinct(10_000, 10), tableBudget, true, 6 << 20},
		// Two tables of that budget, and where intervals begin.
		{"wide", wide(3000, 10), 64 << 10, false, 2*(64<<10)*8 + 1<<20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := compile(tt.group, nil, tt.budget)
			if got := g.index.bytes(); got > tt.most || g.index.exact != tt.exact {
				t.Errorf("%d bytes, exact %v; want at most %d, %v", got, g.index.exact, tt.most, tt.exact)
			}
		})
	}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	g := Compile(distinct(1000, 3), nil)
	p := packet("[::ffff:8.8.8.8]:1", "[2001:db8::1]:80")
	if n := testing.AllocsPerRun(100, func() { g.Decide(p) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
