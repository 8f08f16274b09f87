package dns

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gatehouse/internal/testkit"
)

// from asks for the addresses of a name on behalf of a network.
func from(t *testing.T, d door, name, network string) string {
	t.Helper()
	return short(d.ask(t, about(t, name, dns.TypeA, edns(0, false, subnet(network)))))
}

// Each method in each bad case, as health changes: the client is in the
// Netherlands, in the network of the first endpoint. What is separated by a
// stroke is either of two. The letters are s, t and r for the three addresses.
func TestServingMatrixOnSockets(t *testing.T) {
	port, list := sites(t, "127.0.0.31", "127.0.0.32", "127.0.0.33")
	const places = `endpoints: [{name: a, target: 127.0.0.31, geo: [NL], location: West Europe, subnets: SUBNET1}, {name: b, target: 127.0.0.32, geo: [GEO-EU], location: East US, subnets: SUBNET2}, {name: c, target: 127.0.0.33, geo: [WORLD], location: Japan East}]`
	profile := func(name, routing, more string) string {
		text := fmt.Sprintf("  - {name: %s, zone: lab.test, routing: %s, %s %s, %s}\n", name, routing, more, strings.Replace(quick, "PORT", port, 1), places)
		if routing == "subnet" {
			return strings.NewReplacer("SUBNET1", "[193.0.0.0/24]", "SUBNET2", "[198.51.100.0/24]").Replace(text)
		}
		return strings.NewReplacer("SUBNET1", "[]", "SUBNET2", "[]").Replace(text)
	}
	off := func(name, more string, which ...string) string {
		text := profile(name, "priority", more)
		for _, w := range which {
			text = strings.Replace(text, "{name: "+w+", target", "{name: "+w+", enabled: false, target", 1)
		}
		return text
	}
	tests := []struct {
		name, text         string
		well, first, every string // all are well, the first is degraded, all are
	}{
		{"priority", profile("priority", "priority", ""), "s", "t", "s"},
		{"weighted", profile("weighted", "weighted", ""), "s/t/r", "t/r", "s/t/r"},
		{"performance", profile("performance", "performance", ""), "s", "t", "s"},
		{"geographic", profile("geographic", "geographic", ""), "s", "t", "s"},
		{"geoazure", profile("geoazure", "geographic", "onUnhealthy: serve,"), "s", "s", "s"},
		{"geoempty", profile("geoempty", "geographic", "onUnhealthy: nodata,"), "s", "", ""},
		{"multi", profile("multi", "multiValue", "maxReturn: 3,"), "s t r", "t r", "s t r"},
		{"subnet", profile("subnet", "subnet", ""), "s", "r", "s"},
		{"subazure", profile("subazure", "subnet", "onUnhealthy: serve,"), "s", "s", "s"},
		{"one-off", off("one-off", "", "a"), "t", "t", "t"},
		{"all-off", off("all-off", "", "a", "b", "c"), "", "", ""},
		{"all-off-azure", off("all-off-azure", "disabled: nxdomain,", "a", "b", "c"), "NXDOMAIN", "NXDOMAIN", "NXDOMAIN"},
		{"disabled", off("disabled", "enabled: false,"), "", "", ""},
		{"disabled-azure", off("disabled-azure", "enabled: false, disabled: nxdomain,"), "NXDOMAIN", "NXDOMAIN", "NXDOMAIN"},
	}
	text := "zones: [{name: lab.test, nameServers: [ns1.other.test, ns2.other.test]}]\nprofiles:\n"
	for _, tt := range tests {
		text += tt.text
	}
	p := start(t, text)
	letters := strings.NewReplacer("s", "127.0.0.31", "t", "127.0.0.32", "r", "127.0.0.33")
	expand := func(want string) []string {
		if want == "NXDOMAIN" {
			return []string{want}
		}
		return strings.Split(letters.Replace(want), "/")
	}
	phase := func(name string, want func(i int) string) {
		for i, tt := range tests {
			for _, network := range []string{"udp", "tcp"} {
				p.settled(t, name+" over "+network, door{network, p.address}, tt.name, expand(want(i)))
			}
		}
	}
	phase("all well", func(i int) string { return tests[i].well })
	list[0].down.Store(true)
	phase("first degraded", func(i int) string { return tests[i].first })
	for _, s := range list {
		s.down.Store(true)
	}
	phase("all degraded", func(i int) string { return tests[i].every })
}

