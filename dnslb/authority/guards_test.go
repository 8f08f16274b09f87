package authority

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gatehouse/config"
	"gatehouse/dnslb/server"
	"gatehouse/dnslb/zone"
)

// The server cookie of RFC 9018 appendix A.1.
func TestCookiesAreThoseOfTheRFC(t *testing.T) {
	secret := []byte{0xe5, 0xe9, 0x73, 0xe5, 0xa6, 0xb2, 0xa4, 0x3f, 0x48, 0xe7, 0xdc, 0x84, 0x9e, 0x37, 0xbf, 0xcf}
	c := NewCookies(secret)
	from := peer(server.UDP, "198.51.100.100")
	from.Now = time.Unix(1559731985, 0)
	got := c.answer(nil, []byte{0x24, 0x64, 0xc4, 0xab, 0xcf, 0x10, 0xc9, 0x57}, from)
	if want := "2464c4abcf10c957010000005cf79f111f8130c3eee29480"; fmt.Sprintf("%x", got) != want {
		t.Errorf("%x, want %s", got, want)
	}
	if !c.valid(got, from) {
		t.Error("not valid for the client it was made for")
	}
	for name, change := range map[string]func(b []byte, p *server.Peer){
		"another address": func(_ []byte, p *server.Peer) { p.Addr = netip.MustParseAddrPort("198.51.100.101:1") },
		"too old":         func(_ []byte, p *server.Peer) { p.Now = p.Now.Add(61 * time.Minute) },
		"of the future":   func(_ []byte, p *server.Peer) { p.Now = p.Now.Add(-6 * time.Minute) },
		"another hash":    func(b []byte, _ *server.Peer) { b[23] ^= 1 },
		"another client":  func(b []byte, _ *server.Peer) { b[0] ^= 1 },
		"a version":       func(b []byte, _ *server.Peer) { b[8] = 2 },
	} {
		b, p := slices.Clone(got), *from
		change(b, &p)
		if c.valid(b, &p) {
			t.Errorf("%s: valid", name)
		}
	}
	if c.valid(got[:8], from) || c.valid(nil, from) {
		t.Error("a cookie without the server's part is valid")
	}
}

func TestRateLimits(t *testing.T) {
	limit := config.ResponseRateLimit{PerSecond: 5, Slip: 2, IPv4Prefix: 24, IPv6Prefix: 56, Exempt: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	s := newSetup(t, func(s *setup) { s.view.Limit = NewRateLimit(limit) })
	r := s.seeded()
	www := question(t, "www.tm.example.", dns.TypeA, edns(1232, false))
	count := func(name, client string, transport server.Transport, query func(i int) []byte) (whole, truncated, none int) {
		for i := range 20 {
			switch m := exchange(t, r, query(i), peer(transport, fmt.Sprintf(client, i))); {
			case m == nil:
				none++
			case m.Truncated:
				truncated++
			default:
				whole++
			}
		}
		return whole, truncated, none
	}
	same := func(int) []byte { return www }
	random := func(i int) []byte { return question(t, fmt.Sprintf("x%d.tm.example.", i), dns.TypeA) }
	tests := []struct {
		name, client string
		transport    server.Transport
		query        func(int) []byte
		whole        int
	}{
		{"one network", "198.51.100.%d", server.UDP, same, 5},
		{"many networks", "198.51.%d.1", server.UDP, same, 20},
		{"names that are not there", "203.0.113.%d", server.UDP, random, 5},
		{"names of a wildcard", "203.0.114.%d", server.UDP, func(i int) []byte { return question(t, fmt.Sprintf("x%d.wild.tm.example.", i), dns.TypeA) }, 5},
		{"names that are nobody's", "203.0.115.%d", server.UDP, func(i int) []byte { return question(t, fmt.Sprintf("x%d.test.", i), dns.TypeA) }, 5},
		{"malformed", "203.0.116.%d", server.UDP, func(i int) []byte {
			b := question(t, fmt.Sprintf("x%d.test.", i), dns.TypeA, edns(1232, false, subnet("192.0.2.0/24")))
			b[len(b)-4] = 99 // the scope, which a query does not have
			return b
		}, 5},
		{"over TCP", "198.51.100.%d", server.TCP, same, 20},
		{"exempt", "192.0.2.%d", server.UDP, same, 20},
		{"in an unusual form", "198.51.100.%d", server.UDP, func(int) []byte {
			return question(t, "www.tm.example.", dns.TypeA, edns(1232, false), func(m *dns.Msg) {
				m.Extra = append(m.Extra, &dns.A{Hdr: dns.RR_Header{Name: "x.", Rrtype: dns.TypeA, Class: dns.ClassINET}, A: []byte{192, 0, 2, 1}})
			})
		}, 5},
		{"IPv6", "2001:db8:1:2::%x", server.UDP, same, 5},
	}
	for _, tt := range tests {
		s.view.Limit = NewRateLimit(limit)
		whole, truncated, none := count(tt.name, tt.client, tt.transport, tt.query)
		refused := 20 - tt.whole
		// Two networks may share a bucket, of 65536.
		if whole < tt.whole-1 || whole > tt.whole || truncated < refused/2-1 || truncated+none != 20-whole {
			t.Errorf("%s: %d whole, %d truncated, %d not answered", tt.name, whole, truncated, none)
		}
	}
	if sum := s.view.Counters.Sum(); sum.Limited == 0 || sum.Slipped == 0 {
		t.Errorf("not counted: %+v", sum)
	}
	// Who shows a cookie of ours comes from where it says.
	from := peer(server.UDP, "198.51.100.7")
	cookie := s.view.Cookies.answer(nil, []byte("12345678"), from)
	known := question(t, "www.tm.example.", dns.TypeA, edns(1232, false, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: fmt.Sprintf("%x", cookie)}))
	for range 20 {
		if m := exchange(t, r, known, from); m == nil || m.Truncated {
			t.Fatal("a client with a cookie was limited")
		}
	}
	// Another second, another five.
	s.view.Limit = NewRateLimit(limit)
	count("", "198.51.100.%d", server.UDP, same)
	later := peer(server.UDP, "198.51.100.9")
	later.Now = later.Now.Add(time.Second)
	if m := exchange(t, r, www, later); m == nil || m.Truncated {
		t.Error("limited a second later")
	}
}

const secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0cw=="

func withKeys(s *setup) {
	s.view.Keys = map[string]Key{"one.": {dns.HmacSHA256, secret}, "other.": {dns.HmacSHA256, secret}}
	s.view.Transfers = map[*zone.Zone][]string{s.zone: {"one."}}
}

// tsig signs a query.
func tsig(t testing.TB, m *dns.Msg, name, key string, at time.Time) ([]byte, string) {
	t.Helper()
	m.SetTsig(name, dns.HmacSHA256, 300, at.Unix())
	b, mac, err := dns.TsigGenerate(m, key, "", false)
	if err != nil {
		t.Fatal(err)
	}
	return b, mac
}

func TestSignedQueriesGetSignedResponses(t *testing.T) {
	s := newSetup(t, withKeys)
	for _, tt := range []struct {
		name, key, secret string
		at                time.Time
		rcode             int
		tsigError         uint16
	}{
		{"good", "one.", secret, time.Now(), 0, 0},
		{"unknown key", "nobody.", secret, time.Now(), notAuth, dns.RcodeBadKey},
		{"the key of everybody", ".", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", time.Now(), notAuth, dns.RcodeBadKey},
		{"wrong secret", "one.", "b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90aGVyIQ==", time.Now(), notAuth, dns.RcodeBadSig},
		{"an hour ago", "one.", secret, time.Now().Add(-time.Hour), notAuth, dns.RcodeBadTime},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := new(dns.Msg)
			m.SetQuestion("www.tm.example.", dns.TypeA)
			query, mac := tsig(t, m, tt.key, tt.secret, tt.at)
			out := s.seeded().Respond(nil, query, peer(server.UDP, "198.51.100.5"))
			a := new(dns.Msg)
			if err := a.Unpack(out); err != nil {
				t.Fatal(err)
			}
			sig := a.IsTsig()
			if a.Rcode != tt.rcode || sig == nil || sig.Error != tt.tsigError || (len(a.Answer) > 0) != (tt.rcode == 0) {
				t.Fatalf("%s", a)
			}
			if tt.tsigError == 0 {
				if err := dns.TsigVerify(out, tt.secret, mac, false); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestTransfersNeedAKeyThatMay(t *testing.T) {
	s := newSetup(t, withKeys)
	ask := func(name, key, secret string, qtype uint16) (messages [][]byte, mac string, handled bool) {
		m := new(dns.Msg)
		m.SetQuestion(name, qtype)
		query, mac := question(t, name, qtype), ""
		if key != "" {
			query, mac = tsig(t, m, key, secret, time.Now())
		}
		handled, err := s.seeded().Stream(query, peer(server.TCP, "198.51.100.5"), func(msg []byte) error {
			messages = append(messages, slices.Clone(msg))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if !handled {
			if a := exchange(t, s.seeded(), query, peer(server.TCP, "198.51.100.5")); a.Rcode != refused && a.Rcode != notAuth {
				t.Errorf("%s with key %q: %s", name, key, a)
			}
		}
		return messages, mac, handled
	}
	for name, handled := range map[string]bool{
		"": false, "other.": false, "nobody.": false,
	} {
		if _, _, got := ask("tm.example.", name, secret, dns.TypeAXFR); got != handled {
			t.Errorf("with key %q: handled %t", name, got)
		}
	}
	if _, _, got := ask("tm.example.", "one.", "b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90aGVyIQ==", dns.TypeAXFR); got {
		t.Error("with a wrong secret: handled")
	}
	if _, _, got := ask("www.tm.example.", "one.", secret, dns.TypeAXFR); got {
		t.Error("a name that is no zone: handled")
	}
	for _, qtype := range []uint16{dns.TypeAXFR, dns.TypeIXFR} {
		messages, mac, handled := ask("tm.example.", "one.", secret, qtype)
		if !handled {
			t.Fatal("refused")
		}
		var all []string
		for i, b := range messages {
			if err := dns.TsigVerify(slices.Clone(b), secret, mac, i > 0); err != nil {
				t.Fatalf("message %d: %v", i, err)
			}
			m := new(dns.Msg)
			if err := m.Unpack(b); err != nil {
				t.Fatal(err)
			}
			mac = m.IsTsig().MAC
			for _, rr := range m.Answer {
				all = append(all, rr.Header().Name+" "+short([]dns.RR{rr}))
			}
		}
		if all[0] != "tm.example. SOA" || all[len(all)-1] != "tm.example. SOA" {
			t.Errorf("from %s to %s", all[0], all[len(all)-1])
		}
		for _, want := range []string{"www.tm.example. A 192.0.2.1", "named.tm.example. CNAME east.example.net.", "deep.ent.tm.example. TXT \"here\"", "ns.sub.tm.example. A 192.0.2.54"} {
			if !slices.Contains(all, want) {
				t.Errorf("%q is not in\n%s", want, strings.Join(all, "\n"))
			}
		}
	}
}

// An endpoint that stands for a profile was in the answer too (Azure: queries
// by endpoint returned).
func TestNestedEndpointsAreCounted(t *testing.T) {
	s := newSetup(t, nil)
	r := s.seeded()
	for _, q := range [][]byte{question(t, "nested.tm.example.", dns.TypeA), question(t, "nested.tm.example.", dns.TypeTXT), question(t, "mail.tm.example.", dns.TypeA)} {
		exchange(t, r, q, peer(server.UDP, "198.51.100.5"))
	}
	sum := s.view.Counters.Sum()
	if n := sum.Endpoints[s.director.Endpoint("nested/www").ID]; n != 1 {
		t.Errorf("the nested endpoint: %d", n)
	}
	if n := sum.Endpoints[s.director.Endpoint("www/a").ID]; n != 1 {
		t.Errorf("the last one: %d", n)
	}
	if n := sum.Profiles[s.director.Profile("nested").Index()]; n != 2 {
		t.Errorf("the profile: %d", n)
	}
}

func TestEachViewCountsItsOwn(t *testing.T) {
	s := newSetup(t, nil)
	r := s.seeded()
	for range 3 {
		exchange(t, r, question(t, "www.tm.example.", dns.TypeA, edns(1232, false, subnet("203.0.113.0/24"))), peer(server.UDP, "198.51.100.5"))
	}
	exchange(t, r, question(t, "off.tm.example.", dns.TypeA), peer(server.TCP, "198.51.100.5"))
	exchange(t, r, question(t, "nothing.tm.example.", dns.TypeAAAA), peer(server.TCP, "198.51.100.5"))
	sum := s.view.Counters.Sum()
	www, off := s.director.Profile("www"), s.director.Profile("off")
	if sum.Profiles[www.Index()] != 3 || sum.Endpoints[s.director.Endpoint("www/a").ID] != 3 || sum.Nothing[off.Index()] != 1 || sum.Nothing[www.Index()] != 0 {
		t.Errorf("%+v", sum)
	}
	if sum.ECS != 3 || sum.Rcodes[0] != 4 || sum.Rcodes[3] != 1 || sum.Types[typeIndex(dns.TypeA)] != 4 || sum.Transports[server.TCP] != 2 || sum.Transports[server.UDP] != 3 {
		t.Errorf("%+v", sum)
	}
}
