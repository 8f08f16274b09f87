package l7

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/testkit"
	"gatehouse/proxy"
)

// queued is a setup whose pool lets requests wait for b, which takes at most
// one.
func queued(b *testkit.Backend, length int, timeout time.Duration) setup {
	return setup{backends: []*testkit.Backend{b},
		settings: func(s *config.BackendSettings) {
			s.MaxConnections, s.Queue = 1, config.Queue{Length: length, Timeout: timeout}
		},
		pool: func(o *proxy.Options) { o.QueueLength = length }}
}

// wait waits until so many requests wait.
func (g *gateway) wait(t *testing.T, n int) {
	t.Helper()
	testkit.Eventually(t, soon, fmt.Sprint(n, " requests to wait"), func() bool { return g.pool.Status().Queue.Waiting == n })
}

// sent sends a request on a new connection.
func (g *gateway) sent(t *testing.T, target string) *testkit.Client {
	c := testkit.Dial(t, g.addr)
	c.Send(get(target))
	return c
}

func TestRequestsWaitInTurn(t *testing.T) {
	release := make(chan struct{})
	b := testkit.NewBackend(t, func(c *testkit.Conn, r *testkit.Request) {
		<-release
		c.Respond(r, 200, "ok")
	})
	g := start(t, queued(b, 3, 2500*time.Millisecond+soon))
	clients := []*testkit.Client{g.sent(t, "/0")}
	testkit.Eventually(t, soon, "the first request", func() bool { return b.RequestCount() == 1 })
	for i := 1; i <= 3; i++ {
		clients = append(clients, g.sent(t, fmt.Sprint("/", i)))
		g.wait(t, i)
	}
	over, _ := g.sent(t, "/over").ReadFinal("GET")
	if over.StatusCode != 503 || over.Get("Retry-After") != "13" {
		t.Errorf("one more than may wait is answered %q", over.Head)
	}
	if l := g.lineOf(t, "/over"); l.text("termination") != "PQ" || l.text("reason") != "all members at their limit: the queue is full" {
		t.Errorf("the log says %v", l)
	}
	close(release)
	for i, c := range clients {
		if r, _ := c.ReadFinal("GET"); r.StatusCode != 200 {
			t.Errorf("%d: %q", i, r.Head)
		}
	}
	for i, r := range b.Requests() {
		if r.Target != fmt.Sprint("/", i) {
			t.Errorf("request %d is %s", i, r.Target)
		}
	}
	if l := g.lineOf(t, "/3"); l["queueTime"] == nil || l.text("termination") != "--" {
		t.Errorf("the log says %v", l)
	}
	if l := g.lineOf(t, "/0"); l["queueTime"] != nil {
		t.Errorf("what did not wait waited: %v", l)
	}
	if q := g.pool.Status().Queue; q.Served != 3 || q.Full != 1 || q.Waits != 3 || q.Buckets[60] != 3 || q.WaitSeconds <= 0 {
		t.Errorf("%+v", q)
	}
}