// settled waits until a name has each of the answers and, for some queries, no
// other.
func (p *process) settled(t *testing.T, phase string, d door, name string, want []string) {
	t.Helper()
	var got string
	seen := map[string]bool{}
	alike := 0
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		got = from(t, d, name, "193.0.0.0/24")
		if !slices.Contains(want, got) {
			clear(seen)
			alike = 0
			time.Sleep(20 * time.Millisecond)
			continue
		}
		seen[got] = true
		if alike++; alike >= 2 && len(seen) == len(want) {
			return
		}
	}
	t.Errorf("%s: %s is %q, seen %v, want %q", phase, name, got, seen, want)
}

// An endpoint that was not asked yet is served, before one that is well.
func TestEndpointsThatAreBeingCheckedAreServed(t *testing.T) {
	_, silent, _ := strings.Cut(testkit.SilentAddr(t), ":")
	p := start(t, fmt.Sprintf(`
zones: [{name: lab.test, nameServers: [ns1.other.test, ns2.other.test]}]
profiles:
  - {name: www, zone: lab.test, routing: priority, monitor: {port: %s, interval: 10m, timeout: 5m}, endpoints: [{name: a, target: 127.0.0.1}, {name: b, target: 127.0.0.22, alwaysServe: true}]}
`, silent))
	for _, network := range []string{"udp", "tcp"} {
		if got := ask(t, p.address, network, "www.lab.test."); got != "127.0.0.1" {
			t.Errorf("%s: %q", network, got)
		}
	}
	if out := p.command(t, "endpoints"); !strings.Contains(out, "CheckingEndpoint") || !strings.Contains(out, "Unmonitored") {
		t.Errorf("endpoints:\n%s", out)
	}
}

// What each kind of endpoint answers to each type of query.
func TestTypesOfEndpoints(t *testing.T) {
	const head, tail = ", zone: lab.test, routing: priority, monitor: {protocol: none}", "]}\n"
	_, doors := startDoors(t, `
zones: [{name: lab.test, nameServers: [ns1.other.test, ns2.other.test]}]
profiles:
`+"  - {name: four"+head+", endpoints: [{name: a, target: 192.0.2.1}"+tail+
		"  - {name: six"+head+`, endpoints: [{name: a, target: "2001:db8::1", port: 8443}`+tail+
		"  - {name: host"+head+", endpoints: [{name: a, target: app.other.test}"+tail+
		"  - {name: both"+head+`, endpoints: [{name: a, target: 192.0.2.1}, {name: b, target: "2001:db8::1"}`+tail+
		"  - {name: late, match: late"+head+`, endpoints: [{name: a, target: 192.0.2.1}, {name: b, target: "2001:db8::1"}`+tail+
		"  - {name: multi, maxReturn: 10"+strings.Replace(head, "priority", "multiValue", 1)+`, endpoints: [{name: a, target: 192.0.2.1}, {name: b, target: "2001:db8::1"}`+tail+
		"  - {name: outer"+head+", endpoints: [{name: a, profile: host}"+tail)
	const nodata, hinfo = "NOERROR aa | authority: lab.test. 30 SOA", `3600 HINFO "RFC8482" ""`
	address := map[string]string{"a": "30 A 192.0.2.1", "aaaa": "30 AAAA 2001:db8::1", "cname": "30 CNAME app.other.test.", "any": hinfo, "svc": `30 HTTPS 1 . port="8443" ipv6hint="2001:db8::1"`}
	var rows []row
	for _, tt := range []struct{ name, a, aaaa, cname, any, txt, https string }{
		{"four", "a", "", "", "any", "", ""},
		{"six", "", "aaaa", "", "any", "", "svc"},
		{"host", "cname", "cname", "cname", "any", "cname", "cname"},
		{"both", "a", "aaaa", "", "any", "", ""},
		{"late", "a", "", "", "any", "", ""},
		{"multi", "a", "aaaa", "", "any", "", ""},
		{"outer", "cname", "cname", "cname", "any", "cname", "cname"},
	} {
		for i, kind := range []string{tt.a, tt.aaaa, tt.cname, tt.any, tt.txt, tt.https} {
			want := nodata
			if kind != "" {
				want = "NOERROR aa | " + tt.name + ".lab.test. " + address[kind]
			}
			qtype := []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeANY, dns.TypeTXT, dns.TypeHTTPS}[i]
			rows = append(rows, row{tt.name + " " + dns.Type(qtype).String(), about(t, tt.name, qtype), want})
		}
	}
	through(t, doors, rows)
}

