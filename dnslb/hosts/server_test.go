package hosts

import (
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// patient is for tests that end long before.
const patient = 20 * time.Second

// server is a name server on loopback, for UDP and TCP, that says what a test
// wants: the messages that reply returns, as they are.
type server struct {
	addr  string
	reply func(q *dns.Msg, network string) [][]byte

	mu    sync.Mutex
	asked []string // type, transport and whether with EDNS
}

func serve(t *testing.T, reply func(q *dns.Msg, network string) [][]byte) *server {
	t.Helper()
	s := &server{reply: reply}
	pc, ln := listenBoth(t)
	s.addr = pc.LocalAddr().String()
	for _, d := range []*dns.Server{{PacketConn: pc, Handler: s}, {Listener: ln, Handler: s}} {
		started := make(chan struct{})
		ended := make(chan struct{})
		d.NotifyStartedFunc = func() { close(started) }
		go func() {
			defer close(ended)
			_ = d.ActivateAndServe()
		}()
		<-started
		t.Cleanup(func() {
			_ = d.Shutdown()
			<-ended
		})
	}
	return s
}

// listenBoth finds a port that is free for both transports.
func listenBoth(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ln, err := net.Listen("tcp", pc.LocalAddr().String())
		if err == nil {
			return pc, ln
		}
		pc.Close()
	}
	t.Fatal("no port is free for UDP and TCP")
	return nil, nil
}

// ServeDNS answers one query.
func (s *server) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	network := w.LocalAddr().Network()
	text := dns.TypeToString[q.Question[0].Qtype] + " " + network
	if q.IsEdns0() != nil {
		text += " edns"
	}
	s.mu.Lock()
	s.asked = append(s.asked, text)
	s.mu.Unlock()
	for _, data := range s.reply(q, network) {
		_, _ = w.Write(data)
	}
}

// queries are those that came.
func (s *server) queries() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

// respond is a response to q as bytes, with these records in its answer.
func respond(t testing.TB, q *dns.Msg, rcode int, records ...string) []byte {
	t.Helper()
	m := new(dns.Msg).SetRcode(q, rcode)
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Error(err)
			continue
		}
		m.Answer = append(m.Answer, rr)
	}
	return packed(t, m)
}

func packed(t testing.TB, m *dns.Msg) []byte {
	t.Helper()
	m.Compress = true
	data, err := m.Pack()
	if err != nil {
		t.Error(err)
	}
	return data
}

func parse(texts ...string) (addrs []netip.Addr) {
	for _, t := range texts {
		addrs = append(addrs, netip.MustParseAddr(t))
	}
	return addrs
}
