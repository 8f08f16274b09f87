//go:build linux

package load

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// answerer answers every query but each tenth, one of twenty twice; names
// that begin with "miss" do not exist.
type answerer struct {
	mu      sync.Mutex
	n       int
	subnets map[string]int
	lossy   bool
}

func (a *answerer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	a.mu.Lock()
	a.n++
	n := a.n
	if opt := q.IsEdns0(); opt != nil && len(opt.Option) == 1 {
		a.subnets[opt.Option[0].(*dns.EDNS0_SUBNET).Address.String()]++
	}
	a.mu.Unlock()
	if a.lossy && n%10 == 0 {
		return
	}
	r := new(dns.Msg).SetReply(q)
	if strings.HasPrefix(q.Question[0].Name, "miss") {
		r.Rcode = dns.RcodeNameError
	} else if q.Question[0].Qtype == dns.TypeA {
		r.Answer = []dns.RR{&dns.A{
			Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 30}, A: net.IPv4(192, 0, 2, 1),
		}}
	}
	w.WriteMsg(r)
	if a.lossy && n%20 == 1 {
		w.WriteMsg(r)
	}
}

func serve(t *testing.T, a *answerer) netip.AddrPort {
	t.Helper()
	a.subnets = make(map[string]int)
	packets, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort(packets.LocalAddr().String())
	listener, err := net.Listen("tcp4", addr.String())
	if err != nil {
		t.Skip(err) // another process has the port
	}
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: a}, {Listener: listener, Handler: a, MaxTCPQueries: -1}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go s.ActivateAndServe()
		<-started
		t.Cleanup(func() { s.Shutdown() })
	}
	return addr
}

func options(t *testing.T, a *answerer) Options {
	t.Helper()
	path := filepath.Join(t.TempDir(), "queries")
	err := WriteQueries(path, []Query{{"h0.bench.test", "A"}, {"h0.bench.test", "AAAA"}, {"miss.bench.test", "A"}, {"h1.bench.test", "A"}})
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Addr: serve(t, a), Queries: path, Sockets: 2, Window: 4, Warmup: 50 * time.Millisecond, Duration: 200 * time.Millisecond,
		Timeout: 10 * time.Second, PIDs: []int{os.Getpid()},
	}
}

func TestAnswersAreCounted(t *testing.T) {
	for _, tcp := range []bool{false, true} {
		o := options(t, new(answerer))
		o.TCP = tcp
		r := enough(t, o)
		misses, sum := r.Rcodes["NXDOMAIN"], r.Rcodes["NXDOMAIN"]+r.Rcodes["NOERROR"]
		if r.Answered < 100 || r.Lost+r.Stray > 0 || sum != r.Answered || r.CPU <= 0 || r.P50 <= 0 || r.P99 < r.P50 || r.LoadCPU <= 0 {
			t.Errorf("tcp %v: %+v", tcp, r)
		}
		// A quarter each, but for where the time ends.
		if !near(misses, r.Answered/4) || !near(r.Empty, r.Answered/4) || !near(uint64(r.QPS), r.Answered*5) {
			t.Errorf("tcp %v: %+v", tcp, r)
		}
	}
}

// enough is a run with so many answers that the ends of its time do not matter;
// while the machine has something else to do there are fewer.
func enough(t *testing.T, o Options) (r *Result) {
	t.Helper()
	for range 10 {
		var err error
		if r, err = Run(context.Background(), o); err != nil {
			t.Fatal(err)
		}
		if r.Answered >= 100 {
			break
		}
	}
	return r
}

func near(got, want uint64) bool { return max(got, want)-min(got, want) <= 8+want/10 }

func TestWhatIsLostAndWhatComesTwiceIsCounted(t *testing.T) {
	o := options(t, &answerer{lossy: true})
	o.Timeout = 100 * time.Millisecond
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Answered == 0 || r.Lost == 0 || r.Stray == 0 {
		t.Errorf("%+v", r)
	}
}

