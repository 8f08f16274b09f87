package hosts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gatehouse/internal/testkit"
)

// says is a server with one response for each family; SERVFAIL and the like
// are written as the only record.
func says(t *testing.T, four, six []string) *server {
	t.Helper()
	return serve(t, func(q *dns.Msg, _ string) [][]byte {
		records := four
		if q.Question[0].Qtype == dns.TypeAAAA {
			records = six
		}
		if len(records) == 1 {
			if rcode, ok := dns.StringToRcode[records[0]]; ok {
				return [][]byte{respond(t, q, rcode)}
			}
		}
		return [][]byte{respond(t, q, dns.RcodeSuccess, records...)}
	})
}

func TestLookupMakesOfAnswers(t *testing.T) {
	const high = "a.example. 2147483648 IN A 192.0.2.1"
	var circle, chain []string
	for i := range 3 {
		circle = append(circle, fmt.Sprintf("c%d.example. 60 IN CNAME c%d.example.", i, (i+1)%3))
	}
	circle = append(circle, "a.example. 60 IN CNAME c0.example.")
	chain = []string{"z.example. 300 IN A 192.0.2.1", "b.example. 20 IN CNAME z.example.", "A.example. 100 IN CNAME B.example."}
	tests := []struct {
		name      string
		four, six []string
		want      []string
		ttl       time.Duration
		err       error
	}{
		{"both families", []string{"a.example. 60 IN A 192.0.2.1", "a.example. 30 IN A 192.0.2.2"}, []string{"a.example. 40 IN AAAA 2001:db8::1"},
			[]string{"192.0.2.1", "192.0.2.2", "2001:db8::1"}, 30 * time.Second, nil},
		{"shorter IPv6", []string{"a.example. 60 IN A 192.0.2.1"}, []string{"a.example. 40 IN AAAA 2001:db8::1"},
			[]string{"192.0.2.1", "2001:db8::1"}, 40 * time.Second, nil},
		{"IPv4 only", []string{"a.example. 60 IN A 192.0.2.1"}, nil, []string{"192.0.2.1"}, time.Minute, nil},
		{"IPv6 only", nil, []string{"a.example. 60 IN AAAA 2001:db8::1"}, []string{"2001:db8::1"}, time.Minute, nil},
		{"aliases in any order and case", chain, nil, []string{"192.0.2.1"}, 20 * time.Second, nil},
		{"alias without address", []string{"a.example. 60 IN CNAME b.example."}, nil, nil, 0, nil},
		{"circle", circle, nil, nil, 0, errLongChain},
		{"alias to itself", []string{"a.example. 60 IN CNAME a.example."}, nil, nil, 0, errLongChain},
		{"other family", []string{"a.example. 60 IN AAAA 2001:db8::1"}, []string{"a.example. 60 IN A 192.0.2.1"}, nil, 0, nil},
		{"other name", []string{"b.example. 60 IN A 192.0.2.1", "example. 60 IN A 192.0.2.2", "a.example. 60 IN A 192.0.2.3"}, nil,
			[]string{"192.0.2.3"}, time.Minute, nil},
		{"other class", []string{"a.example. 60 CH A 192.0.2.1"}, nil, nil, 0, nil},
		{"highest bit of the time to live", []string{high}, nil, []string{"192.0.2.1"}, 0, nil},
		{"no such host", []string{"NXDOMAIN"}, []string{"a.example. 60 IN AAAA 2001:db8::1"}, nil, 0, errNoSuchHost},
		{"no such IPv6 host", []string{"a.example. 60 IN A 192.0.2.1"}, []string{"NXDOMAIN"}, []string{"192.0.2.1"}, time.Minute, nil},
		{"no answer for IPv6", []string{"a.example. 60 IN A 192.0.2.1"}, []string{"SERVFAIL"}, []string{"192.0.2.1"}, time.Minute, refusal(dns.RcodeServerFailure)},
		{"no answer for IPv4", []string{"REFUSED"}, []string{"a.example. 60 IN AAAA 2001:db8::1"}, []string{"2001:db8::1"}, time.Minute, refusal(dns.RcodeRefused)},
		{"no answer at all", []string{"REFUSED"}, []string{"SERVFAIL"}, nil, 0, refusal(dns.RcodeRefused)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := says(t, tt.four, tt.six)
			c := &client{timeout: patient}
			addrs, ttl, err := c.lookup(t.Context(), []string{s.addr}, "a.example")
			if !slices.Equal(addrs, parse(tt.want...)) || !errors.Is(err, tt.err) || tt.err == nil && err != nil {
				t.Errorf("%v, %v; want %v, %v", addrs, err, tt.want, tt.err)
			}
			if len(tt.want) > 0 && ttl != tt.ttl {
				t.Errorf("time to live %v, want %v", ttl, tt.ttl)
			}
		})
	}
}