// The words that choose between Azure's ways and others, where no state of an
// endpoint is needed to tell them apart.
func TestWaysOfSayingNothing(t *testing.T) {
	const tail = ", monitor: {protocol: none}, endpoints: [{name: a, target: 192.0.2.1, subnets: [203.0.113.0/24]}]}\n"
	_, doors := startDoors(t, `
zones: [{name: lab.test, nameServers: [ns1.other.test, ns2.other.test]}]
profiles:
  - {name: plain, zone: lab.test, routing: subnet`+tail+`
  - {name: azure, zone: lab.test, routing: subnet, unmatched: nxdomain`+tail+`
  - {name: above, zone: lab.test, routing: subnet, unmatched: nxdomain`+tail+`
  - {name: below.above, zone: lab.test, routing: priority, monitor: {protocol: none}, endpoints: [{name: a, target: 192.0.2.1}]}
`)
	in, out := edns(0, false, subnet("203.0.113.0/24")), edns(0, false, subnet("203.0.112.0/24"))
	const none = " aa | authority: lab.test. 30 SOA | EDNS0 ecs=203.0.112.0/24/24"
	through(t, doors, []row{
		{"a client that is listed", about(t, "azure", dns.TypeA, in), "NOERROR aa | azure.lab.test. 30 A 192.0.2.1 | EDNS0 ecs=203.0.113.0/24/24"},
		{"one that is not", about(t, "plain", dns.TypeA, out), "NOERROR" + none},
		{"one that is not, as Azure", about(t, "azure", dns.TypeA, out), "NXDOMAIN" + none},
		{"a name below is not denied", about(t, "above", dns.TypeA, out), "NOERROR" + none},
		{"nor gone", about(t, "below.above", dns.TypeA, out), "NOERROR aa | below.above.lab.test. 30 A 192.0.2.1 | EDNS0 ecs=203.0.112.0/24/0"},
	})
}

// successes: 1 brings an endpoint back with the first success, as Azure does,
// and the default with the second.
func TestSuccessesBringBack(t *testing.T) {
	port, list := sites(t, "127.0.0.21")
	list[0].down.Store(true)
	var text strings.Builder
	text.WriteString("zones: [{name: lab.test, nameServers: [ns1.other.test, ns2.other.test]}]\nprofiles:\n")
	for name, n := range map[string]int{"one": 1, "many": 20} {
		fmt.Fprintf(&text, "  - {name: %s, zone: lab.test, routing: priority, monitor: {port: %s, interval: 1s, timeout: 500ms, toleratedFailures: 0, successes: %d}, endpoints: [{name: a, target: 127.0.0.21}, {name: b, target: 127.0.0.22, alwaysServe: true}]}\n", name, port, n)
	}
	p := start(t, text.String())
	p.eventually(t, "one.lab.test.", "127.0.0.22")
	p.eventually(t, "many.lab.test.", "127.0.0.22")
	list[0].down.Store(false)
	p.eventually(t, "one.lab.test.", "127.0.0.21")
	if got := ask(t, p.address, "tcp", "many.lab.test."); got != "127.0.0.22" {
		t.Errorf("before 20 successes: %s", got)
	}
}
