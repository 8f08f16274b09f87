package wire

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/miekg/dns"
)

// packed is the bytes of a query that change, if not nil, has changed.
func packed(t testing.TB, name string, qtype uint16, change func(*dns.Msg)) []byte {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	m.Id = 4711
	if change != nil {
		change(m)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func withECS(family uint16, source, scope uint8, addr string) func(*dns.Msg) {
	return func(m *dns.Msg) {
		m.SetEdns0(1232, true)
		m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: family, SourceNetmask: source,
			SourceScope: scope, Address: netip.MustParseAddr(addr).AsSlice()})
	}
}

func TestTheUsualQueryIsRead(t *testing.T) {
	var q Query
	if Usual != q.Parse(packed(t, "WwW.Tm.Example.", dns.TypeAAAA, nil)) {
		t.Fatal("refused")
	}
	if q.ID != 4711 || q.Flags != FlagRD || q.Type != dns.TypeAAAA || q.Class != 1 || q.EDNS.Present {
		t.Errorf("%+v", q)
	}
	if string(q.Lower()) != "\x03www\x02tm\x07example\x00" || string(q.Name) != "\x03WwW\x02Tm\x07Example\x00" {
		t.Errorf("name %q, lower %q", q.Name, q.Lower())
	}
	if !bytes.Equal(q.Labels(), []uint8{0, 4, 7, 15}) {
		t.Errorf("labels %v", q.Labels())
	}
	if Usual != q.Parse(packed(t, ".", dns.TypeNS, nil)) || string(q.Lower()) != "\x00" || q.EDNS.Present {
		t.Errorf("root: %q", q.Lower())
	}
	all := packed(t, "a.example.", dns.TypeA, func(m *dns.Msg) {
		withECS(1, 20, 0, "203.0.112.0")(m)
		opt := m.IsEdns0()
		opt.Option = append(opt.Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID}, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"},
			&dns.EDNS0_LOCAL{Code: 100, Data: []byte{1}}, &dns.EDNS0_PADDING{Padding: []byte{0, 0}}, &dns.EDNS0_TCP_KEEPALIVE{Code: dns.EDNS0TCPKEEPALIVE})
	})
	if Usual != q.Parse(all) {
		t.Fatal("refused with options")
	}
	e := q.EDNS
	if !e.Present || e.UDPSize != 1232 || e.Flags != FlagDO || !e.NSID || !e.Padding || !e.Keepalive || len(e.Cookie) != 8 ||
		e.ECS != (ECS{Present: true, Family: 1, Source: 20, Addr: netip.MustParseAddr("203.0.112.0")}) {
		t.Errorf("%+v", e)
	}
}

func TestTheUnusualIsRefused(t *testing.T) {
	good := packed(t, "www.tm.example.", dns.TypeA, nil)
	edns := packed(t, "www.tm.example.", dns.TypeA, withECS(1, 24, 0, "192.0.2.0"))
	change := func(b []byte, at int, to byte) []byte {
		c := bytes.Clone(b)
		c[at] = to
		return c
	}
	tests := map[string][]byte{
		"nothing":         nil,
		"a header":        good[:12],
		"a response":      change(good, 2, 0x80),
		"an opcode":       change(good, 2, 0x28),
		"two questions":   change(good, 5, 2),
		"an answer":       change(good, 7, 1),
		"an authority":    change(good, 9, 1),
		"two additional":  change(good, 11, 2),
		"more at the end": append(bytes.Clone(good), 0),
		"no class":        good[:len(good)-1],
		"compression":     change(good, 12, 0xc0),
		"a long label":    change(good, 12, 64),
		"options cut":     edns[:len(edns)-1],
		"OPT of a name":   change(edns, len(good), 1),
		"no OPT":          change(edns, len(good)+2, 42),
	}
	var q Query
	for name, b := range tests {
		if v := q.Parse(b); v != Unusual {
			t.Errorf("%s: %d", name, v)
		}
	}
	for name, b := range map[string][]byte{
		"scope in a query":  packed(t, "a.example.", dns.TypeA, withECS(1, 24, 8, "192.0.2.0")),
		"ECS family 3":      change(edns, len(good)+11+5, 3),
		"ECS of 33 bits":    change(edns, len(good)+11+6, 33),
		"ECS without bytes": change(edns, len(good)+11+6, 8),
		"ECS with low bits": change(change(edns, len(good)+11+6, 23), len(edns)-1, 1),
		"two cookies": packed(t, "a.example.", dns.TypeA, func(m *dns.Msg) {
			m.SetEdns0(512, false)
			c := &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"}
			m.IsEdns0().Option = append(m.IsEdns0().Option, c, c)
		}),
		"a short cookie": packed(t, "a.example.", dns.TypeA, func(m *dns.Msg) {
			m.SetEdns0(512, false)
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "010203"})
		}),
	} {
		if v := q.Parse(b); v != Malformed {
			t.Errorf("%s: %d", name, v)
		}
	}
	long := append(make([]byte, 0, 300), good[:12]...)
	for range 4 {
		long = append(append(long, 63), bytes.Repeat([]byte("a"), 63)...)
	}
	if Unusual != q.Parse(append(long, 0, 0, 1, 0, 1)) {
		t.Error("a name of 257 octets: taken")
	}
}