func TestMappedAddressIsNone(t *testing.T) {
	rr := &dns.AAAA{Hdr: dns.RR_Header{Name: "a.example.", Rrtype: dns.TypeAAAA, Class: dns.ClassINET, Ttl: 60}, AAAA: net.ParseIP("::ffff:192.0.2.1")}
	got, err := follow([]dns.RR{rr}, dns.Question{Name: "a.example.", Qtype: dns.TypeAAAA, Qclass: dns.ClassINET})
	if err != nil || len(got.addrs) != 0 {
		t.Errorf("%v, %v", got.addrs, err)
	}
}

func TestNameThatDoesNotExistIsAskedForOnce(t *testing.T) {
	s := says(t, []string{"NXDOMAIN"}, nil)
	other := says(t, []string{"a.example. 60 IN A 192.0.2.1"}, nil)
	c := &client{timeout: patient}
	_, _, err := c.lookup(t.Context(), []string{s.addr, other.addr}, "a.example")
	if got := slices.Concat(s.queries(), other.queries()); !errors.Is(err, errNoSuchHost) || !slices.Equal(got, []string{"A udp edns"}) {
		t.Errorf("asked %q: %v", got, err)
	}
}

// change returns data with the bits of one byte flipped.
func change(data []byte, at int, bits byte) []byte {
	data = slices.Clone(data)
	data[at] ^= bits
	return data
}

// strays are messages that do not answer q, with addresses that must not be
// believed.
func strays(t *testing.T, q *dns.Msg) map[string][]byte {
	t.Helper()
	lie := respond(t, q, dns.RcodeSuccess, "a.example. 60 IN A 203.0.113.66", "a.example. 60 IN AAAA 2001:db8::66")
	twice := q.Copy()
	twice.Question = append(twice.Question, q.Question[0])
	twice.Response = true
	end := 12 + len("\x01a\x07example\x00")
	return map[string][]byte{
		"other number":   change(lie, 1, 1),
		"not a response": change(lie, 2, 0x80),
		"other opcode":   change(lie, 2, 0x10),
		"other name":     change(lie, 13, 3),
		"other type":     change(lie, end+1, 0x40),
		"other class":    change(lie, end+3, 2),
		"two questions":  packed(t, twice),
		"no question":    change(lie[:12], 5, 1),
		"empty":          {},
		"short":          lie[:11],
		"header only":    lie[:12],
		"garbage":        bytes.Repeat([]byte{0xc0}, 100),
	}
}

func TestStrayDatagramsArePassedOver(t *testing.T) {
	s := serve(t, func(q *dns.Msg, _ string) [][]byte {
		var all [][]byte
		for _, data := range strays(t, q) {
			all = append(all, data)
		}
		return append(all, respond(t, q, dns.RcodeSuccess, "a.example. 60 IN A 192.0.2.1"))
	})
	c := &client{timeout: patient}
	addrs, _, err := c.lookup(t.Context(), []string{s.addr}, "a.example")
	if !slices.Equal(addrs, parse("192.0.2.1")) || err != nil || len(s.queries()) != 2 {
		t.Errorf("%v, %v after %q", addrs, err, s.queries())
	}
}

func TestStrayDatagramsAreNeverBelieved(t *testing.T) {
	q := question("a.example", dns.TypeA, true)
	for name := range strays(t, q) {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(q *dns.Msg, _ string) [][]byte { return [][]byte{strays(t, q)[name]} })
			c := &client{timeout: 20 * time.Millisecond}
			if addrs, _, err := c.lookup(t.Context(), []string{s.addr}, "a.example"); err == nil || addrs != nil {
				t.Errorf("%v, %v", addrs, err)
			}
			tcp := serve(t, func(q *dns.Msg, network string) [][]byte {
				if network == "udp" {
					m := new(dns.Msg).SetReply(q)
					m.Truncated = true
					return [][]byte{packed(t, m)}
				}
				return [][]byte{strays(t, q)[name]}
			})
			c = &client{timeout: patient}
			if addrs, _, err := c.lookup(t.Context(), []string{tcp.addr}, "a.example"); err == nil || addrs != nil {
				t.Errorf("over TCP: %v, %v", addrs, err)
			}
		})
	}
}

