package dnssec

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

var testTime = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

// records parses lines of a zone file.
func records(t testing.TB, lines ...string) (rrset []dns.RR) {
	t.Helper()
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil || rr == nil {
			t.Fatalf("%s: %v", line, err)
		}
		rrset = append(rrset, rr)
	}
	return rrset
}

// newTestSigner returns a signer of example.net with the key of the RFC.
func newTestSigner(t testing.TB, options Options) *Signer {
	t.Helper()
	private, err := parsePrivate(examplePrivate)
	if err != nil {
		t.Fatal(err)
	}
	key, err := newKey("example.net.", private)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSigner(key, exampleZone, options)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// verify has another implementation check a signature, from a message.
func verify(t testing.TB, s *Signer, sig *dns.RRSIG, rrset []dns.RR) {
	t.Helper()
	m := &dns.Msg{Answer: append(slices.Clone(rrset), sig)}
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Unpack(wire); err != nil {
		t.Fatal(err)
	}
	last := len(m.Answer) - 1
	if err := m.Answer[last].(*dns.RRSIG).Verify(s.key.DNSKEY(60), m.Answer[:last]); err != nil {
		t.Errorf("%v: %v\n%v", err, sig, rrset)
	}
}

func TestSignaturesOfAllTypesVerify(t *testing.T) {
	tests := [][]string{
		{"Example.NET. 60 A 192.0.2.1"},
		{"www.example.net. 60 A 192.0.2.2", "www.example.net. 60 A 192.0.2.1", "www.example.net. 60 A 192.0.2.10"},
		{"www.example.net. 60 AAAA 2001:db8::2", "www.example.net. 60 AAAA 2001:db8::1"},
		{"example.net. 60 NS NS2.Example.NET.", "example.net. 60 NS a.Example.ORG."},
		{"example.net. 60 SOA Ns.Example.NET. Host.Example.NET. 1 2 3 4 5"},
		{"example.net. 60 MX 10 Mail.Example.NET.", "example.net. 60 MX 5 mail2.Example.NET."},
		{"w.example.net. 60 CNAME Other.Example.ORG."},
		{"w.example.net. 60 DNAME Other.Example.ORG."},
		{"w.example.net. 60 PTR Other.Example.ORG."},
		{"_a._tcp.example.net. 60 SRV 1 2 3 Host.Example.ORG.", "_a._tcp.example.net. 60 SRV 1 2 2 Host.Example.ORG."},
		{`n.example.net. 60 NAPTR 1 2 "S" "SIP+D2U" "" _SIP._udp.Example.NET.`},
		{"n.example.net. 60 RP A.Example.NET. B.Example.NET."},
		{"n.example.net. 60 PX 10 A.Example.NET. B.Example.NET."},
		{"n.example.net. 60 KX 10 A.Example.NET."},
		{"n.example.net. 60 AFSDB 1 A.Example.NET."},
		{"n.example.net. 60 RT 1 A.Example.NET."},
		{"n.example.net. 60 MINFO A.Example.NET. B.Example.NET."},
		{`t.example.net. 60 TXT "Case Counts" "Here"`, `t.example.net. 60 TXT "a"`},
		{`t.example.net. 60 HINFO "CPU" "OS"`},
		{`example.net. 60 CAA 0 issue "CA.example"`},
		{"s.example.net. 60 HTTPS 1 Svc.Example.NET. alpn=h2"},
		{"d.example.net. 60 DS 55648 13 2 " + exampleDigest},
		{exampleDNSKEY},
		{`x.example.net. 60 TYPE65300 \# 4 41424344`},
		{"*.example.net. 60 A 192.0.2.1"},
		{"*.*.example.net. 60 A 192.0.2.1"},
		{"w.example.net. 60 NSEC Next.Example.NET. A RRSIG NSEC TYPE65300"},
	}
	for _, lines := range tests {
		s, rrset := newTestSigner(t, Options{}), records(t, lines...)
		sig, err := s.Sign(rrset)
		if err != nil {
			t.Errorf("%s: %v", lines[0], err)
			continue
		}
		verify(t, s, sig, rrset)
		if sig.Hdr.Name != rrset[0].Header().Name || sig.Hdr.Ttl != rrset[0].Header().Ttl {
			t.Errorf("header %v", sig.Hdr)
		}
	}
}

func TestASetIsTheSameInAnyOrderAndCase(t *testing.T) {
	s := newTestSigner(t, Options{})
	a := records(t, "www.example.net. 60 NS a.example.", "www.example.net. 60 NS b.example.", "www.example.net. 60 NS c.example.")
	b := records(t, "wWw.example.NET. 60 NS C.example.", "www.example.net. 60 NS a.example.", "www.example.net. 60 NS B.example.", "www.example.net. 60 NS a.EXAMPLE.")
	before := fmt.Sprint(b)
	one, err := s.Sign(a)
	if err != nil {
		t.Fatal(err)
	}
	two, err := s.Sign(b)
	if err != nil {
		t.Fatal(err)
	}
	if one.Signature != two.Signature || s.Stats().Signed != 1 {
		t.Errorf("%d signatures", s.Stats().Signed)
	}
	if two.Hdr.Name != "wWw.example.NET." || one.Hdr.Name != "www.example.net." {
		t.Errorf("owners %s, %s", one.Hdr.Name, two.Hdr.Name)
	}
	if fmt.Sprint(b) != before {
		t.Error("the records were changed")
	}
	other := records(t, "www.example.net. 61 NS a.example.", "www.example.net. 61 NS b.example.", "www.example.net. 61 NS c.example.")
	if _, err := s.Sign(other); err != nil || s.Stats().Signed != 2 {
		t.Errorf("another TTL: %d signatures, %v", s.Stats().Signed, err)
	}
}

func TestTheSmallestTTLCounts(t *testing.T) {
	s := newTestSigner(t, Options{})
	rrset := records(t, "a.example.net. 60 A 192.0.2.1", "a.example.net. 30 A 192.0.2.2", "a.example.net. 90 A 192.0.2.3")
	sig, err := s.Sign(rrset)
	if err != nil || sig.OrigTtl != 30 || sig.Hdr.Ttl != 30 {
		t.Fatalf("%v %v", sig, err)
	}
	verify(t, s, sig, rrset)
}

func TestLabelsCountWithoutAnAsterisk(t *testing.T) {
	s := newTestSigner(t, Options{})
	for name, want := range map[string]uint8{
		"example.net.": 2, "a.example.net.": 3, "*.example.net.": 2, "*a.example.net.": 3, `\*.example.net.`: 2,
		"a.*.example.net.": 4, `a\.b.example.net.`: 3, `\000.example.net.`: 3,
	} {
		sig, err := s.Sign([]dns.RR{s.NSEC(name, nil, 60)})
		if err != nil || sig.Labels != want {
			t.Errorf("%s: %v, %v, want %d", name, sig, err, want)
		}
	}
}

func TestWhatIsNoSetOfTheZoneIsNotSigned(t *testing.T) {
	chaos := records(t, "a.example.net. 60 CH TXT a")
	relative := &dns.A{Hdr: dns.RR_Header{Name: "a.example.net", Rrtype: dns.TypeA, Class: dns.ClassINET}, A: []byte{1, 2, 3, 4}}
	long := []dns.RR{}
	for i := range 300 {
		long = append(long, &dns.TXT{
			Hdr: dns.RR_Header{Name: "a.example.net.", Rrtype: dns.TypeTXT, Class: dns.ClassINET},
			Txt: []string{fmt.Sprint(i), strings.Repeat("a", 250)},
		})
	}
	tests := []struct {
		name  string
		rrset []dns.RR
		want  string
	}{
		{"nothing", nil, "empty"},
		{"no record", []dns.RR{nil}, "no record"},
		{"two owners", records(t, "a.example.net. 60 A 192.0.2.1", "b.example.net. 60 A 192.0.2.1"), "several owners"},
		{"owners of two lengths", records(t, "a.long.name.example.net. 60 A 192.0.2.1", "net. 60 A 192.0.2.1"), "several owners"},
		{"two types", records(t, "a.example.net. 60 A 192.0.2.1", "a.example.net. 60 TXT a"), "several owners"},
		{"another class", chaos, "class 3"},
		{"out of the zone", records(t, "a.example.org. 60 A 192.0.2.1"), "not in the zone"},
		{"almost in the zone", records(t, "anexample.net. 60 A 192.0.2.1"), "not in the zone"},
		{"the suffix within a label", records(t, `a\007example\003net. 60 A 192.0.2.1`), "not in the zone"},
		{"above the zone", records(t, "net. 60 A 192.0.2.1"), "not in the zone"},
		{"signatures", records(t, "a.example.net. 60 RRSIG A 13 3 60 20260101000000 20260101000000 1 example.net. AAAA"), "not signed"},
		{"a question", []dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: "a.example.net.", Rrtype: dns.TypeANY, Class: dns.ClassINET}}}, "not signed"},
		{"a relative name", []dns.RR{relative}, "absolute"},
		{"no name", []dns.RR{newTestSigner(t, Options{}).NSEC("a..b.", nil, 60)}, "absolute"},
		{"too much", long, "more than 65535"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if sig, err := newTestSigner(t, Options{}).Sign(tt.rrset); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, %v, want %s", sig, err, tt.want)
			}
		})
	}
}