// A response that is written parses as what was meant.
func TestResponsesParse(t *testing.T) {
	var q Query
	if Usual != q.Parse(packed(t, "WWW.tm.example.", dns.TypeA, withECS(2, 56, 0, "2001:db8:1:200::"))) {
		t.Fatal("refused")
	}
	prefix := []byte("before")
	start := len(prefix)
	out := q.Header(prefix, FlagAA|FlagRD, 0)
	out = q.Append(out, &Record{Type: 1, TTL: 30, Data: []byte{192, 0, 2, 1}})
	out = q.Append(out, &Record{Name: []byte("\x02tm\x07example\x00"), Type: 2, TTL: 60, Data: []byte("\x02ns\x07example\x00")})
	out = q.Append(out, &Record{Name: []byte("\x01m\x07example\x00"), Type: 1, TTL: 60, Data: []byte{192, 0, 2, 2}})
	opt := OPT{UDPSize: 1232, Flags: FlagDO, NSID: []byte("ns1"), Cookie: make([]byte, 24), ECS: q.EDNS.ECS, Scope: 48, EDE: 20, EDEText: "no", Keepalive: 100, PadTo: 468}
	least := opt.Len()
	before := len(out)
	out = opt.Append(out, start)
	Counts(out, start, 1, 1, 2)
	if (len(out)-start)%468 != 0 || len(out)-before < least {
		t.Errorf("%d octets, the OPT %d of %d", len(out)-start, len(out)-before, least)
	}
	m := new(dns.Msg)
	if err := m.Unpack(out[start:]); err != nil {
		t.Fatal(err)
	}
	if m.Question[0].Name != "WWW.tm.example." || m.Answer[0].Header().Name != "WWW.tm.example." || m.Ns[0].Header().Name != "tm.example." || m.Extra[0].Header().Name != "m.example." {
		t.Errorf("%s", m)
	}
	o := m.IsEdns0()
	var codes []uint16
	for _, x := range o.Option {
		codes = append(codes, x.Option())
		if s, ok := x.(*dns.EDNS0_SUBNET); ok && (s.SourceScope != 48 || s.SourceNetmask != 56 || s.Address.String() != "2001:db8:1:200::") {
			t.Errorf("%s", s)
		}
		if e, ok := x.(*dns.EDNS0_EDE); ok && (e.InfoCode != 20 || e.ExtraText != "no") {
			t.Errorf("%s", e)
		}
	}
	if !o.Do() || len(codes) != 6 {
		t.Errorf("options %v", codes)
	}
}

func TestParsingAllocatesNothing(t *testing.T) {
	b := packed(t, "www.tm.example.", dns.TypeA, withECS(1, 24, 0, "192.0.2.0"))
	var q Query
	out := make([]byte, 0, 512)
	opt := OPT{UDPSize: 1232, EDE: -1}
	r := Record{Type: 1, TTL: 30, Data: []byte{192, 0, 2, 1}}
	if n := testing.AllocsPerRun(1000, func() {
		if Usual != q.Parse(b) {
			t.Fatal("refused")
		}
		opt.ECS = q.EDNS.ECS
		out = opt.Append(q.Append(q.Header(out[:0], FlagAA, 0), &r), 0)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What Parse takes, miekg/dns takes too and reads as the same.
func FuzzParse(f *testing.F) {
	f.Add(packed(f, "www.tm.example.", dns.TypeA, nil))
	f.Add(packed(f, "www.tm.example.", dns.TypeANY, withECS(1, 24, 0, "192.0.2.0")))
	f.Add(packed(f, ".", dns.TypeSOA, withECS(2, 128, 0, "2001:db8::1")))
	f.Fuzz(func(t *testing.T, b []byte) {
		var q Query
		if Usual != q.Parse(b) {
			return
		}
		m := new(dns.Msg)
		if err := m.Unpack(b); err != nil && q.EDNS.Present {
			return // an option that we do not read
		} else if err != nil {
			t.Fatalf("taken, and miekg/dns says %v", err)
		}
		if len(m.Question) != 1 || m.Question[0].Qtype != q.Type || m.Question[0].Qclass != q.Class || m.Id != q.ID {
			t.Fatalf("%+v is not %s", q, m)
		}
		wire := make([]byte, 256)
		n, err := dns.PackDomainName(m.Question[0].Name, wire, 0, nil, false)
		if err != nil || !bytes.Equal(wire[:n], q.Name) {
			t.Fatalf("name %q is not %q (%v)", q.Name, wire[:n], err)
		}
		if (m.IsEdns0() != nil) != q.EDNS.Present {
			t.Fatal("EDNS")
		}
		out := q.Header(nil, FlagAA, 0)
		if err := m.Unpack(out); err != nil {
			t.Fatalf("response: %v", err)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	msg := packed(b, "www.tm.example.", dns.TypeA, withECS(1, 24, 0, "192.0.2.0"))
	var q Query
	b.ReportAllocs()
	for b.Loop() {
		q.Parse(msg)
	}
}