func TestFloodOfStrayDatagramsIsLeft(t *testing.T) {
	s := serve(t, func(q *dns.Msg, _ string) [][]byte {
		return slices.Repeat([][]byte{strays(t, q)["other number"]}, maxStray)
	})
	c := &client{timeout: patient}
	if _, _, err := c.lookup(t.Context(), []string{s.addr}, "a.example"); !errors.Is(err, errStray) {
		t.Errorf("%v", err)
	}
}

// many are more addresses than fit into a datagram.
func many(n int) (records []string) {
	for i := range n {
		records = append(records, fmt.Sprintf("a.example. 60 IN A 10.0.%d.%d", i/256, i%256))
	}
	return records
}

func TestTruncatedAnswerIsAskedForOverTCP(t *testing.T) {
	for name, cut := range map[string]func(full []byte) []byte{
		"at a record":        func(full []byte) []byte { return full[:12+15+16*10] },
		"within a record":    func(full []byte) []byte { return full[:500] },
		"after the question": func(full []byte) []byte { return full[:12+15] },
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(q *dns.Msg, network string) [][]byte {
				if q.Question[0].Qtype != dns.TypeA {
					return [][]byte{respond(t, q, dns.RcodeSuccess)}
				}
				full := respond(t, q, dns.RcodeSuccess, many(1000)...)
				if network == "udp" {
					full = change(cut(full), 2, 2)
				}
				return [][]byte{full}
			})
			c := &client{timeout: patient}
			addrs, _, err := c.lookup(t.Context(), []string{s.addr}, "a.example")
			if len(addrs) != 1000 || err != nil {
				t.Errorf("%d addresses, %v", len(addrs), err)
			}
			if got := s.queries(); !slices.Equal(got, []string{"A udp edns", "A tcp edns", "AAAA udp edns"}) {
				t.Errorf("asked %q", got)
			}
		})
	}
}

func TestBrokenAnswersFail(t *testing.T) {
	truncated := func(q *dns.Msg) []byte { return change(respond(t, q, dns.RcodeSuccess), 2, 2) }
	tests := []struct {
		name  string
		reply func(q *dns.Msg, network string) [][]byte
		want  error
	}{
		{"datagram too large", func(q *dns.Msg, _ string) [][]byte {
			return [][]byte{respond(t, q, dns.RcodeSuccess, many(300)...)}
		}, errMalformed},
		{"datagram too large, records as they should be", func(q *dns.Msg, _ string) [][]byte {
			data := respond(t, q, dns.RcodeSuccess, many((largestUDP-27)/16)...)
			return [][]byte{append(data, make([]byte, 50)...)}
		}, errMalformed},
		{"record longer than the message", func(q *dns.Msg, _ string) [][]byte {
			data := respond(t, q, dns.RcodeSuccess, "a.example. 60 IN A 192.0.2.1")
			return [][]byte{data[:len(data)-2]}
		}, errMalformed},
		{"truncated over TCP too", func(q *dns.Msg, _ string) [][]byte { return [][]byte{truncated(q)} }, errMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, tt.reply)
			c := &client{timeout: patient}
			if addrs, _, err := c.lookup(t.Context(), []string{s.addr}, "a.example"); !errors.Is(err, tt.want) || addrs != nil {
				t.Errorf("%v, %v; want %v", addrs, err, tt.want)
			}
		})
	}
}

func TestServerThatIsSlowOverTCPIsLeft(t *testing.T) {
	s := serve(t, func(q *dns.Msg, network string) [][]byte {
		if network == "tcp" {
			return nil
		}
		return [][]byte{change(respond(t, q, dns.RcodeSuccess), 2, 2)}
	})
	c := &client{timeout: time.Second} // in which the answer over UDP has to come
	start := time.Now()
	_, _, err := c.lookup(t.Context(), []string{s.addr}, "a.example")
	if err == nil || time.Since(start) > patient || !slices.Contains(s.queries(), "A tcp edns") {
		t.Errorf("%v after %v: %q", err, time.Since(start), s.queries())
	}
}

