package dnssec

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestDenials(t *testing.T) {
	s := newTestSigner(t, Options{})
	tests := []struct {
		name string
		got  *dns.NSEC
		want string
	}{
		{"no such type", s.NSEC("www.example.net.", []uint16{dns.TypeTXT, dns.TypeA, dns.TypeA}, 30),
			`www.example.net. 30 IN NSEC \000.www.example.net. A TXT RRSIG NSEC`},
		{"the case of the question", s.NSEC("wWw.example.net.", []uint16{dns.TypeA}, 30),
			`wWw.example.net. 30 IN NSEC \000.www.example.net. A RRSIG NSEC`},
		{"the apex", s.NSEC("example.net.", []uint16{dns.TypeDNSKEY, dns.TypeCDS, dns.TypeSOA, dns.TypeNS, dns.TypeCAA}, 30),
			`example.net. 30 IN NSEC \000.example.net. NS SOA RRSIG NSEC DNSKEY CDS CAA`},
		{"an empty non-terminal", s.NSEC("ent.example.net.", nil, 30),
			`ent.example.net. 30 IN NSEC \000.ent.example.net. RRSIG NSEC`},
		{"types that no record has", s.NSEC("a.example.net.", []uint16{0, dns.TypeOPT, dns.TypeANY, dns.TypeAXFR, dns.TypeNXNAME, dns.TypeRRSIG}, 30),
			`a.example.net. 30 IN NSEC \000.a.example.net. RRSIG NSEC`},
		{"no such name", s.Nonexistent("no.example.net.", 30),
			`no.example.net. 30 IN NSEC \000.no.example.net. RRSIG NSEC NXNAME`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.ReplaceAll(tt.got.String(), "\t", " "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			sig, err := s.Sign([]dns.RR{tt.got})
			if err != nil {
				t.Fatal(err)
			}
			verify(t, s, sig, []dns.RR{tt.got})
		})
	}
}

// unpack returns the text of a packed name made of labels and example.net.
func unpack(t testing.TB, labels ...string) string {
	t.Helper()
	var wire []byte
	for _, l := range append(labels, "example", "net", "") {
		wire = append(append(wire, byte(len(l))), l...)
	}
	name, _, err := dns.UnpackDomainName(wire, 0)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// full are labels that, before example.net, make a name of n octets with a
// leftmost label of the given length.
func full(n, leftmost int, fill string) (labels []string) {
	labels = []string{strings.Repeat(fill, leftmost)}
	for left := n - len("\x07example\x03net\x00") - leftmost - 1; left > 0; {
		l := min(63, left-1)
		if left-1-l == 1 {
			l-- // leave room for a label
		}
		labels = append(labels, strings.Repeat(fill, l))
		left -= l + 1
	}
	return labels
}

func TestNextNamesWhereThereIsNoRoom(t *testing.T) {
	s := newTestSigner(t, Options{})
	with := func(first string, rest []string) []string { return append([]string{first}, rest[1:]...) }
	var (
		a253, a254, a255 = full(253, 40, "a"), full(254, 40, "a"), full(255, 40, "a")
		b254, max255     = full(254, 63, "a"), full(255, 63, "\xff")
	)
	tests := []struct {
		name       string
		from, want []string
	}{
		{"253 octets: below", a253, append([]string{"\x00"}, a253...)},
		{"254 octets: an octet more", a254, with(a254[0]+"\x00", a254)},
		{"254 octets with a full label: the last octet", b254, with(b254[0][:62]+"b", b254)},
		{"255 octets: the last octet", a255, with(a255[0][:39]+"b", a255)},
		{"no capital letters", with(a255[0][:39]+"@", a255), with(a255[0][:39]+"[", a255)},
		{"capital letters are small ones", with(a255[0][:39]+"Z", a255), with(a255[0][:39]+"{", a255)},
		{"the greatest octet", with(a255[0][:39]+"\xfe", a255), with(a255[0][:39]+"\xff", a255)},
		{"past the greatest octet", with(a255[0][:38]+"b\xff", a255), with(a255[0][:38]+"c", a255)},
		{"past the greatest label", with(strings.Repeat("\xff", 40), a255), with(a255[1][:62]+"b", a255[1:])},
		{"past the last name: the apex", max255, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name, want := unpack(t, tt.from...), unpack(t, tt.want...)
			denial := s.Nonexistent(name, 30)
			if denial.NextDomain != want {
				t.Errorf("got  %s\nwant %s", denial.NextDomain, want)
			}
			sig, err := s.Sign([]dns.RR{denial})
			if err != nil {
				t.Fatal(err)
			}
			verify(t, s, sig, []dns.RR{denial})
		})
	}
}