func TestCanonicalFormHasNamesInLowerCaseAndOrder(t *testing.T) {
	rrset := records(t, "A.example.net. 60 SRV 0 0 2 B.", "A.example.net. 60 SRV 0 0 1 C.")
	got, err := Canonical([]byte("before"), rrset)
	if err != nil {
		t.Fatal(err)
	}
	head := "\x01a\x07example\x03net\x00\x00\x21\x00\x01\x00\x00\x00\x3c\x00\x09"
	want := "before" + head + "\x00\x00\x00\x00\x00\x01\x01c\x00" + head + "\x00\x00\x00\x00\x00\x02\x01b\x00"
	if string(got) != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestLengthsOfPackedNames(t *testing.T) {
	label := func(n int) string { return string(rune(n)) + strings.Repeat("a", n) }
	tests := []struct {
		name, packed string
		want         int
	}{
		{"the root", "\x00", 1},
		{"with more behind", "\x01a\x00more", 3},
		{"no end", "\x01a", 0},
		{"nothing", "", 0},
		{"a pointer", "\xc0\x00" + strings.Repeat("\x00", 200), 0},
		{"a label of 63", label(63) + "\x00", 65},
		{"a label of 64", label(64) + "\x00", 0},
		{"255 octets", strings.Repeat(label(1), 127) + "\x00", 255},
		{"257 octets", strings.Repeat(label(1), 128) + "\x00", 0},
	}
	for _, tt := range tests {
		if got := ownerLen([]byte(tt.packed)); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// Any bytes as the data of any type must neither panic nor change outside of
// names.
func TestBrokenDataIsLoweredWithinItsBounds(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		data := make([]byte, random.IntN(40))
		for i := range data {
			data[i] = byte(random.IntN(1 << random.IntN(9))) // short lengths are likely
		}
		before := bytes.ToLower(data)
		for _, s := range shapes {
			lowerNames(data, s)
		}
		if !bytes.Equal(bytes.ToLower(data), before) {
			t.Fatalf("% x became % x", before, data)
		}
	}
}

func FuzzSignCanonical(f *testing.F) {
	set, err := Canonical(nil, records(f, "www.example.net. 60 A 192.0.2.1"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(set)
	f.Add([]byte("\x01a\x07example\x03net\x00\x00\x01"))
	f.Add([]byte("\xc0\x00"))
	s := newTestSigner(f, Options{MaxEntries: 10})
	f.Fuzz(func(t *testing.T, set []byte) {
		packed, err := s.SignCanonical(set)
		if err != nil {
			return
		}
		rr, n, err := dns.UnpackRR(packed, 0)
		if err != nil || n != len(packed) || !dns.IsSubDomain("example.net.", rr.Header().Name) {
			t.Errorf("% x: %v %v", set, rr, err)
		}
	})
}
