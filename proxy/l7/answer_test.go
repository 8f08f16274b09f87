package l7

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/telemetry"
	"gatehouse/internal/testkit"
)

func TestAStageAnswersWithItsOwnPage(t *testing.T) {
	page := &AnswerPage{ContentType: "application/json", Body: []byte(`{"blocked":true}`), Fields: [][2]string{
		{"Retry-After", "60"}, {"Set-Cookie", "a=b"}, {"Set-Cookie", "c=d"},
		{"Content-Length", "5"}, {"Transfer-Encoding", "chunked"}, {"Connection", "close"}, {"Content-Type ", "x"},
		{"X-Split", "a\r\nX-Evil: b"}, {"X Name", "a"}, {"", "a"}, {"X-Nul", "\x00"}, {"X-Tab", "a\tb"}, {"X-High", "\xff"},
	}}
	fields := []string{"Server: Gatehouse", "Content-Type: application/json", "Retry-After: 60", "Set-Cookie: a=b", "Set-Cookie: c=d",
		"X-Tab: a\tb", "X-High: \xff", "Cache-Control: no-store", "Content-Length: 16"}
	for _, w := range []struct {
		name, send  string
		verdict     Verdict
		status      int
		content     string
		fields      []string // besides Date and the trace ID
		termination string
		info        string
	}{
		{"a page", get("/"), Verdict{Status: 403, Response: page, Reason: "rule 1"}, 403, `{"blocked":true}`, fields, "PR", "ERRORINFO_NO_ERROR"},
		{"without its content", request("HEAD", "/"), Verdict{Status: 403, Response: page, Reason: "rule 1"}, 403, "", fields[:len(fields)-1], "PR", "ERRORINFO_NO_ERROR"},
		{"no status", get("/"), Verdict{Response: &AnswerPage{}}, 403, "",
			[]string{"Server: Gatehouse", "Cache-Control: no-store", "Content-Length: 0"}, "PR", "ERRORINFO_NO_ERROR"},
		{"a redirect", get("/"), Verdict{Status: 302, Response: &AnswerPage{Fields: [][2]string{{"Location", "/x"}, {"cache-control", "private"}}}}, 302, "",
			[]string{"Server: Gatehouse", "Location: /x", "cache-control: private", "Content-Length: 0"}, "PR", "ERRORINFO_NO_ERROR"},
		{"its own reasons", get("/"), Verdict{Status: 400, Response: &AnswerPage{Body: []byte("no")}, Termination: telemetry.Termination{'P', '-'},
			ErrorInfo: telemetry.ErrorInfoInvalidRequest}, 400, "no", []string{"Server: Gatehouse", "Cache-Control: no-store", "Content-Length: 2"}, "P-", "ERRORINFO_INVALID_REQUEST"},
		{"the listener's page", get("/"), Verdict{Status: 403, ErrorInfo: telemetry.ErrorInfoInvalidHost}, 403, "our page",
			[]string{"Server: Gatehouse", "Content-Type: text/plain", "Cache-Control: no-store", "Content-Length: 8"}, "PR", "ERRORINFO_INVALID_HOST"},
	} {
		t.Run(w.name, func(t *testing.T) {
			w.verdict.Action = Answer
			s := &fakeStage{head: func(*httpmsg.Request) Verdict { return w.verdict }}
			b := testkit.NewBackend(t, nil)
			g := start(t, setup{backends: []*testkit.Backend{b}, target: func(t *Target) { t.Stages = []StageMaker{s} },
				listener: func(l *Listener) {
					l.ErrorPages = map[int]*Page{403: {ContentType: "text/plain", Body: []byte("our page")}}
				}})
			c := testkit.Dial(t, g.addr)
			for range 2 { // the connection is kept
				r := ask(t, c, w.send, w.status)
				var got []string
				for _, f := range r.Fields {
					if f.Name != "Date" && f.Name != "X-AppGW-Trace-Id" {
						got = append(got, f.Name+": "+f.Value)
					}
				}
				if string(r.Content) != w.content || strings.Join(got, "\n") != strings.Join(w.fields, "\n") {
					t.Errorf("answer is %q with\n%s\nwant\n%s", r.Content, strings.Join(got, "\n"), strings.Join(w.fields, "\n"))
				}
			}
			l := g.lines(t, 2)[0]
			if l.text("termination") != w.termination || l.text("error_info") != w.info || l.text("reason") != w.verdict.Reason || l["httpStatus"] != float64(w.status) {
				t.Errorf("the log says %v", l)
			}
			if b.ConnCount() > 0 {
				t.Error("a backend was asked")
			}
		})
	}
}

