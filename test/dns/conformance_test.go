package dns

import (
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// exchange sends the bytes of a message and returns those of the response.
func exchange(t *testing.T, network, address string, msg []byte) []byte {
	t.Helper()
	c, err := net.DialTimeout(network, address, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if network == "tcp" {
		msg = append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)
	}
	if _, err := c.Write(msg); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 65535)
	if network == "udp" {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("no response: %v", err)
		}
		return buf[:n]
	}
	if _, err := io.ReadFull(c, buf[:2]); err != nil {
		t.Fatalf("no response: %v", err)
	}
	n := int(binary.BigEndian.Uint16(buf))
	if _, err := io.ReadFull(c, buf[:n]); err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

// query is a query of type SOA for the zone, changed.
func query(t *testing.T, qtype uint16, change ...func(*dns.Msg)) []byte {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion("LaB.tEsT.", qtype)
	m.Id, m.RecursionDesired = 0x1267, false
	for _, c := range change {
		c(m)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func edns(version uint8, do bool, options ...dns.EDNS0) func(*dns.Msg) {
	return func(m *dns.Msg) {
		m.SetEdns0(4096, do)
		m.IsEdns0().SetVersion(version)
		m.IsEdns0().Option = options
	}
}

// The rows of ISC's compliance tests on real sockets: what is sent, the code
// that comes back, and whether the SOA is in the answer. Over each transport.
func TestComplianceOnSockets(t *testing.T) {
	_, doors := startDoors(t, `
nsid: here
zones: [{name: lab.test, nameServers: [ns1.other.test]}]
profiles: [{name: www, zone: lab.test, routing: priority, monitor: {protocol: none}, endpoints: [{name: a, target: 192.0.2.1}]}]
`)
	flag := func(set func(*dns.Msg)) []byte { return query(t, dns.TypeSOA, set) }
	unknown := &dns.EDNS0_LOCAL{Code: 100, Data: []byte{1}}
	nsid := &dns.EDNS0_NSID{Code: dns.EDNS0NSID}
	cookie := &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"}
	subnet := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: net.IPv4(203, 0, 113, 0)}
	expire := &dns.EDNS0_EXPIRE{Code: dns.EDNS0EXPIRE, Empty: true}
	tests := []struct {
		name  string
		msg   []byte
		rcode int
		soa   bool
	}{
		{"dns", query(t, dns.TypeSOA), 0, true},
		{"aa", flag(func(m *dns.Msg) { m.Authoritative = true }), 0, true},
		{"ra", flag(func(m *dns.Msg) { m.RecursionAvailable = true }), 0, true},
		{"tc", flag(func(m *dns.Msg) { m.Truncated = true }), 0, true},
		{"ad", flag(func(m *dns.Msg) { m.AuthenticatedData = true }), 0, true},
		{"cd", flag(func(m *dns.Msg) { m.CheckingDisabled = true }), 0, true},
		{"rd", flag(func(m *dns.Msg) { m.RecursionDesired = true }), 0, true},
		{"zflag", flag(func(m *dns.Msg) { m.Zero = true }), 0, true},
		{"type666", query(t, 666), 0, false},
		{"edns", query(t, dns.TypeSOA, edns(0, false)), 0, true},
		{"edns1", query(t, dns.TypeSOA, edns(1, false)), 16, false},
		{"ednsopt", query(t, dns.TypeSOA, edns(0, false, unknown)), 0, true},
		{"edns1opt", query(t, dns.TypeSOA, edns(1, false, unknown)), 16, false},
		{"do", query(t, dns.TypeSOA, edns(0, true)), 0, true},
		{"edns1do", query(t, dns.TypeSOA, edns(1, true)), 16, false},
		{"ednsflags", query(t, dns.TypeSOA, edns(0, false), func(m *dns.Msg) { m.IsEdns0().SetZ(0x80) }), 0, true},
		{"optlist", query(t, dns.TypeSOA, edns(0, false, nsid, subnet, expire, cookie)), 0, true},
		{"ednsnsid", query(t, dns.TypeSOA, edns(0, false, nsid)), 0, true},
		{"ednscookie", query(t, dns.TypeSOA, edns(0, false, cookie)), 0, true},
		{"ednssubnet", query(t, dns.TypeSOA, edns(0, false, subnet)), 0, true},
		{"edns1nsid", query(t, dns.TypeSOA, edns(1, false, nsid)), 16, false},
		{"edns1cookie", query(t, dns.TypeSOA, edns(1, false, cookie)), 16, false},
		{"edns1subnet", query(t, dns.TypeSOA, edns(1, false, subnet)), 16, false},
	}
	for qtype := uint16(1); qtype < 260; qtype++ {
		if qtype == dns.TypeOPT || qtype == dns.TypeNXNAME || qtype >= dns.TypeTKEY && qtype <= dns.TypeAXFR || qtype == dns.TypeSOA {
			continue
		}
		tests = append(tests, struct {
			name  string
			msg   []byte
			rcode int
			soa   bool
		}{"type " + dns.Type(qtype).String(), query(t, qtype), 0, false})
	}
	for _, d := range doors {
		network := d.network
		for _, tt := range tests {
			out := d.exchange(t, tt.msg)
			asked, m := new(dns.Msg), new(dns.Msg)
			if err := asked.Unpack(tt.msg); err != nil {
				t.Fatal(err)
			}
			if err := m.Unpack(out); err != nil {
				t.Fatalf("%s over %s: %v in %x", tt.name, network, err, out)
			}
			soa := len(m.Answer) == 1 && m.Answer[0].Header().Rrtype == dns.TypeSOA
			ok := m.Rcode == tt.rcode && soa == tt.soa && m.Response && m.Id == asked.Id && m.Authoritative == (tt.rcode == 0) &&
				!m.Truncated && !m.RecursionAvailable && !m.AuthenticatedData && !m.Zero && m.RecursionDesired == asked.RecursionDesired
			if !ok || m.Question[0] != asked.Question[0] {
				t.Errorf("%s over %s:\n%s", tt.name, network, m)
			}
			opt, had := m.IsEdns0(), asked.IsEdns0()
			if (opt != nil) != (had != nil) || opt != nil && (opt.Version() != 0 || opt.Z() != 0 || tt.rcode != 0 && len(opt.Option) > 0) {
				t.Errorf("%s over %s: EDNS\n%s", tt.name, network, m)
			}
		}
		for name, msg := range map[string]string{
			"opcode":    "126778000000000000000000",
			"opcodeflg": "12677f7f0000000000000000",
		} {
			b, _ := hex.DecodeString(msg)
			if out := d.exchange(t, b); hex.EncodeToString(out) != "1267f804"+strings.Repeat("00", 8) {
				t.Errorf("%s over %s: %x", name, network, out)
			}
		}
	}
}
