package l7

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/internal/testkit"
)

// What a backend sends unasked must not become the answer to another request,
// however soon that comes, and whoever sends it.
func TestBytesNobodyAskedForAreNobodysAnswer(t *testing.T) {
	const answer, poison = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
	for _, w := range []struct {
		name, text string
		another    bool // client asks
	}{
		{"the same client", get("/"), false},
		{"another client", get("/"), true},
		{"a request that cannot be repeated", request("POST", "/", "Content-Length: 0"), false},
	} {
		t.Run(w.name, func(t *testing.T) {
			var asked, poisoned atomic.Int64
			g, _ := one(t, func(c *testkit.Conn, _ *testkit.Request) {
				asked.Add(1)
				c.Send(answer)
				time.Sleep(time.Millisecond)
				c.Send(poison)
				acknowledged(t, c)
				poisoned.Add(1)
			})
			poisonIsThere := func(n int64) {
				testkit.Eventually(t, soon, "the bytes nobody asked for", func() bool { return poisoned.Load() == n })
			}
			first, second := testkit.Dial(t, g.addr), testkit.Dial(t, g.addr)
			if !w.another {
				second = first
			}
			for i := range int64(10) {
				ask(t, first, get("/"), 200)
				poisonIsThere(2*i + 1)
				if r := ask(t, second, w.text, 200); string(r.Content) != "ok" {
					t.Fatalf("answered %q", r.Content)
				}
				poisonIsThere(2*i + 2)
			}
			if n := asked.Load(); n != 20 {
				t.Errorf("the backend was asked %d times, want 20", n)
			}
		})
	}
}

// acknowledged waits until what was sent is acknowledged: the other side's kernel has
// it, whoever reads it.
func acknowledged(t *testing.T, c *testkit.Conn) {
	raw, err := c.Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Error(err)
		return
	}
	for from := time.Now(); time.Since(from) < soon; time.Sleep(time.Millisecond) {
		left := 0
		if raw.Control(func(fd uintptr) { left, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }) != nil || err != nil || left == 0 {
			return // or the gateway has closed the connection
		}
	}
	t.Error("the other side acknowledges nothing")
}

// A client that makes a backend send two answers, and then asks for something
// slow, must not get out of step with the backend: the late answer would be
// the next client's.
func TestNobodyGetsTheAnswerToAnothersSlowRequest(t *testing.T) {
	ok := func(body string) string { return "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + body }
	var evil atomic.Int64
	g, _ := one(t, func(c *testkit.Conn, r *testkit.Request) {
		switch {
		case strings.Contains(r.Target, "two"):
			c.Send(ok("good"))
			time.Sleep(time.Millisecond)
			c.Send(ok("evil"))
			acknowledged(t, c)
			evil.Add(1)
		case strings.Contains(r.Target, "slow"):
			time.Sleep(2 * time.Duration(patience))
			c.Send(ok("slow"))
		default:
			c.Send(ok("mine"))
		}
	})
	attacker, victim := testkit.Dial(t, g.addr), testkit.Dial(t, g.addr)
	for i := range int64(5) {
		ask(t, attacker, get("/two"), 200)
		testkit.Eventually(t, soon, "the second answer", func() bool { return evil.Load() == i+1 })
		if r := ask(t, attacker, get("/slow"), 200); string(r.Content) != "slow" {
			t.Errorf("the attacker got %q", r.Content)
		}
		if r := ask(t, victim, get("/"), 200); string(r.Content) != "mine" {
			t.Fatalf("the victim got %q", r.Content)
		}
	}
}

// A client that ends its stream behind its only request waits for the end of
// ours; one that does so later is found by the look after a second.
func TestClientsThatEndTheirStreamAreLetGo(t *testing.T) {
	g := start(t, setup{backends: []*testkit.Backend{testkit.NewBackend(t, nil)}, target: patient})
	for requests, within := range map[int]time.Duration{1: 500 * time.Millisecond, 2: 500 * time.Millisecond, 5: 3 * time.Second} {
		best := time.Hour // of several: the machine has other things to do
		for n := 0; n < 5 && best > within; n++ {
			best = min(best, letGo(t, g, requests))
		}
		if best > within {
			t.Errorf("after %d requests it took %v", requests, best)
		}
	}
}

// letGo is how long it takes until a client is let go that ends its stream
// behind the last of so many requests.
func letGo(t *testing.T, g *gateway, requests int) time.Duration {
	t.Helper()
	c := testkit.Dial(t, g.addr)
	for range requests - 1 {
		ask(t, c, get("/"), 200)
	}
	c.Send(get("/"))
	c.CloseWrite()
	if r, _ := c.ReadFinal("GET"); r.StatusCode != 200 {
		t.Fatalf("answered %d", r.StatusCode)
	}
	from := time.Now()
	c.ExpectClosed(soon)
	return time.Since(from)
}
