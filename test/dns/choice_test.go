package dns

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const choices = `
zones: [{name: lab.test, nameServers: [ns1.other.test, ns2.other.test]}]
profiles:
  - {name: weighted, zone: lab.test, routing: weighted, monitor: {protocol: none}, endpoints: [{name: a, target: 192.0.2.1, weight: 10}, {name: b, target: 192.0.2.2, weight: 20}, {name: c, target: 192.0.2.3, weight: 70}]}
  - {name: multi, zone: lab.test, routing: multiValue, maxReturn: 2, monitor: {protocol: none}, endpoints: [{name: a, target: 192.0.2.1}, {name: b, target: 192.0.2.2}, {name: c, target: 192.0.2.3}, {name: d, target: 192.0.2.4}]}
  - {name: tie, zone: lab.test, routing: performance, monitor: {protocol: none}, endpoints: [{name: a, target: 192.0.2.1, location: West Europe}, {name: b, target: 192.0.2.2, location: West Europe}]}
  - {name: geo, zone: lab.test, routing: geographic, monitor: {protocol: none}, endpoints: [{name: a, target: 192.0.2.1, geo: [DE, US-CA]}, {name: b, target: 192.0.2.2, geo: [GEO-EU, US]}, {name: c, target: 192.0.2.3, geo: [WORLD]}]}
  - {name: perf, zone: lab.test, routing: performance, monitor: {protocol: none}, endpoints: [{name: a, target: 192.0.2.1, location: West Europe}, {name: b, target: 192.0.2.2, location: East US}, {name: c, target: 192.0.2.3, location: Japan East, subnets: [5.5.0.0/19]}]}
  - {name: subnet, zone: lab.test, routing: subnet, monitor: {protocol: none}, endpoints: [{name: a, target: 192.0.2.1, subnets: [10.0.0.0-10.77.3.200, 64.0.0.0/3, "2001:db8::/33"]}, {name: b, target: 192.0.2.2, subnets: [10.128.0.0/9, "2001:db8:8000::/33"]}, {name: c, target: 192.0.2.3}]}
`

// Draws are as often as they should be, on one socket of each kind. The
// thresholds of chi-square are those of one failure in 100 million runs.
func TestDrawsAreFair(t *testing.T) {
	p := start(t, choices)
	const n = 5000
	for _, tt := range []struct {
		name   string
		shares map[string]float64
		most   float64
	}{
		{"weighted", map[string]float64{"192.0.2.1": .1, "192.0.2.2": .2, "192.0.2.3": .7}, 36.8},
		{"tie", map[string]float64{"192.0.2.1": .5, "192.0.2.2": .5}, 32.8},
		{"multi", map[string]float64{"192.0.2.1 192.0.2.2": 1. / 6, "192.0.2.1 192.0.2.3": 1. / 6, "192.0.2.1 192.0.2.4": 1. / 6,
			"192.0.2.2 192.0.2.3": 1. / 6, "192.0.2.2 192.0.2.4": 1. / 6, "192.0.2.3 192.0.2.4": 1. / 6}, 46.0},
	} {
		msg := new(dns.Msg)
		if err := msg.Unpack(about(t, tt.name, dns.TypeA)); err != nil {
			t.Fatal(err)
		}
		for _, network := range []string{"udp", "tcp"} {
			c, err := dns.DialTimeout(network, p.address, patience)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(120 * time.Second))
			counts := map[string]int{}
			for range n {
				if err := c.WriteMsg(msg); err != nil {
					t.Fatal(err)
				}
				r, err := c.ReadMsg()
				if err != nil {
					t.Fatal(err)
				}
				counts[short(r)]++
			}
			chi, sum := 0.0, 0
			for answer, share := range tt.shares {
				diff := float64(counts[answer]) - n*share
				chi += diff * diff / (n * share)
				sum += counts[answer]
			}
			if chi > tt.most || sum != n {
				t.Errorf("%s over %s: chi-square %.1f, counts %v", tt.name, network, chi, counts)
			}
		}
	}
}

// Whoever is in the scope of an answer gets the same one and the same scope,
// asked for alone or as a network (RFC 7871 7.2.1, 7.3.1): a resolver that
// keeps the answer for all of them does nobody wrong.
func TestScopesHold(t *testing.T) {
	p := start(t, choices)
	r := rand.New(rand.NewPCG(1, 7871))
	for _, network := range []string{"udp", "tcp"} {
		c, err := dns.DialTimeout(network, p.address, patience)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(120 * time.Second))
		for i := range 150 {
			client := random(r, netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(1 + r.IntN(222))}), 8))
			if i%3 == 0 {
				client = random(r, netip.MustParsePrefix([]string{"2000::/4", "2001:db8::/32", "2600::/7"}[r.IntN(3)]))
			}
			for _, name := range []string{"geo", "perf", "subnet"} {
				checkScope(t, c, r, name, client)
			}
		}
	}
}

// checkScope asks for a client and for others in the scope that comes back.
func checkScope(t *testing.T, c *dns.Conn, r *rand.Rand, name string, client netip.Addr) {
	t.Helper()
	alone := netip.PrefixFrom(client, client.BitLen())
	want, scope := scoped(t, c, name, alone)
	for range 23 {
		if name != "perf" {
			break
		}
		if got, _ := scoped(t, c, name, alone); got != want {
			return // regions that are equally near are drawn from
		}
	}
	all := netip.PrefixFrom(client, scope).Masked()
	networks := []netip.Prefix{all}
	if scope == 0 {
		networks = nil // that would say that the client's place must not count
	}
	for range 4 {
		networks = append(networks, netip.PrefixFrom(random(r, all), client.BitLen()))
	}
	for _, n := range networks {
		if got, s := scoped(t, c, name, n); got != want || s != scope {
			t.Errorf("%s over %s: %s for %s and all of %s, but %s with scope %d for %s", name, c.LocalAddr().Network(), want, client, all, got, s, n)
		}
	}
}

// scoped asks for a name on behalf of a network and returns the addresses and
// their scope.
func scoped(t *testing.T, c *dns.Conn, name string, network netip.Prefix) (answer string, scope int) {
	t.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(about(t, name, dns.TypeA, edns(0, false, subnet(network.String())))); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteMsg(m); err != nil {
		t.Fatal(err)
	}
	in, err := c.ReadMsg()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range in.IsEdns0().Option {
		if s, ok := o.(*dns.EDNS0_SUBNET); ok && int(s.SourceNetmask) == network.Bits() && s.Address.Equal(network.Addr().AsSlice()) {
			return short(in), int(s.SourceScope)
		}
	}
	t.Fatalf("%s for %s: the subnet did not come back\n%s", name, network, in)
	return "", 0
}

// random is an address in a prefix.
func random(r *rand.Rand, p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := range b {
		switch kept := p.Bits() - 8*i; {
		case kept <= 0:
			b[i] = byte(r.Uint32())
		case kept < 8:
			b[i] = b[i]&^(0xff>>kept) | byte(r.Uint32())&(0xff>>kept)
		}
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
