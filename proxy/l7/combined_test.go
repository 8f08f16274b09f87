package l7

import (
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/testkit"
	"gatehouse/proxy"
)

// A validation that is asked again is one request, with one place in its pool.
func TestARequestThatACacheSendsTwiceHasOnePlace(t *testing.T) {
	g, b, _ := cached(t, func(c *testkit.Conn, r *testkit.Request) {
		if r.Get("If-None-Match") != "" {
			c.Send("HTTP/1.1 304 Not Modified\r\nETag: \"two\"\r\n\r\n")
			return
		}
		c.Respond(r, 200, "x", `ETag: "one"`, "Cache-Control: no-cache")
	}, func(s *setup) {
		s.settings = func(s *config.BackendSettings) { s.MaxRequests = 2 }
		s.pool = func(o *proxy.Options) { o.MaxRequests = 2 }
	})
	c := testkit.Dial(t, g.addr)
	for range 6 {
		ask(t, c, get("/"), 200)
	}
	if n := b.RequestCount(); n != 11 {
		t.Errorf("%d requests", n)
	}
}

// A hedge may bring a status that is retried, and the retry may be hedged.
func TestARetriedHedgeGivesItsShareOfTheBudgetBack(t *testing.T) {
	var n atomic.Int32
	h := func(c *testkit.Conn, r *testkit.Request) {
		if n.Add(1)%2 == 1 { // the first try of each pair is slow, what hedges it is not
			c.WaitPeer(soon)
			return
		}
		c.Respond(r, 503, "busy")
	}
	s := hedging(testkit.NewBackend(t, h), testkit.NewBackend(t, h), testkit.NewBackend(t, h))
	hedged := s.settings
	s.settings = func(s *config.BackendSettings) {
		hedged(s)
		s.Retries.OnStatus = []int{503}
	}
	g := start(t, s)
	ask(t, testkit.Dial(t, g.addr), get("/"), 503)
	if l := g.lines(t, 1)[0]; l["retries"] != 1. {
		t.Fatalf("not retried: %v", l)
	}
	for i := range 3 { // as many as are free, whatever the budget
		if !g.pool.BeginRetry(0) {
			t.Fatalf("%d of the retries are counted still", 3-i)
		}
	}
}

// Who waits with a cookie that names a full member sleeps until there is room.
func TestAPinnedRequestThatWaitsDoesNotSpin(t *testing.T) {
	release := make(chan struct{})
	b := testkit.NewBackend(t, func(c *testkit.Conn, r *testkit.Request) {
		if r.Target == "/held" {
			<-release
		}
		c.Respond(r, 200, "ok")
	})
	s := queued(b, 3, soon)
	limited := s.settings
	s.settings = func(s *config.BackendSettings) { limited(s); s.Affinity.Enabled = true }
	g := start(t, s)
	c := testkit.Dial(t, g.addr)
	cookie, _, _ := strings.Cut(ask(t, c, get("/"), 200).Get("Set-Cookie"), ";")
	held := g.sent(t, "/held")
	testkit.Eventually(t, soon, "the member to be full", func() bool { return b.RequestCount() == 2 })
	c.Send(get("/waits", "Cookie: "+cookie))
	g.wait(t, 1)
	least := time.Hour // of several: garbage is collected, too
	for n := 0; n < 5 && least > 80*time.Millisecond; n++ {
		from := worked(t)
		time.Sleep(200 * time.Millisecond)
		least = min(least, worked(t)-from)
	}
	if least > 80*time.Millisecond {
		t.Errorf("waiting for 200ms took %v of work", least)
	}
	close(release)
	for _, c := range []*testkit.Client{held, c} {
		if r, _ := c.ReadFinal("GET"); r.StatusCode != 200 {
			t.Errorf("answered %q", r.Head)
		}
	}
}

// worked is the processor time that the process has used.
func worked(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A bug that a connection of layer 4 runs into leaves nothing counted.
func TestABugAtLayer4LeavesNothing(t *testing.T) {
	b := testkit.NewBackend(t, testkit.Echo())
	g := start(t, setup{backends: []*testkit.Backend{b}, listener: func(l *Listener) { l.Layer4 = true },
		pool: func(o *proxy.Options) { o.Attach = func(*proxy.Backend) io.Closer { return io.NopCloser(nil) } }})
	testkit.Dial(t, g.addr).ReadAll(soon)
	testkit.Eventually(t, soon, "the panic to be counted", func() bool { return g.Panics() == 1 })
	if n := stateOf(g, b).InFlight; n != 0 {
		t.Errorf("%d in flight", n)
	}
	g.Use(&Snapshot{Sites: g.snap.Sites, Trusted: g.snap.Trusted, Unrouted: g.snap.Unrouted, Limits: g.snap.Limits, Options: g.snap.Options})
	if n := g.Retired(); n != 0 {
		t.Errorf("%d snapshots are held", n)
	}
	g.panics.Store(0)
}
