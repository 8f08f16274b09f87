package l7

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/testkit"
	"gatehouse/proxy"
)

// firstFails runs a gateway with two members that share what they do: the first
// request of all meets h, the others are answered 200.
func firstFails(t *testing.T, h testkit.Handler, settings func(*config.BackendSettings)) (*gateway, []*testkit.Backend) {
	t.Helper()
	var n atomic.Int32
	both := func(c *testkit.Conn, r *testkit.Request) {
		if n.Add(1) == 1 {
			h(c, r)
			return
		}
		r.ReadBody()
		c.Respond(r, 200, "ok")
	}
	b := []*testkit.Backend{testkit.NewBackend(t, both), testkit.NewBackend(t, both)}
	return start(t, setup{backends: b, settings: func(s *config.BackendSettings) {
		s.Retries.Budget = 20
		settings(s)
	}}), b
}

func TestRetriesByCondition(t *testing.T) {
	long := request("PUT", "/", "Content-Length: 100000") + testkit.Pattern(100000)
	reset := func(c *testkit.Conn, r *testkit.Request) { r.ReadBody(); c.Reset() }
	half := func(c *testkit.Conn, r *testkit.Request) { c.Send("HTTP/1.1 200 OK\r\nCont"); c.Close() }
	late := func(c *testkit.Conn, r *testkit.Request) { c.Stall(60 * time.Millisecond); c.Reset() }
	on := func(set func(*config.Retries)) func(*config.BackendSettings) {
		return func(s *config.BackendSettings) { set(&s.Retries) }
	}
	onReset := on(func(r *config.Retries) { r.OnReset = true })
	onStatus := on(func(r *config.Retries) { r.OnStatus = []int{502, 503} })
	for _, w := range []struct {
		name     string
		h        testkit.Handler
		settings func(*config.BackendSettings)
		send     string
		status   int
		requests int
	}{
		{"reset", reset, onReset, get("/"), 200, 2},
		{"reset, not asked for", reset, onStatus, get("/"), 502, 1},
		{"reset after some time", late, onReset, get("/"), 200, 2},
		{"reset of a POST", reset, onReset, request("POST", "/", "Content-Length: 2") + "hi", 502, 1},
		{"reset of a PUT that is held", reset, onReset, request("PUT", "/", "Content-Length: 2") + "hi", 200, 2},
		{"reset of a PUT that is not", reset, onReset, long, 502, 1},
		{"reset within a response", half, onReset, get("/"), 502, 1},
		{"reset and no attempt", reset, on(func(r *config.Retries) { r.OnReset, r.Attempts = true, 0 }), get("/"), 502, 1},
		{"503", testkit.Respond(503, "busy"), onStatus, get("/"), 200, 2},
		{"503 after some time", func(c *testkit.Conn, r *testkit.Request) { c.Stall(60 * time.Millisecond); c.Respond(r, 503, "busy") }, onStatus, get("/"), 200, 2},
		{"500, not asked for", testkit.Respond(500, "broken"), onStatus, get("/"), 500, 1},
		{"503 to a POST", testkit.Respond(503, "busy"), onStatus, request("POST", "/", "Content-Length: 2") + "hi", 503, 1},
		{"503 to a PUT that is held", testkit.Respond(503, "busy"), onStatus, request("PUT", "/", "Content-Length: 2") + "hi", 200, 2},
		{"503 to a PUT that is not", func(c *testkit.Conn, r *testkit.Request) { r.ReadBody(); c.Respond(r, 503, "busy") }, onStatus, long, 503, 1},
	} {
		t.Run(w.name, func(t *testing.T) {
			g, b := firstFails(t, w.h, w.settings)
			ask(t, testkit.Dial(t, g.addr), w.send, w.status)
			if n := b[0].RequestCount() + b[1].RequestCount(); n != w.requests {
				t.Errorf("%d requests, want %d", n, w.requests)
			}
			if w.requests == 2 && b[0].RequestCount() != 1 {
				t.Error("the same member was asked twice")
			}
			if l := g.lines(t, 1)[0]; l["retries"] != float64(w.requests-1) || w.status == 200 && (l.text("termination") != "--" || l["serverStatus"] != 200.) {
				t.Errorf("the log says %v", l)
			}
		})
	}
}

// Where there is nobody else to ask, the response is the answer and is not lost.
func TestAStatusWithoutAnotherMemberIsTheAnswer(t *testing.T) {
	for _, members := range []int{1, 2} {
		var all []*testkit.Backend
		for range members {
			all = append(all, testkit.NewBackend(t, testkit.Respond(503, "their words")))
		}
		g := start(t, setup{backends: all, settings: func(s *config.BackendSettings) { s.Retries.OnStatus = []int{503} }})
		r := ask(t, testkit.Dial(t, g.addr), get("/"), 503)
		if string(r.Content) != "their words" {
			t.Errorf("%d members: %q", members, r.Content)
		}
		if l := g.lines(t, 1)[0]; l["retries"] != float64(members-1) {
			t.Errorf("the log says %v", l)
		}
		// Short responses that nobody got leave their connections fit for use.
		testkit.Eventually(t, soon, "the connections to be idle", func() bool { return g.idle() == int64(members) })
	}
}

