package l7

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/config"
	"gatehouse/internal/testkit"
)

// bounded runs a gateway whose three bounds on bodies are these.
func bounded(t *testing.T, b *testkit.Backend, limits, listener, settings int) *gateway {
	return start(t, setup{backends: []*testkit.Backend{b}, listener: func(l *Listener) { l.MaxBodySize = listener },
		settings: func(s *config.BackendSettings) { s.MaxBodySize = settings },
		snapshot: func(s *Snapshot) { s.Limits.MaxBodySize = limits }})
}

func TestTheBoundClosestToTheBackendCounts(t *testing.T) {
	b := testkit.NewBackend(t, testkit.Respond(200, "ok"))
	for _, tt := range []struct{ limits, listener, settings, size, want int }{
		{0, 0, 0, 50, 200}, {10, 0, 0, 10, 200}, {10, 0, 0, 11, 413}, {10, 20, 0, 20, 200}, {10, 20, 0, 21, 413},
		{10, 20, 30, 30, 200}, {10, 20, 30, 31, 413}, {100, 20, 5, 6, 413}, {10, 0, 0, 0, 200},
	} {
		g := bounded(t, b, tt.limits, tt.listener, tt.settings)
		c := testkit.Dial(t, g.addr)
		ask(t, c, request("POST", "/", fmt.Sprintf("Content-Length: %d", tt.size))+strings.Repeat("x", tt.size), tt.want)
	}
}

func TestABodyThatIsAnnouncedTooLongIsNotReadAtAll(t *testing.T) {
	b := testkit.NewBackend(t, testkit.Respond(200, "ok"))
	g := bounded(t, b, 0, 1000, 0)
	c := testkit.Dial(t, g.addr)
	c.Send(request("POST", "/big", "Content-Length: 1001", "Expect: 100-continue"))
	r, _ := c.ReadFinal("POST") // it has not sent a byte, and was not told to
	if r.StatusCode != 413 || !strings.Contains(string(r.Content), "413 Content Too Large") {
		t.Errorf("%q", r.Head)
	}
	c.ExpectClosed(soon)
	l := g.lineOf(t, "/big")
	if l.text("reason") != "request body over maxBodySize" {
		t.Errorf("the log says %v", l)
	}
	if n := limitHits(t, g, "maxBodySize"); n != 1 {
		t.Errorf("%v hits are counted, want 1", n)
	}
}

func TestABodyOfUnknownLengthIsCutWhenItIsTooLong(t *testing.T) {
	for name, first := range map[string]int{"short": 100, "streamed": 40 << 10} {
		t.Run(name, func(t *testing.T) {
			got := make(chan error, 1)
			b := testkit.NewBackend(t, func(c *testkit.Conn, r *testkit.Request) {
				_, err := r.ReadBody()
				got <- err
				c.Respond(r, 200, "ok")
			})
			g := bounded(t, b, max(first, 1000), 0, 0)
			c := testkit.Dial(t, g.addr)
			c.Send(request("POST", "/", "Transfer-Encoding: chunked"))
			c.Send(fmt.Sprintf("%x\r\n%s\r\n", first, strings.Repeat("x", first)))
			if first > holdMax {
				testkit.Eventually(t, soon, "the backend is asked", func() bool { return b.RequestCount() == 1 })
			}
			c.Send(fmt.Sprintf("%x\r\n%s\r\n", 1000, strings.Repeat("x", 1000)))
			r, _ := c.ReadFinal("POST")
			if r.StatusCode != 413 {
				t.Fatalf("%q", r.Head)
			}
			if b.RequestCount() == 0 {
				return // it had not been asked
			}
			if err := <-got; err == nil {
				t.Error("the backend has a whole body")
			}
		})
	}
}