func TestTheRootCanBeAZone(t *testing.T) {
	key, err := generate(".")
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSigner(key, ".", Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{".": `\000.`, "a.": `\000.a.`} {
		denial := s.NSEC(name, nil, 30)
		sig, err := s.Sign([]dns.RR{denial})
		if err != nil || denial.NextDomain != want {
			t.Fatalf("%v %v", denial, err)
		}
		verify(t, s, sig, []dns.RR{denial})
	}
}

func TestResponseCodesOfNamesThatDoNotExist(t *testing.T) {
	opt := func(do, co bool) *dns.OPT {
		o := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
		o.SetDo(do)
		o.SetCo(co)
		return o
	}
	tests := []struct {
		name string
		opt  *dns.OPT
		want int
	}{
		{"no EDNS", nil, dns.RcodeNameError},
		{"no DNSSEC", opt(false, false), dns.RcodeNameError},
		{"no DNSSEC, compact answers fine", opt(false, true), dns.RcodeNameError},
		{"DNSSEC", opt(true, false), dns.RcodeSuccess},
		{"DNSSEC, compact answers fine", opt(true, true), dns.RcodeNameError},
	}
	for _, tt := range tests {
		if got := Rcode(tt.opt); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// canonicalLess is RFC 4034 6.1 by another way: labels from the right.
func canonicalLess(t testing.TB, a, b string) bool {
	split := func(name string) (labels [][]byte) {
		wire, err := packName(name)
		if err != nil {
			t.Fatal(err)
		}
		for wire[0] != 0 {
			labels = append(labels, wire[1:1+wire[0]])
			wire = wire[1+wire[0]:]
		}
		slices.Reverse(labels)
		return labels
	}
	return slices.CompareFunc(split(a), split(b), bytes.Compare) < 0
}

// FuzzNames denies names that a client may ask for: the record verifies, and
// covers nothing but the name.
func FuzzNames(f *testing.F) {
	f.Add([]byte("\x03www\x00"))
	f.Add([]byte("\x01*\x01*\x02\x00.\x00"))
	f.Add(bytes.Repeat([]byte("\x3f"+strings.Repeat("\xff", 63)), 3))
	f.Add(bytes.Repeat([]byte("\x01@"), 125))
	s := newTestSigner(f, Options{MaxEntries: 100, PerSecond: 1e9})
	f.Fuzz(func(t *testing.T, wire []byte) {
		name, ok := below(wire)
		if !ok {
			return
		}
		denial := s.Nonexistent(name, 30)
		sig, err := s.Sign([]dns.RR{denial})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		verify(t, s, sig, []dns.RR{denial})
		next := denial.NextDomain
		if next != "example.net." && !canonicalLess(t, name, next) {
			t.Fatalf("%s is not before %s", name, next)
		}
		for _, between := range []string{`\000.` + name, "a." + name} {
			if _, err := packName(between); err == nil && canonicalLess(t, between, next) {
				t.Fatalf("%s is between %s and %s", between, name, next)
			}
		}
	})
}

// below returns a name of the zone that begins with the labels in wire, as far
// as they are whole and there is room.
func below(wire []byte) (string, bool) {
	end := 0
	for end < len(wire) && wire[end] != 0 && wire[end] < 64 && end+1+int(wire[end]) <= min(len(wire), 242) {
		end += 1 + int(wire[end])
	}
	name, _, err := dns.UnpackDomainName(fmt.Append(nil, string(wire[:end]), "\x07example\x03net\x00"), 0)
	return name, err == nil
}
