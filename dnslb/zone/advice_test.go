package zone

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/config"
)

const goodStart = "@ SOA ns1 hostmaster 1 14400 3600 604800 300\n"

const goodServers = "@ NS ns1\n@ NS ns2.test.\nns1 A 192.0.2.53\n"

// What is wrong with a zone that is served all the same.
func TestAdvice(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", goodStart + goodServers + "@ MX 0 .\n@ TXT \"v=spf1 a mx:x.test/24//64 +ip4:192.0.2.0/24 ip6:2001:db8::/32 include:x.test ~exists:%{i}.x.test ptr redirect=x.test -all\"\n_x._tcp SRV 0 0 0 .\n", ""},
		{"one server", goodStart + "@ NS ns1\nns1 A 192.0.2.53\n", "it has one name server;"},
		{"one address", goodStart + goodServers + "@ NS ns3\nns3 A 192.0.2.53\n", "its name servers ns1.example and ns3.example have the same address, 192.0.2.53"},
		{"a long referral", goodStart + goodServers + longServers(), "the referral to its name servers has up to "},
		{"an alias of a server", goodStart + goodServers + "@ NS ns3\nns3 CNAME ns1\n", "ns3.example, a name server of example, is an alias (CNAME)"},
		{"an alias by a wildcard", goodStart + goodServers + "@ NS ns3.w\n*.w CNAME ns1\n", "ns3.w.example, a name server of example, is an alias (CNAME)"},
		{"a server by a wildcard", goodStart + goodServers + "@ NS ns3.w\n*.w A 192.0.2.54\n", ""},
		{"a server that is not there", goodStart + goodServers + "@ NS ns1.example\n", "ns1.example.example, a name server of example, has no address in zone \"example\""},
		{"a server without an address", goodStart + goodServers + "@ NS ns3\nns3 TXT a\n", "ns3.example, a name server of example, has no address in zone"},
		{"a server that is no host", goodStart + goodServers + "@ NS ns_3\n", "ns_3.example, a name server of example, is no host name: a label has letters, digits and -, not \"ns_3\""},
		{"a server with a hyphen at the end", goodStart + goodServers + "@ NS ns3-.test.\n", "a label does not begin or end with -"},
		{"a server that is an address", goodStart + goodServers + "@ NS 192.0.2.3.\n", "192.0.2.3, a name server of example, is no host name: its last label is a number"},
		{"a delegation without glue", goodStart + goodServers + "sub NS ns.sub\n", "ns.sub.example, a name server of sub.example, is below that itself and has no address here"},
		{"a delegation without glue to a host that came up before", goodStart + goodServers + "@ MX 10 ns.sub\nother NS ns.sub\nsub NS ns.sub\n", "ns.sub.example, a name server of sub.example, is below that itself and has no address here"},
		{"a host that comes up twice", goodStart + goodServers + "@ NS x\nsub NS x\n", "x.example, a name server of example, has no address in zone"},
		{"a delegation with glue", goodStart + goodServers + "sub NS ns.sub\nns.sub AAAA 2001:db8::1\n", ""},
		{"a delegation to a server below another", goodStart + goodServers + "sub NS ns.sub\nns.sub A 192.0.2.1\nother NS x.sub\n", ""},
		{"a delegation to an alias", goodStart + goodServers + "sub NS x\nx CNAME ns1\n", "x.example, a name server of sub.example, is an alias (CNAME)"},
		{"a mail server that is an alias", goodStart + goodServers + "@ MX 10 x\nx CNAME ns1\n", "x.example, the mail server of example, is an alias (CNAME)"},
		{"a mail server that is no host", goodStart + goodServers + "@ MX 10 a_b.test.\n", "a_b.test, the mail server of example, is no host name"},
		{"a mail server that is a profile of names", goodStart + goodServers + "@ MX 10 www\n", "www.example, the mail server of example, is an alias (CNAME)"},
		{"a service that is not there", goodStart + goodServers + "_x._tcp SRV 0 0 80 x\n", "x.example, a server of _x._tcp.example, has no address in zone"},
		{"MNAME that is not there", strings.Replace(goodStart, "ns1", "x", 1) + goodServers, "x.example, the first server (MNAME of its SOA record), has no address"},
		{"MNAME that is an alias", strings.Replace(goodStart, "ns1", "x", 1) + goodServers + "x CNAME ns1\n", "x.example, the first server (MNAME of its SOA record), is an alias (CNAME)"},
		{"no MNAME", strings.Replace(goodStart, "ns1", ".", 1) + goodServers, "., the first server (MNAME of its SOA record), is no host name: it is empty"},
		{"RNAME with @", strings.Replace(goodStart, "hostmaster", "a@b.test.", 1) + goodServers, "a@b.test is who is responsible (RNAME of its SOA record), which has a dot for the @"},
		{"no RNAME", strings.Replace(goodStart, "hostmaster", ".", 1) + goodServers, "., who is responsible (RNAME of its SOA record), is no mail address"},
		{"RNAME of no host", strings.Replace(goodStart, "hostmaster", "a.b_c.test.", 1) + goodServers, "a.b_c.test., who is responsible (RNAME of its SOA record), is no mail address"},
		{"RNAME with a dot", strings.Replace(goodStart, "hostmaster", `a\.b`, 1) + goodServers, ""},
		{"refresh", strings.Replace(goodStart, "14400", "14399", 1) + goodServers, "refresh of its SOA record is 14399 seconds"},
		{"retry", strings.Replace(goodStart, "3600", "3599", 1) + goodServers, "retry of its SOA record is 3599 seconds"},
		{"retry and refresh", strings.Replace(goodStart, "3600", "14400", 1) + goodServers, "retry of its SOA record, 14400 seconds, is not less than refresh, 14400"},
		{"expire", strings.Replace(goodStart, "604800", "604799", 1) + goodServers, "expire of its SOA record is 604799 seconds"},
		{"expire and refresh", strings.Replace(goodStart, "14400", "604801", 1) + goodServers, "expire of its SOA record, 604800 seconds, is less than refresh, 604801"},
		{"minimum", strings.Replace(goodStart, "300", "86401", 1) + goodServers, "minimum of its SOA record is 86401 seconds"},
		{"two SPF records", goodStart + goodServers + "@ TXT \"v=spf1 -all\"\n@ TXT \"V=SPF1\" \n", "it has 2 SPF records"},
		{"a text that only looks like SPF", goodStart + goodServers + "@ TXT \"v=spf1 -all\"\n@ TXT \"v=spf10 b\" \n", ""},
		{"SPF in two parts that is wrong", goodStart + goodServers + "@ TXT \"v=spf1 ipv4:192.0\" \".2.1 -all\"\n", `its SPF record has "ipv4:192.0.2.1", which is nothing that SPF knows`},
	} {
		conf := &config.TrafficManager{Zones: []config.DNSZone{zoneConf("example", write(t, tt.text))}, Profiles: []config.Profile{profileConf("www", "example", "a.test")}}
		set, err := build(t, conf)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if tt.want == "" && len(set.Warnings) == 0 {
			continue
		}
		if len(set.Warnings) != 1 || tt.want == "" || !strings.HasPrefix(set.Warnings[0], `zone "example": `+tt.want) && !strings.Contains(set.Warnings[0], tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, set.Warnings, tt.want)
		}
	}
}

