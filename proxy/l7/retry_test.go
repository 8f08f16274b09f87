package l7

import (
	"crypto/tls"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/testkit"
)

// dieOnReuse answers the first request of each connection and resets the
// connection when another one comes.
func dieOnReuse(end func(*testkit.Conn)) testkit.Handler {
	return func(c *testkit.Conn, r *testkit.Request) {
		if seen(c) > 1 {
			end(c)
			return
		}
		r.ReadBody()
		c.Respond(r, 200, fmt.Sprint("connection ", c.ID))
	}
}

// seen counts the heads that came on a connection.
func seen(c *testkit.Conn) int { return strings.Count(string(c.Received()), " HTTP/1.1\r\n") }

func TestAStalePooledConnectionIsReplacedBeforeAnythingIsSent(t *testing.T) {
	for _, send := range []string{get("/"), request("POST", "/", "Content-Length: 2") + "hi",
		request("POST", "/", "Content-Length: 100000") + testkit.Pattern(100000)} {
		g, b := one(t, nil)
		c := testkit.Dial(t, g.addr)
		ask(t, c, get("/first"), 200)
		testkit.Eventually(t, soon, "the connection to be idle", func() bool { return g.idle() == 1 })
		b.Conns()[0].CloseWrite() // the backend closes what is idle
		acknowledged(t, b.Conns()[0])
		b.Conns()[0].Close()
		ask(t, c, send, 200)
		if n := b.RequestCount(); n != 2 {
			t.Errorf("%d requests reached the backend, want 2", n)
		}
	}
}

func TestAKeptConnectionThatDiesUnderARequest(t *testing.T) {
	const long = 100000
	for _, w := range []struct {
		name, send string
		status     int
		requests   int // that reached the backend
	}{
		{"GET is sent once more", get("/"), 200, 3},
		{"HEAD, too", request("HEAD", "/"), 200, 3},
		{"PUT with its body held, too", request("PUT", "/", "Content-Length: 4") + "body", 200, 3},
		{"POST is not", request("POST", "/", "Content-Length: 4") + "body", 502, 2},
		{"POST without a body is not", request("POST", "/", "Content-Length: 0"), 502, 2},
		{"an unknown method is not", request("BREW", "/"), 502, 2},
		{"PUT whose body is not held is not", request("PUT", "/", fmt.Sprint("Content-Length: ", long)) + testkit.Pattern(long), 502, 2},
		{"nor with GET", request("GET", "/", fmt.Sprint("Content-Length: ", long)) + testkit.Pattern(long), 502, 2},
	} {
		t.Run(w.name, func(t *testing.T) {
			for name, end := range map[string]func(*testkit.Conn){
				"reset": (*testkit.Conn).Reset, "end": func(c *testkit.Conn) { c.Close() }} {
				g, b := one(t, dieOnReuse(end))
				c := testkit.Dial(t, g.addr)
				ask(t, c, get("/first"), 200)
				ask(t, c, w.send, w.status)
				if n := b.RequestCount(); n != w.requests {
					t.Errorf("%s: %d requests reached the backend, want %d", name, n, w.requests)
				}
			}
		})
	}
}

func TestARequestIsNotSentThreeTimes(t *testing.T) {
	var dead atomic.Bool
	g, b := one(t, func(c *testkit.Conn, r *testkit.Request) {
		if dead.Load() {
			c.Reset()
			return
		}
		c.Respond(r, 200, "ok")
	})
	c := testkit.Dial(t, g.addr)
	ask(t, c, get("/first"), 200)
	dead.Store(true)
	ask(t, c, get("/"), 502)
	if n := b.RequestCount(); n != 3 {
		t.Errorf("%d requests reached the backend, want 3", n)
	}
	ask(t, c, get("/"), 502) // now on a new connection, at once
	if n := b.RequestCount(); n != 4 {
		t.Errorf("%d requests reached the backend, want 4", n)
	}
}

func TestAFreshConnectionThatDiesIsNoReasonToRepeat(t *testing.T) {
	g, b := one(t, func(c *testkit.Conn, r *testkit.Request) { c.Reset() })
	r := testkit.Get(t, g.addr, "shop.test", "/")
	if r.StatusCode != 502 || b.RequestCount() != 1 {
		t.Errorf("%d after %d requests", r.StatusCode, b.RequestCount())
	}
	if l := g.lines(t, 1)[0]; l.text("termination") != "SH" {
		t.Errorf("the log says %v", l)
	}
}

