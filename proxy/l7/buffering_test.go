package l7

import (
	"strings"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/testkit"
)

func buffering(request, response int) func(*config.BackendSettings) {
	return func(s *config.BackendSettings) {
		s.RequestBuffering.MaxSize, s.ResponseBuffering.MaxSize = request, response
	}
}

func TestABufferedRequestIsSentOnceItIsWhole(t *testing.T) {
	b := testkit.NewBackend(t, testkit.Echo())
	g := start(t, setup{backends: []*testkit.Backend{b}, settings: buffering(1<<20, 0)})
	for _, framing := range []string{"Content-Length: 200000", "Transfer-Encoding: chunked"} {
		before := b.RequestCount()
		connected := b.ConnCount()
		c := testkit.Dial(t, g.addr)
		half := strings.Repeat("x", 100_000)
		first, second := half, half
		if strings.HasPrefix(framing, "T") {
			first, second = "186a0\r\n"+half+"\r\n", "186a0\r\n"+half+"\r\n0\r\n\r\n"
		}
		c.Send(request("POST", "/", framing) + first)
		testkit.Eventually(t, soon, "half of the body is held", func() bool { return g.HeldBytes() >= 100_000 })
		if b.RequestCount() != before || b.ConnCount() != connected {
			t.Fatal("a member is occupied before the body is there")
		}
		c.Send(second)
		r, _ := c.ReadFinal("POST")
		if got := b.Last(); r.StatusCode != 200 || len(got.Body) != 200_000 {
			t.Errorf("%q; the backend has %d bytes", r.Head, len(got.Body))
		}
	}
}

func TestARequestLongerThanItsBufferStreams(t *testing.T) {
	b := testkit.NewBackend(t, testkit.Echo())
	g := start(t, setup{backends: []*testkit.Backend{b}, settings: buffering(32<<10, 0)})
	c := testkit.Dial(t, g.addr)
	c.Send(request("POST", "/", "Content-Length: 200000") + strings.Repeat("x", 100_000))
	testkit.Eventually(t, soon, "the backend gets the beginning", func() bool { return b.ConnCount() == 1 })
	c.Send(strings.Repeat("x", 100_000))
	if r, _ := c.ReadFinal("POST"); r.StatusCode != 200 || len(b.Last().Body) != 200_000 {
		t.Errorf("%q; the backend has %d bytes", r.Head, len(b.Last().Body))
	}
}

func TestAMemberIsFreeBeforeASlowClientHasReadAnything(t *testing.T) {
	const size = 12 << 20 // more than the buffers of sockets take
	body := testkit.Pattern(size)
	for name, buffer := range map[string]int{"buffered": 14 << 20, "streamed": 0} {
		t.Run(name, func(t *testing.T) {
			b := testkit.NewBackend(t, testkit.Respond(200, body, "X-Long: yes"))
			g := start(t, setup{backends: []*testkit.Backend{b}, settings: buffering(0, buffer)})
			c := testkit.Dial(t, g.addr)
			c.Send(get("/slow"))
			free := func() bool {
				s := g.pool.Status().Backends[0]
				return s.Requests == 1 && s.InFlight == 0 && g.idle() == 1
			}
			if buffer == 0 {
				time.Sleep(500 * time.Millisecond)
				if free() {
					t.Fatal("a streaming response frees its member: the test says nothing")
				}
			} else {
				testkit.Eventually(t, soon, "the member is free", free)
			}
			r, _ := c.ReadFinal("GET")
			if string(r.Content) != body || r.Get("X-Long") != "yes" {
				t.Errorf("%q and %d bytes", r.Head, len(r.Content))
			}
			if l := g.lineOf(t, "/slow"); l.text("reason") != "" {
				t.Errorf("the log says %v", l)
			}
		})
	}
}

func TestABufferedResponseThatPausesGoesOut(t *testing.T) {
	more := make(chan struct{})
	b := testkit.NewBackend(t, func(c *testkit.Conn, r *testkit.Request) {
		c.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
		<-more
		c.Send("6\r\nsecond\r\n0\r\n\r\n")
	})
	g := start(t, setup{backends: []*testkit.Backend{b}, settings: buffering(0, 1<<20)})
	c := testkit.Dial(t, g.addr)
	c.Send(get("/", "Connection: close"))
	c.ReadN(len("HTTP/1.1 200 OK\r\n")) // while the backend is silent
	close(more)
	if text := string(c.ReadAll(soon)); !strings.Contains(text, "first") || !strings.HasSuffix(text, "6\r\nsecond\r\n0\r\n\r\n") {
		t.Errorf("%q", text)
	}
}

func TestATruncatedResponseThatIsBufferedIsAnError(t *testing.T) {
	b := testkit.NewBackend(t, testkit.RawClose("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"+strings.Repeat("x", 50_000)))
	g := start(t, setup{backends: []*testkit.Backend{b}, settings: buffering(0, 1<<20)})
	ask(t, testkit.Dial(t, g.addr), get("/"), 502)
}

func TestWithoutMemoryResponsesStream(t *testing.T) {
	body := testkit.Pattern(3 << 20)
	b := testkit.NewBackend(t, testkit.Respond(200, body))
	g := start(t, setup{backends: []*testkit.Backend{b}, settings: buffering(0, 8<<20), snapshot: func(s *Snapshot) { s.HeldBytes = 1 << 20 }})
	if r := ask(t, testkit.Dial(t, g.addr), get("/"), 200); string(r.Content) != body {
		t.Errorf("%d bytes", len(r.Content))
	}
}