func TestAStageSeesAnUpgrade(t *testing.T) {
	t.Run("and lets it pass", func(t *testing.T) {
		s := recording{&fakeStage{}}
		s.head = func(r *httpmsg.Request) Verdict {
			if to := string(r.Bytes(r.UpgradeTo)); to != "websocket" || string(r.Bytes(r.Target)) != "/chat" {
				t.Errorf("the stage saw an upgrade to %q", to)
			}
			return Verdict{Action: Hold, Limit: MaxHold}
		}
		s.respHead = func(*httpmsg.Response) Verdict { t.Error("the stage saw the 101"); return Verdict{} }
		g := tunnelTo(t, "", time.Minute)
		g.snap.Sites[0].First().Target.Stages = []StageMaker{s}
		c := open(t, g, "")
		c.Send("hello")
		if got := c.ReadN(5); got != "hello" {
			t.Errorf("got %q", got)
		}
		if s.done != 1 {
			t.Error("the stage is held by the tunnel")
		}
		c.CloseWrite()
		c.ReadAll(soon)
		if l := g.lines(t, 1)[0]; s.done != 1 || s.seen.Len() > 0 || s.ends != 1 || l.text("WAFPolicyID") != "strict" || l["httpStatus"] != 101.0 {
			t.Errorf("done %d times, %d bytes seen, %v", s.done, s.seen.Len(), l)
		}
	})
	t.Run("and refuses it", func(t *testing.T) {
		s := &fakeStage{head: func(*httpmsg.Request) Verdict { return Verdict{Action: Answer, Status: 403} }}
		g := tunnelTo(t, "", time.Minute)
		g.snap.Sites[0].First().Target.Stages = []StageMaker{s}
		ask(t, testkit.Dial(t, g.addr), upgrade, 403)
	})
}

// respondHolding is a stage that holds so much of the response body.
func respondHolding(limit int) *fakeStage {
	return &fakeStage{respHead: func(*httpmsg.Response) Verdict { return Verdict{Action: Hold, Limit: limit} }}
}

func TestAStageHoldsTheResponse(t *testing.T) {
	for _, size := range []int{0, 5, 30_000, 100_000, 100_001, 1 << 20} {
		body := testkit.Pattern(size)
		for framing, response := range map[string]string{
			"length":   fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, body),
			"chunked":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + inChunks(body, true),
			"trailers": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" + strings.TrimSuffix(inChunks(body, false), "\r\n") + "X-Sum: 1\r\n\r\n",
			"to close": "HTTP/1.1 200 OK\r\n\r\n" + body,
		} {
			for _, watch := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d/%s/%v", size, framing, watch), func(t *testing.T) {
					s := respondHolding(100_000)
					s.respBody = func(piece []byte, end bool) Verdict {
						if n := s.answer.Len(); n == len(piece) && (n != min(size, 100_000) || end != (size <= 100_000)) {
							t.Errorf("%d bytes in one piece, end %v", n, end)
						}
						return Verdict{Watch: watch}
					}
					g, b := staged(t, s, func(c *testkit.Conn, r *testkit.Request) {
						c.Send(response)
						if framing == "to close" {
							c.Close()
						}
					})
					c := testkit.Dial(t, g.addr)
					r := ask(t, c, get("/"), 200)
					if string(r.Content) != body || framing == "trailers" && r.Trailer.Get("X-Sum") != "1" {
						t.Errorf("%d bytes arrived, trailers %v", len(r.Content), r.Trailer)
					}
					finished(t, g)
					all := watch || size <= 100_000
					if all != (s.answers == 1) || all && s.answer.String() != body || g.HeldBytes() != 0 {
						t.Errorf("%d ends, %d bytes seen, %d held", s.answers, s.answer.Len(), g.HeldBytes())
					}
					if framing != "to close" {
						testkit.Eventually(t, soon, "the backend's connection to be kept", func() bool { return g.idle() == 1 && b.OpenConns() == 1 })
					}
				})
			}
		}
	}
}

