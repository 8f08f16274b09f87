package zone

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gatehouse/config"
	"gatehouse/dnslb"
	"gatehouse/dnslb/wire"
)

const parentFile = `
$TTL 300
@        NS   ns1
@        NS   ns.other.test.
@        MX   10 mail
ns1      A    192.0.2.53
mail     A    192.0.2.25
alias    CNAME mail
deep.ent.x TXT "here"
*.wild   A    192.0.2.99
a.wild   TXT  "not by wildcard"
sub      NS   ns.sub
sub      DS   12345 13 2 0000000000000000000000000000000000000000000000000000000000000000
ns.sub   A    192.0.2.54
own      NS   ns.own
own      DS   12346 13 2 0000000000000000000000000000000000000000000000000000000000000000
ns.own   A    192.0.2.55
`

func zoneConf(name, file string) config.DNSZone {
	return config.DNSZone{Name: name, File: file, NameServers: []string{"ns1." + name}, Hostmaster: "hostmaster." + name, TTL: time.Hour, NegativeTTL: time.Minute}
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "zone")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func profileConf(name, zone string, hosts ...string) config.Profile {
	p := config.Profile{Name: name, Label: name, Zone: zone, Enabled: true, Routing: config.RoutePriority}
	for i, h := range hosts {
		p.Endpoints = append(p.Endpoints, config.Endpoint{Name: "e" + string(rune('0'+i)), Host: h, Enabled: true})
	}
	return p
}

func build(t *testing.T, conf *config.TrafficManager) (*Built, error) {
	t.Helper()
	d, err := dnslb.Compile(conf, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return Build(conf, d)
}

func TestNamesAreFound(t *testing.T) {
	conf := &config.TrafficManager{
		Zones:    []config.DNSZone{zoneConf("example", write(t, parentFile)), zoneConf("own.example", "")},
		Profiles: []config.Profile{profileConf("www", "example", "a.test"), profileConf("@", "own.example", "b.test"), profileConf("a.b.c", "own.example", "b.test")},
	}
	set, err := build(t, conf)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, want string // what the node is
		qtype      uint16
		match      Match
	}{
		{"example.", "example.", dns.TypeSOA, Exact},
		{"EXAMPLE.", "example.", dns.TypeSOA, Exact},
		{"www.example.", "www.example.", dns.TypeA, Exact},
		{"x.www.example.", "www.example.", dns.TypeA, NoName},
		{"nothing.example.", "example.", dns.TypeA, NoName},
		{"a.b.nothing.example.", "example.", dns.TypeA, NoName},
		{"x.example.", "x.example.", dns.TypeA, Exact},
		{"ent.x.example.", "ent.x.example.", dns.TypeA, Exact},
		{"y.ent.x.example.", "ent.x.example.", dns.TypeA, NoName},
		{"b.wild.example.", "*.wild.example.", dns.TypeA, Wild},
		{"c.b.wild.example.", "*.wild.example.", dns.TypeA, Wild},
		{"a.wild.example.", "a.wild.example.", dns.TypeA, Exact},
		{"c.a.wild.example.", "a.wild.example.", dns.TypeA, NoName},
		{"*.wild.example.", "*.wild.example.", dns.TypeA, Exact},
		{"wild.example.", "wild.example.", dns.TypeA, Exact},
		{"sub.example.", "sub.example.", dns.TypeA, Referral},
		{"sub.example.", "sub.example.", dns.TypeDS, Exact},
		{"ns.sub.example.", "sub.example.", dns.TypeA, Referral},
		{"x.y.sub.example.", "sub.example.", dns.TypeDS, Referral},
		{"own.example.", "own.example.", dns.TypeA, Exact},
		{"own.example.", "own.example.", dns.TypeDS, Exact},
		{"ns.own.example.", "own.example.", dns.TypeA, NoName},
		{"b.c.own.example.", "b.c.own.example.", dns.TypeA, Exact},
		{"test.", "", dns.TypeA, NotMine},
		{".", "", dns.TypeNS, NotMine},
		{strings.Repeat("a.", 120) + "example.", "example.", dns.TypeA, NoName},
	}
	for _, tt := range tests {
		m := new(dns.Msg)
		m.SetQuestion(tt.name, tt.qtype)
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		var q wire.Query
		if q.Parse(b) != wire.Usual {
			t.Fatal(tt.name)
		}
		f := set.Find(&q)
		got := ""
		if f.Node != nil {
			got = Text(f.Node.Name)
		}
		if f.Match != tt.match || got != tt.want {
			t.Errorf("%s %s: %d at %q, want %d at %q", tt.name, dns.TypeToString[tt.qtype], f.Match, got, tt.match, tt.want)
		}
		if n := testing.AllocsPerRun(10, func() { set.Find(&q) }); n != 0 {
			t.Errorf("%s: %v allocations", tt.name, n)
		}
	}
	own := set.Node([]byte("\x03own\x07example\x00"))
	if own.Zone.Name != "own.example" || own.Profile == nil || own.Above.Get(dns.TypeDS) == nil || own.Above.Zone.Name != "example" {
		t.Errorf("own.example is %+v", own)
	}
}

