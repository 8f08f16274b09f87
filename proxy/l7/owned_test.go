package l7

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/cidr"
	"gatehouse/internal/stream"
	"gatehouse/internal/testkit"
	"gatehouse/proxy/http1"
)

// What a backend sends unasked must not become the answer to somebody else's
// request. A connection is not looked at only when the same client comes back
// at once with a request that may be repeated.
func TestBytesNobodyAskedForAreNobodyElsesAnswer(t *testing.T) {
	const answer, poison = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
	post := request("POST", "/", "Content-Length: 0")
	for _, w := range []struct {
		name    string
		text    string
		another bool // client asks
		trusted bool // the peer is a proxy of many clients
		pause   time.Duration
	}{
		{name: "another client", text: get("/"), another: true},
		{name: "a request that cannot be repeated", text: post},
		{name: "a proxy's connection", text: get("/"), trusted: true},
		{name: "a client that was away", text: get("/"), pause: atOnce + 5*time.Millisecond},
	} {
		t.Run(w.name, func(t *testing.T) {
			var asked atomic.Int64
			b := testkit.StartBackend(t, testkit.BackendOptions{}, func(c *testkit.Conn, _ *testkit.Request) {
				asked.Add(1)
				c.Send(answer)
				time.Sleep(time.Millisecond)
				c.Send(poison)
			})
			s := setup{backends: []*testkit.Backend{b}}
			if w.trusted {
				s.snapshot = func(snap *Snapshot) { snap.Trusted = cidr.Set([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}) }
			}
			g := start(t, s)
			first, second := testkit.Dial(t, g.addr), testkit.Dial(t, g.addr)
			if !w.another {
				second = first
			}
			for range 10 {
				ask(t, first, get("/"), 200)
				time.Sleep(3*time.Millisecond + w.pause) // the poison is there
				if r := ask(t, second, w.text, 200); string(r.Content) != "ok" {
					t.Fatalf("answered %q", r.Content)
				}
				time.Sleep(3*time.Millisecond + w.pause)
			}
			if n := asked.Load(); n != 20 {
				t.Errorf("the backend was asked %d times, want 20", n)
			}
		})
	}
}

// A connection that is used again without a look may be closed: its request is
// repeated on a new one.
func TestAnOwnConnectionThatWasClosedIsReplaced(t *testing.T) {
	g, b := one(t, func(c *testkit.Conn, _ *testkit.Request) {
		c.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		c.Close()
	})
	c := testkit.Dial(t, g.addr)
	for range 20 {
		ask(t, c, get("/"), 200)
		time.Sleep(time.Millisecond)
		ask(t, c, request("POST", "/", "Content-Length: 0"), 200)
		time.Sleep(time.Millisecond)
	}
	if n := b.ConnCount(); n < 40 {
		t.Errorf("%d connections for 40 requests", n)
	}
}

func TestWhoGetsWhichIdleConnection(t *testing.T) {
	g, _ := one(t, nil)
	tr := g.NewTransport(nil, nil)
	now := stream.Now() + int64(time.Hour)
	conns := make(map[uint64]*http1.ClientConn)
	for user := uint64(1); user <= 20; user++ {
		conns[user] = &http1.ClientConn{Uses: 1}
		tr.put(0, conns[user], user, now+int64(user))
	}
	soonAfter, later := now+int64(time.Millisecond), now+int64(atOnce)+int64(time.Millisecond)
	for _, w := range []struct {
		name       string
		user, want uint64
		repeatable bool
		at         int64
		owned      bool
	}{
		{"the own one before the last", 19, 19, true, soonAfter, true},
		{"the own one, but not repeatable", 18, 18, false, soonAfter, false},
		{"the own one, but later", 17, 17, true, later, false},
		{"the last, of others", 99, 20, true, soonAfter, false},
		{"the last, of anybody", 0, 16, true, soonAfter, false},
		{"the last, when the own one is far down", 1, 15, true, soonAfter, false},
		{"too old for what cannot be repeated", 14, 0, false, now + int64(recentlyUsed) + int64(time.Second), false},
		{"the own one is the last", 14, 14, true, soonAfter, true},
	} {
		c := tr.get(0, w.user, w.repeatable, w.at)
		if c != conns[w.want] {
			t.Fatalf("%s: another connection", w.name)
		}
		if c != nil && c.Owned != w.owned {
			t.Errorf("%s: owned is %v", w.name, c.Owned)
		}
	}
	tr.idle[0].conns = nil // they have no stream that could be closed
}

// A client that ends its stream behind its only request waits for the end of
// ours; one that does so later is found by the look after a second.
func TestClientsThatEndTheirStreamAreLetGo(t *testing.T) {
	g, _ := one(t, nil)
	for requests, within := range map[int]time.Duration{1: 500 * time.Millisecond, 2: 500 * time.Millisecond, 5: 3 * time.Second} {
		c := testkit.Dial(t, g.addr)
		for range requests - 1 {
			ask(t, c, get("/"), 200)
		}
		c.Send(get("/"))
		c.CloseWrite()
		if r, _ := c.ReadFinal("GET"); r.StatusCode != 200 {
			t.Fatalf("answered %d", r.StatusCode)
		}
		c.ExpectClosed(within)
	}
}
