package l7

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/testkit"
)

// hedgeAfter is more than it takes a member to see a request on a busy machine:
// which of two is the first is told by the order in which they do.
const hedgeAfter = 300 * time.Millisecond

// hedging is a setup that asks a second member soon.
func hedging(b ...*testkit.Backend) setup {
	return setup{backends: b, settings: func(s *config.BackendSettings) {
		s.Hedge.After, s.Retries.Budget, s.RequestTimeout = hedgeAfter, 20, soon
	}}
}

// slow answers the first request of all backends that share it when release is
// closed, and the others at once.
func slow(n *atomic.Int32, release chan struct{}) testkit.Handler {
	return func(c *testkit.Conn, r *testkit.Request) {
		if n.Add(1) > 1 {
			c.Respond(r, 200, "second")
			return
		}
		select {
		case <-release:
		case <-c.Done():
		}
		c.Respond(r, 200, "first")
	}
}

// open is the number of connections to backends.
func (g *gateway) open() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for t := range g.transports {
		n += t.Open()
	}
	return n
}

func TestASlowMemberIsHedged(t *testing.T) {
	for _, w := range []struct {
		name, send, hedge string
	}{
		{"GET", get("/"), "won"},
		{"HEAD", request("HEAD", "/"), "won"},
		{"POST is not", request("POST", "/", "Content-Length: 0"), ""},
		{"nor a GET with a body", request("GET", "/", "Content-Length: 2") + "hi", ""},
		{"nor one for another protocol", get("/", "Connection: Upgrade", "Upgrade: websocket"), ""},
	} {
		t.Run(w.name, func(t *testing.T) {
			var n atomic.Int32
			release := make(chan struct{})
			a, b := testkit.NewBackend(t, slow(&n, release)), testkit.NewBackend(t, slow(&n, release))
			g := start(t, hedging(a, b))
			if w.hedge == "" {
				time.AfterFunc(2*hedgeAfter, func() { close(release) })
			} else {
				defer close(release)
			}
			c := testkit.Dial(t, g.addr)
			ask(t, c, w.send, 200)
			l := g.lines(t, 1)[0]
			if got := l.text("hedge"); got != w.hedge || l.text("termination") != "--" || l["retries"] != 0. {
				t.Errorf("the log says %v", l)
			}
			first, second := a, b
			if l.text("serverRouted") == a.Addr {
				first, second = b, a
			}
			if w.hedge == "" {
				return
			}
			if first.RequestCount() != 1 || second.RequestCount() != 1 {
				t.Error("not both were asked once")
			}
			// What lost is given up; what won carries the next request.
			testkit.Eventually(t, soon, "the loser's connection to go", func() bool { return g.open() == 1 && g.idle() == 1 })
			testkit.Eventually(t, soon, "nothing in flight", func() bool { return stateOf(g, a).InFlight+stateOf(g, b).InFlight == 0 })
			if s := g.pool.Status(); s.Hedges != 1 || s.HedgesWon != 1 {
				t.Errorf("%+v", s)
			}
			ask(t, c, get("/again"), 200)
		})
	}
}