// What ends a wait without a member.
func TestWaitsThatEndOtherwise(t *testing.T) {
	for _, w := range []struct {
		name    string
		timeout time.Duration
		end     func(g *gateway, drain func(), c *testkit.Client)
		status  int
		log     string
		count   func(q *proxy.QueueStatus) uint64
	}{
		{"it takes too long", 30 * time.Millisecond, nil, 503, "PQ all members at their limit: waited for queue.timeout", func(q *proxy.QueueStatus) uint64 { return q.TimedOut }},
		{"the client leaves", soon, func(_ *gateway, _ func(), c *testkit.Client) { c.Close() }, 0, "CQ client left", func(q *proxy.QueueStatus) uint64 { return q.Left }},
		{"the members are drained", soon, func(_ *gateway, drain func(), _ *testkit.Client) { drain() }, 502, "PQ no healthy member: 1 draining",
			func(q *proxy.QueueStatus) uint64 { return q.Failed }},
		{"the gateway stops", soon, func(g *gateway, _ func(), _ *testkit.Client) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			g.frontend.Stop(ctx)
		}, 0, "CQ client left", func(q *proxy.QueueStatus) uint64 { return q.Left }},
	} {
		t.Run(w.name, func(t *testing.T) {
			release := make(chan struct{})
			defer close(release)
			b := testkit.NewBackend(t, waiting(release))
			s := queued(b, 1, w.timeout)
			drains := proxy.NewDrains()
			s.pool = func(o *proxy.Options) { o.QueueLength, o.Drains, o.Drain = 1, drains, soon }
			g := start(t, s)
			g.sent(t, "/hold/")
			testkit.Eventually(t, soon, "the first request", func() bool { return b.RequestCount() == 1 })
			c := g.sent(t, "/waits")
			if w.end != nil {
				g.wait(t, 1)
				w.end(g, func() { drains.Drain(b.Addr, g.pool) }, c)
			}
			if w.status != 0 {
				if r, _ := c.ReadFinal("GET"); r.StatusCode != w.status || (w.status == 503) != (r.Get("Retry-After") == "1") {
					t.Errorf("answer %q", r.Head)
				}
			}
			if l := g.lineOf(t, "/waits"); l.text("termination")+" "+l.text("reason") != w.log || l["queueTime"] == nil {
				t.Errorf("the log says %v", l)
			}
			if q := g.pool.Status().Queue; w.count(q) != 1 || q.Waiting != 0 {
				t.Errorf("%+v", q)
			}
		})
	}
}

// The failure mode: what has waited for a member that comes back must not fall
// upon it all at once.
func TestAQueueIsReleasedGently(t *testing.T) {
	const requests, limit = 40, 3
	var now, most atomic.Int32
	b := testkit.NewBackend(t, func(c *testkit.Conn, r *testkit.Request) {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		c.Stall(time.Millisecond)
		now.Add(-1)
		c.Respond(r, 200, "ok")
	})
	s := queued(b, requests, soon)
	s.pool = func(o *proxy.Options) { o.QueueLength, o.MaxConnections = requests, limit }
	g := start(t, s)
	held := g.takeAll(t, limit)
	var clients []*testkit.Client
	for i := range requests {
		clients = append(clients, g.sent(t, fmt.Sprint("/", i)))
	}
	g.wait(t, requests)
	for _, m := range held {
		m.End()
	}
	for _, c := range clients {
		if r, _ := c.ReadFinal("GET"); r.StatusCode != 200 {
			t.Fatalf("answer %q", r.Head)
		}
	}
	if m := most.Load(); m > limit {
		t.Errorf("%d requests at once, want at most %d", m, limit)
	}
}

// takeAll takes n places at members.
func (g *gateway) takeAll(t *testing.T, n int) (held []*proxy.Backend) {
	t.Helper()
	for range n {
		b, err := g.pool.Acquire(nil)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, b)
	}
	return held
}

func TestRequestsToAPoolAreBounded(t *testing.T) {
	release := make(chan struct{})
	a, b := testkit.NewBackend(t, waiting(release)), testkit.NewBackend(t, waiting(release))
	g := start(t, setup{backends: []*testkit.Backend{a, b},
		settings: func(s *config.BackendSettings) { s.MaxRequests = 3 }, pool: func(o *proxy.Options) { o.MaxRequests = 3 }})
	var clients []*testkit.Client
	for i := range 3 {
		clients = append(clients, g.sent(t, fmt.Sprint("/hold/", i)))
	}
	testkit.Eventually(t, soon, "three requests", func() bool { return a.RequestCount()+b.RequestCount() == 3 })
	r, _ := g.sent(t, "/over").ReadFinal("GET")
	if l := g.lineOf(t, "/over"); r.StatusCode != 503 || r.Get("Retry-After") != "1" || !strings.HasSuffix(l.text("reason"), "the pool is at maxRequests") {
		t.Errorf("answer %q, log %v", r.Head, l)
	}
	close(release)
	for _, c := range clients {
		c.ReadFinal("GET")
	}
	testkit.Eventually(t, soon, "room for three", func() bool {
		n := 0
		for g.pool.Enter() && n < 4 {
			n++
		}
		for range n {
			g.pool.Leave()
		}
		return n == 3
	})
}
