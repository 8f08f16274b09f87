package authority

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"gatehouse/dnslb/server"
	"gatehouse/dnslb/zone"
)

// sets groups the records of a section.
func sets(section []dns.RR) map[string][]dns.RR {
	m := map[string][]dns.RR{}
	for _, rr := range section {
		if rr.Header().Rrtype != dns.TypeRRSIG {
			key := strings.ToLower(rr.Header().Name) + " " + dns.TypeToString[rr.Header().Rrtype]
			m[key] = append(m[key], rr)
		}
	}
	return m
}

func signatures(section []dns.RR, key string) (list []*dns.RRSIG) {
	for _, rr := range section {
		if s, ok := rr.(*dns.RRSIG); ok && strings.ToLower(s.Hdr.Name)+" "+dns.TypeToString[s.TypeCovered] == key {
			list = append(list, s)
		}
	}
	return list
}

func TestEverySetIsSigned(t *testing.T) {
	s := newSetup(t, signed(t))
	r := s.seeded()
	key := exchange(t, r, question(t, "tm.example.", dns.TypeDNSKEY, edns(1232, true)), peer(server.TCP, "198.51.100.5")).Answer[0].(*dns.DNSKEY)
	verified := 0
	for _, q := range seeds(t) {
		m := exchange(t, r, q, peer(server.TCP, "198.51.100.5"))
		asked := new(dns.Msg)
		if err := asked.Unpack(q); err != nil {
			t.Fatal(err)
		}
		opt := asked.IsEdns0()
		do := opt != nil && opt.Do()
		for _, section := range [][]dns.RR{m.Answer, m.Ns} {
			for name, set := range sets(section) {
				sigs := signatures(section, name)
				delegation := set[0].Header().Rrtype == dns.TypeNS && !m.Authoritative
				if !do || delegation {
					if len(sigs) != 0 {
						t.Errorf("%s: signatures nobody wants\n%s", name, m)
					}
					continue
				}
				if len(sigs) != 1 {
					t.Fatalf("%s: %d signatures\n%s", name, len(sigs), m)
				}
				if err := sigs[0].Verify(key, set); err != nil {
					t.Fatalf("%s: %v\n%s", name, err, m)
				}
				verified++
			}
		}
	}
	if verified < 100 {
		t.Errorf("only %d sets were verified", verified)
	}
}

// nsec is the proof in a response.
func nsec(m *dns.Msg) *dns.NSEC {
	for _, rr := range m.Ns {
		if n, ok := rr.(*dns.NSEC); ok {
			return n
		}
	}
	return nil
}

// A proof never denies what is there: resolvers would answer from it (RFC
// 8198).
func TestProofsDenyWhatIsNotThereAndNothingElse(t *testing.T) {
	s := newSetup(t, signed(t))
	co := func(m *dns.Msg) { m.IsEdns0().SetCo(true) }
	for _, tt := range []struct {
		name  string
		qtype uint16
		co    bool
		rcode int
		owner string
		types []uint16
	}{
		{"nothing.tm.example.", dns.TypeA, false, 0, "nothing.tm.example.", []uint16{dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNXNAME}},
		{"nothing.tm.example.", dns.TypeA, true, 3, "nothing.tm.example.", []uint16{dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNXNAME}},
		{"ent.tm.example.", dns.TypeA, false, 0, "ent.tm.example.", []uint16{dns.TypeRRSIG, dns.TypeNSEC}},
		{"mail.tm.example.", dns.TypeTXT, false, 0, "mail.tm.example.", []uint16{dns.TypeA, dns.TypeRRSIG, dns.TypeNSEC}},
		{"www.tm.example.", dns.TypeTXT, false, 0, "www.tm.example.", []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeRRSIG, dns.TypeNSEC}},
		{"net.tm.example.", dns.TypeTXT, false, 0, "net.tm.example.", []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeRRSIG, dns.TypeNSEC}},
		{"a.wild.tm.example.", dns.TypeTXT, false, 0, "a.wild.tm.example.", []uint16{dns.TypeA, dns.TypeRRSIG, dns.TypeNSEC}},
		{"sub.tm.example.", dns.TypeA, false, 0, "sub.tm.example.", []uint16{dns.TypeNS, dns.TypeRRSIG, dns.TypeNSEC}},
		{"lost.tm.example.", dns.TypeA, true, 3, "nothing.tm.example.", []uint16{dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNXNAME}},
		{"chain.tm.example.", dns.TypeTXT, false, 0, "mail.tm.example.", []uint16{dns.TypeA, dns.TypeRRSIG, dns.TypeNSEC}},
		{"off.tm.example.", dns.TypeA, false, 0, "off.tm.example.", []uint16{dns.TypeRRSIG, dns.TypeNSEC}},
	} {
		change := []func(*dns.Msg){edns(1232, true)}
		if tt.co {
			change = append(change, co)
		}
		m := exchange(t, s.seeded(), question(t, tt.name, tt.qtype, change...), peer(server.UDP, "198.51.100.5"))
		n := nsec(m)
		if n == nil || m.Rcode != tt.rcode || n.Hdr.Name != tt.owner || !slices.Equal(n.TypeBitMap, tt.types) || n.NextDomain != `\000.`+tt.owner {
			t.Errorf("%s %s:\n%s", tt.name, dns.TypeToString[tt.qtype], m)
		}
		if co := m.IsEdns0().Co(); co != tt.co {
			t.Errorf("%s: CO %t", tt.name, co)
		}
	}
}

