package authority

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"gatehouse/dnslb/server"
	"gatehouse/dnslb/wire"
)

// longWay answers a query as if it were an unusual one.
func (r *Responder) longWay(query []byte, from *server.Peer) []byte {
	r.begin()
	return r.unusual(nil, query, from)
}

// text is a response in a form in which two that say the same are the same.
func text(t testing.TB, b []byte) string {
	m := new(dns.Msg)
	if err := m.Unpack(b); err != nil {
		t.Fatalf("%v: %x", err, b)
	}
	lines := []string{fmt.Sprintf("%+v %v", m.MsgHdr, m.Question)}
	if o := m.IsEdns0(); o != nil {
		// Compression changes how much padding it takes.
		o.Option = slices.DeleteFunc(o.Option, func(e dns.EDNS0) bool { return e.Option() == dns.EDNS0PADDING })
	}
	for i, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		var list []string
		for _, rr := range section {
			name := rr.Header().Name
			rr.Header().Name = strings.ToLower(name) // but for the question's, which have pointers to it
			list = append(list, fmt.Sprint(i, " ", rr))
		}
		slices.Sort(list)
		lines = append(lines, list...)
	}
	return strings.Join(lines, "\n")
}

// check asserts what holds for every message: no answer to an answer, and one
// that parses, has the same ID and fits; and the same both ways.
func check(t *testing.T, s *setup, msg []byte, transport server.Transport) {
	if len(msg) < 12 || msg[2]&0x80 != 0 {
		return // the server does not pass those on
	}
	from := peer(transport, "198.51.100.5")
	kept := bytes.Clone(msg)
	r := s.seeded()
	short := r.Respond(nil, msg, from)
	if !bytes.Equal(kept, msg) {
		t.Fatal("the query was changed")
	}
	if len(short) == 0 {
		t.Fatalf("no answer to %x", msg)
	}
	if short[0] != msg[0] || short[1] != msg[1] || short[2]&0x80 == 0 || short[2]>>3&0xf != msg[2]>>3&0xf {
		t.Fatalf("header %x for %x", short[:12], msg[:12])
	}
	var q wire.Query
	verdict := q.Parse(msg)
	if limit := r.limit(&q, from); transport == server.UDP && verdict == wire.Usual && len(short) > limit {
		t.Fatalf("%d octets, at most %d", len(short), limit)
	}
	got := text(t, short)
	if verdict != wire.Usual {
		return
	}
	long := s.seeded().longWay(msg, from)
	if want := text(t, long); got != want {
		if unreadable(msg) {
			return
		}
		t.Fatalf("the short way says\n%s\nthe long one\n%s", got, want)
	}
}

// unreadable tells whether miekg/dns refuses a message, for an option that
// nothing here depends on.
func unreadable(msg []byte) bool { return new(dns.Msg).Unpack(msg) != nil }

func seeds(t testing.TB) (list [][]byte) {
	cookie := &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"}
	names := []string{"www", "named", "multi", "net", "netonly", "off", "offnx", "ported", "weighted", "text", "many", "alias", "chain", "direct", "lost", "away", "loop",
		"deep.ent", "ent", "x.wild", "sub", "x.sub", "safe", "nothing"}
	for _, n := range append(names, "") {
		name := strings.TrimPrefix(n+".tm.example.", ".")
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypeHTTPS, dns.TypeSOA, dns.TypeDS, dns.TypeANY, dns.TypeCNAME} {
			list = append(list, question(t, name, qtype), question(t, name, qtype, edns(1232, false, cookie)),
				question(t, name, qtype, edns(1232, true, subnet("203.0.113.0/24"), &dns.EDNS0_NSID{Code: dns.EDNS0NSID})),
				question(t, name, qtype, edns(1232, true), func(m *dns.Msg) { m.IsEdns0().SetCo(true) }))
		}
	}
	return append(list, question(t, "www.test.", dns.TypeA), question(t, ".", dns.TypeNS, edns(512, false)))
}

func TestBothWaysSayTheSame(t *testing.T) {
	for name, change := range map[string]func(*setup){"plain": nil, "signed": signed(t)} {
		t.Run(name, func(t *testing.T) {
			s := newSetup(t, change)
			for _, q := range seeds(t) {
				for transport := server.UDP; transport <= server.HTTPS; transport++ {
					check(t, s, q, transport)
				}
			}
		})
	}
}

func FuzzRespond(f *testing.F) {
	for _, q := range seeds(f) {
		f.Add(q, uint8(1))
	}
	plain := newSetup(f, nil)
	f.Fuzz(func(t *testing.T, msg []byte, transport uint8) {
		check(t, plain, msg, server.Transport(1+transport%4))
	})
}

// Messages that are queries but for some octets.
func TestMangledMessages(t *testing.T) {
	s := newSetup(t, signed(t))
	r := rand.New(rand.NewPCG(1, 2))
	list := seeds(t)
	for range 20_000 {
		q := slices.Clone(list[r.IntN(len(list))])
		for range 1 + r.IntN(4) {
			q[r.IntN(len(q))] = byte(r.IntN(256))
		}
		if r.IntN(4) == 0 {
			q = q[:12+r.IntN(len(q)-12)]
		}
		check(t, s, q, server.Transport(1+r.IntN(4)))
	}
}
