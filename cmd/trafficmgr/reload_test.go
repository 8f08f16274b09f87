package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gatehouse/internal/testkit"
)

func dial(t *testing.T, network, address string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// ended tells whether the server ends a connection, long before it is idle for an hour.
func ended(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, c)
	var ne net.Error
	return !errors.As(err, &ne) || !ne.Timeout()
}

func TestIdleTimesReachListenersThatGoOn(t *testing.T) {
	testkit.NoLeak(t)
	listen := fmt.Sprintf("listen: [{address: %q}]\n", testkit.FreeAddr(t))
	s := start(t, "limits: {tcpIdle: 1h}\n"+listen+answers)
	c := dial(t, "tcp", strings.Split(listen, `"`)[1])
	testkit.Eventually(t, patience, "the connection", func() bool { return s.metric("gatehouse_dns_connections_open", "tcp") == 1 })
	s.reload("limits: {tcpIdle: 100ms}\n" + listen + answers)
	if !ended(c) {
		t.Error("the connection waits on")
	}
}

func TestQueriesOfConnectionsReachListenersThatGoOn(t *testing.T) {
	testkit.NoLeak(t)
	address := testkit.FreeAddr(t)
	listen := fmt.Sprintf("listen: [{address: %q}]\n", address)
	s := start(t, "limits: {tcpIdle: 1h}\n"+listen+answers)
	c := &dns.Conn{Conn: dial(t, "tcp", address)}
	s.reload("limits: {tcpIdle: 1h, tcpQueries: 1}\n" + listen + answers)
	if err := c.WriteMsg(new(dns.Msg).SetQuestion("www.t.example.", dns.TypeA)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ReadMsg(); err != nil || !ended(c.Conn) {
		t.Errorf("%v, or a second query is waited for", err)
	}
}

// A client that does not read holds a listener up for as long as the time to
// drain, which another configuration may have shortened.
func TestTheTimeToDrainReachesListenersThatGoOn(t *testing.T) {
	testkit.NoLeak(t)
	one, two := testkit.FreeAddr(t), testkit.FreeAddr(t)
	text := func(drain string, addresses ...string) (s string) {
		s = "limits: {tcpIdle: 1h, waitingForWriting: 128KiB}\nshutdown: {drain: " + drain + "}\nlisten:\n"
		for _, a := range addresses {
			s += fmt.Sprintf("  - {address: %q}\n", a)
		}
		return s + answers
	}
	s := start(t, text("1h", one, two))
	fill(t, dial(t, "tcp", one))
	s.reload(text("0s", one, two))
	s.reload(text("1h", two))
	testkit.Eventually(t, patience, "the listener to end", s.settled)
}

// settled tells whether no listener is there that the configuration has not.
func (s *site) settled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.gone.under) == 0
}

// fill sends queries without reading answers until neither side takes more.
func fill(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.(*net.TCPConn).SetReadBuffer(4096)
	p, err := new(dns.Msg).SetQuestion("www.t.example.", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	many := bytes.Repeat(append([]byte{0, byte(len(p))}, p...), 1000)
	for {
		_ = c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		if _, err := c.Write(many); err != nil {
			return
		}
	}
}

func TestAnotherPathReachesTheListener(t *testing.T) {
	testkit.NoLeak(t)
	ca, address := testkit.NewCA(t), testkit.FreeAddr(t)
	cert := ca.Server("dns.example")
	text := func(path string) string {
		return fmt.Sprintf("listen: [{address: %q, protocols: [doh], path: %s, tls: {certificates: [{certFile: %s, keyFile: %s}]}}]\n",
			address, path, cert.CertFile, cert.KeyFile) + answers
	}
	s := start(t, text("/one"))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: ca.ClientConfig("dns.example")}, Timeout: patience}
	defer client.CloseIdleConnections()
	q, _ := new(dns.Msg).SetQuestion("www.t.example.", dns.TypeA).Pack()
	post := func(path string) int {
		resp, err := client.Post("https://"+address+path, "application/dns-message", bytes.NewReader(q))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	for _, path := range []string{"/one", "/two"} {
		s.reload(text(path))
		if one, two := post("/one"), post("/two"); one == two || path == "/one" != (one == 200) {
			t.Errorf("path %s: /one has %d, /two has %d", path, one, two)
		}
	}
	if n := s.metric("gatehouse_dns_https_refused_total", "path"); n != 2 {
		t.Errorf("%v requests were counted as refused, want 2", n)
	}
}

