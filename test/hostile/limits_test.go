package hostile

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// TestSlowClients is row 77.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	// Long enough for handshakes and requests of a machine that is busy, and far from what the defaults are, and the bodies below
	// take longer anyway.
	const head, idle, most = 2 * time.Second, 2500 * time.Millisecond, 9 * time.Second
	g := start(t, setup{limits: "headTimeout: 2s, idleTimeout: 2500ms, writeStall: 400ms, bodyMinRate: 1000",
		handler: testkit.ByPath(map[string]testkit.Handler{"/": testkit.Respond(200, "ok"), "/bytes": testkit.Sizes()})})
	within := func(t *testing.T, least, most time.Duration, began time.Time) {
		t.Helper()
		if took := time.Since(began); took < least || took > most {
			t.Errorf("it took %v, want %v to %v", took, least, most)
		}
	}
	for _, tls := range []bool{false, true} {
		dial := func(t *testing.T) *testkit.Client {
			if tls {
				return g.dialTLS(t, "shop.test")
			}
			return dialFrom(t, stranger, g.plain)
		}
		for name, text := range map[string]string{"one byte": "G", "half a request line": "GET /hos", "fields without an end": "GET /hostile HTTP/1.1\r\nHost: shop.test\r\nX: ", "an empty line": "\r\n"} {
			t.Run(fmt.Sprintf("I77 head that stops after %s, TLS %v", name, tls), func(t *testing.T) {
				t.Parallel()
				began := time.Now()
				c := dial(t)
				c.Send(text)
				if r := c.ReadResponse("GET"); r.StatusCode != 408 || r.Get("Connection") != "close" {
					t.Errorf("answer is %q, want 408 and Connection: close", r.Head)
				}
				c.ExpectClosed(soon)
				within(t, head, most, began)
			})
		}
		t.Run(fmt.Sprintf("I77 head that drips, TLS %v", tls), func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			c := dial(t)
			go drip(c, "GET /hostile HTTP/1.1\r\nHost: shop.test\r\nX: "+strings.Repeat("x", 100), 50*time.Millisecond)
			if r := c.ReadResponse("GET"); r.StatusCode != 408 {
				t.Errorf("answer is %q, want 408", r.Head)
			}
			within(t, head, most, began)
		})
		t.Run(fmt.Sprintf("I77 nothing at all, TLS %v", tls), func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			dial(t).ExpectClosed(soon)
			within(t, head, most, began)
		})
		t.Run(fmt.Sprintf("I77 nothing more, TLS %v", tls), func(t *testing.T) {
			t.Parallel()
			c := dial(t)
			began := time.Now()
			c.Send(request("GET /hostile HTTP/1.1", "Host: shop.test"))
			if r := c.ReadResponse("GET"); r.StatusCode != 200 {
				t.Errorf("answer is %q, want 200", r.Head)
			}
			c.ExpectClosed(soon)
			within(t, idle, most, began)
		})
		t.Run(fmt.Sprintf("I77 reader that stops, TLS %v", tls), func(t *testing.T) {
			t.Parallel()
			c := dial(t)
			c.Send(request("GET /bytes/60000000 HTTP/1.1", "Host: shop.test"))
			// The kernel goes on taking a little for a while after the client
			// stopped, and each bit counts as progress.
			testkit.Eventually(t, 3*soon, "the end of a connection whose client does not read", func() bool {
				_, err := c.TrySend("x", time.Second)
				return err != nil
			})
		})
	}
	t.Run("I77 TLS handshake that stops", func(t *testing.T) {
		t.Parallel()
		began := time.Now()
		c := dialFrom(t, stranger, g.secure)
		c.Send("\x16\x03\x01\x02\x00\x01")
		c.ExpectClosed(soon)
		within(t, head, most, began)
	})
	t.Run("I77 PROXY header that stops", func(t *testing.T) {
		t.Parallel()
		began := time.Now()
		c := dialFrom(t, loadBalancer, g.proxied)
		c.Send("PROXY TCP4 203")
		c.ExpectClosed(soon)
		within(t, head, most, began)
	})
	for name, framing := range map[string]string{"length": "Content-Length: 1000000", "chunks": "Transfer-Encoding: chunked"} {
		t.Run("I77 body that drips, framed by "+name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			c := dialFrom(t, stranger, g.plain)
			c.Send(request("POST /slow HTTP/1.1", "Host: a.test", framing))
			go drip(c, strings.Repeat("1\r\nx\r\n", 1000), 200*time.Millisecond)
			if r, err := c.TryReadResponse("POST", 4*soon); err != nil || r.StatusCode != 408 || r.Get("Connection") != "close" {
				t.Errorf("answer is %v %v, want 408 and Connection: close", r, err)
			}
			within(t, 9*time.Second, 4*soon, began)
			for _, r := range g.backend.Requests() {
				if r.Target == "/slow" && r.Complete {
					t.Errorf("the backend takes this for a whole request: %q", r.Head)
				}
			}
		})
	}
}