// longServers are as many as a referral of 512 bytes does not hold.
func longServers() string {
	b := new(strings.Builder)
	for i := range 6 {
		fmt.Fprintf(b, "@ NS a-server-with-a-long-name-%d.test.\n", i)
	}
	return b.String()
}

// Names of zones, and an amount of warnings that somebody reads.
func TestAdviceAboutZones(t *testing.T) {
	for name, want := range map[string]string{"ab--c.example": `"ab--c" has hyphens`, "xn--c.example": "", "a--b.example": ""} {
		z := zoneConf(name, "")
		z.NameServers = []string{"ns1.test", "ns2.test"}
		set, err := build(t, &config.TrafficManager{Zones: []config.DNSZone{z}})
		if err != nil || len(set.Warnings) > 1 || want == "" != (len(set.Warnings) == 0) || want != "" && !strings.Contains(set.Warnings[0], want) {
			t.Errorf("%s: %q %v", name, set.Warnings, err)
		}
	}
	text := goodStart + goodServers
	for i := range 200 {
		text += fmt.Sprintf("x%d MX 10 y%d\n", i, i)
	}
	set, err := build(t, &config.TrafficManager{Zones: []config.DNSZone{zoneConf("example", write(t, text))}})
	if err != nil || len(set.Warnings) != maxAdvice || !strings.Contains(set.Warnings[maxAdvice-1], "there is more") {
		t.Errorf("%d warnings, %v", len(set.Warnings), err)
	}
	long := zoneConf(strings.Repeat(strings.Repeat("a", 61)+".", 3)+strings.Repeat("a", 61), "")
	if _, err := build(t, &config.TrafficManager{Zones: []config.DNSZone{long}}); err == nil || !strings.Contains(err.Error(), "hostmaster: ") {
		t.Errorf("a name of the hostmaster that is too long: %v", err)
	}
}

// What a zone above says of a zone's signatures has to be so.
func TestAdviceAboutTrust(t *testing.T) {
	const ds = "own DS 12346 13 2 0000000000000000000000000000000000000000000000000000000000000000\n"
	for _, tt := range []struct {
		above, own bool // signed
		ds         string
		want       string
	}{
		{true, true, ds, ""},
		{true, true, "", `it is signed, and zone "example", which is above it, has no DS record`},
		{true, false, "", ""},
		{true, false, ds, `it is not signed, and zone "example", which is above it, has a DS record`},
		{false, true, "", ""},
		{false, false, ds, ""},
	} {
		above, own := zoneConf("example", write(t, goodStart+goodServers+tt.ds)), zoneConf("own.example", write(t, goodStart+goodServers))
		above.DNSSEC.Enabled, own.DNSSEC.Enabled = tt.above, tt.own
		set, err := build(t, &config.TrafficManager{Zones: []config.DNSZone{above, own}})
		if err != nil || len(set.Warnings) > 1 || tt.want == "" != (len(set.Warnings) == 0) || tt.want != "" && !strings.HasPrefix(set.Warnings[0], `zone "own.example": `+tt.want) {
			t.Errorf("%+v: %q %v", tt, set.Warnings, err)
		}
	}
}
