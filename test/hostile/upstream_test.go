package hostile

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// answers is a backend that answers /bad by a script and everything else properly.
func answers(script testkit.Handler) testkit.Handler {
	return testkit.ByPath(map[string]testkit.Handler{"/": testkit.Respond(200, "ok"), "/bad": script})
}

// trust sends an honest request on the connections that are left, and checks that it is answered properly and does not meet
// the backend's connection that a bad answer came on.
func (g *gateway) trust(t *testing.T, c *testkit.Client, poisoned int) {
	t.Helper()
	before := g.mark()
	for _, client := range []*testkit.Client{c, dialFrom(t, stranger, g.plain), dialFrom(t, stranger, g.plain)} {
		if client == nil {
			continue
		}
		client.Send("GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n")
		if r := client.ReadResponse("GET"); r.StatusCode != 200 || string(r.Content) != "ok" {
			t.Errorf("the next answer is %q %q", r.Head, r.Content)
		}
	}
	got, _ := g.since(before)
	for _, r := range got {
		if r.Conn == poisoned {
			t.Errorf("the connection of the bad answer was used again: %s", describe(got))
		}
	}
	g.retired(t, poisoned)
}

// bad sends /bad, and returns the client with the number of the backend's connection that it met.
func (g *gateway) bad(t *testing.T, method string) *testkit.Client {
	t.Helper()
	c := dialFrom(t, stranger, g.plain)
	c.Send(request(method+" /bad HTTP/1.1", "Host: a.test"))
	return c
}

// met is the backend's connection that the newest request for /bad came on.
func (g *gateway) met(t *testing.T) int {
	t.Helper()
	list := g.backend.Requests()
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].Target == "/bad" {
			return list[i].Conn
		}
	}
	t.Fatal("the backend was not asked")
	return 0
}

// TestAnswersInDoubtAreNotForwarded is row 72.
func TestAnswersInDoubtAreNotForwarded(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	const ok = "HTTP/1.1 200 OK\r\n"
	cases := map[string]string{
		"length and coding":            ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"coding and length":            ok + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
		"two lengths":                  ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
		"two equal lengths":            ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
		"list of lengths":              ok + "Content-Length: 5, 5\r\n\r\nhello",
		"length with a sign":           ok + "Content-Length: +5\r\n\r\nhello",
		"negative length":              ok + "Content-Length: -5\r\n\r\nhello",
		"length in hexadecimal":        ok + "Content-Length: 0x5\r\n\r\nhello",
		"empty length":                 ok + "Content-Length:\r\n\r\nhello",
		"huge length":                  ok + "Content-Length: 9223372036854775808\r\n\r\nhello",
		"two codings":                  ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"list of codings":              ok + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
		"unknown coding":               ok + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"gzip":                         ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"coding in HTTP/1.0":           "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"coding on 204":                "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"coding on 103":                "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"status with a letter":         "HTTP/1.1 200x OK\r\n\r\n",
		"status of four digits":        "HTTP/1.1 2000 OK\r\n\r\n",
		"status of two digits":         "HTTP/1.1 20 OK\r\n\r\n",
		"status below 100":             "HTTP/1.1 099 OK\r\n\r\n",
		"status above 599":             "HTTP/1.1 600 OK\r\n\r\n",
		"status with a sign":           "HTTP/1.1 +20 OK\r\n\r\n",
		"no status":                    "HTTP/1.1 OK\r\n\r\n",
		"two spaces":                   "HTTP/1.1  200 OK\r\n\r\n",
		"tab":                          "HTTP/1.1\t200 OK\r\n\r\n",
		"HTTP/2.0":                     "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.2":                     "HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
		"lower case":                   "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"another protocol":             "ICY 200 OK\r\nContent-Length: 0\r\n\r\n",
		"greeting of another protocol": "SSH-2.0-OpenSSH_9.6\r\n\r\n",
		"HTTP/0.9":                     "<html>hello</html>\r\n\r\n",
		"TLS":                          "\x15\x03\x01\x00\x02\x02\x28",
		"empty line before":            "\r\n" + ok + "Content-Length: 0\r\n\r\n",
		"NUL in the reason":            "HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n",
		"CR in the reason":             "HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n",
		"LF everywhere":                "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
		"LF behind a field":            ok + "X: y\nContent-Length: 0\r\n\r\n",
		"LF as the empty line":         ok + "Content-Length: 0\r\n\n",
		"CR in a value":                ok + "X: y\rSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n",
		"NUL in a value":               ok + "X: \x00\r\nContent-Length: 0\r\n\r\n",
		"escape in a value":            ok + "X: \x1b[2J\r\nContent-Length: 0\r\n\r\n",
		"folded value":                 ok + "X: y\r\n z\r\nContent-Length: 0\r\n\r\n",
		"space before the colon":       ok + "Content-Length : 0\r\n\r\n",
		"no colon":                     ok + "nocolon\r\nContent-Length: 0\r\n\r\n",
		"empty name":                   ok + ": x\r\nContent-Length: 0\r\n\r\n",
		"bad chunk size":               ok + "Transfer-Encoding: chunked\r\n\r\nx\r\nhello\r\n0\r\n\r\n",
		"chunk size with 0x":           ok + "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
		"chunk size too long":          ok + "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
		"LF behind a chunk size":       ok + "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
		"head over 64 KiB":             ok + "X: " + strings.Repeat("y", 64<<10) + "\r\nContent-Length: 0\r\n\r\n",
		"status line without an end":   "HTTP/1.1 200 " + strings.Repeat("y", 70<<10),
		"1001 fields":                  ok + strings.Repeat("X: y\r\n", 1001) + "\r\n",
		"nine informational ones":      strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 9) + ok + "Content-Length: 0\r\n\r\n",
		"informational without an end": strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 10000),
	}
	for name, raw := range cases {
		t.Run("H72 "+name, func(t *testing.T) {
			g.backend.Handle(answers(testkit.Raw(raw)))
			c := g.bad(t, "GET")
			r, _ := c.ReadFinal("GET")
			if r.StatusCode != 502 || strings.Contains(string(r.Head), "X: ") || r.Get("Set-Cookie") != "" {
				t.Errorf("answer is %q, want 502", r.Head)
			}
			g.trust(t, c, g.met(t))
		})
	}
}

