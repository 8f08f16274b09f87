package doh

import (
	"testing"

	"gatehouse/dnslb/wire"

	"github.com/miekg/dns"
)

// reply is a response with records in zone file format.
func reply(t testing.TB, rcode int, answer, authority []string) []byte {
	t.Helper()
	m := new(dns.Msg).SetQuestion("www.example.", dns.TypeA)
	m.Response, m.Rcode, m.Compress = true, rcode, true
	records := func(texts []string) (all []dns.RR) {
		for _, text := range texts {
			rr, err := dns.NewRR(text)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, rr)
		}
		return all
	}
	m.Answer, m.Ns = records(answer), records(authority)
	m.SetEdns0(1232, true) // whose TTL is none
	p, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestFreshness(t *testing.T) {
	const soa = "example. 900 IN SOA ns.example. root.example. 1 2 3 4 60"
	one := []string{"www.example. 300 IN A 192.0.2.1"}
	tests := []struct {
		name              string
		rcode             int
		answer, authority []string
		want              uint32
	}{
		{"one answer", dns.RcodeSuccess, one, nil, 300},
		{"the smallest", dns.RcodeSuccess, []string{"www.example. 300 IN CNAME a.example.", "a.example. 20 IN A 192.0.2.1",
			"a.example. 40 IN A 192.0.2.2"}, nil, 20},
		{"authority does not matter", dns.RcodeSuccess, one, []string{"example. 5 IN NS ns.example."}, 300},
		{"zero", dns.RcodeSuccess, []string{"www.example. 0 IN A 192.0.2.1"}, nil, 0},
		{"highest bit", dns.RcodeSuccess, []string{"www.example. 4294967295 IN A 192.0.2.1"}, nil, 0},
		{"no data", dns.RcodeSuccess, nil, []string{soa}, 60},
		{"no name", dns.RcodeNameError, nil, []string{soa}, 60},
		{"TTL of the SOA", dns.RcodeNameError, nil, []string{"example. 9 IN SOA ns.example. root.example. 1 2 3 4 60"}, 9},
		{"alias to nothing", dns.RcodeNameError, []string{"www.example. 300 IN CNAME a.example."}, []string{soa}, 60},
		{"referral", dns.RcodeSuccess, nil, []string{"www.example. 300 IN NS ns.example."}, 0},
		{"failure", dns.RcodeServerFailure, one, []string{soa}, 0},
		{"nothing", dns.RcodeSuccess, nil, nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			msg := reply(t, tt.rcode, tt.answer, tt.authority)
			if got := freshness(msg); got != tt.want {
				t.Errorf("got %d s, want %d", got, tt.want)
			}
		})
	}
	cut := reply(t, dns.RcodeSuccess, one, nil)
	cut[2] |= byte(wire.FlagTC >> 8)
	if freshness(cut) != 0 {
		t.Error("what is cut is kept")
	}
	short := reply(t, dns.RcodeNameError, nil, []string{soa})
	for n := range len(short) - 12 { // the OPT record is behind what counts
		if got := freshness(short[:n]); got != 0 && n < len(short)-11 {
			t.Errorf("%d bytes of %d are kept for %d s", n, len(short), got)
		}
	}
}

func FuzzFreshness(f *testing.F) {
	f.Add(reply(f, dns.RcodeSuccess, []string{"www.example. 300 IN A 192.0.2.1", "www.example. 30 IN TXT abc"}, nil))
	f.Add(reply(f, dns.RcodeNameError, nil, []string{"example. 900 IN SOA ns.example. root.example. 1 2 3 4 60"}))
	f.Add([]byte{0, 0, 0x80, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0xc0})
	f.Fuzz(func(t *testing.T, msg []byte) {
		got := freshness(msg)
		if got > 1<<31-1 {
			t.Fatalf("%d s", got)
		}
		// Whatever another parser reads is not kept for longer than that
		// says.
		var m dns.Msg
		if m.Unpack(msg) != nil || len(m.Answer) == 0 {
			return
		}
		for _, rr := range m.Answer {
			if ttl := rr.Header().Ttl; got > ttl {
				t.Fatalf("%d s, and %v", got, rr)
			}
		}
	})
}

func TestFreshnessAllocatesNothing(t *testing.T) {
	msg := reply(t, dns.RcodeSuccess, []string{"www.example. 300 IN A 192.0.2.1"}, nil)
	if n := testing.AllocsPerRun(100, func() { freshness(msg) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
