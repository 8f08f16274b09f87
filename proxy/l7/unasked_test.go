package l7

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

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
				poisoned.Add(1)
			})
			poisonIsThere := func(n int64) {
				testkit.Eventually(t, soon, "the bytes nobody asked for", func() bool { return poisoned.Load() == n })
				time.Sleep(time.Millisecond)
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
		time.Sleep(time.Millisecond)
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