func TestAStageAnswersInsteadOfAHeldResponse(t *testing.T) {
	secret := testkit.Pattern(80_000)
	for _, w := range []struct {
		name, send  string
		verdict     Verdict
		status      float64
		termination string
	}{
		{"a page", get("/"), Verdict{Action: Answer, Status: 500, Reason: "leak", Response: &AnswerPage{ContentType: "text/x", Body: []byte("no")}}, 500, "PH"},
		{"the error page", get("/"), Verdict{Action: Answer, Status: 403, Reason: "leak"}, 403, "PH"},
		{"nothing", get("/"), Verdict{Action: Abort, Reason: "leak"}, 0, "PH"},
		{"while a body comes", put(testkit.Pattern(1 << 20)), Verdict{Action: Answer, Status: 403, Reason: "leak"}, 403, "PH"},
	} {
		t.Run(w.name, func(t *testing.T) {
			s := respondHolding(100_000)
			s.respBody = func([]byte, bool) Verdict { return w.verdict }
			g, b := staged(t, s, func(c *testkit.Conn, r *testkit.Request) {
				c.Send("HTTP/1.1 200 OK\r\nContent-Type: text/secret\r\nTransfer-Encoding: chunked\r\n\r\n" + inChunks(secret, true))
				c.WaitPeer(soon)
			})
			c := testkit.Dial(t, g.addr)
			go c.TrySend(w.send, soon)
			r, err := c.TryReadResponse("GET", soon)
			switch {
			case w.status == 0 && err == nil:
				t.Errorf("answer is %q", r.Head)
			case w.status != 0 && (err != nil || float64(r.StatusCode) != w.status || strings.Contains(string(r.Content), secret[:20])):
				t.Errorf("answer is %v, %v", r, err)
			}
			l := g.lines(t, 1)[0]
			if got, _ := l["httpStatus"].(float64); got != w.status || l.text("termination") != w.termination || l.text("reason") != "leak" || l.text("contentType") == "text/secret" {
				t.Errorf("the log says %v", l)
			}
			testkit.Eventually(t, soon, "the backend's connection to go", func() bool { return b.OpenConns() == 0 })
			if g.HeldBytes() != 0 {
				t.Error("bytes are held still")
			}
		})
	}
}

func TestAHeldResponseThatIsCutOff(t *testing.T) {
	g, _ := staged(t, respondHolding(1<<20), testkit.RawClose("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"+testkit.Pattern(70_000)))
	ask(t, testkit.Dial(t, g.addr), get("/"), 502)
	if l := g.lines(t, 1)[0]; l.text("termination") != "SD" || g.HeldBytes() != 0 {
		t.Errorf("the log says %v; %d bytes are held", l, g.HeldBytes())
	}
}

func TestAClientLeavesWhileTheResponseIsHeld(t *testing.T) {
	testkit.NoLeak(t)
	g, b := staged(t, respondHolding(1<<20), func(c *testkit.Conn, r *testkit.Request) {
		c.Send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + testkit.Pattern(70_000))
		c.WaitPeer(soon)
	})
	c := testkit.Dial(t, g.addr)
	c.Send(get("/"))
	testkit.Eventually(t, soon, "bytes to be held", func() bool { return g.HeldBytes() > 70_000 })
	c.Reset()
	if l := g.lines(t, 1)[0]; l.text("termination") != "CD" || l["httpStatus"] != 499.0 || g.HeldBytes() != 0 {
		t.Errorf("the log says %v; %d bytes are held", l, g.HeldBytes())
	}
	testkit.Eventually(t, soon, "the backend's connection to go", func() bool { return b.OpenConns() == 0 })
}

func TestAHeldResponseTakesNoMemoryOnceItsHeadIsOut(t *testing.T) {
	g, _ := staged(t, respondHolding(100_000), func(c *testkit.Conn, r *testkit.Request) {
		c.Send("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + testkit.Pattern(199_999))
		c.WaitPeer(2 * soon) // with its end the memory would be given back anyhow
	})
	c := testkit.Dial(t, g.addr)
	c.Send(get("/"))
	c.ReadN(150_000)
	testkit.Eventually(t, soon/2, "the memory to be given back", func() bool { return g.HeldBytes() == 0 })
}

// A stage that does not hold an event stream does not delay it.
func TestAnEventStreamPassesAStageThatHoldsOtherContent(t *testing.T) {
	s := &fakeStage{respHead: func(r *httpmsg.Response) Verdict {
		if kind, _ := r.Get(httpmsg.ContentType); string(kind) == "text/event-stream" {
			return Verdict{}
		}
		return Verdict{Action: Hold, Limit: MaxHold}
	}}
	more := make(chan struct{})
	g, _ := staged(t, s, func(c *testkit.Conn, r *testkit.Request) {
		c.Send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
		<-more
		c.Send("data: 2\n\n")
		c.Close()
	})
	c := testkit.Dial(t, g.addr)
	c.Send(get("/"))
	for got := ""; !strings.Contains(got, "data: 1\n\n"); {
		got += c.ReadN(1)
	}
	close(more)
	for rest := ""; !strings.HasSuffix(rest, "data: 2\n\n\r\n0\r\n\r\n"); {
		rest += c.ReadN(1)
	}
}