func TestServersAreTriedTwiceAndInOrder(t *testing.T) {
	bad := says(t, []string{"SERVFAIL"}, []string{"SERVFAIL"})
	good := says(t, []string{"a.example. 60 IN A 192.0.2.1"}, []string{"a.example. 60 IN AAAA 2001:db8::1"})
	servers := []string{bad.addr, good.addr}
	c := &client{timeout: patient}
	addrs, _, err := c.lookup(t.Context(), servers, "a.example")
	if !slices.Equal(addrs, parse("192.0.2.1", "2001:db8::1")) || err != nil {
		t.Errorf("%v, %v", addrs, err)
	}
	if got, want := bad.queries(), []string{"A udp edns", "A udp"}; !slices.Equal(got, want) {
		t.Errorf("the first server was asked %q, want %q", got, want)
	}
	if got, want := good.queries(), []string{"A udp edns", "AAAA udp edns"}; !slices.Equal(got, want) {
		t.Errorf("the second server was asked %q, want %q", got, want)
	}
	if servers[0] != bad.addr {
		t.Error("the list of the caller was changed")
	}
}

func TestServerThatFailsOnceIsAskedAgain(t *testing.T) {
	calls := 0
	s := serve(t, func(q *dns.Msg, _ string) [][]byte {
		if calls++; calls == 1 {
			return [][]byte{respond(t, q, dns.RcodeServerFailure)}
		}
		return [][]byte{respond(t, q, dns.RcodeSuccess, "a.example. 60 IN A 192.0.2.1")}
	})
	c := &client{timeout: patient}
	if addrs, _, err := c.lookup(t.Context(), []string{s.addr}, "a.example"); !slices.Equal(addrs, parse("192.0.2.1")) || err != nil {
		t.Errorf("%v, %v", addrs, err)
	}
}

func TestSilentServerIsLeftForTheNext(t *testing.T) {
	silent := serve(t, func(*dns.Msg, string) [][]byte { return nil })
	good := says(t, []string{"a.example. 60 IN A 192.0.2.1"}, nil)
	c := &client{timeout: time.Second} // in which the good one has to answer
	addrs, _, err := c.lookup(t.Context(), []string{silent.addr, good.addr}, "a.example")
	if !slices.Equal(addrs, parse("192.0.2.1")) || err != nil || len(silent.queries()) != 2 {
		t.Errorf("%v, %v; the silent one was asked %q", addrs, err, silent.queries())
	}
}

func TestNobodyThereIsSaidAtOnce(t *testing.T) {
	// A socket that listens to another port alone: its own stays taken, and refuses.
	nobody, err := net.Dial("udp", "127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer nobody.Close()
	c := &client{timeout: patient}
	start := time.Now()
	_, _, err = c.lookup(t.Context(), []string{nobody.LocalAddr().String()}, "a.example")
	if err == nil || !strings.Contains(err.Error(), "refused") || time.Since(start) > patient/2 {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

func TestLookupEndsWithItsContext(t *testing.T) {
	testkit.NoLeak(t)
	ctx, cancel := context.WithCancel(t.Context())
	s := serve(t, func(*dns.Msg, string) [][]byte {
		cancel()
		return nil
	})
	c := &client{timeout: patient}
	start := time.Now()
	_, _, err := c.lookup(ctx, []string{s.addr, s.addr}, "a.example")
	if err == nil || time.Since(start) > patient/2 || len(s.queries()) != 1 {
		t.Errorf("%v after %v: %q", err, time.Since(start), s.queries())
	}
}

func TestNameThatCannotBeAskedForFails(t *testing.T) {
	s := says(t, nil, nil)
	c := &client{timeout: patient}
	for _, name := range []string{"a..example", strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 150) + "example"} {
		if _, _, err := c.lookup(t.Context(), []string{s.addr}, name); !errors.Is(err, errBadName) {
			t.Errorf("%.20q: %v", name, err)
		}
	}
}

func FuzzReplies(f *testing.F) {
	q := question("a.example", dns.TypeA, false)
	q.Id = 1
	f.Add(respond(f, q, dns.RcodeSuccess, "a.example. 60 IN CNAME b.example.", "b.example. 60 IN A 192.0.2.1"))
	f.Add(respond(f, q, dns.RcodeSuccess, "a.example. 60 IN CNAME a.example."))
	f.Add(respond(f, q, dns.RcodeNameError))
	f.Fuzz(func(t *testing.T, data []byte) {
		reply := new(dns.Msg)
		if reply.Unpack(data) != nil || !answers(reply, q) {
			return
		}
		got, err := follow(reply.Answer, q.Question[0])
		if err != nil && got.addrs != nil {
			t.Errorf("%v and %v", got.addrs, err)
		}
		if got.ttl < 0 || len(got.addrs) > len(reply.Answer) {
			t.Errorf("%d addresses of %d records for %v", len(got.addrs), len(reply.Answer), got.ttl)
		}
		for _, a := range got.addrs {
			if !a.Is4() {
				t.Errorf("%v answers a question for IPv4", a)
			}
		}
	})
}
