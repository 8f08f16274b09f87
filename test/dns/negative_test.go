package dns

import (
	"fmt"
	"testing"

	"github.com/miekg/dns"

	"gatehouse/internal/testkit"
)

// How long it holds that there is nothing: the smaller of the SOA record's TTL
// and its MINIMUM, and no longer than a profile's answer would (RFC 2308 3,
// 5). The SOA record itself keeps its TTL when it is asked for.
func TestNegativeTTLs(t *testing.T) {
	short := testkit.Config(t, "$TTL 600\n@ 40 SOA ns1 hostmaster 7 14400 3600 1209600 300\n@ NS ns1\nns1 A 192.0.2.53\n")
	_, doors := startDoors(t, fmt.Sprintf(`
zones:
  - {name: lab.test, file: %q}
  - {name: short.test, file: %q}
  - {name: keys.test, nameServers: [ns1.lab.test, ns2.other.test], ttl: 2h, negativeTTL: 90s}
profiles:
  - {name: quick, zone: lab.test, routing: priority, ttl: 20s, monitor: {protocol: none}, endpoints: [{name: a, target: 192.0.2.1}]}
  - {name: slow, zone: lab.test, routing: priority, ttl: 1h, monitor: {protocol: none}, endpoints: [{name: a, target: 192.0.2.1}]}
  - {name: never, zone: lab.test, routing: priority, ttl: 0s, monitor: {protocol: none}, endpoints: [{name: a, target: 192.0.2.1}]}
`, testkit.Config(t, head+"text TXT a\n"), short))
	nodata := func(zone string, ttl int) string {
		return fmt.Sprintf("NOERROR aa | authority: %s %d SOA", zone, ttl)
	}
	through(t, doors, []row{
		{"the SOA record", about(t, "lab.test.", dns.TypeSOA), "NOERROR aa | lab.test. 900 SOA"},
		{"MINIMUM is smaller, no type", about(t, "text", dns.TypeA), nodata("lab.test.", 300)},
		{"MINIMUM is smaller, no name", about(t, "none", dns.TypeA), noName},
		{"the TTL is smaller, no type", about(t, "short.test.", dns.TypeA), nodata("short.test.", 40)},
		{"the TTL is smaller, no name", about(t, "none.short.test.", dns.TypeA), "NXDOMAIN aa | authority: short.test. 40 SOA"},
		{"of keys, the SOA record", about(t, "keys.test.", dns.TypeSOA), "NOERROR aa | keys.test. 7200 SOA"},
		{"of keys", about(t, "keys.test.", dns.TypeA), nodata("keys.test.", 90)},
		{"a profile's is smaller", about(t, "quick", dns.TypeAAAA), nodata("lab.test.", 20)},
		{"a profile's is larger", about(t, "slow", dns.TypeAAAA), nodata("lab.test.", 300)},
		{"a profile's is 0", about(t, "never", dns.TypeAAAA), nodata("lab.test.", 1)},
		{"a type that no profile has", about(t, "quick", dns.TypeTXT), nodata("lab.test.", 20)},
	})
}

// The records of a set have one TTL, the smallest that the file has, and the
// largest that there is goes through as it is (RFC 2181 5.2, 8).
func TestTTLsOfSets(t *testing.T) {
	_, doors := startDoors(t, zoned(t, head+"mixed 300 A 192.0.2.1\nmixed 100 A 192.0.2.2\nmixed 200 TXT a\nzero 0 A 192.0.2.1\nlong 2147483647 A 192.0.2.1\n"))
	through(t, doors, []row{
		{"two TTLs", about(t, "mixed", dns.TypeA), "NOERROR aa | mixed.lab.test. 100 A 192.0.2.1, mixed.lab.test. 100 A 192.0.2.2"},
		{"another type", about(t, "mixed", dns.TypeTXT), `NOERROR aa | mixed.lab.test. 200 TXT "a"`},
		{"0", about(t, "zero", dns.TypeA), "NOERROR aa | zero.lab.test. 0 A 192.0.2.1"},
		{"the largest", about(t, "long", dns.TypeA), "NOERROR aa | long.lab.test. 2147483647 A 192.0.2.1"},
	})
}

// What this server has no authority for it says nothing of: no referral
// upwards, no root, no cache (RFC 1035 4.3.2, RFC 8914 4.21).
func TestNamesOfOthersAreRefused(t *testing.T) {
	_, doors := startDoors(t, zoned(t, head))
	recursion := func(m *dns.Msg) { m.RecursionDesired = true }
	chaos := func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }
	through(t, doors, []row{
		{"another zone", about(t, "www.example.com.", dns.TypeA), "REFUSED"},
		{"with recursion", about(t, "www.example.com.", dns.TypeA, recursion), "REFUSED rd"},
		{"with EDNS", about(t, "www.example.com.", dns.TypeA, edns(0, true)), "REFUSED | EDNS0 do ede=20"},
		{"the zone above", about(t, "test.", dns.TypeNS), "REFUSED"},
		{"the root", about(t, ".", dns.TypeNS, recursion), "REFUSED rd"},
		{"a name that only ends alike", about(t, "xlab.test.", dns.TypeA), "REFUSED"},
		{"DS of the apex, whose zone above is not here", about(t, "lab.test.", dns.TypeDS), nothing},
		{"a name of ours in another class", about(t, "ns1", dns.TypeA, chaos), "REFUSED"},
		{"version.bind", about(t, "version.bind.", dns.TypeTXT, chaos), "REFUSED"},
		{"hostname.bind", about(t, "hostname.bind.", dns.TypeTXT, chaos), "REFUSED"},
		{"id.server", about(t, "id.server.", dns.TypeTXT, chaos), "REFUSED"},
		{"transfer", about(t, "lab.test.", dns.TypeAXFR), "REFUSED"},
		{"transfer of differences", about(t, "lab.test.", dns.TypeIXFR), "REFUSED"},
	})
}
