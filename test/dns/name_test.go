package dns

import (
	"fmt"
	"testing"

	"github.com/miekg/dns"

	"gatehouse/internal/testkit"
)

// zoned is a configuration of the zone lab.test with a file.
func zoned(t *testing.T, file string) string {
	t.Helper()
	return fmt.Sprintf("zones: [{name: lab.test, file: %q}]\n", testkit.Config(t, file))
}

// head begins a zone file. Its SOA record holds for longer than what it says
// of negative answers.
const head = `
$TTL 600
@ 900 SOA ns1 hostmaster 7 14400 3600 1209600 300
@     NS  ns1
@     NS  ns2.other.test.
ns1   A   192.0.2.53
`

// nothing is what the zone of head says of a type that a name does not have.
const (
	nothing = "NOERROR aa | authority: lab.test. 300 SOA"
	noName  = "NXDOMAIN aa | authority: lab.test. 300 SOA"
)

// The example of RFC 4592 2.2.1, with all that it says of it, and some more.
func TestWildcards(t *testing.T) {
	_, doors := startDoors(t, zoned(t, head+`
*              TXT "this is a wildcard"
*              MX  10 host1
sub.*          TXT "this is not a wildcard"
host1          A   192.0.2.1
_ssh._tcp.host1 SRV 0 0 22 host1
_ssh._tcp.host2 SRV 0 0 22 host2
subdel         NS  ns.elsewhere.test.
*.alias        CNAME host1
*.deep.ent     A   192.0.2.2
`))
	through(t, doors, []row{
		{"synthesized", about(t, "host3", dns.TypeMX), "NOERROR aa | host3.lab.test. 600 MX 10 host1.lab.test."},
		{"another type of the wildcard", about(t, "host3", dns.TypeA), nothing},
		{"two labels", about(t, "foo.bar", dns.TypeTXT), `NOERROR aa | foo.bar.lab.test. 600 TXT "this is a wildcard"`},
		{"the name is there", about(t, "host1", dns.TypeMX), nothing},
		{"below the asterisk", about(t, "sub.*", dns.TypeMX), nothing},
		{"below the asterisk, its type", about(t, "sub.*", dns.TypeTXT), `NOERROR aa | sub.*.lab.test. 600 TXT "this is not a wildcard"`},
		{"a closer encloser without a wildcard", about(t, "_telnet._tcp.host1", dns.TypeSRV), noName},
		{"a closer encloser that is empty", about(t, "x._tcp.host2", dns.TypeTXT), noName},
		{"a delegation", about(t, "host.subdel", dns.TypeA), "NOERROR | authority: subdel.lab.test. 600 NS ns.elsewhere.test."},
		{"the asterisk is the closest encloser", about(t, "ghost.*", dns.TypeMX), noName},
		{"the asterisk itself", about(t, "*", dns.TypeMX), "NOERROR aa | *.lab.test. 600 MX 10 host1.lab.test."},
		{"an alias", about(t, "x.alias", dns.TypeA), "NOERROR aa | x.alias.lab.test. 600 CNAME host1.lab.test., host1.lab.test. 600 A 192.0.2.1"},
		{"the parent of a wildcard", about(t, "deep.ent", dns.TypeA), nothing},
		{"a wildcard below an empty name", about(t, "x.y.deep.ent", dns.TypeA), "NOERROR aa | x.y.deep.ent.lab.test. 600 A 192.0.2.2"},
		{"an asterisk in a label", about(t, "a*", dns.TypeTXT), `NOERROR aa | a*.lab.test. 600 TXT "this is a wildcard"`},
	})
}

// What there is only for the names below it is there (RFC 8020 2, RFC 4592
// 2.2.2), be they records, profiles or zones.
func TestEmptyNonTerminals(t *testing.T) {
	_, doors := startDoors(t, fmt.Sprintf(`
zones:
  - {name: lab.test, file: %q}
  - {name: x.zone.lab.test, nameServers: [ns2.other.test]}
profiles: [{name: a.profile, zone: lab.test, routing: priority, monitor: {protocol: none}, endpoints: [{name: a, target: 192.0.2.1}]}]
`, testkit.Config(t, head+"a.b.record A 192.0.2.2\nx.zone NS ns2.other.test.\n")))
	rows := []row{
		{"no such name", about(t, "other", dns.TypeA), noName},
		{"below a name that has records", about(t, "x.ns1", dns.TypeA), noName},
		{"below a name that is not there", about(t, "a.other", dns.TypeA), noName},
		{"below an empty name", about(t, "c.record", dns.TypeA), noName},
		{"a zone below", about(t, "x.zone", dns.TypeA), "NOERROR aa | authority: x.zone.lab.test. 60 SOA"},
	}
	for _, name := range []string{"record", "b.record", "profile", "zone"} {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeNS, dns.TypeANY, 65280} {
			rows = append(rows, row{name, about(t, name, qtype), nothing})
		}
	}
	through(t, doors, rows)
}