// A UDP socket that is gone gives back its lane of the query log.
func TestLanesGoWithTheirSockets(t *testing.T) {
	testkit.NoLeak(t)
	one, two := testkit.FreeAddr(t), testkit.FreeAddr(t)
	stays, goes := fmt.Sprintf("  - {address: %q}\n", one), fmt.Sprintf("  - {address: %q}\n", two)
	s := start(t, "listen:\n"+stays+answers)
	lanes := func() int { return s.queryLog.Stats().Lanes }
	ask(t, "tcp", one, dns.TypeA) // the lane that connections share
	before := lanes()
	s.reload("listen:\n" + stays + goes + answers)
	if n := lanes(); n != 2*before-1 {
		t.Errorf("%d lanes, %d with half of the sockets", n, before)
	}
	s.reload("listen:\n" + stays + answers)
	testkit.Eventually(t, patience, "the lanes to go", func() bool { return lanes() == before })
}

// A counter never falls: not when its listener goes, nor while that has
// something in hand still.
func TestCountersOutliveTheirListeners(t *testing.T) {
	testkit.NoLeak(t)
	one := testkit.FreeAddr(t)
	text := func(address string) string {
		return fmt.Sprintf("limits: {tcpPerClient: 1}\nlisten: [{address: %q}]\n", address) + answers
	}
	s := start(t, text(one))
	for _, network := range []string{"udp", "tcp"} { // less than a header each
		if _, err := dial(t, network, one).Write([]byte{0, 3, 1, 2, 3}); err != nil {
			t.Fatal(err)
		}
	}
	counts := func() string {
		return fmt.Sprint(s.metric("gatehouse_dns_dropped_total", "short", "udp"), s.metric("gatehouse_dns_dropped_total", "short", "tcp"),
			s.metric("gatehouse_dns_connections_refused_total", "tcp"))
	}
	testkit.Eventually(t, patience, "the drops", func() bool { return counts() == "1 1 0" })
	// The connection is counted for a moment longer, and would be one too many.
	testkit.Eventually(t, patience, "the end of the connection", func() bool { return s.metric("gatehouse_dns_connections_open", "tcp") == 0 })
	dial(t, "tcp", one)
	dial(t, "tcp", one)
	testkit.Eventually(t, patience, "the refusal", func() bool { return counts() == "1 1 1" })
	stop := make(chan struct{})
	fell := make(chan string, 1)
	go func() {
		defer close(fell)
		for {
			if now := counts(); now != "1 1 1" {
				fell <- now
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	for range 3 {
		s.reload(text(testkit.FreeAddr(t)))
	}
	testkit.Eventually(t, patience, "the listeners to end", s.settled)
	close(stop)
	if now := <-fell; now != "" {
		t.Errorf("the counters fell to %s", now)
	}
	if now, open := counts(), s.metric("gatehouse_dns_connections_open", "tcp"); now != "1 1 1" || open != 0 {
		t.Errorf("at the end: %s, %v connections", now, open)
	}
}

func TestDnstapChangesOnReload(t *testing.T) {
	testkit.NoLeak(t)
	address, tap := testkit.FreeAddr(t), filepath.Join(t.TempDir(), "tap")
	listen := fmt.Sprintf("listen: [{address: %q}]\n", address)
	s := start(t, listen+answers)
	s.reload(listen + "queryLog: {dnstap: " + tap + "}\n" + answers)
	if w := fmt.Sprint(s.running().warnings); strings.Contains(w, "dnstap") {
		t.Errorf("warnings: %s", w)
	}
	testkit.Eventually(t, patience, "dnstap to begin", s.queryLog.Dnstap)
	ask(t, "udp", address, dns.TypeA)
	testkit.Eventually(t, patience, "the frames", func() bool { return s.queryLog.Stats().DnstapWritten == 2 })
	s.reload(listen + answers)
	testkit.Eventually(t, patience, "dnstap to end", func() bool { return !s.queryLog.Dnstap() })
	if data, err := os.ReadFile(tap); err != nil || bytes.Count(data, []byte("\x03www\x01t\x07example")) < 2 {
		t.Errorf("%d bytes of dnstap, %v", len(data), err)
	}
}