func TestAPartialResponseIsNoReasonToRepeat(t *testing.T) {
	g, b := one(t, func(c *testkit.Conn, r *testkit.Request) {
		if seen(c) > 1 {
			c.Send("HTTP/1.1 200 OK\r\nContent-")
			c.Close()
			return
		}
		c.Respond(r, 200, "ok")
	})
	c := testkit.Dial(t, g.addr)
	ask(t, c, get("/"), 200)
	ask(t, c, get("/"), 502)
	if b.RequestCount() != 2 {
		t.Errorf("%d requests", b.RequestCount())
	}
}

func TestConnectFailureGoesToAnotherMember(t *testing.T) {
	for _, send := range []string{get("/"), request("POST", "/", "Content-Length: 2") + "hi"} {
		live := testkit.NewBackend(t, nil)
		g := start(t, setup{backends: []*testkit.Backend{live}, targets: []config.Target{targetAt(testkit.RefusingAddr(t))}})
		c := testkit.Dial(t, g.addr)
		for range 4 {
			ask(t, c, send, 200)
		}
	}
}

func TestConnectFailureWithoutAnotherMember(t *testing.T) {
	refusing := targetAt(testkit.RefusingAddr(t))
	for _, w := range []struct {
		name     string
		targets  []config.Target
		settings func(*config.BackendSettings)
	}{
		{"one member", []config.Target{refusing}, nil},
		{"both refuse", []config.Target{refusing, targetAt(testkit.RefusingAddr(t))}, nil},
		{"no retries", []config.Target{refusing}, func(s *config.BackendSettings) { s.Retries = config.Retries{} }},
	} {
		t.Run(w.name, func(t *testing.T) {
			g := start(t, setup{targets: w.targets, settings: w.settings})
			if r := testkit.Get(t, g.addr, "shop.test", "/"); r.StatusCode != 502 {
				t.Fatalf("answer is %q", r.Head)
			}
			if l := g.lines(t, 1)[0]; l.text("termination") != "SC" || !strings.Contains(fmt.Sprint(l), "connect: connection refused") {
				t.Errorf("the log says %v", l)
			}
		})
	}
}

// The failure mode of retries: when much fails, they come on top of all that
// there is to do. What is over the budget fails, and says why.
func TestRetriesDoNotBecomeAStorm(t *testing.T) {
	const requests = 40
	release := make(chan struct{})
	b := testkit.NewBackend(t, waiting(release))
	g := start(t, setup{backends: []*testkit.Backend{b}, targets: []config.Target{targetAt(testkit.RefusingAddr(t))},
		settings: func(s *config.BackendSettings) { s.Retries.Budget = 20 }})
	failed := 0
	var clients []*testkit.Client
	for i := range requests {
		c := testkit.Dial(t, g.addr)
		c.Send(get(fmt.Sprint("/hold/", i)))
		over := func() int { return int(g.pool.Status().RetriesOverBudget) }
		testkit.Eventually(t, soon, "the request to fail or to be held", func() bool { return stateOf(g, b).InFlight+over() == i+1 })
		if over() == failed {
			clients = append(clients, c)
			continue
		}
		failed++
		if r, _ := c.ReadFinal("GET"); r.StatusCode != 502 {
			t.Errorf("answer %q", r.Head)
		}
		if l := g.lineOf(t, fmt.Sprint("/hold/", i)); !strings.Contains(l.text("reason"), "not retried") {
			t.Errorf("the log says %v", l)
		}
	}
	// Half meet the dead one first; of 20 and r in flight r may be 20 %.
	if retries := requests/2 - failed; retries < 4 || retries > 6 {
		t.Errorf("%d of %d failed", failed, requests)
	}
	close(release)
	for _, c := range clients {
		if r, _ := c.ReadFinal("GET"); r.StatusCode != 200 {
			t.Errorf("answer %q", r.Head)
		}
	}
	c := testkit.Dial(t, g.addr) // the budget is there again
	for range 10 {
		ask(t, c, get("/"), 200)
	}
}