func TestAnAnswerCountsOnce(t *testing.T) {
	o := Options{Sockets: 1, Window: 2}
	w := &window{o: &o, packets: []packet{make([]byte, headerSize)}, slots: make([]slot, 2)}
	now := time.Now()
	w.from, w.till = now.Add(-time.Hour), now.Add(time.Hour)
	query := w.prepare(1, now)
	answer := append([]byte(nil), query...)
	answer[2] |= 0x80
	before := append([]byte(nil), answer...)
	before[0]-- // of the query that the slot had before
	free := append([]byte(nil), answer...)
	free[1] = 0 // a slot that waits for nothing
	beyond := append([]byte(nil), answer...)
	beyond[1] = 2
	for i, m := range [][]byte{query, before, free, beyond, answer[:headerSize-1], {}} {
		if w.take(m); w.answered != 0 || w.stray != uint64(i+1) {
			t.Fatalf("%v: %d answered, %d stray", m, w.answered, w.stray)
		}
	}
	w.take(answer)
	w.take(answer)
	if w.answered != 1 || w.stray != 7 || len(w.free) != 1 {
		t.Errorf("%d answered, %d stray, %d free", w.answered, w.stray, len(w.free))
	}
}

func TestClientSubnetsDiffer(t *testing.T) {
	a := new(answerer)
	o := options(t, a)
	o.ECS = Varied
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.subnets) != a.n || uint64(a.n) < r.Answered {
		t.Errorf("%d subnets in %d queries", len(a.subnets), a.n)
	}
	for text := range a.subnets {
		if addr := netip.MustParseAddr(text); !addr.IsGlobalUnicast() || addr.As4()[3] != 0 {
			t.Fatalf("%s is sent", text)
		}
	}
}

func TestOneClientSubnet(t *testing.T) {
	a := new(answerer)
	o := options(t, a)
	o.ECS = "53.10.20.0/24"
	if _, err := Run(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.subnets) != 1 || a.subnets["53.10.20.0"] == 0 {
		t.Errorf("%v", a.subnets)
	}
}

func TestSubnetsAreAllDifferent(t *testing.T) {
	var s subnets
	seen := make([]bool, 1<<24)
	for range 1 << 20 {
		n := s.next()
		i := binary.BigEndian.Uint32([]byte{0, n[0], n[1], n[2]})
		if seen[i] {
			t.Fatalf("%v comes twice", n)
		}
		seen[i] = true
		if n[0] == 0 || n[0] == 10 || n[0] == 127 || n[0] >= 224 {
			t.Fatalf("%v is no client's", n)
		}
	}
}

// A server that ends connections must not count as fast.
func TestAClosedConnectionIsAnError(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, conn) // goes on: only reading tells
		}
	}()
	o := options(t, new(answerer))
	o.TCP, o.Addr = true, netip.MustParseAddrPort(l.Addr().String())
	if r, err := Run(context.Background(), o); err == nil {
		t.Errorf("%+v", r)
	}
}

func TestAnInterruptEndsTheRun(t *testing.T) {
	o := options(t, new(answerer))
	o.Duration = time.Minute
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if _, err := Run(ctx, o); err == nil || time.Since(begin) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
}

func TestBadOptions(t *testing.T) {
	good := options(t, new(answerer))
	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, []byte("a b c\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		want   string
		change func(o *Options)
	}{
		{"no address", func(o *Options) { o.Addr = netip.AddrPort{} }},
		{"sockets", func(o *Options) { o.Sockets = 0 }},
		{"window", func(o *Options) { o.Window = 257 }},
		{"timeout", func(o *Options) { o.Timeout = 0 }},
		{"want a name and a type", func(o *Options) { o.Queries = bad }},
		{"no queries", func(o *Options) { o.Queries = empty }},
		{"client subnet", func(o *Options) { o.ECS = "2001:db8::/24" }},
		{"client subnet", func(o *Options) { o.ECS = "198.51.0.0/16" }},
	}
	for _, tt := range tests {
		o := good
		tt.change(&o)
		if _, err := Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %q", err, tt.want)
		}
	}
}
