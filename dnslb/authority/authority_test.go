package authority

import (
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gatehouse/config"
	"gatehouse/dnslb"
	"gatehouse/dnslb/dnssec"
	"gatehouse/dnslb/server"
	"gatehouse/dnslb/zone"
	"gatehouse/health"
	"gatehouse/internal/cidr"
)

const records = `
$TTL 300
@      NS    ns1
@      MX    10 mail
ns1    A     192.0.2.53
ns1    AAAA  2001:db8::53
mail   A     192.0.2.25
text   TXT   "one" "two"
many   TXT   ( "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
             "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
             "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc" )
alias  CNAME mail
chain  CNAME alias
direct CNAME www
lost   CNAME nothing
away   CNAME www.other.test.
loop   CNAME loop2
loop2  CNAME loop
deep.ent TXT "here"
under.offnx2 TXT "here"
*.wild A     192.0.2.99
sub    NS    ns.sub
ns.sub A     192.0.2.54
glued  NS    glued
glued  A     192.0.2.54
glued  TXT   "hidden"
safe   NS    ns.test.
safe   DS    12345 13 2 0000000000000000000000000000000000000000000000000000000000000000
`

// setup is an authority of the zone tm.example with some profiles.
type setup struct {
	authority *Authority
	view      *View
	director  *dnslb.Director
	zone      *zone.Zone
}

func profiles() []config.Profile {
	ip := netip.MustParseAddr
	monitor := config.Monitor{Protocol: config.MonitorHTTP}
	at := func(name, target string, change func(*config.Endpoint)) config.Endpoint {
		e := config.Endpoint{Name: name, Enabled: true, Weight: 1, Priority: 1}
		if a, err := netip.ParseAddr(target); err == nil {
			e.Address = a
		} else {
			e.Host = target
		}
		if change != nil {
			change(&e)
		}
		return e
	}
	nets := func(s string) func(*config.Endpoint) {
		return func(e *config.Endpoint) {
			first, last, _ := strings.Cut(s, "-")
			e.Subnets = []config.AddressRange{{First: ip(first), Last: ip(last)}}
		}
	}
	second := func(e *config.Endpoint) { e.Priority = 2 }
	port := func(e *config.Endpoint) { e.Port = 8443 }
	list := []config.Profile{
		{Name: "www", Routing: config.RoutePriority, Endpoints: []config.Endpoint{at("a", "192.0.2.1", nil), at("b", "192.0.2.2", second), at("six", "2001:db8::1", nil)}},
		{Name: "named", Routing: config.RoutePriority, Endpoints: []config.Endpoint{at("a", "east.example.net", nil)}},
		{Name: "@", Routing: config.RoutePriority, Endpoints: []config.Endpoint{at("a", "apex.example.net", nil)}},
		{Name: "multi", Routing: config.RouteMultiValue, MaxReturn: 10, Endpoints: []config.Endpoint{at("a", "192.0.2.1", nil), at("b", "192.0.2.2", nil), at("c", "192.0.2.3", nil)}},
		{Name: "net", Routing: config.RouteSubnet, Endpoints: []config.Endpoint{at("a", "192.0.2.1", nets("203.0.113.0-203.0.113.127")), at("six", "2001:db8::6", nets("2001:db8:1::-2001:db8:1:ffff:ffff:ffff:ffff:ffff")), at("rest", "192.0.2.9", nil)}},
		{Name: "netonly", Routing: config.RouteSubnet, UnmatchedNXDomain: true, Endpoints: []config.Endpoint{at("a", "192.0.2.1", nets("203.0.113.0-203.0.113.127"))}},
		{Name: "off", Routing: config.RoutePriority, Endpoints: []config.Endpoint{at("a", "192.0.2.1", func(e *config.Endpoint) { e.Enabled = false })}},
		{Name: "offnx", Routing: config.RoutePriority, NXDomain: true, Endpoints: []config.Endpoint{at("a", "192.0.2.1", func(e *config.Endpoint) { e.Enabled = false })}},
		{Name: "offnx2", Routing: config.RoutePriority, NXDomain: true, Endpoints: []config.Endpoint{at("a", "192.0.2.1", func(e *config.Endpoint) { e.Enabled = false })}},
		{Name: "ported", Routing: config.RoutePriority, Endpoints: []config.Endpoint{at("a", "192.0.2.1", port)}},
		{Name: "nested", Routing: config.RoutePriority, Endpoints: []config.Endpoint{{Name: "www", Profile: "www", Enabled: true, Priority: 1, MinChildEndpoints: 1}}},
		{Name: "weighted", Routing: config.RouteWeighted, Endpoints: []config.Endpoint{at("a", "192.0.2.1", nil), at("b", "192.0.2.2", nil)}},
	}
	for i := range list {
		list[i].Label = list[i].Name
		list[i].Zone, list[i].Enabled, list[i].TTL, list[i].DegradedTTL, list[i].Monitor = "tm.example", true, 30*time.Second, 10*time.Second, monitor
	}
	return list
}

