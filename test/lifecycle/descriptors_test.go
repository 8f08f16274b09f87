package lifecycle

import (
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// With few descriptors, connections beyond half of those that can be spared are turned away, and those within are served.
func TestFewDescriptorsTurnConnectionsAwayAndServeTheRest(t *testing.T) {
	g, o := newGateway(t), newOrigin(t)
	p := newPlan(g, o)
	testkit.Replace(t, g.file, p.text())
	g.run("ulimit -n 288; ") // 128 for other things, and two for each of 80 connections
	l := startLoad(g, mix{plain: 32, secure: 4})
	l.more(200)
	testkit.Eventually(t, soon, "everybody to be there", func() bool { return g.status().Connections == 36 })
	var crowd []*testkit.Client
	for range 120 {
		crowd = append(crowd, testkit.Dial(t, g.plain))
	}
	turnedAway := 0
	testkit.Eventually(t, soon, "76 of 120 connections to be turned away, as 36 of 80 were there", func() bool {
		for i, c := range crowd {
			if c == nil {
				continue
			}
			if r, err := c.TryReadResponse("GET", 5*time.Millisecond); err == nil && r.StatusCode == 503 && r.Close {
				turnedAway++
				c.Close()
				crowd[i] = nil
			}
		}
		return turnedAway == 76
	})
	l.more(300)
	p.extra["one"] = true
	g.configure(p.text())
	for _, c := range crowd {
		if c != nil {
			c.Close()
		}
	}
	testkit.Eventually(t, soon, "room for new connections", func() bool { return g.status().Connections == 36 })
	if r := testkit.Get(t, g.plain, host, "/x"); r.StatusCode != 200 {
		t.Errorf("afterwards: %s", r.Status)
	}
	l.finish()
}

// Without any descriptor left nothing is accepted and nothing new is configured, and the process is none the worse for it.
func TestNoDescriptorLeftIsWaitedOut(t *testing.T) {
	g, o := newGateway(t), newOrigin(t)
	p := newPlan(g, o)
	p.limits = ", connections: 100000"
	testkit.Replace(t, g.file, p.text())
	g.run("ulimit -n 100; ")
	kept := ask(t, g.plain, "/first")
	if r := kept.ReadResponse("GET"); r.StatusCode != 200 {
		t.Fatal(r.Status)
	}
	var crowd []*testkit.Client
	for range 150 {
		crowd = append(crowd, testkit.Dial(t, g.plain)) // the kernel takes them
	}
	g.waitLog("accept failed", "too many open files")
	kept.Send("GET /second HTTP/1.1\r\nHost: shop.test\r\n\r\n") // on the backend connection that is there
	if r := kept.ReadResponse("GET"); r.StatusCode != 200 {
		t.Errorf("a connection that was there: %s", r.Status)
	}
	p.extra["one"] = true
	testkit.Replace(t, g.file, p.text())
	g.signal(syscall.SIGHUP)
	g.waitLog("configuration refused; the old one runs on", "too many open files")
	for _, c := range crowd {
		c.Close()
	}
	if r := testkit.Get(t, g.plain, host, "/x"); r.StatusCode != 200 {
		t.Errorf("afterwards: %s", r.Status)
	}
	testkit.Eventually(t, soon, "the crowd to be gone", func() bool { return g.status().Connections <= 1 })
	g.reload()
	if r := testkit.Get(t, p.extras["one"], host, "/x"); r.StatusCode != 200 {
		t.Errorf("the listener that could not be made before: %s", r.Status)
	}
}
