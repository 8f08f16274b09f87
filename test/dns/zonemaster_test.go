package dns

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gatehouse/internal/testkit"
)

// The response comes from the address that was asked, on a socket of all
// addresses too (NAMESERVER04): a connected socket takes no other.
func TestResponsesComeFromWhereTheQueryWent(t *testing.T) {
	for _, tt := range []struct {
		listen    string
		addresses []string
	}{
		{"0.0.0.0", []string{"127.0.0.1", "127.0.0.9", "127.9.9.9"}},
		{"[::]", []string{"127.0.0.1", "127.0.0.9", "::1"}},
	} {
		_, port, err := net.SplitHostPort(testkit.FreeAddr(t))
		if err != nil {
			t.Fatal(err)
		}
		admin := testkit.FreeAddr(t)
		p := testkit.Run(t, trafficmgr, "run", "-c", testkit.Config(t, fmt.Sprintf("admin: {address: %q}\nlisten: [{address: %q}]\n", admin, tt.listen+":"+port)+zoned(t, head)))
		p.WaitReady("http://"+admin+"/readyz", 20*time.Second)
		for _, address := range tt.addresses {
			for _, network := range []string{"udp", "tcp"} {
				m := (door{network, net.JoinHostPort(address, port)}).ask(t, query(t, dns.TypeSOA))
				if len(m.Answer) != 1 {
					t.Errorf("%s of %s over %s:\n%s", address, tt.listen, network, m)
				}
			}
		}
	}
}

// Two servers of one configuration say the same of the zone, whatever each of
// them thinks of the endpoints (CONSISTENCY01 to 06), and another
// configuration has another serial.
func TestServersOfOneConfigurationAgree(t *testing.T) {
	port, list := sites(t, "127.0.0.21", "127.0.0.22")
	first := start(t, configuration(port))
	list[0].down.Store(true)
	second := start(t, configuration(port))
	second.eventually(t, "www.lab.test.", "127.0.0.22")
	first.command(t, "disable", "all/a")
	third := start(t, configuration(port)+"  - {name: more, zone: lab.test, routing: priority, endpoints: [{name: x, target: 192.0.2.1}]}\nnsid: third\n")
	for _, qtype := range []uint16{dns.TypeSOA, dns.TypeNS} {
		var said []string
		for _, p := range []*process{first, second, third} {
			for _, network := range []string{"udp", "tcp"} {
				m := (door{network, p.address}).ask(t, query(t, qtype))
				said = append(said, fmt.Sprint(m.Answer, m.Ns, m.Extra))
			}
		}
		for i, s := range said {
			if s != said[0] {
				t.Errorf("server %d says %s, the first %s", i/2+1, s, said[0])
			}
		}
	}
	other := start(t, strings.Replace(configuration(port), "ns1.other.test", "ns2.other.test", 1))
	if a, b := serialOf(t, first), serialOf(t, other); a == b {
		t.Errorf("another zone has the same serial %d", a)
	}
}

func serialOf(t *testing.T, p *process) uint32 {
	t.Helper()
	return (door{"udp", p.address}).ask(t, query(t, dns.TypeSOA)).Answer[0].(*dns.SOA).Serial
}

// What Zonemaster asks of a server besides, beginning with what BASIC and
// DELEGATION04 need.
func TestZonemaster(t *testing.T) {
	_, doors := startDoors(t, zoned(t, head+"big TXT "+strings.Repeat(`"0123456789012345678901234567890123456789012345678901234567890123456789" `, 10)+"\n"))
	const ns = "NOERROR aa | lab.test. 600 NS ns1.lab.test., lab.test. 600 NS ns2.other.test."
	recursion := func(m *dns.Msg) { m.RecursionDesired = true }
	through(t, doors, []row{
		{"BASIC02, DELEGATION04", query(t, dns.TypeNS, named("lab.test.")), ns},
		{"DELEGATION06", query(t, dns.TypeSOA, named("lab.test.")), "NOERROR aa | lab.test. 900 SOA"},
		{"NAMESERVER01", about(t, "xn--alpha.zonemaster.test.", dns.TypeA, recursion), "REFUSED rd"},
		{"NAMESERVER02", query(t, dns.TypeSOA, named("lab.test."), edns(0, false)), "NOERROR aa | lab.test. 900 SOA | EDNS0"},
		{"NAMESERVER05, no address", query(t, dns.TypeAAAA, named("ns1.lab.test.")), nothing},
		{"NAMESERVER07", query(t, dns.TypeNS, named(".")), "REFUSED"},
		{"NAMESERVER08, 09", query(t, dns.TypeNS, named("lAB.tESt.")), strings.ReplaceAll(ns, "lab.test. 600", "lAB.tESt. 600")},
		{"NAMESERVER10", query(t, dns.TypeSOA, named("lab.test."), edns(1, false)), "BADVERS | EDNS0"},
		{"NAMESERVER11", query(t, dns.TypeSOA, named("lab.test."), edns(0, false, &dns.EDNS0_LOCAL{Code: 137})), "NOERROR aa | lab.test. 900 SOA | EDNS0"},
		{"NAMESERVER12", query(t, dns.TypeSOA, named("lab.test."), edns(0, false), func(m *dns.Msg) { m.IsEdns0().SetZ(3) }), "NOERROR aa | lab.test. 900 SOA | EDNS0"},
		{"NAMESERVER14", query(t, dns.TypeSOA, named("lab.test."), edns(1, false, &dns.EDNS0_LOCAL{Code: 137})), "BADVERS | EDNS0"},
	})
	const cut = "NOERROR aa tc | EDNS0"
	through(t, doors[:1], []row{{"NAMESERVER13", about(t, "big", dns.TypeTXT, func(m *dns.Msg) { m.SetEdns0(512, false) }), cut}})
}