func TestTimeoutIsRepeatedOnlyIfAskedFor(t *testing.T) {
	const timeout = time.Second // in which a busy machine answers, too
	for _, w := range []struct {
		name, send string
		asked      bool
		status     int
		requests   int
	}{
		{"not asked", get("/"), false, 504, 1},
		{"GET", get("/"), true, 200, 2},
		{"PUT that is held", request("PUT", "/", "Content-Length: 2") + "hi", true, 200, 2},
		{"POST", request("POST", "/", "Content-Length: 2") + "hi", true, 504, 1},
	} {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			both := stallsUntilBothAreAsked(t)
			a, b := both[0], both[1]
			g := start(t, setup{backends: both, settings: func(s *config.BackendSettings) {
				s.RequestTimeout, s.Retries.OnTimeout = timeout, w.asked
			}})
			ask(t, testkit.Dial(t, g.addr), w.send, w.status)
			if got := a.RequestCount() + b.RequestCount(); got != w.requests {
				t.Errorf("%d requests, want %d", got, w.requests)
			}
			if w.asked && w.status == 200 && a.RequestCount() != 1 {
				t.Error("the same member was asked twice")
			}
		})
	}
}

func TestRequestTimeoutIsKept(t *testing.T) {
	for _, timeout := range []time.Duration{15 * time.Millisecond, 80 * time.Millisecond, 350 * time.Millisecond, 1100 * time.Millisecond} {
		t.Run(timeout.String(), func(t *testing.T) {
			t.Parallel()
			b := testkit.NewBackend(t, func(c *testkit.Conn, r *testkit.Request) { c.WaitPeer(soon) })
			g := start(t, setup{backends: []*testkit.Backend{b}, settings: func(s *config.BackendSettings) { s.RequestTimeout = timeout }})
			c := testkit.Dial(t, g.addr)
			best := time.Hour // of several: the machine has other things to do
			for n := 0; n < 8 && best > timeout+300*time.Millisecond; n++ {
				from := time.Now()
				ask(t, c, get("/"), 504)
				best = min(best, time.Since(from))
			}
			if best < timeout || best > timeout+300*time.Millisecond {
				t.Errorf("504 after %v, want %v", best, timeout)
			}
			if l := g.lines(t, 1)[0]; l.text("termination") != "SH" || !strings.Contains(fmt.Sprint(l), "no response in "+timeout.String()) {
				t.Errorf("the log says %v", l)
			}
			ask(t, c, get("/"), 504) // the client's connection is kept
			testkit.Eventually(t, soon, "the backend's connections to go", func() bool { return b.OpenConns() == 0 })
		})
	}
}

func TestAShortTimeoutIsNotStretchedByOurPatience(t *testing.T) {
	b := testkit.NewBackend(t, func(c *testkit.Conn, r *testkit.Request) {
		c.Stall(35 * time.Millisecond) // less than our patience
		c.Respond(r, 200, "late")
	})
	g := start(t, setup{backends: []*testkit.Backend{b}, settings: func(s *config.BackendSettings) { s.RequestTimeout = 10 * time.Millisecond }})
	c := testkit.Dial(t, g.addr)
	testkit.Eventually(t, soon, "an answer that is too late", func() bool { // on a busy machine we may be, too
		c.Send(get("/"))
		r, _ := c.ReadFinal("GET")
		return r.StatusCode == 504
	})
}

func TestMaxConnectionsAnswers503(t *testing.T) {
	release := make(chan struct{})
	b := testkit.NewBackend(t, func(c *testkit.Conn, r *testkit.Request) {
		<-release
		c.Respond(r, 200, "ok")
	})
	g := start(t, setup{backends: []*testkit.Backend{b}, settings: func(s *config.BackendSettings) { s.MaxConnections = 1 }})
	first := testkit.Dial(t, g.addr)
	first.Send(get("/"))
	testkit.Eventually(t, soon, "the first request", func() bool { return b.RequestCount() == 1 })
	second := testkit.Dial(t, g.addr)
	ask(t, second, get("/over"), 503)
	close(release)
	first.ReadFinal("GET")
	// The first client may have its answer just before the request is counted out.
	testkit.Eventually(t, soon, "an answer once the member is free", func() bool {
		second.Send(get("/"))
		r, _ := second.ReadFinal("GET")
		return r.StatusCode == 200
	})
	if l := g.lineOf(t, "/over"); l.text("termination") != "PQ" {
		t.Errorf("the log says %v", l)
	}
}

