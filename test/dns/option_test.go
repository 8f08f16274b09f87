package dns

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/dchest/siphash"
	"github.com/miekg/dns"

	"gatehouse/internal/testkit"
)

// raw is a query with an OPT record that has one option of any octets.
func raw(t *testing.T, name string, code uint16, value string) []byte {
	t.Helper()
	data, err := hex.DecodeString(strings.ReplaceAll(value, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return about(t, name, dns.TypeA, edns(0, false, &dns.EDNS0_LOCAL{Code: code, Data: data}))
}

const two = "www.lab.test. 30 A 192.0.2.1"

// Options that are malformed, known but not for here, or not known (RFC 6891
// 6.1.2, RFC 5001, RFC 7871 6 and 7.1, RFC 7873 5.2.2, RFC 8914, RFC 9824 3.4).
func TestOptions(t *testing.T) {
	_, doors := startDoors(t, `
nsid: here
zones: [{name: lab.test, nameServers: [ns1.other.test, ns2.other.test]}]
profiles:
  - {name: www, zone: lab.test, routing: priority, monitor: {protocol: none}, endpoints: [{name: a, target: 192.0.2.1}]}
  - name: by
    zone: lab.test
    routing: subnet
    monitor: {protocol: none}
    endpoints:
      - {name: a, target: 192.0.2.1, subnets: [203.0.113.0/25, "2001:db8:1::/48"]}
      - {name: b, target: 192.0.2.2, subnets: [203.0.113.128/25]}
      - {name: c, target: 192.0.2.3}
`)
	const good, bad = "NOERROR aa | " + two + " | EDNS0", "FORMERR | EDNS0"
	by := func(last int) string { return fmt.Sprintf("NOERROR aa | by.lab.test. 30 A 192.0.2.%d | EDNS0", last) }
	rows := []row{
		{"NSID", raw(t, "www", 3, ""), good + " nsid=here"},
		{"NSID with data, which is ignored", raw(t, "www", 3, "41"), good + " nsid=here"},
		{"NSID of what is refused", about(t, "www.example.com.", dns.TypeA, edns(0, false, &dns.EDNS0_NSID{Code: dns.EDNS0NSID})), "REFUSED | EDNS0 ede=20 nsid=here"},
		{"expire", raw(t, "www", 9, ""), good},
		{"extended error in a query", raw(t, "www", 15, "0001"), good},
		{"an option that nobody knows", raw(t, "www", 65001, "0102"), good},
		{"NXNAME is not to be asked for", about(t, "www", dns.TypeNXNAME, edns(0, false)), "FORMERR | EDNS0 ede=30"},
		{"NXNAME without EDNS", about(t, "www", dns.TypeNXNAME), "FORMERR"},

		{"subnet of a part", raw(t, "by", 8, "0001 18 00 cb0071"), by(1) + " ecs=203.0.113.0/24/25"},
		{"subnet of the other part", raw(t, "by", 8, "0001 20 00 cb0071c8"), by(2) + " ecs=203.0.113.200/32/25"},
		{"subnet of IPv6", raw(t, "by", 8, "0002 38 00 20010db8000100"), by(1) + " ecs=2001:db8:1::/56/48"},
		{"subnet of static data", about(t, "lab.test.", dns.TypeTXT, edns(0, false, subnet("203.0.113.0/24"))), nothing[:len("NOERROR aa | authority: lab.test. ")] + "60 SOA | EDNS0 ecs=203.0.113.0/24/0"},
		{"subnet of no name", about(t, "none", dns.TypeA, edns(0, false, subnet("203.0.113.0/24"))), "NXDOMAIN aa | authority: lab.test. 60 SOA | EDNS0 ecs=203.0.113.0/24/0"},
		{"subnet of no bits", raw(t, "by", 8, "0001 00 00"), by(3) + " ecs=0.0.0.0/0/0"},
		{"subnet that was not asked for", about(t, "by", dns.TypeA, edns(0, false)), by(3)},
		{"subnet with a scope", raw(t, "by", 8, "0001 18 18 cb0071"), bad},
		{"subnet with too many octets", raw(t, "by", 8, "0001 18 00 cb007100"), bad},
		{"subnet with too few octets", raw(t, "by", 8, "0001 18 00 cb00"), bad},
		{"subnet with bits beyond its length", raw(t, "by", 8, "0001 17 00 cb0071"), bad},
		{"subnet longer than an address", raw(t, "by", 8, "0001 21 00 cb00710000"), bad},
		{"subnet of IPv6 longer than an address", raw(t, "by", 8, "0002 81 00"+strings.Repeat("00", 17)), bad},
		{"subnet of no family that there is", raw(t, "by", 8, "0003 00 00"), bad},
		{"subnet that is too short", raw(t, "by", 8, "0001 18"), bad},
		{"subnet twice", about(t, "by", dns.TypeA, edns(0, false, subnet("203.0.113.0/24"), subnet("203.0.113.0/24"))), bad},
	}
	for n := range 42 {
		if n != 8 && (n < 16 || n > 40) {
			rows = append(rows, row{fmt.Sprintf("cookie of %d octets", n), raw(t, "www", 10, strings.Repeat("01", n)), bad})
			continue
		}
		rows = append(rows, row{fmt.Sprintf("cookie of %d octets", n), raw(t, "www", 10, strings.Repeat("01", n)), good + " cookie=0101010101010101+16"})
	}
	through(t, doors, rows)
}

// subnet is an option about a network.
func subnet(prefix string) *dns.EDNS0_SUBNET {
	p := netip.MustParsePrefix(prefix)
	family := uint16(1)
	if p.Addr().Is6() {
		family = 2
	}
	return &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: family, SourceNetmask: uint8(p.Bits()), Address: net.IP(p.Addr().AsSlice())}
}

// Two servers with one secret make and take the same cookies, which are those
// of version 1 (RFC 9018 4).
func TestCookiesOfOneSecretAreAlike(t *testing.T) {
	const secret = "e5e973e5a6b2a43f48e7dc849e37bfcf"
	file := testkit.Config(t, secret+"\n")
	rest := fmt.Sprintf("cookies: {secretFile: %q}\nzones: [{name: lab.test, nameServers: [ns1.other.test, ns2.other.test]}]\n", file)
	key, _ := hex.DecodeString(secret)
	for range 2 {
		_, doors := startDoors(t, rest)
		for _, d := range doors {
			m := d.ask(t, query(t, dns.TypeSOA, edns(0, false, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "2464c4abcf10c957"})))
			var got []byte
			for _, o := range m.IsEdns0().Option {
				if c, ok := o.(*dns.EDNS0_COOKIE); ok {
					got, _ = hex.DecodeString(c.Cookie)
				}
			}
			if len(got) != 24 || hex.EncodeToString(got[:12]) != "2464c4abcf10c95701000000" {
				t.Fatalf("%s: cookie %x", d.network, got)
			}
			age := time.Since(time.Unix(int64(binary.BigEndian.Uint32(got[12:])), 0))
			hash := siphash.Hash(binary.LittleEndian.Uint64(key), binary.LittleEndian.Uint64(key[8:]), append(got[:16:16], 127, 0, 0, 1))
			if binary.LittleEndian.Uint64(got[16:]) != hash || age < 0 || age > time.Minute {
				t.Errorf("%s: cookie %x, of %v ago, want the hash %x", d.network, got, age, hash)
			}
		}
	}
}

