package dns

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// DNS flag day 2020 and RFC 6891 6.2.3, 6.2.5, 7: never more than the client
// takes, never more than 1232 octets over UDP, TC and the OPT record on what
// does not fit, and the whole of it over TCP.
func TestSizes(t *testing.T) {
	var file strings.Builder
	for _, n := range []int{400, 600, 1100, 1300, 4500} {
		for i := range n / 50 { // a record has 12 octets, a length and a text
			fmt.Fprintf(&file, "of%d TXT %q\n", n, fmt.Sprintf("%037d", i))
		}
	}
	p, doors := startDoors(t, "limits: {udpSize: 1232}\n"+zoned(t, head+file.String()))
	size := func(n uint16) func(*dns.Msg) {
		return func(m *dns.Msg) { m.SetEdns0(n, false) }
	}
	plain := func(*dns.Msg) {}
	tests := []struct {
		name  string
		edns  func(*dns.Msg)
		limit int
		whole int // the largest set of records that fits
	}{
		{"no EDNS", plain, 512, 400},
		{"0", size(0), 512, 400},
		{"100", size(100), 512, 400},
		{"511", size(511), 512, 400},
		{"512", size(512), 512, 400},
		{"1000", size(1000), 1000, 600},
		{"1232", size(1232), 1232, 1100},
		{"4096", size(4096), 1232, 1100},
		{"65535", size(65535), 1232, 1100},
	}
	for _, tt := range tests {
		for _, n := range []int{400, 600, 1100, 1300, 4500} {
			msg := about(t, fmt.Sprintf("of%d", n), dns.TypeTXT, tt.edns)
			for _, d := range doors {
				out := d.exchange(t, msg)
				m := d.ask(t, msg)
				cut := d.network == "udp" && n > tt.whole
				if m.Truncated != cut || cut == (len(m.Answer) == n/50) || d.network == "udp" && len(out) > tt.limit {
					t.Errorf("size %s, records of %d, %s: %d octets, TC %v, %d records", tt.name, n, d.network, len(out), m.Truncated, len(m.Answer))
				}
				opt, asked := m.IsEdns0(), strings.Contains(tt.name, "EDNS")
				if (opt == nil) != asked || opt != nil && opt.UDPSize() != 1232 {
					t.Errorf("size %s, records of %d, %s: OPT %v", tt.name, n, d.network, opt)
				}
			}
		}
	}
	// DNS flag day 2019: nothing about EDNS goes without a response.
	for version := range 256 {
		msg := query(t, dns.TypeSOA, edns(uint8(version), true, &dns.EDNS0_LOCAL{Code: uint16(20000 + version), Data: make([]byte, version)}))
		m := (door{"udp", p.address}).ask(t, msg)
		if want := map[bool]int{true: dns.RcodeSuccess, false: dns.RcodeBadVers}[version == 0]; m.Rcode != want || m.IsEdns0() == nil || m.IsEdns0().Version() != 0 {
			t.Errorf("version %d:\n%s", version, m)
		}
	}
}

// The longest messages that there are, with and without padding: what does not
// fit is cut, over TCP too. Padding makes 65520 octets of them at most, the
// largest multiple of 468.
func TestTheLongestResponses(t *testing.T) {
	var file strings.Builder
	const others = 57 // octets of a response besides the data
	for _, n := range []int{65000, 65459, 65460, 65478, 65479} {
		fmt.Fprintf(&file, "of%d TYPE65280 \\# %d %s\n", n, n, strings.Repeat(strings.Repeat("00", 200)+" ", n/200)+strings.Repeat("00", n%200))
	}
	_, doors := startDoors(t, zoned(t, head+file.String()))
	for _, d := range doors[1:] {
		for _, tt := range []struct {
			n, most     int
			asksPadding bool
		}{
			{65478, 65535, false},
			{65479, 65535, false},
			{65000, 65520, true},
			{65459, 65520, true},
			{65460, 65520, true},
			{65478, 65520, true},
		} {
			change := edns(0, false)
			if tt.asksPadding {
				change = edns(0, false, &dns.EDNS0_PADDING{})
			}
			whole := tt.n+others <= tt.most
			if tt.asksPadding {
				whole = d.network == "tcp" || tt.n+others+4 <= tt.most
			}
			m := d.ask(t, about(t, fmt.Sprintf("of%d", tt.n), 65280, change))
			if m.Truncated == whole || whole != (len(m.Answer) == 1) {
				t.Errorf("%s, %d, padding %v: %d records, TC %v", d.network, tt.n, tt.asksPadding, len(m.Answer), m.Truncated)
			}
		}
	}
}