func TestAnEmptyPoolAnswers502(t *testing.T) {
	g := start(t, setup{})
	c := testkit.Dial(t, g.addr)
	ask(t, c, get("/"), 502)
	ask(t, c, request("POST", "/", "Content-Length: 3")+"abc", 502)
	if l := g.lines(t, 1)[0]; l.text("termination") != "PQ" || !strings.Contains(fmt.Sprint(l), "pool is empty") {
		t.Errorf("the log says %v", l)
	}
}

func TestConnectionsAreSharedByClients(t *testing.T) {
	g, b := one(t, nil)
	for range 20 {
		c := testkit.Dial(t, g.addr)
		ask(t, c, get("/"), 200)
		c.Close()
		// A client may have its answer just before the connection is kept.
		testkit.Eventually(t, soon, "the connection to be idle", func() bool { return g.idle() == 1 })
	}
	if n := b.ConnCount(); n != 1 {
		t.Errorf("%d connections to the backend for 20 clients, one after the other", n)
	}
}

func TestConnectionsThatAreNotReused(t *testing.T) {
	ca := testkit.NewCA(t)
	ok := func(extra string) string { return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + extra + "\r\nok" }
	for _, w := range []struct {
		name, response string
		conns          int
	}{
		{"an ordinary one is", ok(""), 1},
		{"Connection: close", ok("Connection: close\r\n"), 3},
		{"HTTP/1.0", strings.Replace(ok(""), "HTTP/1.1", "HTTP/1.0", 1), 3},
		{"HTTP/1.0 with keep-alive is", strings.Replace(ok("Connection: keep-alive\r\n"), "HTTP/1.1", "HTTP/1.0", 1), 1},
		{"bytes left over", ok("") + "x", 3},
		{"another response", ok("") + ok(""), 3},
		{"chunked is", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 1},
		{"chunked and bytes left over", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nx", 3},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprint(w.name, " TLS ", secure), func(t *testing.T) {
				opts, s := testkit.BackendOptions{}, setup{}
				if secure {
					opts.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Server("backend.test").TLS}}
					s.toTLS = ca.ClientConfig("backend.test")
				}
				b := testkit.StartBackend(t, opts, testkit.Raw(w.response))
				s.backends = []*testkit.Backend{b}
				g := start(t, s)
				c := testkit.Dial(t, g.addr)
				for range 3 {
					if r := ask(t, c, get("/"), 200); string(r.Content) != "ok" {
						t.Fatalf("body %q", r.Content)
					}
					time.Sleep(2 * time.Millisecond)
				}
				if n := b.ConnCount(); n != w.conns {
					t.Errorf("%d connections, want %d", n, w.conns)
				}
			})
		}
	}
}

func TestRequestsThatCannotBeRepeatedGetAConnectionUsedShortlyBefore(t *testing.T) {
	g, b := one(t, nil)
	c := testkit.Dial(t, g.addr)
	ask(t, c, get("/"), 200)
	testkit.Eventually(t, soon, "the connection to be idle", func() bool { return g.idle() == 1 })
	var kept *Transport
	for tr := range g.transports {
		kept = tr
	}
	conn := kept.get(0, false)
	if conn == nil {
		t.Fatal("no connection was kept")
	}
	kept.put(0, conn, conn.Used-int64(recentlyUsed)-1) // as if it had been idle for longer
	if kept.get(0, true) != nil {
		t.Error("an old connection for a request that cannot be repeated")
	}
	ask(t, c, request("POST", "/", "Content-Length: 0"), 200)
	if n := b.ConnCount(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
	testkit.Eventually(t, soon, "both connections to be idle", func() bool { return g.idle() == 2 })
	ask(t, c, request("POST", "/", "Content-Length: 0"), 200)
	if n := b.ConnCount(); n != 2 {
		t.Errorf("%d connections after a second one, want 2", n)
	}
}
