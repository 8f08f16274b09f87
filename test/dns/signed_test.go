package dns

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const signed = `
zones: [{name: lab.test, nameServers: [ns1.other.test, ns2.other.test], dnssec: {enabled: true, keyFile: lab.test.private}}]
profiles:
  - {name: www, zone: lab.test, routing: priority, monitor: {protocol: none}, endpoints: [{name: a, target: 192.0.2.1}]}
  - {name: a.ent, zone: lab.test, routing: priority, monitor: {protocol: none}, endpoints: [{name: a, target: 192.0.2.1}]}
`

// secure asks for signatures.
func secure(change ...func(*dns.OPT)) func(*dns.Msg) {
	return func(m *dns.Msg) {
		m.SetEdns0(1232, true)
		for _, c := range change {
			c(m.IsEdns0())
		}
	}
}

// Names and types that are not there are denied compactly (RFC 9824 3, 5),
// with TTLs as RFC 9077 says, and who does not ask for signatures gets none.
func TestSignedAnswers(t *testing.T) {
	_, doors := startDoors(t, signed)
	compact := func(opt *dns.OPT) { opt.SetCo(true) }
	proof := func(head, name, types, edns string) string {
		return head + " | authority: lab.test. 60 SOA, " + name + " 60 NSEC \\000." + name + " " + types + ", lab.test. 60 RRSIG SOA, " + name + " 60 RRSIG NSEC | " + edns
	}
	through(t, doors, []row{
		{"an answer", about(t, "www", dns.TypeA, secure()), "NOERROR aa | www.lab.test. 30 A 192.0.2.1, www.lab.test. 30 RRSIG A | EDNS0 do"},
		{"keys in 512 octets", about(t, "lab.test.", dns.TypeDNSKEY, secure(func(opt *dns.OPT) { opt.SetUDPSize(512) })), "NOERROR aa | lab.test. 3600 DNSKEY, lab.test. 3600 RRSIG DNSKEY | EDNS0 do"},
		{"to who wants no signatures", about(t, "www", dns.TypeA, edns(0, false)), "NOERROR aa | www.lab.test. 30 A 192.0.2.1 | EDNS0"},
		{"with CD", about(t, "www", dns.TypeA, secure(), func(m *dns.Msg) { m.CheckingDisabled = true }), "NOERROR aa cd | www.lab.test. 30 A 192.0.2.1, www.lab.test. 30 RRSIG A | EDNS0 do"},
		{"with AD", about(t, "www", dns.TypeA, secure(), func(m *dns.Msg) { m.AuthenticatedData = true }), "NOERROR aa | www.lab.test. 30 A 192.0.2.1, www.lab.test. 30 RRSIG A | EDNS0 do"},
		{"no such name", about(t, "none", dns.TypeA, secure()), proof("NOERROR aa", "none.lab.test.", "RRSIG NSEC NXNAME", "EDNS0 do")},
		{"no such name, and the client knows how", about(t, "none", dns.TypeA, secure(compact)), proof("NXDOMAIN aa", "none.lab.test.", "RRSIG NSEC NXNAME", "EDNS0 co do")},
		{"no such name, without signatures", about(t, "none", dns.TypeA, edns(0, false)), "NXDOMAIN aa | authority: lab.test. 60 SOA | EDNS0"},
		{"an empty name", about(t, "ent", dns.TypeA, secure()), proof("NOERROR aa", "ent.lab.test.", "RRSIG NSEC", "EDNS0 do")},
	})
}

// What Zonemaster's DNSSEC cases want of a signed zone: DNSKEY records signed
// by themselves (DNSSEC08, 09), a DS record that fits (02), an algorithm that
// is recommended (05), lifetimes neither short nor long (04), signatures on
// denials (10), and on all of the servers.
func TestSignaturesAreValid(t *testing.T) {
	p, doors := startDoors(t, signed)
	ds, err := dns.NewRR(strings.TrimSpace(run(t, 0, "ds", "-c", p.file)))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range doors {
		answer := d.ask(t, about(t, "lab.test.", dns.TypeDNSKEY, secure())).Answer
		key := answer[0].(*dns.DNSKEY)
		if made := key.ToDS(dns.SHA256); made == nil || made.Digest != strings.ToLower(ds.(*dns.DS).Digest) || key.Algorithm != dns.ECDSAP256SHA256 || key.Protocol != 3 || key.Flags&^1 != dns.ZONE {
			t.Errorf("%s: %s is not that of %s", d.network, key, ds)
		}
		checkSignatures(t, key, answer)
		for _, name := range []string{"lab.test.", "www", "ent", "none"} {
			for _, qtype := range []uint16{dns.TypeA, dns.TypeSOA, dns.TypeNS, dns.TypeTXT, dns.TypeANY} {
				m := d.ask(t, about(t, name, qtype, secure()))
				checkSignatures(t, key, slices.Concat(m.Answer, m.Ns))
			}
		}
	}
}

// checkSignatures verifies that each set has a signature, and each signature.
func checkSignatures(t *testing.T, key *dns.DNSKEY, records []dns.RR) {
	t.Helper()
	sets := map[string][]dns.RR{}
	var signatures []*dns.RRSIG
	for _, rr := range records {
		if s, ok := rr.(*dns.RRSIG); ok {
			signatures = append(signatures, s)
			continue
		}
		k := rr.Header().Name + dns.Type(rr.Header().Rrtype).String()
		sets[k] = append(sets[k], rr)
	}
	if len(signatures) == 0 || len(signatures) != len(sets) {
		t.Errorf("%d signatures of %d sets: %v", len(signatures), len(sets), records)
	}
	for _, s := range signatures {
		set := sets[s.Hdr.Name+dns.Type(s.TypeCovered).String()]
		if err := s.Verify(key, set); err != nil || !s.ValidityPeriod(time.Now()) || s.OrigTtl != set[0].Header().Ttl {
			t.Errorf("%s: %v", s, err)
		}
		if life := time.Duration(s.Expiration-uint32(time.Now().Unix())) * time.Second; life < 12*time.Hour || life > 180*24*time.Hour {
			t.Errorf("%s is good for %v", s, life)
		}
	}
}
