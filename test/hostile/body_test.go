package hostile

import (
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// TestBodiesThatNobodyWantsAreNotRequests is row 15 for answers of the gateway's own.
func TestBodiesThatNobodyWantsAreNotRequests(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	const next = "GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n"
	away := func(lines ...string) string {
		return request(append([]string{"POST /away HTTP/1.1", "Host: redirect.test"}, lines...)...)
	}
	t.Run("A15 short bodies are drained", func(t *testing.T) {
		for _, send := range []string{away("Content-Length: 47") + smuggled, away("Transfer-Encoding: chunked") + "2f\r\n" + smuggled + "\r\n0\r\n\r\n"} {
			before := g.mark()
			c := dialFrom(t, stranger, g.plain)
			c.Send(send + next)
			if r := c.ReadResponse("POST"); r.StatusCode != 301 {
				t.Errorf("answer is %q, want 301", r.Head)
			}
			if r := c.ReadResponse("GET"); r.StatusCode != 200 {
				t.Errorf("the next request is answered %q", r.Head)
			}
			if got, _ := g.since(before); len(got) != 1 || got[0].Target != "/next" {
				t.Errorf("the backend got %s", describe(got))
			}
		}
	})
	long := strings.Repeat(smuggled, 4000)
	for name, send := range map[string]string{
		"A15 a long body ends the connection":       away("Content-Length: 188000") + long,
		"A15 bad chunks end the connection":         away("Transfer-Encoding: chunked") + "x\r\n" + smuggled,
		"A15 a body that may not come ends it, too": away("Content-Length: 47", "Expect: 100-continue"),
	} {
		t.Run(name, func(t *testing.T) {
			before := g.mark()
			c := dialFrom(t, stranger, g.plain)
			whole(c, send+smuggled)
			r, err := c.TryReadResponse("POST", soon)
			if err != nil || r.StatusCode != 301 {
				t.Fatalf("answer is %v %v, want 301", r, err)
			}
			c.ExpectClosed(soon)
			g.untouched(t, "at once", before, false)
			g.honest(t)
		})
	}
}

// TestAnswersBeforeTheEndOfTheRequest is row 16.
func TestAnswersBeforeTheEndOfTheRequest(t *testing.T) {
	t.Parallel()
	early := func(status int) testkit.Handler {
		return func(c *testkit.Conn, r *testkit.Request) {
			c.Respond(r, status, "early")
			c.Stall(0) // stops reading
		}
	}
	g := start(t, setup{handler: testkit.ByPath(map[string]testkit.Handler{
		"/": testkit.Respond(200, "ok"), "/413": early(413), "/200": early(200),
	})})
	const size = 8 << 20
	for target, status := range map[string]int{"/413": 413, "/200": 200} {
		for _, framing := range []string{"Content-Length: 8388608", "Transfer-Encoding: chunked"} {
			t.Run("A16 "+quote(target+" "+framing), func(t *testing.T) {
				before := g.mark()
				c := dialFrom(t, stranger, g.plain)
				c.Send(request("POST "+target+" HTTP/1.1", "Host: a.test", framing))
				body := strings.Repeat("x", 1<<20)
				if !strings.HasPrefix(framing, "C") {
					body = "100000\r\n" + body + "\r\n"
				}
				go func() {
					for range size >> 20 {
						whole(c, body)
					}
					whole(c, smuggled)
				}()
				if r := c.ReadResponse("POST"); r.StatusCode != status || string(r.Content) != "early" || r.Get("Connection") != "close" {
					t.Errorf("answer is %q, want %d and Connection: close", r.Head, status)
				}
				c.ExpectClosed(soon)
				got, _ := g.since(before)
				if len(got) != 1 || got[0].Complete {
					t.Fatalf("the backend got %s", describe(got))
				}
				testkit.Eventually(t, soon, "another connection for the next request", func() bool {
					g.honest(t)
					return g.backend.Last().Conn != got[0].Conn
				})
			})
		}
	}
}

// TestNothingIsReadBehindARefusal is row 18, on a connection that has served before.
func TestNothingIsReadBehindARefusal(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	for _, bad := range []string{"GET / HTTP/1.1\r\nHost: a.test\nX: y\r\n\r\n", post("0\r\n\r\n", "Content-Length: 5", "Transfer-Encoding: chunked"), "\x16\x03\x01\x02\x00", get("X : y")} {
		before := g.mark()
		c := dialFrom(t, stranger, g.plain)
		c.Send(get(), get(), bad, smuggled, smuggled)
		for range 2 {
			if r := c.ReadResponse("GET"); r.StatusCode != 200 {
				t.Errorf("an honest request is answered %q", r.Head)
			}
		}
		if r := c.ReadResponse("GET"); r.StatusCode != 400 || r.Get("Connection") != "close" {
			t.Errorf("%q is answered %q", bad, r.Head)
		}
		c.Send(smuggled)
		c.ExpectClosed(soon)
		if got, _ := g.since(before); len(got) != 2 {
			t.Errorf("the backend got %s", describe(got))
		}
	}
}

// TestExpectationsAreMetOnce is row 17: the body is asked for once, and the backend sees one clean Expect at most.
func TestExpectationsAreMetOnce(t *testing.T) {
	t.Parallel()
	refuse := func(c *testkit.Conn, r *testkit.Request) { r.NoContinue = true; c.Respond(r, 403, "no") }
	g := start(t, setup{handler: testkit.ByPath(map[string]testkit.Handler{
		"/": testkit.Respond(200, "ok"), "/refuse": refuse,
		"/twice": func(c *testkit.Conn, r *testkit.Request) {
			c.Send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
			r.NoContinue = true
			testkit.Respond(200, "ok")(c, r)
		},
	})})
	ask := func(target string) *testkit.Client {
		c := dialFrom(t, stranger, g.plain)
		c.Send(request("POST "+target+" HTTP/1.1", "Host: a.test", "Content-Length: 5", "Expect: 100-Continue"))
		return c
	}
	for _, target := range []string{"/", "/twice"} {
		c := ask(target)
		if r := c.ReadResponse("POST"); r.StatusCode != 100 {
			t.Fatalf("A17 %s: answer is %q, want 100", target, r.Head)
		}
		time.Sleep(20 * time.Millisecond)
		c.Send("hello")
		if r := c.ReadResponse("POST"); r.StatusCode != 200 {
			t.Errorf("A17 %s: answer is %q, want 200", target, r.Head)
		}
		r := g.backend.Last()
		atMostOneExpect(t, r)
		if string(r.Body) != "hello" {
			t.Errorf("A17 %s: body is %q", target, r.Body)
		}
	}
	c := ask("/refuse")
	if r := c.ReadResponse("POST"); r.StatusCode != 403 || r.Get("Connection") != "close" {
		t.Errorf("A17 refused: answer is %q", r.Head)
	}
	before := g.mark()
	_, _ = c.TrySend(smuggled, time.Second)
	c.ExpectClosed(soon)
	g.untouched(t, "at once", before, false)
}