// Responses are padded to blocks of 468 octets for who asked for that on an
// encrypted connection (RFC 7830 4, RFC 8467 4.1), and clients of TCP are told
// how long they may be idle (RFC 7828 3.3).
func TestPaddingAndKeepalive(t *testing.T) {
	_, doors := startDoors(t, `
limits: {tcpIdle: 7s}
zones: [{name: lab.test, nameServers: [ns1.other.test, ns2.other.test]}]
`)
	padded := query(t, dns.TypeSOA, edns(0, false, &dns.EDNS0_PADDING{Padding: make([]byte, 20)}))
	kept := query(t, dns.TypeSOA, edns(0, false, &dns.EDNS0_TCP_KEEPALIVE{Code: dns.EDNS0TCPKEEPALIVE}))
	for _, d := range doors {
		secure := d.network == "dot" || d.network == "doh"
		if n := len(d.exchange(t, padded)); (n%468 == 0) != secure {
			t.Errorf("%s: %d octets for a query with padding", d.network, n)
		}
		if n := len(d.exchange(t, query(t, dns.TypeSOA, edns(0, false)))); n%468 == 0 {
			t.Errorf("%s: %d octets for a query without padding", d.network, n)
		}
		told := strings.Contains(render(d.ask(t, kept)), " keepalive=70")
		if stream := d.network == "tcp" || d.network == "dot"; d.network != "doh" && told != stream {
			t.Errorf("%s: keepalive %v", d.network, told)
		}
	}
}