func TestEachTryHasItsTimeout(t *testing.T) {
	const perTry = 300 * time.Millisecond
	try := func(s *config.BackendSettings) {
		s.Retries.OnTimeout, s.Retries.PerTry, s.RequestTimeout = true, perTry, soon
	}
	b := stallsUntilBothAreAsked(t)
	g := start(t, setup{backends: b, settings: func(s *config.BackendSettings) { s.Retries.Budget = 20; try(s) }})
	from := time.Now()
	ask(t, testkit.Dial(t, g.addr), get("/"), 200)
	if n := b[0].RequestCount() + b[1].RequestCount(); n != 2 || time.Since(from) > soon/2 {
		t.Errorf("%d requests in %v", n, time.Since(from))
	}
	// Nothing can follow a POST: it has all the time there is.
	slow := func(c *testkit.Conn, r *testkit.Request) { c.Stall(2 * perTry); c.Respond(r, 200, "late") }
	g, _ = firstFails(t, slow, try)
	ask(t, testkit.Dial(t, g.addr), request("POST", "/", "Content-Length: 2")+"hi", 200)
}

// stallsUntilBothAreAsked is two members, of which the first that is asked does
// not answer before the other is asked, too. It is not for them to say which
// was the first: a request may be read when it has been given up already.
func stallsUntilBothAreAsked(t *testing.T) []*testkit.Backend {
	t.Helper()
	var n atomic.Int32
	both := make(chan struct{})
	h := func(c *testkit.Conn, r *testkit.Request) {
		r.ReadBody()
		if n.Add(1) == 2 {
			close(both)
		}
		select {
		case <-both:
			c.Respond(r, 200, "ok")
		case <-time.After(soon):
		case <-c.Done():
		}
	}
	return []*testkit.Backend{testkit.NewBackend(t, h), testkit.NewBackend(t, h)}
}

// All tries together have requestTimeout, and the last gets what is left.
func TestTriesTogetherHaveTheRequestTimeout(t *testing.T) {
	const perTry, total = 400 * time.Millisecond, 2 * time.Second // much longer than a busy machine's delays
	stall := func(c *testkit.Conn, r *testkit.Request) { c.WaitPeer(soon) }
	b := []*testkit.Backend{testkit.NewBackend(t, stall), testkit.NewBackend(t, stall)}
	g := start(t, setup{backends: b, settings: func(s *config.BackendSettings) {
		s.Retries.OnTimeout, s.Retries.PerTry, s.RequestTimeout = true, perTry, total
	}})
	from := time.Now()
	ask(t, testkit.Dial(t, g.addr), get("/"), 504)
	if took := time.Since(from); took < total || took > total+soon/2 {
		t.Errorf("504 after %v", took)
	}
	if l := g.lines(t, 1)[0]; l.text("termination") != "SH" || l.text("reason") != "no response in "+total.String() || l["retries"] != 1. {
		t.Errorf("the log says %v", l)
	}
}

func TestBackoffPausesAndNoticesTheClient(t *testing.T) {
	for _, leaves := range []bool{false, true} {
		pause := 100 * time.Millisecond
		if leaves {
			pause = soon
		}
		g, b := firstFails(t, testkit.Respond(503, "busy"), func(s *config.BackendSettings) { s.Retries.OnStatus, s.Retries.Backoff = []int{503}, pause })
		c := testkit.Dial(t, g.addr)
		from := time.Now()
		c.Send(get("/"))
		if leaves {
			testkit.Eventually(t, soon, "the first attempt", func() bool { return b[0].RequestCount()+b[1].RequestCount() == 1 })
			c.Close()
			if l := g.lines(t, 1)[0]; l.text("termination") != "CH" {
				t.Errorf("the log says %v", l)
			}
			testkit.Eventually(t, soon, "nothing to be in flight", func() bool { return stateOf(g, b[0]).InFlight+stateOf(g, b[1]).InFlight == 0 })
			continue
		}
		if r, _ := c.ReadFinal("GET"); r.StatusCode != 200 || time.Since(from) < pause/2 {
			t.Errorf("%q after %v", r.Head, time.Since(from))
		}
	}
}

// The failure mode: everything fails at once. Attempts are not doubled but grow
// by the budget.
func TestAStormOfRetriesIsBounded(t *testing.T) {
	const requests = 60
	var n atomic.Int32
	fail, end := make(chan struct{}), make(chan struct{})
	h := func(c *testkit.Conn, r *testkit.Request) {
		until := fail
		if n.Add(1) > requests {
			until = end
		}
		select {
		case <-until:
		case <-c.Done():
		}
		c.Respond(r, 503, "busy")
	}
	b := []*testkit.Backend{testkit.NewBackend(t, h), testkit.NewBackend(t, h)}
	g := start(t, setup{backends: b, settings: func(s *config.BackendSettings) { s.Retries.OnStatus, s.Retries.Budget = []int{503}, 20 },
		pool: func(o *proxy.Options) { o.MaxConnections = 1000 }})
	var clients []*testkit.Client
	for i := range requests {
		clients = append(clients, g.sent(t, fmt.Sprint("/", i)))
	}
	testkit.Eventually(t, soon, "all requests", func() bool { return n.Load() == requests })
	close(fail)
	testkit.Eventually(t, soon, "all to be answered or tried again", func() bool {
		return stateOf(g, b[0]).InFlight+stateOf(g, b[1]).InFlight == int(n.Load())-requests && n.Load() > requests
	})
	close(end)
	for _, c := range clients {
		if r, _ := c.ReadFinal("GET"); r.StatusCode != 503 {
			t.Errorf("answer %q", r.Head)
		}
	}
	if got := int(n.Load()) - requests; got < 3 || got > requests/5+3 {
		t.Errorf("%d retries of %d requests", got, requests)
	}
	if over := g.pool.Status().RetriesOverBudget; over < requests/2 {
		t.Errorf("%d were over the budget", over)
	}
}