// TestBytesBehindAnAnswerGoNowhere is row 73: the client gets the answer and no byte more, and neither does the next one.
func TestBytesBehindAnAnswerGoNowhere(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	poisoned := make(chan struct{}, 1)
	const poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
	cases := []struct{ name, method, answer, content string }{
		{"bytes behind a length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok"},
		{"bytes behind length zero", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""},
		{"bytes behind chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok"},
		{"bytes behind trailers", "GET", "HTTP/1.1 200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n", "ok"},
		{"body of HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 45\r\n\r\n", ""},
		{"chunked body of HEAD", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ""},
		{"body of 204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", ""},
		{"body of 204 with a length", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 45\r\n\r\n", ""},
		{"body of 304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 45\r\n\r\n", ""},
		{"bytes behind a body that was large", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + testkit.Pattern(300000), testkit.Pattern(300000)},
	}
	for _, c := range cases {
		for when, script := range map[string]testkit.Handler{
			"at once": testkit.Raw(c.answer + poison),
			"when the connection is idle": func(conn *testkit.Conn, r *testkit.Request) {
				conn.Send(c.answer)
				time.Sleep(50 * time.Millisecond)
				conn.Send(poison)
				poisoned <- struct{}{}
			},
		} {
			t.Run("H73 "+c.name+" "+when, func(t *testing.T) {
				g.backend.Handle(answers(script))
				client := g.bad(t, c.method)
				if r := client.ReadResponse(c.method); r.StatusCode >= 400 || string(r.Content) != c.content {
					t.Errorf("answer is %q and %d bytes, want %d", r.Head, len(r.Content), len(c.content))
				}
				client.ExpectSilence(80 * time.Millisecond)
				if when != "at once" {
					<-poisoned // before, nobody can know that the connection is not to be used
				}
				g.trust(t, client, g.met(t))
			})
		}
	}
	for name, answer := range map[string]string{
		"said close":       "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
		"HTTP/1.0":         "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"close in a list":  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: foo, CLOSE\r\n\r\nok",
		"204 with a chunk": "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
	} {
		t.Run("H73 connection that "+name, func(t *testing.T) {
			g.backend.Handle(answers(testkit.Raw(answer)))
			client := g.bad(t, "GET")
			client.ReadResponse("GET")
			g.trust(t, client, g.met(t))
		})
	}
}

// TestAnswersThatBreakOffLookBroken is row 74: the client can tell what it got from a whole answer.
func TestAnswersThatBreakOffLookBroken(t *testing.T) {
	t.Parallel()
	const ok, chunked = "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	heads := map[string]string{"": "nothing", "H": "a byte", ok: "half a head", ok + "Content-Length: 5\r\n": "a head but for its end", "HTTP/1.1 103 Early Hints\r\n\r\n": "an informational answer"}
	bodies := map[string]string{
		ok + "Content-Length: 5\r\n\r\n": "a head", ok + "Content-Length: 5\r\n\r\nhell": "most of a body", ok + "Content-Length: 900000\r\n\r\n" + testkit.Pattern(800000): "most of a large body",
		chunked: "a head before chunks", chunked + "5\r\nhel": "half a chunk", chunked + "5\r\nhello\r\n": "a chunk", chunked + "5\r\nhello\r\n0\r\n": "all but the last line end", chunked + "5\r\nhello\r\n0\r\nX: y\r\n": "a trailer",
		chunked + "5": "half a size",
	}
	g := start(t, setup{})
	for name, end := range map[string]func(*testkit.Conn){"FIN": func(c *testkit.Conn) { c.Close() }, "RST": (*testkit.Conn).Reset} {
		broken := func(text string) testkit.Handler {
			return answers(func(c *testkit.Conn, r *testkit.Request) {
				c.Send(text)
				time.Sleep(30 * time.Millisecond)
				end(c)
			})
		}
		for text, what := range heads {
			t.Run("H74 "+name+" after "+what, func(t *testing.T) {
				g.backend.Handle(broken(text))
				before := g.mark()
				c := g.bad(t, "POST")
				if r, _ := c.ReadFinal("POST"); r.StatusCode != 502 {
					t.Errorf("answer is %q, want 502", r.Head)
				}
				if got, _ := g.since(before); len(got) != 1 {
					t.Errorf("a POST was sent more than once: %s", describe(got))
				}
				g.trust(t, c, g.met(t))
			})
		}
		for text, what := range bodies {
			t.Run("H74 "+name+" after "+what, func(t *testing.T) {
				g.backend.Handle(broken(text))
				c := g.bad(t, "GET")
				if r, err := c.TryReadResponse("GET", soon); err == nil && r.StatusCode != 502 {
					t.Errorf("the client takes %q with %d bytes for a whole answer", r.Head, len(r.Content))
				}
				g.trust(t, nil, g.met(t))
			})
		}
	}
	t.Run("H74 HTTP/1.0, where the end of the connection would be the end of the body", func(t *testing.T) {
		g.backend.Handle(answers(func(c *testkit.Conn, r *testkit.Request) {
			c.Send(chunked + "5\r\nhello\r\n")
			time.Sleep(30 * time.Millisecond)
			c.Close()
		}))
		c := dialFrom(t, stranger, g.plain)
		c.Send(request("GET /bad HTTP/1.0", "Host: a.test"))
		c.ExpectReset(soon)
	})
	for what, late := range map[string]string{"bad size": "5x\r\nhello\r\n0\r\n\r\n", "no line end behind a chunk": "3\r\nhello\r\n0\r\n\r\n", "bad trailer": "0\r\nX : y\r\n\r\n", "LF": "0\n\n"} {
		t.Run("H74 chunks that go wrong late: "+what, func(t *testing.T) {
			g.backend.Handle(answers(func(c *testkit.Conn, r *testkit.Request) {
				c.Send(chunked + "5\r\nhello\r\n")
				time.Sleep(30 * time.Millisecond)
				c.Send(late)
			}))
			if r, err := g.bad(t, "GET").TryReadResponse("GET", soon); err == nil {
				t.Errorf("the client takes %q %q for a whole answer", r.Head, r.Content)
			}
			g.trust(t, nil, g.met(t))
		})
	}
}

// TestUnusualAnswersPass are the ones that rows 72 to 75 must not cost.
func TestUnusualAnswersPass(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, c := range []struct{ name, method, answer, content string }{
		{"no reason", "GET", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", "ok"},
		{"empty reason", "GET", "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", "ok"},
		{"reason beyond ASCII", "GET", "HTTP/1.1 200 \xc3\x89\r\nContent-Length: 2\r\n\r\nok", "ok"},
		{"status nobody knows", "GET", "HTTP/1.1 299 Odd\r\nContent-Length: 2\r\n\r\nok", "ok"},
		{"eight informational ones", "GET", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 8) + ok + "Content-Length: 2\r\n\r\nok", "ok"},
		{"chunk extensions", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n2;a=\"b\"\r\nok\r\n0;c\r\n\r\n", "ok"},
		{"length of HEAD", "HEAD", ok + "Content-Length: 45\r\n\r\n", ""},
		{"coding of HEAD", "HEAD", ok + "Transfer-Encoding: chunked\r\n\r\n", ""},
		{"304 with a length", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 45\r\n\r\n", ""},
		{"length zero of 204", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", ""},
		{"head of 60 KiB", "GET", ok + "X-A: " + strings.Repeat("y", 60<<10) + "\r\nContent-Length: 2\r\n\r\nok", "ok"},
	} {
		t.Run("H72 "+c.name, func(t *testing.T) {
			g.backend.Handle(answers(testkit.Raw(c.answer)))
			client := g.bad(t, c.method)
			r, early := client.ReadFinal(c.method)
			if r.StatusCode >= 400 || string(r.Content) != c.content || len(early) != strings.Count(c.answer, " 103 ") {
				t.Errorf("answer is %q %q behind %d informational ones", r.Head, r.Content, len(early))
			}
			client.Send("GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n")
			if r := client.ReadResponse("GET"); string(r.Content) != "ok" {
				t.Errorf("the next answer is %q %q", r.Head, r.Content)
			}
			if got := g.backend.Last(); got.Target != "/next" || got.Conn != g.met(t) {
				t.Errorf("the connection was not used again, though nothing is wrong with it")
			}
		})
	}
	t.Run("H73 a body that ends with its connection", func(t *testing.T) {
		g.backend.Handle(answers(testkit.RawClose(ok + "\r\nto the end")))
		if r := g.bad(t, "GET").ReadResponse("GET"); string(r.Content) != "to the end" || r.Get("Transfer-Encoding") != "" && len(r.TransferEncoding) == 0 {
			t.Errorf("answer is %q %q", r.Head, r.Content)
		}
	})
}

// TestSlowBackends is row 75 as far as it is about time.
func TestSlowBackends(t *testing.T) {
	t.Parallel()
	g := start(t, setup{settings: ", requestTimeout: 1500ms"})
	drip := func(head, pieces string) testkit.Handler {
		return answers(func(c *testkit.Conn, r *testkit.Request) {
			c.Send(head)
			c.Dribble(pieces, 1, 60*time.Millisecond)
			_ = c.WaitPeer(soon)
		})
	}
	slow := "X-Slow: " + strings.Repeat("y", 100)
	for name, script := range map[string]testkit.Handler{
		"no answer":         drip("", ""),
		"half a head":       drip("HTTP/1.1 200 OK\r\n", ""),
		"a head that drips": drip("HTTP/1.1 200 OK\r\n", slow),
		"informational for ever": answers(func(c *testkit.Conn, r *testkit.Request) {
			c.Send("HTTP/1.1 103 Early Hints\r\n\r\n")
			_ = c.WaitPeer(soon)
		}),
	} {
		t.Run("H75 "+name, func(t *testing.T) {
			g.backend.Handle(script)
			began := time.Now()
			c := g.bad(t, "GET")
			if r, _ := c.ReadFinal("GET"); r.StatusCode != 504 {
				t.Errorf("answer is %q, want 504", r.Head)
			}
			if took := time.Since(began); took < 1500*time.Millisecond || took > soon {
				t.Errorf("it took %v", took)
			}
			g.trust(t, c, g.met(t))
		})
	}
	for name, head := range map[string]string{"length": "Content-Length: 100\r\n", "chunks": "Transfer-Encoding: chunked\r\n", "end of the connection": ""} {
		t.Run("H75 body that stalls, framed by "+name, func(t *testing.T) {
			g.backend.Handle(drip("HTTP/1.1 200 OK\r\n"+head+"\r\n5\r\nhello\r\n", ""))
			if r, err := g.bad(t, "GET").TryReadResponse("GET", soon); err == nil {
				t.Errorf("the client takes %q %q for a whole answer", r.Head, r.Content)
			} else if strings.Contains(fmt.Sprint(err), "timeout") {
				t.Errorf("nothing happened: %v", err)
			}
			g.trust(t, nil, g.met(t))
		})
	}
}

// TestInterimAnswersOnlyForThoseWhoKnowThem is row 75: HTTP/1.0 has none.
func TestInterimAnswersOnlyForThoseWhoKnowThem(t *testing.T) {
	t.Parallel()
	g := start(t, setup{handler: testkit.Raw("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")})
	for line, want := range map[string]int{"GET / HTTP/1.0": 0, "GET / HTTP/1.1": 1} {
		c := dialFrom(t, stranger, g.plain)
		c.Send(request(line, "Host: a.test"))
		if r, early := c.ReadFinal("GET"); len(early) != want || r.StatusCode != 200 {
			t.Errorf("%s: %d informational answers, want %d, before %q", line, len(early), want, r.Head)
		}
	}
}
