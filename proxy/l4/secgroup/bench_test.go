package secgroup

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"gatehouse/config"
)

// Packets come from all over the place, and half of them are for a rule.
func BenchmarkDecide(b *testing.B) {
	for _, shape := range []struct {
		name string
		make func(n int) config.SecurityGroup
	}{
		{"distinct", func(n int) config.SecurityGroup { return distinct(n, 10) }},
		{"wide", func(n int) config.SecurityGroup { return wide(n, 10) }},
		{"oneport", onePort},
		{"mixed", mixed},
	} {
		for _, n := range []int{10, 1000, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", shape.name, n), func(b *testing.B) { benchmarkDecide(b, shape.make(n)) })
		}
	}
}

func benchmarkDecide(b *testing.B, conf config.SecurityGroup) {
	g := Compile(conf, nil)
	d := dice{rand.New(rand.NewPCG(3, 4))}
	packets := make([]Packet, 1<<12)
	for i := range packets {
		r := conf.Rules[d.IntN(len(conf.Rules))]
		packets[i] = Packet{aim(d, r.Source, 1+d.IntN(60000)), aim(d, r.Destination, port(d, r)), false}
	}
	b.ReportMetric(float64(g.index.bytes())/1e6, "MB")
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		g.Decide(packets[i%len(packets)])
	}
}

func aim(d dice, m config.AddressMatch, port int) netip.AddrPort {
	a := d.Uint32()
	addr := netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)})
	if len(m.Prefixes) > 0 && d.IntN(2) == 0 {
		addr = m.Prefixes[d.IntN(len(m.Prefixes))].Addr()
	}
	return netip.AddrPortFrom(addr, uint16(port))
}

func port(d dice, r config.SecurityRule) int {
	if len(r.DestinationPorts) > 0 {
		return r.DestinationPorts[0].First
	}
	return d.IntN(1 << 16)
}

// onePort lets known clients to one port each of which has a rule of its own.
func onePort(n int) config.SecurityGroup {
	g := distinct(n, 10)
	for i := range g.Rules {
		g.Rules[i].Destination = anybody
		g.Rules[i].DestinationPorts = []config.PortRange{{First: 443, Last: 443}}
	}
	return g
}

// mixed has rules for clients, for addresses and for ports in turn.
func mixed(n int) config.SecurityGroup {
	g := distinct(n, 10)
	for i := range g.Rules {
		r := &g.Rules[i]
		switch i % 3 {
		case 0:
			r.Destination, r.DestinationPorts = anybody, nil
		case 1:
			r.Source, r.DestinationPorts = anybody, nil
		case 2:
			r.Source, r.Destination = anybody, anybody
		}
	}
	return g
}

func BenchmarkCompile(b *testing.B) {
	for _, shape := range []struct {
		name string
		make func(n, prefixes int) config.SecurityGroup
	}{{"distinct", distinct}, {"wide", wide}} {
		for _, n := range []int{10, 1000, 10_000} {
			conf := shape.make(n, 10)
			b.Run(fmt.Sprintf("%s/%d", shape.name, n), func(b *testing.B) {
				for b.Loop() {
					Compile(conf, nil)
				}
			})
		}
	}
}