// newSetup builds it; change, if not nil, changes the view before it is used.
func newSetup(t testing.TB, change func(*setup)) *setup {
	t.Helper()
	file := filepath.Join(t.TempDir(), "zone")
	if err := os.WriteFile(file, []byte(records), 0o600); err != nil {
		t.Fatal(err)
	}
	conf := &config.TrafficManager{Profiles: profiles(), Zones: []config.DNSZone{{Name: "tm.example", File: file, Hostmaster: "dns.tm.example", TTL: time.Hour, NegativeTTL: time.Minute}}}
	d, err := dnslb.Compile(conf, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	built, err := zone.Build(conf, d)
	if err != nil {
		t.Fatal(err)
	}
	everyone := cidr.Set([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")})
	s := &setup{authority: New(), director: d, zone: built.Zones[0],
		view: &View{Zones: built.Set, Counters: NewCounters(d), ECSTrusted: everyone, Cookies: NewCookies(make([]byte, 16)), NSID: []byte("one")}}
	if change != nil {
		change(s)
	}
	s.authority.Use(s.view, d.Snapshot(s.known(nil)))
	return s
}

// known is what is known of endpoints, all well but for those named.
func (s *setup) known(down []string) []dnslb.Known {
	known := make([]dnslb.Known, len(s.director.Endpoints))
	for i, e := range s.director.Endpoints {
		known[i].Health = health.Healthy
		if slices.Contains(down, e.Key) {
			known[i].Health = health.Unhealthy
		}
		if e.Flattened() && e.Config().Host != "" {
			known[i].Addresses = []netip.Addr{netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8:2::1")}
		}
	}
	return known
}

func signed(t testing.TB) func(*setup) {
	return func(s *setup) {
		key, _, err := dnssec.LoadOrCreate(filepath.Join(t.TempDir(), "tm.example.private"), "tm.example")
		if err != nil {
			t.Fatal(err)
		}
		signer, err := dnssec.NewSigner(key, "tm.example", dnssec.Options{})
		if err != nil {
			t.Fatal(err)
		}
		set, err := zone.NewRRset(key.DNSKEY(3600))
		if err != nil {
			t.Fatal(err)
		}
		s.zone.Apex.Sets = append(s.zone.Apex.Sets, set)
		s.view.Signers = map[*zone.Zone]Signer{s.zone: signer}
	}
}

func peer(transport server.Transport, addr string) *server.Peer {
	return &server.Peer{Addr: netip.AddrPortFrom(netip.MustParseAddr(addr), 4242), Transport: transport, Now: time.Unix(1800000000, 0)}
}

// seeded is a responder whose draws are known.
func (s *setup) seeded() *Responder {
	r := s.authority.NewResponder().(*Responder)
	r.random = rand.New(rand.NewPCG(1, 2))
	return r
}

// question is a query, with EDNS if change makes it so.
func question(t testing.TB, name string, qtype uint16, change ...func(*dns.Msg)) []byte {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	m.RecursionDesired = false
	m.Id = 4711
	for _, c := range change {
		c(m)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func edns(size uint16, do bool, options ...dns.EDNS0) func(*dns.Msg) {
	return func(m *dns.Msg) {
		m.SetEdns0(size, do)
		m.IsEdns0().Option = options
	}
}

func subnet(p string) dns.EDNS0 {
	prefix := netip.MustParsePrefix(p)
	family := uint16(1)
	if prefix.Addr().Is6() {
		family = 2
	}
	return &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: family, SourceNetmask: uint8(prefix.Bits()), Address: prefix.Addr().AsSlice()}
}

// exchange asks and reads the response; nil: there was none.
func exchange(t testing.TB, r *Responder, query []byte, from *server.Peer) *dns.Msg {
	t.Helper()
	out := r.Respond(nil, query, from)
	if len(out) == 0 {
		return nil
	}
	m := new(dns.Msg)
	if err := m.Unpack(out); err != nil {
		t.Fatalf("%v in %s", err, hex.EncodeToString(out))
	}
	return m
}

// short is a section in few words: type and data of each record.
func short(section []dns.RR) string {
	var list []string
	for _, rr := range section {
		if rr.Header().Rrtype == dns.TypeOPT {
			continue
		}
		data := strings.TrimPrefix(rr.String(), rr.Header().String())
		if rr.Header().Rrtype == dns.TypeSOA {
			data = ""
		}
		list = append(list, strings.TrimSpace(dns.TypeToString[rr.Header().Rrtype]+" "+data))
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func TestAnswers(t *testing.T) {
	s := newSetup(t, nil)
	tests := []struct {
		name      string
		qtype     uint16
		rcode     int
		aa        bool
		answer    string
		authority string
	}{
		{"www.tm.example.", dns.TypeA, 0, true, "A 192.0.2.1", ""},
		{"www.tm.example.", dns.TypeAAAA, 0, true, "AAAA 2001:db8::1", ""},
		{"www.tm.example.", dns.TypeTXT, 0, true, "", "SOA"},
		{"www.tm.example.", dns.TypeCNAME, 0, true, "", "SOA"},
		{"www.tm.example.", dns.TypeHTTPS, 0, true, "", "SOA"},
		{"www.tm.example.", dns.TypeANY, 0, true, `HINFO "RFC8482" ""`, ""},
		{"x.www.tm.example.", dns.TypeA, 3, true, "", "SOA"},
		{"named.tm.example.", dns.TypeA, 0, true, "CNAME east.example.net.", ""},
		{"named.tm.example.", dns.TypeMX, 0, true, "CNAME east.example.net.", ""},
		{"named.tm.example.", dns.TypeHTTPS, 0, true, "CNAME east.example.net.", ""},
		{"tm.example.", dns.TypeA, 0, true, "A 198.51.100.1", ""},
		{"tm.example.", dns.TypeAAAA, 0, true, "AAAA 2001:db8:2::1", ""},
		{"tm.example.", dns.TypeMX, 0, true, "MX 10 mail.tm.example.", ""},
		{"tm.example.", dns.TypeNS, 0, true, "NS ns1.tm.example.", ""},
		{"tm.example.", dns.TypeSOA, 0, true, "SOA", ""},
		{"tm.example.", dns.TypeTXT, 0, true, "", "SOA"},
		{"tm.example.", dns.TypeANY, 0, true, `HINFO "RFC8482" ""`, ""},
		{"multi.tm.example.", dns.TypeA, 0, true, "A 192.0.2.1, A 192.0.2.2, A 192.0.2.3", ""},
		{"ported.tm.example.", dns.TypeHTTPS, 0, true, `HTTPS 1 . port="8443" ipv4hint="192.0.2.1"`, ""},
		{"ported.tm.example.", dns.TypeSVCB, 0, true, `SVCB 1 . port="8443" ipv4hint="192.0.2.1"`, ""},
		{"off.tm.example.", dns.TypeA, 0, true, "", "SOA"},
		{"offnx.tm.example.", dns.TypeA, 3, true, "", "SOA"},
		{"offnx2.tm.example.", dns.TypeA, 0, true, "", "SOA"}, // it has names below
		{"net.tm.example.", dns.TypeA, 0, true, "A 192.0.2.9", ""},
		{"netonly.tm.example.", dns.TypeA, 3, true, "", "SOA"},
		{"text.tm.example.", dns.TypeTXT, 0, true, `TXT "one" "two"`, ""},
		{"alias.tm.example.", dns.TypeA, 0, true, "A 192.0.2.25, CNAME mail.tm.example.", ""},
		{"alias.tm.example.", dns.TypeCNAME, 0, true, "CNAME mail.tm.example.", ""},
		{"chain.tm.example.", dns.TypeA, 0, true, "A 192.0.2.25, CNAME alias.tm.example., CNAME mail.tm.example.", ""},
		{"chain.tm.example.", dns.TypeTXT, 0, true, "CNAME alias.tm.example., CNAME mail.tm.example.", "SOA"},
		{"direct.tm.example.", dns.TypeA, 0, true, "A 192.0.2.1, CNAME www.tm.example.", ""},
		{"lost.tm.example.", dns.TypeA, 3, true, "CNAME nothing.tm.example.", "SOA"},
		{"away.tm.example.", dns.TypeA, 0, true, "CNAME www.other.test.", ""},
		{"ent.tm.example.", dns.TypeA, 0, true, "", "SOA"},
		{"ent.tm.example.", dns.TypeANY, 0, true, "", "SOA"},
		{"a.b.wild.tm.example.", dns.TypeA, 0, true, "A 192.0.2.99", ""},
		{"a.b.wild.tm.example.", dns.TypeTXT, 0, true, "", "SOA"},
		{"sub.tm.example.", dns.TypeA, 0, false, "", "NS ns.sub.tm.example."},
		{"x.sub.tm.example.", dns.TypeSOA, 0, false, "", "NS ns.sub.tm.example."},
		{"sub.tm.example.", dns.TypeDS, 0, true, "", "SOA"},
		{"safe.tm.example.", dns.TypeDS, 0, true, "DS 12345 13 2 0000000000000000000000000000000000000000000000000000000000000000", ""},
		{"nothing.tm.example.", dns.TypeA, 3, true, "", "SOA"},
		{"tm.example.", 666, 0, true, "", "SOA"},
		{"tm.example.", dns.TypeMAILA, 0, true, "", "SOA"},
		{"www.other.test.", dns.TypeA, 5, false, "", ""},
		{".", dns.TypeNS, 5, false, "", ""},
		{"www.tm.example.", dns.TypeAXFR, 5, false, "", ""},
		{"www.tm.example.", dns.TypeNXNAME, 1, false, "", ""},
		{"www.tm.example.", dns.TypeTSIG, 1, false, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+dns.TypeToString[tt.qtype], func(t *testing.T) {
			m := exchange(t, s.seeded(), question(t, tt.name, tt.qtype), peer(server.UDP, "198.51.100.5"))
			if m.Rcode != tt.rcode || m.Authoritative != tt.aa || short(m.Answer) != tt.answer || short(m.Ns) != tt.authority {
				t.Errorf("%s\nanswer %q authority %q", m, short(m.Answer), short(m.Ns))
			}
			if m.Id != 4711 || !m.Response || m.RecursionAvailable || m.AuthenticatedData || m.Truncated || m.Question[0].Name != tt.name || m.Question[0].Qtype != tt.qtype {
				t.Errorf("%s", m)
			}
		})
	}
	m := exchange(t, s.seeded(), question(t, "loop.tm.example.", dns.TypeA), peer(server.UDP, "198.51.100.5"))
	if short(m.Answer) != "CNAME loop.tm.example., CNAME loop2.tm.example." {
		t.Errorf("a loop: %s", short(m.Answer))
	}
	m = exchange(t, s.seeded(), question(t, "sub.tm.example.", dns.TypeA), peer(server.UDP, "198.51.100.5"))
	if short(m.Extra) != "A 192.0.2.54" {
		t.Errorf("glue %q", short(m.Extra))
	}
}

// The table of ISC's compliance tests (azure-traffic-manager.md C.2; RFC 8906).
func TestCompliance(t *testing.T) {
	s := newSetup(t, signed(t))
	header := func(flags uint16) func(*dns.Msg) {
		return func(m *dns.Msg) {
			m.Authoritative, m.RecursionAvailable, m.Truncated = flags&1 != 0, flags&2 != 0, flags&4 != 0
			m.AuthenticatedData, m.CheckingDisabled, m.RecursionDesired, m.Zero = flags&8 != 0, flags&16 != 0, flags&32 != 0, flags&64 != 0
		}
	}
	version := func(v uint8) func(*dns.Msg) { return func(m *dns.Msg) { m.IsEdns0().SetVersion(v) } }
	zflag := func(m *dns.Msg) { m.IsEdns0().SetZ(0x80) }
	unknown := &dns.EDNS0_LOCAL{Code: 100, Data: []byte{1, 2}}
	cookie := &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"}
	expire := &dns.EDNS0_EXPIRE{Code: dns.EDNS0EXPIRE, Empty: true}
	nsid := &dns.EDNS0_NSID{Code: dns.EDNS0NSID}
	tests := []struct {
		name  string
		query []byte
		rcode int
		soa   bool // an SOA in the answer
	}{
		{"dns", question(t, "tm.example.", dns.TypeSOA), 0, true},
		{"aa", question(t, "tm.example.", dns.TypeSOA, header(1)), 0, true},
		{"ra", question(t, "tm.example.", dns.TypeSOA, header(2)), 0, true},
		{"tc", question(t, "tm.example.", dns.TypeSOA, header(4)), 0, true},
		{"ad", question(t, "tm.example.", dns.TypeSOA, header(8)), 0, true},
		{"cd", question(t, "tm.example.", dns.TypeSOA, header(16)), 0, true},
		{"rd", question(t, "tm.example.", dns.TypeSOA, header(32)), 0, true},
		{"zflag", question(t, "tm.example.", dns.TypeSOA, header(64)), 0, true},
		{"type666", question(t, "tm.example.", 666), 0, false},
		{"edns", question(t, "tm.example.", dns.TypeSOA, edns(4096, false)), 0, true},
		{"edns1", question(t, "tm.example.", dns.TypeSOA, edns(4096, false), version(1)), 16, false},
		{"edns@512", question(t, "tm.example.", dns.TypeDNSKEY, edns(512, true)), 0, false},
		{"ednsopt", question(t, "tm.example.", dns.TypeSOA, edns(4096, false, unknown)), 0, true},
		{"edns1opt", question(t, "tm.example.", dns.TypeSOA, edns(4096, false, unknown), version(1)), 16, false},
		{"do", question(t, "tm.example.", dns.TypeSOA, edns(4096, true)), 0, true},
		{"docd", question(t, "tm.example.", dns.TypeSOA, header(16), edns(4096, true)), 0, true},
		{"edns1do", question(t, "tm.example.", dns.TypeSOA, edns(4096, true), version(1)), 16, false},
		{"ednsflags", question(t, "tm.example.", dns.TypeSOA, edns(4096, false), zflag), 0, true},
		{"optlist", question(t, "tm.example.", dns.TypeSOA, edns(4096, false, nsid, subnet("0.0.0.0/0"), expire, cookie)), 0, true},
		{"ednsnsid", question(t, "tm.example.", dns.TypeSOA, edns(4096, false, nsid)), 0, true},
		{"ednscookie", question(t, "tm.example.", dns.TypeSOA, edns(4096, false, cookie)), 0, true},
		{"ednsexpire", question(t, "tm.example.", dns.TypeSOA, edns(4096, false, expire)), 0, true},
		{"ednssubnet", question(t, "tm.example.", dns.TypeSOA, edns(4096, false, subnet("203.0.113.0/24"))), 0, true},
		{"edns1nsid", question(t, "tm.example.", dns.TypeSOA, edns(4096, false, nsid), version(1)), 16, false},
		{"edns1cookie", question(t, "tm.example.", dns.TypeSOA, edns(4096, false, cookie), version(1)), 16, false},
		{"edns1subnet", question(t, "tm.example.", dns.TypeSOA, edns(4096, false, subnet("203.0.113.0/24")), version(1)), 16, false},
		{"dig11", question(t, "tm.example.", dns.TypeSOA, header(32+8), edns(4096, true, cookie)), 0, true},
	}
	for transport := server.UDP; transport <= server.HTTPS; transport++ {
		for _, tt := range tests {
			t.Run(transport.String()+" "+tt.name, func(t *testing.T) {
				r := s.seeded()
				m := exchange(t, r, tt.query, peer(transport, "198.51.100.5"))
				asked := new(dns.Msg)
				if err := asked.Unpack(tt.query); err != nil {
					t.Fatal(err)
				}
				if m.Rcode != tt.rcode {
					t.Fatalf("%s", m)
				}
				hasSOA := len(m.Answer) > 0 && m.Answer[0].Header().Rrtype == dns.TypeSOA
				if hasSOA != tt.soa || m.Id != 4711 || !m.Response || m.RecursionAvailable || m.AuthenticatedData || m.Truncated || m.Zero {
					t.Errorf("%s", m)
				}
				if m.RecursionDesired != asked.RecursionDesired || m.Authoritative != (tt.rcode == 0) {
					t.Errorf("flags: %s", m)
				}
				opt, had := m.IsEdns0(), asked.IsEdns0()
				if (opt != nil) != (had != nil) {
					t.Fatalf("EDNS: %s", m)
				}
				if opt == nil {
					return
				}
				if opt.Version() != 0 || opt.Do() != had.Do() || opt.Z() != 0 {
					t.Errorf("OPT %s", opt)
				}
				for _, o := range opt.Option {
					if tt.rcode == 16 || o.Option() == 100 || o.Option() == dns.EDNS0EXPIRE {
						t.Errorf("option %d in the response", o.Option())
					}
					if c, ok := o.(*dns.EDNS0_COOKIE); ok && (!strings.HasPrefix(c.Cookie, "0102030405060708") || len(c.Cookie) != 48) {
						t.Errorf("cookie %s", c.Cookie)
					}
				}
				if size := int(had.UDPSize()); transport == server.UDP && m.Len() > max(size, 512) {
					t.Errorf("%d octets, at most %d", m.Len(), size)
				}
			})
		}
	}
	for name, query := range map[string][]byte{
		"opcode 15":            {0x12, 0x67, 0x78, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"opcode 15 with flags": {0x12, 0x67, 0x7f, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0},
	} {
		out := s.seeded().Respond(nil, query, peer(server.UDP, "198.51.100.5"))
		if hex.EncodeToString(out) != "1267f804"+strings.Repeat("00", 8) {
			t.Errorf("%s: %x", name, out)
		}
	}
}

func TestWhatIsMalformedIsSaidToBe(t *testing.T) {
	s := newSetup(t, nil)
	good := question(t, "www.tm.example.", dns.TypeA, edns(1232, false, subnet("203.0.113.0/24")))
	cut := len(question(t, "www.tm.example.", dns.TypeA)) + 11
	change := func(at int, to byte) []byte {
		b := slices.Clone(good)
		b[at] = to
		return b
	}
	for name, query := range map[string][]byte{
		"a scope":              change(cut+7, 24),
		"a family":             change(cut+5, 7),
		"bits beyond":          change(cut+6, 23),
		"too long a source":    change(cut+6, 40),
		"an option cut":        change(cut+3, 9),
		"two questions":        change(5, 2),
		"no question":          {1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"half a name":          good[:20],
		"a pointer to nowhere": {1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0, 1, 0, 1},
		"two OPT": question(t, "www.tm.example.", dns.TypeA, edns(1232, false), func(m *dns.Msg) {
			m.Extra = append(m.Extra, m.Extra[0])
		}),
	} {
		out := s.seeded().Respond(nil, query, peer(server.UDP, "198.51.100.5"))
		if len(out) < 12 || out[0] != query[0] || out[3]&0xf != formErr || out[2]&0x80 == 0 {
			t.Errorf("%s: %x", name, out)
		}
	}
}

func TestClientSubnets(t *testing.T) {
	s := newSetup(t, nil)
	tests := []struct {
		name, ecs string
		qtype     uint16
		answer    string
		scope     int
	}{
		{"net.tm.example.", "203.0.113.0/24", dns.TypeA, "A 192.0.2.1", 25},
		{"net.tm.example.", "203.0.113.128/25", dns.TypeA, "A 192.0.2.9", 25},
		{"net.tm.example.", "203.0.112.0/24", dns.TypeA, "A 192.0.2.9", 24},
		{"net.tm.example.", "203.0.113.77/32", dns.TypeA, "A 192.0.2.1", 25},
		{"net.tm.example.", "10.0.0.0/8", dns.TypeA, "A 192.0.2.9", 1},
		{"net.tm.example.", "::ffff:203.0.113.0/120", dns.TypeA, "A 192.0.2.1", 96 + 25},
		{"net.tm.example.", "2001:db8:1::/48", dns.TypeAAAA, "AAAA 2001:db8::6", 48},
		{"net.tm.example.", "0.0.0.0/0", dns.TypeA, "A 192.0.2.9", 0},
		{"www.tm.example.", "203.0.113.0/24", dns.TypeA, "A 192.0.2.1", 0},
		{"nothing.tm.example.", "203.0.113.0/24", dns.TypeA, "", 0},
		{"tm.example.", "203.0.113.0/24", dns.TypeMX, "MX 10 mail.tm.example.", 0},
	}
	for _, tt := range tests {
		m := exchange(t, s.seeded(), question(t, tt.name, tt.qtype, edns(1232, false, subnet(tt.ecs))), peer(server.UDP, "198.51.100.5"))
		var e *dns.EDNS0_SUBNET
		for _, o := range m.IsEdns0().Option {
			e, _ = o.(*dns.EDNS0_SUBNET)
		}
		if e == nil {
			t.Fatalf("%s %s: no subnet in %s", tt.name, tt.ecs, m)
		}
		asked := subnet(tt.ecs).(*dns.EDNS0_SUBNET)
		if short(m.Answer) != tt.answer || int(e.SourceScope) != tt.scope || e.SourceNetmask != asked.SourceNetmask || !e.Address.Equal(asked.Address) || e.Family != asked.Family {
			t.Errorf("%s %s: %s, scope %d, want %s, %d (%s)", tt.name, tt.ecs, short(m.Answer), e.SourceScope, tt.answer, tt.scope, e)
		}
	}
	// Without a subnet, and from a resolver that is not trusted, the resolver
	// is the client, and the option is not answered.
	s = newSetup(t, func(s *setup) { s.view.ECSTrusted = cidr.Set([]netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}) })
	for _, q := range [][]byte{question(t, "net.tm.example.", dns.TypeA), question(t, "net.tm.example.", dns.TypeA, edns(1232, false, subnet("192.0.2.0/24")))} {
		m := exchange(t, s.seeded(), q, peer(server.UDP, "203.0.113.5"))
		if short(m.Answer) != "A 192.0.2.1" || m.IsEdns0() != nil && len(m.IsEdns0().Option) > 0 {
			t.Errorf("%s", m)
		}
	}
}

func TestHealthChangesAnswers(t *testing.T) {
	s := newSetup(t, nil)
	r := s.seeded()
	ask := func() (string, uint32) {
		m := exchange(t, r, question(t, "www.tm.example.", dns.TypeA), peer(server.UDP, "198.51.100.5"))
		return short(m.Answer), m.Answer[0].Header().Ttl
	}
	if got, ttl := ask(); got != "A 192.0.2.1" || ttl != 30 {
		t.Errorf("%s, TTL %d", got, ttl)
	}
	s.authority.Update(s.director.Snapshot(s.known([]string{"www/a"})))
	if got, ttl := ask(); got != "A 192.0.2.2" || ttl != 10 {
		t.Errorf("a is down: %s, TTL %d", got, ttl)
	}
}

func TestNegativeTTLs(t *testing.T) {
	s := newSetup(t, nil)
	for name, want := range map[string]uint32{"nothing.tm.example.": 60, "off.tm.example.": 30, "ent.tm.example.": 60} {
		m := exchange(t, s.seeded(), question(t, name, dns.TypeA), peer(server.UDP, "198.51.100.5"))
		if m.Ns[0].Header().Ttl != want || m.Ns[0].Header().Name != "tm.example." {
			t.Errorf("%s: %s", name, m.Ns[0])
		}
	}
}

func TestTheCaseOfTheQuestionIsKept(t *testing.T) {
	s := newSetup(t, nil)
	m := exchange(t, s.seeded(), question(t, "wWw.tM.ExAmPlE.", dns.TypeA), peer(server.UDP, "198.51.100.5"))
	if m.Question[0].Name != "wWw.tM.ExAmPlE." || m.Answer[0].Header().Name != "wWw.tM.ExAmPlE." {
		t.Errorf("%s", m)
	}
}

func TestWhatDoesNotFitIsTruncated(t *testing.T) {
	s := newSetup(t, nil)
	for _, tt := range []struct {
		name      string
		query     []byte
		transport server.Transport
		tc        bool
	}{
		{"512", question(t, "many.tm.example.", dns.TypeTXT), server.UDP, true},
		{"EDNS of 512", question(t, "many.tm.example.", dns.TypeTXT, edns(512, false)), server.UDP, true},
		{"EDNS of less", question(t, "many.tm.example.", dns.TypeTXT, edns(100, false)), server.UDP, true},
		{"EDNS of 1232", question(t, "many.tm.example.", dns.TypeTXT, edns(1232, false)), server.UDP, false},
		{"TCP", question(t, "many.tm.example.", dns.TypeTXT), server.TCP, false},
	} {
		m := exchange(t, s.seeded(), tt.query, peer(tt.transport, "198.51.100.5"))
		if m.Truncated != tt.tc || tt.tc == (len(m.Answer) > 0) || m.Len() > 1232 {
			t.Errorf("%s: %s", tt.name, m)
		}
		if had := len(tt.query) > 40; had && (m.IsEdns0() == nil) {
			t.Errorf("%s: no OPT: %s", tt.name, m)
		}
	}
	// A response keeps within whatever the server's own limit is.
	s = newSetup(t, func(s *setup) { s.view.UDPSize = 600 })
	if m := exchange(t, s.seeded(), question(t, "many.tm.example.", dns.TypeTXT, edns(4096, false)), peer(server.UDP, "198.51.100.5")); !m.Truncated {
		t.Errorf("%s", m)
	}
}

func TestExtendedErrors(t *testing.T) {
	s := newSetup(t, nil)
	for name, want := range map[string]struct {
		query []byte
		code  uint16
	}{
		"out of zone": {question(t, "www.test.", dns.TypeA, edns(1232, false)), 20},
		"a transfer":  {question(t, "tm.example.", dns.TypeAXFR, edns(1232, false)), 20},
		"class CH":    {question(t, "version.bind.", dns.TypeTXT, edns(1232, false), func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }), 20},
		"NXNAME":      {question(t, "www.tm.example.", dns.TypeNXNAME, edns(1232, false)), 30},
	} {
		m := exchange(t, s.seeded(), want.query, peer(server.UDP, "198.51.100.5"))
		e, ok := m.IsEdns0().Option[0].(*dns.EDNS0_EDE)
		if !ok || e.InfoCode != want.code || len(m.Answer) != 0 {
			t.Errorf("%s: %s", name, m)
		}
	}
}

func TestPaddingAndKeepalive(t *testing.T) {
	s := newSetup(t, func(s *setup) { s.view.TCPIdle = 10 * time.Second })
	q := question(t, "www.tm.example.", dns.TypeA, edns(1232, false, &dns.EDNS0_PADDING{Padding: make([]byte, 10)}, &dns.EDNS0_TCP_KEEPALIVE{Code: dns.EDNS0TCPKEEPALIVE}))
	for transport, want := range map[server.Transport][2]bool{server.UDP: {false, false}, server.TCP: {false, true}, server.TLS: {true, true}, server.HTTPS: {true, true}} {
		out := s.seeded().Respond(nil, q, peer(transport, "198.51.100.5"))
		m := new(dns.Msg)
		if err := m.Unpack(out); err != nil {
			t.Fatal(err)
		}
		alive := false
		for _, o := range m.IsEdns0().Option {
			if k, ok := o.(*dns.EDNS0_TCP_KEEPALIVE); ok && k.Timeout == 100 {
				alive = true
			}
		}
		if (len(out)%468 == 0) != want[0] || alive != want[1] {
			t.Errorf("%s: %d octets, keep-alive %t", transport, len(out), alive)
		}
	}
}

func BenchmarkRespond(b *testing.B) {
	s := newSetup(b, nil)
	from := peer(server.UDP, "198.51.100.5")
	for name, query := range map[string][]byte{
		"priority": question(b, "www.tm.example.", dns.TypeA),
		"weighted": question(b, "weighted.tm.example.", dns.TypeA, edns(1232, false)),
		"subnet":   question(b, "net.tm.example.", dns.TypeA, edns(1232, false, subnet("203.0.113.0/24"))),
		"nothing":  question(b, "nothing.tm.example.", dns.TypeA),
	} {
		b.Run(name, func(b *testing.B) {
			r := s.seeded()
			out := make([]byte, 0, 1232)
			b.ReportAllocs()
			for b.Loop() {
				out = r.Respond(out[:0], query, from)
			}
		})
	}
}

func TestUsualAnswersAllocateNothing(t *testing.T) {
	s := newSetup(t, func(s *setup) {
		signed(t)(s)
		s.view.Limit = NewRateLimit(config.ResponseRateLimit{PerSecond: 1 << 30, IPv4Prefix: 24, IPv6Prefix: 56})
	})
	cookie := &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"}
	for name, query := range map[string][]byte{
		"priority": question(t, "www.tm.example.", dns.TypeA),
		"AAAA":     question(t, "www.tm.example.", dns.TypeAAAA, edns(1232, false, cookie)),
		"weighted": question(t, "weighted.tm.example.", dns.TypeA, edns(1232, false)),
		"multi":    question(t, "multi.tm.example.", dns.TypeA, edns(1232, false)),
		"subnet":   question(t, "net.tm.example.", dns.TypeA, edns(1232, false, subnet("203.0.113.0/24"))),
		"CNAME":    question(t, "named.tm.example.", dns.TypeA),
		"apex":     question(t, "tm.example.", dns.TypeA),
		"static":   question(t, "mail.tm.example.", dns.TypeA),
		"chain":    question(t, "chain.tm.example.", dns.TypeA),
		"nothing":  question(t, "nothing.tm.example.", dns.TypeA),
		"refused":  question(t, "www.test.", dns.TypeA),
		"signed":   question(t, "www.tm.example.", dns.TypeA, edns(1232, true)),
	} {
		r := s.seeded()
		out := make([]byte, 0, 1232)
		from := peer(server.UDP, "198.51.100.5")
		r.Respond(out[:0], query, from)
		if n := testing.AllocsPerRun(200, func() { out = r.Respond(out[:0], query, from) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