// A zone below another of ours is known there though nobody delegated it.
func TestAZoneBelowAnotherIsKnownThere(t *testing.T) {
	set, err := build(t, &config.TrafficManager{Zones: []config.DNSZone{zoneConf("example", ""), zoneConf("a.b.example", "")}})
	if err != nil {
		t.Fatal(err)
	}
	between := set.Node([]byte("\x01b\x07example\x00"))
	if between == nil || between.Zone.Name != "example" || !between.Below {
		t.Errorf("b.example is %+v", between)
	}
	apex := set.Node([]byte("\x01a\x01b\x07example\x00"))
	if apex.Zone.Name != "a.b.example" || apex.Above == nil || apex.Above.Get(dns.TypeNS) == nil || apex.Above.Zone.Name != "example" {
		t.Errorf("a.b.example is %+v", apex)
	}
}

func TestTheSOAIsTheSameEverywhereAndFollowsTheConfiguration(t *testing.T) {
	serial := func(change func(*config.DNSZone)) uint32 {
		z := zoneConf("example", write(t, "ns1 A 192.0.2.1\nx A 192.0.2.2\n"))
		change(&z)
		set, err := build(t, &config.TrafficManager{Zones: []config.DNSZone{z}})
		if err != nil {
			t.Fatal(err)
		}
		soa := set.Zones[0].SOA.RRs[0].(*dns.SOA)
		if soa.Mbox != "hostmaster.example." || soa.Ns != "ns1.example." || set.Zones[0].Negative.TTL != 60 || set.Zones[0].SOA.TTL != 3600 {
			t.Errorf("%s, negative TTL %d", soa, set.Zones[0].Negative.TTL)
		}
		return soa.Serial
	}
	plain := serial(func(*config.DNSZone) {})
	if plain != serial(func(*config.DNSZone) {}) {
		t.Error("two serials of one configuration")
	}
	if plain == serial(func(z *config.DNSZone) { z.File = write(t, "ns1 A 192.0.2.1\nx A 192.0.2.3\n") }) {
		t.Error("another record, the same serial")
	}
	if got := serial(func(z *config.DNSZone) { z.Serial = 77 }); got != 77 {
		t.Errorf("serial %d, want that of the configuration", got)
	}
}

func TestWhatCannotBeServedIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		profiles   []config.Profile
		want       string
	}{
		{"not in the zone", "x.test. A 192.0.2.1", nil, "x.test. is not in the zone example."},
		{"a syntax error", "x A 192.0.2\n", nil, "line: 1"},
		{"$INCLUDE", "$INCLUDE /etc/passwd\n", nil, "$INCLUDE"},
		{"signed", "x RRSIG A 13 2 300 20300101000000 20200101000000 1 example. AAAA", nil, "signed zones are not taken"},
		{"CNAME and other", "x CNAME y\nx A 192.0.2.1", nil, "x.example. has a CNAME, which stands alone"},
		{"two CNAMEs", "x CNAME y\nx CNAME z", nil, "x.example. has a CNAME, which stands alone"},
		{"DNAME", "x DNAME y.test.", nil, "DNAME record, which is not available"},
		{"class CH", `x CH TXT "a"`, nil, "only class IN is served"},
		{"an address beside a profile", "www A 192.0.2.1", []config.Profile{profileConf("www", "example", "a.test")}, "has A records at www.example., which the profile answers"},
		{"a text beside a CNAME", `www TXT "a"`, []config.Profile{profileConf("www", "example", "a.test")}, "make a CNAME, which stands alone"},
		{"a profile twice", "", []config.Profile{profileConf("www", "example", "a.test"), profileConf("WWW", "example", "a.test")}, `profile "www" has the name www.example.`},
		{"a profile of no zone", "", []config.Profile{profileConf("www", "test", "a.test")}, `there is no zone "test"`},
		{"an SOA record below", "x SOA ns1 a 1 2 3 4 5", nil, "x.example. has an SOA record, which only the zone example. itself has"},
		{"a profile below a delegation", "sub NS ns.test.", []config.Profile{profileConf("www.sub", "example", "a.test")}, "the zone file delegates sub.example., above its name"},
		{"a TTL of more than 31 bits", "x 2147483648 A 192.0.2.1", nil, "x.example. has a TTL of 2147483648 seconds, and at most 2147483647 are possible"},
		{"two SOA", "@ SOA ns1 a 1 2 3 4 5\n@ SOA ns1 a 2 2 3 4 5", nil, "2 SOA records"},
	} {
		_, err := build(t, &config.TrafficManager{Zones: []config.DNSZone{zoneConf("example", write(t, tt.text+"\n"))}, Profiles: tt.profiles})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	set, err := build(t, &config.TrafficManager{Zones: []config.DNSZone{zoneConf("example", write(t, "@ TXT \"a\"\nwww TXT \"b\"\n"))},
		Profiles: []config.Profile{profileConf("@", "example", "a.test"), {Name: "www", Label: "www", Zone: "example", Enabled: true, Flatten: true, Routing: config.RoutePriority,
			Endpoints: []config.Endpoint{{Name: "a", Host: "a.test", Enabled: true}}}}})
	if err != nil || len(set.Zones[0].Apex.Sets) != 3 {
		t.Errorf("a text beside a profile that is flattened: %v", err)
	}
}