// Names are compared without the case of ASCII letters, and of no others,
// however a file writes them, and come back as they were asked for (RFC 4343
// 3, 4; RFC 1035 5.1).
func TestTheCaseOfNames(t *testing.T) {
	_, doors := startDoors(t, zoned(t, head+`
Mixed       A   192.0.2.1
mIXED       A   192.0.2.2
\069scaped  A   192.0.2.3
escapeD     A   192.0.2.4
\228        A   192.0.2.5
\196        A   192.0.2.6
ä           A   192.0.2.7
a\.b        A   192.0.2.8
\000\255    A   192.0.2.9
`+"raw\xc4     A   192.0.2.10\n"+`
abcdefghijklmnopqrstuvwxyz\091 A 192.0.2.11
`))
	through(t, doors, []row{
		{"the apex", about(t, "lAb.TEST.", dns.TypeMX), "NOERROR aa | authority: lAb.TEST. 300 SOA"},
		{"as in the file", about(t, "Mixed", dns.TypeA), "NOERROR aa | Mixed.lab.test. 600 A 192.0.2.1, Mixed.lab.test. 600 A 192.0.2.2"},
		{"otherwise", about(t, "miXED", dns.TypeA), "NOERROR aa | miXED.lab.test. 600 A 192.0.2.1, miXED.lab.test. 600 A 192.0.2.2"},
		{"escaped letters", about(t, "escaped", dns.TypeA), "NOERROR aa | escaped.lab.test. 600 A 192.0.2.3, escaped.lab.test. 600 A 192.0.2.4"},
		{"no ASCII letter", about(t, `\228`, dns.TypeA), `NOERROR aa | \228.lab.test. 600 A 192.0.2.5`},
		{"the same in upper case of Latin-1", about(t, `\196`, dns.TypeA), `NOERROR aa | \196.lab.test. 600 A 192.0.2.6`},
		{"UTF-8", about(t, `\195\164`, dns.TypeA), `NOERROR aa | \195\164.lab.test. 600 A 192.0.2.7`},
		{"the same in upper case of UTF-8", about(t, `\195\132`, dns.TypeA), noName},
		{"a dot in a label", about(t, `A\.b`, dns.TypeA), `NOERROR aa | A\.b.lab.test. 600 A 192.0.2.8`},
		{"the same as two labels", about(t, "a.b", dns.TypeA), noName},
		{"every letter, and what is next to them", about(t, `ABCDEFGHIJKLMNOPQRSTUVWXYZ\091`, dns.TypeA), `NOERROR aa | ABCDEFGHIJKLMNOPQRSTUVWXYZ[.lab.test. 600 A 192.0.2.11`},
		{"what is next to them is no letter", about(t, `abcdefghijklmnopqrstuvwxyz\123`, dns.TypeA), noName},
		{"the smallest and the largest octet", about(t, `\000\255`, dns.TypeA), `NOERROR aa | \000\255.lab.test. 600 A 192.0.2.9`},
		{"octets of no UTF-8 as they are in the file", about(t, `RAW\196`, dns.TypeA), `NOERROR aa | RAW\196.lab.test. 600 A 192.0.2.10`},
	})
}

// Types that are not known are served from the file and their data is neither
// read nor compressed; those that are known may be written the same way (RFC
// 3597 4, 5).
func TestUnknownTypes(t *testing.T) {
	_, doors := startDoors(t, zoned(t, head+`
raw    TYPE65280 \# 6 036E7331C00C
raw    TYPE65280 \# 0
raw    CLASS1 TYPE1 \# 4 C0000201
raw    A 192.0.2.2
raw    MX \# 7 000A 036E7331 00
@      TYPE257 \# 12 0005 69737375 65636132 2E74
`))
	through(t, doors, []row{
		{"an unknown type", about(t, "raw", 65280), `NOERROR aa | raw.lab.test. 600 TYPE65280 \# 0, raw.lab.test. 600 TYPE65280 \# 6 036e7331c00c`},
		{"another", about(t, "raw", 65281), nothing},
		{"a known type", about(t, "raw", dns.TypeA), "NOERROR aa | raw.lab.test. 600 A 192.0.2.1, raw.lab.test. 600 A 192.0.2.2"},
		{"a known type with a name", about(t, "raw", dns.TypeMX), "NOERROR aa | raw.lab.test. 600 MX 10 ns1."},
		{"a known type at the apex", about(t, "lab.test.", dns.TypeCAA), `NOERROR aa | lab.test. 600 CAA 0 issue "ca2.t"`},
		{"the type of no records", about(t, "raw", 0), nothing},
		{"the last type", about(t, "raw", 65535), nothing},
		{"a reserved class", about(t, "raw", dns.TypeA, func(m *dns.Msg) { m.Question[0].Qclass = 0 }), "REFUSED"},
		{"a private class", about(t, "raw", dns.TypeA, func(m *dns.Msg) { m.Question[0].Qclass = 65280 }), "REFUSED"},
	})
}
