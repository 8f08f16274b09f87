package l4

import (
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gatehouse/internal/testkit"
)

// dnsServer answers every question with its name in a TXT record, over UDP
// and TCP.
func dnsServer(t *testing.T, name, ip string, port int) (stop func()) {
	t.Helper()
	answer := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		m.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{name}}}
		w.WriteMsg(m)
	})
	address := net.JoinHostPort(ip, strconv.Itoa(port))
	var servers []*dns.Server
	for _, network := range []string{"udp", "tcp"} {
		started := make(chan struct{})
		s := &dns.Server{Addr: address, Net: network, Handler: answer, NotifyStartedFunc: func() { close(started) }}
		go s.ListenAndServe()
		select {
		case <-started:
		case <-time.After(soon):
			t.Fatalf("no DNS server at %s", address)
		}
		servers = append(servers, s)
	}
	stop = func() {
		for _, s := range servers {
			s.Shutdown()
		}
	}
	t.Cleanup(stop)
	return stop
}

// whoAnswers asks from a port of its own.
func whoAnswers(address string) (string, error) {
	q := new(dns.Msg)
	q.SetQuestion("who.test.", dns.TypeTXT)
	r, _, err := (&dns.Client{Timeout: soon}).Exchange(q, address)
	if err != nil {
		return "", err
	}
	return r.Answer[0].(*dns.TXT).Txt[0], nil
}

// DNS over UDP is shared by two servers; each query is a flow of its own that
// ends with its answer. When one server goes, the other answers all.
func TestDNSIsBalanced(t *testing.T) {
	t.Parallel()
	lab := newLab(t, 0)
	net := lab.front[:len(lab.front)-3]
	stop := dnsServer(t, "first", net+"1", lab.port)
	dnsServer(t, "second", net+"2", lab.port)
	b := start(t, lab.fill(fmt.Sprintf(`
frontends: [{name: front, address: FRONT}]
backendPools: [{name: resolvers, members: [%s1, %s2]}]
probes: [{name: dns, interval: 500ms}]
rules: [{name: dns, frontend: front, protocol: udp, frontendPort: PORT, backendPool: resolvers, probe: dns, responses: 1}]
`, net, net)))
	seen := map[string]int{}
	for range 100 {
		who, err := whoAnswers(lab.door())
		if err != nil {
			t.Fatal(err)
		}
		seen[who]++
	}
	if seen["first"] < 20 || seen["second"] < 20 {
		t.Errorf("of 100 queries %v", seen)
	}
	testkit.Eventually(t, soon, "the end of all flows", func() bool { return b.metric(`gatehouse_l4_flows{protocol="udp",rule="dns"}`) == 0 })
	testkit.Eventually(t, soon, "100 flows that ended with their answer", func() bool { return b.metric(`gatehouse_l4_ended_total{reason="answered"}`) == 100 })
	stop()
	b.waitLog(`"state":"unhealthy"`)
	for range 50 {
		if who, err := whoAnswers(lab.door()); err != nil || who != "second" {
			t.Fatalf("after the end of the first: %q %v", who, err)
		}
	}
}