func TestHedgesThatDoNotWin(t *testing.T) {
	for _, w := range []struct {
		name   string
		second testkit.Handler
		status int
		log    string
	}{
		{"the second is slower", func(c *testkit.Conn, r *testkit.Request) { c.WaitPeer(soon) }, 200, "-- lost"},
		{"the second fails", func(c *testkit.Conn, r *testkit.Request) { c.Reset() }, 200, "-- lost"},
		{"the second is no HTTP", testkit.Raw("hello\r\n\r\n"), 200, "-- lost"},
	} {
		t.Run(w.name, func(t *testing.T) {
			var n atomic.Int32
			hedged := make(chan struct{})
			h := func(c *testkit.Conn, r *testkit.Request) {
				if n.Add(1) == 2 {
					close(hedged)
					w.second(c, r)
					return
				}
				<-hedged
				c.Stall(100 * time.Millisecond)
				c.Respond(r, 200, "first")
			}
			a, b := testkit.NewBackend(t, h), testkit.NewBackend(t, h)
			g := start(t, hedging(a, b))
			ask(t, testkit.Dial(t, g.addr), get("/"), w.status)
			if l := g.lines(t, 1)[0]; l.text("termination")+" "+l.text("hedge") != w.log {
				t.Errorf("the log says %v", l)
			}
			testkit.Eventually(t, soon, "nothing in flight", func() bool { return stateOf(g, a).InFlight+stateOf(g, b).InFlight == 0 })
			if s := g.pool.Status(); s.Hedges != 1 || s.HedgesWon != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// The first attempt may fail while the second is under way: that one counts.
func TestAHedgeSavesAFailedAttempt(t *testing.T) {
	var n atomic.Int32
	hedged, failed := make(chan struct{}), make(chan struct{})
	h := func(c *testkit.Conn, r *testkit.Request) {
		if n.Add(1) == 1 {
			<-hedged
			c.Reset()
			close(failed)
			return
		}
		close(hedged)
		<-failed
		c.Stall(100 * time.Millisecond)
		c.Respond(r, 200, "second")
	}
	g := start(t, hedging(testkit.NewBackend(t, h), testkit.NewBackend(t, h)))
	ask(t, testkit.Dial(t, g.addr), get("/"), 200)
	if l := g.lines(t, 1)[0]; l.text("hedge") != "won" {
		t.Errorf("the log says %v", l)
	}
}

// Both stall, the client leaves or the time is over: nothing is left behind.
func TestHedgesEndWithTheirRequest(t *testing.T) {
	for _, leaves := range []bool{true, false} {
		stall := func(c *testkit.Conn, r *testkit.Request) { c.WaitPeer(soon) }
		a, b := testkit.NewBackend(t, stall), testkit.NewBackend(t, stall)
		s := hedging(a, b)
		settings := s.settings
		s.settings = func(c *config.BackendSettings) {
			if settings(c); !leaves {
				c.RequestTimeout = 5 * hedgeAfter
			}
		}
		g := start(t, s)
		c := g.sent(t, "/")
		testkit.Eventually(t, soon, "both to be asked", func() bool { return a.RequestCount() == 1 && b.RequestCount() == 1 })
		want := "SH lost"
		if leaves {
			c.Close()
			want = "CH lost"
		} else if r, _ := c.ReadFinal("GET"); r.StatusCode != 504 {
			t.Errorf("answer %q", r.Head)
		}
		if l := g.lines(t, 1)[0]; l.text("termination")+" "+l.text("hedge") != want {
			t.Errorf("the log says %v", l)
		}
		testkit.Eventually(t, soon, "all to be over", func() bool {
			return a.OpenConns()+b.OpenConns() == 0 && stateOf(g, a).InFlight+stateOf(g, b).InFlight == 0
		})
	}
}

// Two heads at the same time: one wins, whichever.
func TestHeadsThatComeTogether(t *testing.T) {
	const after = 30 * time.Millisecond
	h := func(c *testkit.Conn, r *testkit.Request) {
		if !strings.HasPrefix(r.Target, "/fast") {
			c.Stall(after + time.Millisecond)
		}
		c.Respond(r, 200, r.Target)
	}
	s := hedging(testkit.NewBackend(t, h), testkit.NewBackend(t, h))
	settings := s.settings
	s.settings = func(c *config.BackendSettings) { settings(c); c.Hedge.After = after }
	g := start(t, s)
	c := testkit.Dial(t, g.addr)
	for i := range 40 {
		for _, target := range []string{fmt.Sprint("/", i), fmt.Sprint("/fast/", i)} {
			if r := ask(t, c, get(target), 200); string(r.Content) != target {
				t.Fatalf("%s was answered %q", target, r.Content)
			}
		}
	}
	testkit.Eventually(t, soon, "nothing in flight", func() bool {
		in := 0
		for _, b := range g.pool.Status().Backends {
			in += b.InFlight
		}
		return in == 0
	})
}

// The failure mode: when all members are slow, hedges must not double what
// there is to do.
func TestAStormOfHedgesIsBounded(t *testing.T) {
	const requests = 50
	release := make(chan struct{})
	a, b := testkit.NewBackend(t, waiting(release)), testkit.NewBackend(t, waiting(release))
	g := start(t, hedging(a, b))
	var clients []*testkit.Client
	for i := range requests {
		clients = append(clients, g.sent(t, fmt.Sprint("/hold/", i)))
	}
	testkit.Eventually(t, soon, "each to be hedged or over the budget", func() bool {
		s := g.pool.Status()
		return s.Hedges+s.RetriesOverBudget == requests
	})
	if n := g.pool.Status().Hedges; n < 3 || n > requests/4+3 || a.RequestCount()+b.RequestCount() > requests+int(n) {
		t.Errorf("%d hedges of %d requests", n, requests)
	}
	close(release)
	for _, c := range clients {
		if r, _ := c.ReadFinal("GET"); r.StatusCode != 200 {
			t.Errorf("answer %q", r.Head)
		}
	}
}