// Octets that are no text are octets: a proof is of the name that was asked
// for, and covers no other.
func TestProofsOfNamesThatAreNoText(t *testing.T) {
	s := newSetup(t, signed(t))
	r := s.seeded()
	key := exchange(t, r, question(t, "tm.example.", dns.TypeDNSKEY, edns(1232, true)), peer(server.TCP, "198.51.100.5")).Answer[0].(*dns.DNSKEY)
	for _, name := range []string{`a\226\132\170.\006\000\004zzzz.tm.example.`, `\255X.tm.example.`, `\195\138.wWw.tm.example.`, `\000.tm.example.`} {
		m := exchange(t, r, question(t, name, dns.TypeA, edns(1232, true)), peer(server.TCP, "198.51.100.5"))
		n := nsec(m)
		if n == nil || m.Rcode != 0 {
			t.Errorf("%s: no proof in\n%s", name, m)
			continue
		}
		if owner := strings.ToLower(n.Hdr.Name); n.NextDomain != `\000.`+owner {
			t.Errorf("%s: from %s to %s", name, n.Hdr.Name, n.NextDomain)
		}
		for _, sig := range signatures(m.Ns, strings.ToLower(n.Hdr.Name)+" NSEC") {
			if err := sig.Verify(key, []dns.RR{n}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestAnNSECRecordThatIsAskedForIsAnAnswer(t *testing.T) {
	s := newSetup(t, signed(t))
	m := exchange(t, s.seeded(), question(t, "www.tm.example.", dns.TypeNSEC, edns(1232, true)), peer(server.UDP, "198.51.100.5"))
	if m.Rcode != 0 || len(sets(m.Answer)) != 1 || sets(m.Answer)["www.tm.example. NSEC"] == nil || len(m.Ns) != 0 {
		t.Errorf("%s", m)
	}
}

// busySigner has no signature for anybody.
type busySigner struct{ Signer }

func (busySigner) Cached([]byte) ([]byte, bool)         { return nil, false }
func (busySigner) SignCanonical([]byte) ([]byte, error) { return nil, errors.New("busy") }

func TestWithoutASignatureThereIsNoAnswer(t *testing.T) {
	s := newSetup(t, func(s *setup) {
		signed(t)(s)
		s.view.Signers = map[*zone.Zone]Signer{s.zone: busySigner{s.view.Signers[s.zone]}}
	})
	for _, name := range []string{"www.tm.example.", "nothing.tm.example.", "sub.tm.example."} {
		m := exchange(t, s.seeded(), question(t, name, dns.TypeA, edns(1232, true)), peer(server.UDP, "198.51.100.5"))
		if m.Rcode != servFail || len(m.Answer)+len(m.Ns) > 0 || m.Authoritative {
			t.Errorf("%s", m)
		}
	}
	if m := exchange(t, s.seeded(), question(t, "www.tm.example.", dns.TypeA), peer(server.UDP, "198.51.100.5")); m.Rcode != 0 || len(m.Answer) != 1 {
		t.Errorf("without DO: %s", m)
	}
}

// At a delegation a proof has the types that this zone has the say about; what
// else is there, such as the address of a server of that name, is glue (RFC
// 4035 2.3).
func TestProofsOfDelegationsHaveNoGlue(t *testing.T) {
	z := signed(t)
	for _, tt := range []struct {
		name  string
		qtype uint16
		types []uint16
	}{
		{"glued.tm.example.", dns.TypeA, []uint16{dns.TypeNS, dns.TypeRRSIG, dns.TypeNSEC}},
		{"x.glued.tm.example.", dns.TypeTXT, []uint16{dns.TypeNS, dns.TypeRRSIG, dns.TypeNSEC}},
		{"glued.tm.example.", dns.TypeDS, []uint16{dns.TypeNS, dns.TypeRRSIG, dns.TypeNSEC}},
	} {
		m := exchange(t, newSetup(t, z).seeded(), question(t, tt.name, tt.qtype, edns(1232, true)), peer(server.UDP, "198.51.100.5"))
		if n := nsec(m); n == nil || n.Hdr.Name != "glued.tm.example." || !slices.Equal(n.TypeBitMap, tt.types) {
			t.Errorf("%s %s:\n%s", tt.name, dns.TypeToString[tt.qtype], m)
		}
	}
}