// drip sends a byte now and then until the connection ends.
func drip(c *testkit.Client, s string, pause time.Duration) {
	for i := range len(s) {
		if _, err := c.TrySend(s[i:i+1], soon); err != nil {
			return
		}
		time.Sleep(pause)
	}
}

// TestCrowdsAreTurnedAway is row 77: connections are capped per client, and in all.
func TestCrowdsAreTurnedAway(t *testing.T) {
	t.Parallel()
	const perClient, all = 5, 12
	g := start(t, setup{limits: fmt.Sprintf("connectionsPerClient: %d, connections: %d", perClient, all)})
	served := func(from, to, first string) *testkit.Client {
		c := dialFrom(t, from, to)
		c.Send(first, get())
		if r := c.ReadResponse("GET"); r.StatusCode != 200 {
			t.Fatalf("answer is %q, want 200", r.Head)
		}
		return c
	}
	turned := func(from, to, first string, want int) {
		t.Helper()
		before := g.mark()
		c := dialFrom(t, from, to)
		_, _ = c.TrySend(first, time.Second)
		if r, err := c.TryReadResponse("GET", soon); err != nil || r.StatusCode != want || r.Get("Connection") != "close" {
			t.Errorf("answer is %v %v, want %d and Connection: close", r, err, want)
		}
		c.ExpectClosed(soon)
		g.untouched(t, "at once", before, false)
	}
	var open []*testkit.Client
	for range perClient {
		open = append(open, served("127.0.0.5", g.plain, ""))
	}
	turned("127.0.0.5", g.plain, "", 429)
	turned("127.0.0.5", g.proxied, "", 429)
	open[0].Reset()
	testkit.Eventually(t, soon, "room for another connection", func() bool {
		c := dialFrom(t, "127.0.0.5", g.plain)
		_, _ = c.TrySend(get(), time.Second)
		r, err := c.TryReadResponse("GET", soon)
		open[0] = c
		return err == nil && r.StatusCode == 200
	})
	proxied := func(client string) string { return "PROXY TCP4 " + client + " 203.0.113.9 1 80\r\n" }
	for range perClient {
		open = append(open, served(loadBalancer, g.proxied, proxied("203.0.113.1")))
	}
	turned(loadBalancer, g.proxied, proxied("203.0.113.1"), 429)
	for range all - 2*perClient {
		open = append(open, served(trustedProxy, g.plain, ""))
	}
	turned("127.0.0.6", g.plain, "", 503)
	for _, c := range open {
		c.Reset()
	}
	testkit.Eventually(t, soon, "room for everybody", func() bool {
		r, err := func() (*testkit.Response, error) {
			c := dialFrom(t, "127.0.0.6", g.plain)
			_, _ = c.TrySend(get(), time.Second)
			return c.TryReadResponse("GET", soon)
		}()
		return err == nil && r.StatusCode == 200
	})
}

// TestLogLinesStayLines is row 80: one line for each request, whatever is in it. (logLines checks each of every test.)
func TestLogLinesStayLines(t *testing.T) {
	t.Parallel()
	const evil = "\"},{\"httpStatus\":200,\"x\":\"\\\"'\t\x80\xff\xe2\x80\xa8\xc2\x9b[31m<script>%0a%0d\\u000a${jndi:ldap://a}"
	sends := []string{
		get("User-Agent: "+evil, "Referer: "+evil, "X-Forwarded-For: "+evil, "Cookie: "+evil),
		request("GET /a?\"},{%0a'\\\"{}[]<>|^` HTTP/1.1", "Host: a.test"), request("M\"X / HTTP/1.1", "Host: a.test"), request("M'{}|X / HTTP/1.1", "Host: a.test"),
		request("GET /\x1b[2J\x80 HTTP/1.1", "Host: a.test"), request("GET / HTTP/1.1", "Host: a\"},{\x1b"), request("GET /%22%7d%0a HTTP/1.1", "Host: a.test"), "GET / HTTP/1.1\r\n\r\n", "\x00\x01\x02\x03\r\n\r\n",
		request("GET /"+strings.Repeat("\"", 8000)+" HTTP/1.1", "Host: a.test"), request("GET /"+strings.Repeat("\\", 9000)+" HTTP/1.1", "Host: a.test"), get("User-Agent: " + strings.Repeat("\x80", 30000)),
		request("GET /a HTTP/1.1", "Host: redirect.test", "User-Agent: "+evil), "GET / HTTP/1.1\nHost: a.test\n\n", request("GET http://\"},{/ HTTP/1.1", "Host: a.test"),
	}
	g := start(t, setup{handler: testkit.Respond(200, "ok", "Content-Type: "+evil[:20], "Server: "+evil)})
	for _, send := range sends {
		c := dialFrom(t, stranger, g.plain)
		c.Send(send)
		c.ReadResponse("GET")
		c.Reset()
	}
	g.stop(t)
	lines := g.logLines(t)
	if len(lines) != len(sends) {
		t.Fatalf("%d lines for %d requests", len(lines), len(sends))
	}
	for i, line := range lines {
		if status, ok := line["httpStatus"].(float64); !ok || status < 200 || line["x"] != nil {
			t.Errorf("line %d: %v", i, line)
		}
	}
}
