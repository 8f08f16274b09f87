package dnssec

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// testZone is what the server of the test has, by name and type.
var testZone = []string{
	"example.net. 60 SOA ns.example.net. host.example.net. 1 3600 600 86400 60",
	"example.net. 60 NS ns.example.net.",
	"example.net. 60 NS NS2.Example.Org.",
	"www.example.net. 60 A 192.0.2.1",
	"www.example.net. 60 A 192.0.2.2",
	"www.example.net. 60 TXT \"Hello\"",
	"alias.example.net. 60 CNAME WWW.example.net.",
	"deep.ent.example.net. 60 A 192.0.2.3",
	"*.wild.example.net. 60 A 192.0.2.4",
	"_sip._udp.example.net. 60 SRV 1 2 5060 WWW.example.net.",
}

// zoneServer answers for testZone, signing as the package's documentation says.
type zoneServer struct {
	t      *testing.T
	signer *Signer
	rrsets map[string]map[uint16][]dns.RR
}

// serveZone serves testZone on loopback until the test ends.
func serveZone(t *testing.T, s *Signer) (port string) {
	t.Helper()
	z := &zoneServer{t: t, signer: s, rrsets: map[string]map[uint16][]dns.RR{}}
	apex := []dns.RR{s.Key().DNSKEY(60), s.Key().CDS(60), s.Key().CDNSKEY(60)}
	for _, rr := range append(records(t, testZone...), apex...) {
		name := rr.Header().Name
		if z.rrsets[name] == nil {
			z.rrsets[name] = map[uint16][]dns.RR{}
		}
		z.rrsets[name][rr.Header().Rrtype] = append(z.rrsets[name][rr.Header().Rrtype], rr)
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	server := &dns.Server{PacketConn: conn, Handler: z, NotifyStartedFunc: func() { close(ready) }}
	done := make(chan error)
	go func() { done <- server.ActivateAndServe() }()
	<-ready
	t.Cleanup(func() {
		server.Shutdown()
		<-done
	})
	_, port, _ = net.SplitHostPort(conn.LocalAddr().String())
	return port
}

// ServeDNS answers a query.
func (z *zoneServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	m.Authoritative = true
	m.SetEdns0(1232, true)
	name, asked := dns.CanonicalName(q.Question[0].Name), q.Question[0].Qtype
	types := z.at(name)
	switch {
	case types[asked] != nil:
		m.Answer = z.sign(types[asked])
	case types[dns.TypeCNAME] != nil:
		m.Answer = z.sign(types[dns.TypeCNAME])
		if rrset := z.at(dns.CanonicalName(types[dns.TypeCNAME][0].(*dns.CNAME).Target))[asked]; rrset != nil {
			m.Answer = append(m.Answer, z.sign(rrset)...)
		}
	default:
		m.Ns = append(z.sign(z.rrsets["example.net."][dns.TypeSOA]), z.sign([]dns.RR{z.deny(name, types, q, m)})...)
	}
	if err := w.WriteMsg(m); err != nil {
		z.t.Error(err)
	}
}

// at returns what is at a name: its own, or that of its wildcard.
func (z *zoneServer) at(name string) map[uint16][]dns.RR {
	if own := z.rrsets[name]; own != nil || !strings.HasSuffix(name, ".wild.example.net.") {
		return own
	}
	expanded := map[uint16][]dns.RR{}
	for t, rrset := range z.rrsets["*.wild.example.net."] {
		for _, rr := range rrset {
			rr = dns.Copy(rr)
			rr.Header().Name = name
			expanded[t] = append(expanded[t], rr)
		}
	}
	return expanded
}

func (z *zoneServer) deny(name string, types map[uint16][]dns.RR, q, m *dns.Msg) dns.RR {
	if types == nil && name != "ent.example.net." && name != "wild.example.net." {
		m.Rcode = Rcode(q.IsEdns0())
		return z.signer.Nonexistent(name, 60)
	}
	var present []uint16
	for t := range types {
		present = append(present, t)
	}
	return z.signer.NSEC(name, present, 60)
}

func (z *zoneServer) sign(rrset []dns.RR) []dns.RR {
	sig, err := z.signer.Sign(rrset)
	if err != nil {
		z.t.Error(err)
		return rrset
	}
	return append(rrset[:len(rrset):len(rrset)], sig)
}

// questions are what validators ask, and what they are to find: an answer, or
// a denial.
var questions = []struct {
	name, qtype string
	denied      bool
}{
	{"example.net.", "SOA", false},
	{"example.net.", "NS", false},
	{"example.net.", "DNSKEY", false},
	{"example.net.", "CDS", false},
	{"example.net.", "CDNSKEY", false},
	{"www.example.net.", "A", false},
	{"WWW.Example.NET.", "TXT", false},
	{"alias.example.net.", "A", false},
	{"_sip._udp.example.net.", "SRV", false},
	{"any.wild.example.net.", "A", false},
	{"*.wild.example.net.", "A", false},
	{"example.net.", "AAAA", true},
	{"www.example.net.", "AAAA", true},
	{"any.wild.example.net.", "AAAA", true},
	{"ent.example.net.", "A", true},
	{"nowhere.example.net.", "A", true},
	{"a.b.c.nowhere.example.net.", "TXT", true},
	{"*star.example.net.", "A", true},
	{longName(59, 59), "A", true},
	{longName(60, 59), "A", true},
	{longName(63, 58), "A", true},
	{longName(61, 59), "A", true},
}

// longName returns a name whose leftmost label is of one length and the next
// three are of another: packed, it has 17 octets more than all these.
func longName(first, others int) string {
	return strings.Repeat("l", first) + "." + strings.Repeat(strings.Repeat("m", others)+".", 3) + "example.net."
}

// delv asks BIND's validator with the zone's key as its only trust anchor.
func delv(t *testing.T, port, key, name, qtype string) string {
	t.Helper()
	anchor := write(t, t.TempDir(), "anchor", fmt.Sprintf("trust-anchors { example.net. static-key 257 3 13 %q; };\n", key))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "delv", "@127.0.0.1", "-p", port, "-a", anchor, "+root=example.net.", name, qtype).CombinedOutput()
	if err != nil {
		t.Logf("delv: %v", err) // as with an answer that is no good
	}
	return string(out)
}

func TestBINDValidatesAnswersAndDenials(t *testing.T) {
	if _, err := exec.LookPath("delv"); err != nil {
		t.Skip("no delv")
	}
	s := newTestSigner(t, Options{})
	port := serveZone(t, s)
	for _, q := range questions {
		want := "; fully validated"
		if q.denied {
			want = "; negative response, fully validated"
		}
		if out := delv(t, port, s.key.public, q.name, q.qtype); !strings.Contains(out, want) {
			t.Errorf("%s %s: want %q\n%s", q.name, q.qtype, want, out)
		}
	}
	other, err := generate("example.net.")
	if err != nil {
		t.Fatal(err)
	}
	if out := delv(t, port, other.public, "www.example.net.", "A"); strings.Contains(out, "fully validated") {
		t.Errorf("BIND believes any key:\n%s", out)
	}
}
