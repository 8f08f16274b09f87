package doh

import (
	"crypto/tls"
	"net"
	"net/netip"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/dnslb/server"
	"gatehouse/internal/testkit"
)

// hour is a time that no test waits for.
var hour = config.DNSLimits{TCPIdle: time.Hour}

func TestThePathChangesForConnectionsThereAre(t *testing.T) {
	testkit.NoLeak(t)
	s := start(t, Config{NewResponder: always(echo), Path: "/q"})
	for version := 1; version <= 2; version++ {
		c := s.client(t, version)
		for path, status := range map[string]int{"/q": 404, "": 200} {
			s.SetPath(path)
			if resp, _ := do(t, c, post(s, query(20))); resp.StatusCode != status {
				t.Errorf("HTTP/%d, path %q: %s", version, path, resp.Status)
			}
		}
	}
	counts(t, s, "two connections", func(st Stats) bool { return st.HTTPS.Accepted == 2 })
}

// With a shorter idle time those that wait under the longer one are closed, and
// those that come have the shorter one.
func TestAnotherIdleTimeReachesAll(t *testing.T) {
	testkit.NoLeak(t)
	s := start(t, Config{NewResponder: always(echo), Limits: hour})
	before := s.dial(t)
	ask(t, before, query(20))
	two := s.client(t, 2)
	do(t, two, post(s, query(20)))
	s.SetLimits(limits)
	wantEnd(t, before)
	after := s.dial(t)
	ask(t, after, query(20))
	wantEnd(t, after)
	counts(t, s, "the ends", func(st Stats) bool { return st.HTTPS.Connections == 0 && st.HTTPS.Accepted == 3 })
	testkit.Eventually(t, 20*time.Second, "the old front to be forgotten", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.fronts) == 1
	})
}

func TestLimitsThatStayLeaveConnectionsAlone(t *testing.T) {
	testkit.NoLeak(t)
	s := start(t, Config{NewResponder: always(echo), Limits: hour})
	c := s.dial(t)
	ask(t, c, query(20))
	s.SetLimits(config.DNSLimits{TCPIdle: time.Hour, TCPQueries: 3})
	ask(t, c, query(20))
	ask(t, c, query(20))
	wantEnd(t, c)
}

func TestRequestsInHandSurviveAChangeOfLimits(t *testing.T) {
	testkit.NoLeak(t)
	for version := 1; version <= 2; version++ {
		w := newWaiter()
		s := start(t, Config{NewResponder: w.new, Limits: hour})
		status := make(chan int, 1)
		c := s.client(t, version)
		go func() {
			resp, err := c.Do(post(s, query(99)))
			if err != nil {
				t.Error(err)
				status <- 0
				return
			}
			resp.Body.Close()
			status <- resp.StatusCode
		}()
		<-w.enter
		for i := range 20 { // several changes while it is in hand
			s.SetLimits(config.DNSLimits{TCPIdle: time.Duration(1+i%2) * time.Minute})
		}
		ask(t, s.dial(t), query(20)) // others do not wait for it
		close(w.leave)
		if got := <-status; got != 200 {
			t.Errorf("HTTP/%d: status %d", version, got)
		}
	}
}

// What is in hand under old limits is waited for at the end, as what is new.
func TestStopWaitsForOldFronts(t *testing.T) {
	testkit.NoLeak(t)
	w := newWaiter()
	s := start(t, Config{NewResponder: w.new, Limits: hour})
	c := s.dial(t)
	if _, err := c.Write(asked(query(99))); err != nil {
		t.Fatal(err)
	}
	<-w.enter
	s.SetLimits(limits)
	stopped := make(chan struct{})
	go func() { s.stop(); close(stopped) }()
	testkit.Eventually(t, 20*time.Second, "the socket to close", func() bool {
		c, err := net.Dial("tcp", s.Addr(server.HTTPS).String())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(w.leave)
	answered(t, c)
	<-stopped
	s.SetLimits(hour) // means nothing any more
}

func TestTheTimeToDrainChanges(t *testing.T) {
	testkit.NoLeak(t)
	w := newWaiter()
	s := start(t, Config{NewResponder: w.new, Drain: time.Hour})
	c := s.dial(t)
	if _, err := c.Write(asked(query(99))); err != nil {
		t.Fatal(err)
	}
	<-w.enter
	s.SetDrain(10 * time.Millisecond)
	stopped := make(chan struct{})
	go func() { s.stop(); close(stopped) }()
	wantEnd(t, c) // by force, while the Responder is still at work
	close(w.leave)
	<-stopped
}

// Whoever asks on while limits change never sees a connection break.
func TestLimitsChangeWhileConnectionsAreUsed(t *testing.T) {
	testkit.NoLeak(t)
	for version := 1; version <= 2; version++ {
		s := start(t, Config{NewResponder: always(echo), Limits: hour})
		c := s.client(t, version)
		for i := range 100 {
			if i%3 == 0 {
				s.SetLimits(config.DNSLimits{TCPIdle: time.Duration(1+i%2) * time.Minute})
			}
			if resp, _ := do(t, c, post(s, query(20))); resp.StatusCode != 200 {
				t.Errorf("HTTP/%d: %s", version, resp.Status)
			}
		}
		s.stop()
		if st := s.Stats().HTTPS; st.Connections != 0 || st.Accepted < 20 {
			t.Errorf("HTTP/%d: %d connections are left of %d", version, st.Connections, st.Accepted)
		}
	}
}

func TestLimitsBeforeTheStart(t *testing.T) {
	testkit.NoLeak(t)
	cert := testkit.NewCA(t).Server("dns.example").TLS
	s, err := Listen(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"), Config{NewResponder: always(echo), Limits: hour,
		TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.SetLimits(config.DNSLimits{TCPIdle: time.Minute})
	if s.front.http.IdleTimeout != time.Minute || len(s.fronts) != 0 {
		t.Errorf("idle time %v, %d fronts serve", s.front.http.IdleTimeout, len(s.fronts))
	}
}
