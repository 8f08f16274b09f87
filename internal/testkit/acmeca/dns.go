package acmeca

import (
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"gatehouse/internal/testkit"
)

// The key that updates must be signed with, and the zone that takes them.
const (
	KeyName = "acme.key.test."
	Secret  = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	Zone    = "test."
)

// NameServer answers every question for an address with loopback, and keeps
// the TXT records that signed updates give it.
type NameServer struct {
	Addr string

	mu  sync.Mutex
	txt map[string][]string
	all []string // ever set
}

// NewNameServer starts one on TCP.
func NewNameServer(t testing.TB) *NameServer {
	t.Helper()
	n := &NameServer{Addr: testkit.FreeAddr(t), txt: map[string][]string{}}
	ln, err := net.Listen("tcp", n.Addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{Listener: ln, Handler: n, TsigSecret: map[string]string{KeyName: Secret}, MsgAcceptFunc: accept}
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.ActivateAndServe()
	}()
	t.Cleanup(func() {
		s.Shutdown()
		<-served
	})
	return n
}

// accept lets updates in, which the default does not.
func accept(h dns.Header) dns.MsgAcceptAction {
	if h.Bits>>15 == 1 {
		return dns.MsgIgnore
	}
	return dns.MsgAccept
}

// ServeDNS implements dns.Handler.
func (n *NameServer) ServeDNS(w dns.ResponseWriter, m *dns.Msg) {
	out := new(dns.Msg).SetReply(m)
	switch {
	case m.Opcode == dns.OpcodeUpdate && (m.IsTsig() == nil || w.TsigStatus() != nil):
		out.Rcode = dns.RcodeRefused
	case m.Opcode == dns.OpcodeUpdate && m.Question[0].Name != Zone:
		out.Rcode = dns.RcodeNotZone
	case m.Opcode == dns.OpcodeUpdate:
		n.update(m.Ns)
	default:
		n.answer(out, m.Question[0])
	}
	if t := m.IsTsig(); t != nil && w.TsigStatus() == nil {
		out.SetTsig(t.Hdr.Name, t.Algorithm, 300, int64(t.TimeSigned))
	}
	w.WriteMsg(out)
}

func (n *NameServer) update(rrs []dns.RR) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, rr := range rrs {
		txt, ok := rr.(*dns.TXT)
		if !ok {
			continue
		}
		name, value := strings.ToLower(txt.Hdr.Name), strings.Join(txt.Txt, "")
		n.txt[name] = slices.DeleteFunc(n.txt[name], func(s string) bool { return s == value })
		if txt.Hdr.Class == dns.ClassINET {
			n.txt[name] = append(n.txt[name], value)
			n.all = append(n.all, name)
		}
	}
}

func (n *NameServer) answer(out *dns.Msg, q dns.Question) {
	hdr := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET}
	switch q.Qtype {
	case dns.TypeA:
		out.Answer = []dns.RR{&dns.A{Hdr: hdr, A: net.IPv4(127, 0, 0, 1)}}
	case dns.TypeTXT:
		for _, value := range n.TXT(q.Name) {
			out.Answer = append(out.Answer, &dns.TXT{Hdr: hdr, Txt: []string{value}})
		}
	case dns.TypeSOA:
		hdr.Name, hdr.Rrtype = Zone, dns.TypeSOA
		out.Ns = []dns.RR{&dns.SOA{Hdr: hdr, Ns: "ns." + Zone, Mbox: "ops." + Zone, Serial: 1, Refresh: 1, Retry: 1, Expire: 1, Minttl: 1}}
	}
}

// TXT are the records of a name now.
func (n *NameServer) TXT(name string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.txt[strings.ToLower(dns.Fqdn(name))])
}

// Updated are the names that records were set for, in order.
func (n *NameServer) Updated() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.all)
}
