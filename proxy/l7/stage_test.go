package l7

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/testkit"
)

// fakeStage does what its functions say, and notes what it saw. It is made
// for one exchange at a time.
type fakeStage struct {
	head     func(*httpmsg.Request) Verdict
	body     func(piece []byte, end bool) Verdict
	respHead func(*httpmsg.Response) Verdict
	respBody func(piece []byte, end bool) Verdict

	mu      sync.Mutex
	busy    bool
	client  Client
	seen    bytes.Buffer // of the request body
	ends    int
	answer  bytes.Buffer
	answers int
	done    int

	noTrailers bool
	trailers   int // how often it was told of some

	noAnswerTrailers bool
	answerTrailers   int
}

// OnResponseTrailers implements ResponseTrailerStage.
func (s *fakeStage) OnResponseTrailers() bool {
	defer s.alone()()
	if s.answers > 0 {
		panic("trailers that come when the end is known")
	}
	s.answerTrailers++
	return !s.noAnswerTrailers
}

// OnTrailers implements TrailerStage.
func (s *fakeStage) OnTrailers() bool {
	defer s.alone()()
	if s.ends > 0 {
		panic("trailers that come when the end is known")
	}
	s.trailers++
	return !s.noTrailers
}

// alone notes that two goroutines use the stage at a time.
func (s *fakeStage) alone() func() {
	s.mu.Lock()
	if s.busy {
		panic("two goroutines in one stage")
	}
	s.busy = true
	s.mu.Unlock()
	return func() { s.mu.Lock(); s.busy = false; s.mu.Unlock() }
}

func (s *fakeStage) Begin(c Client) Stage { s.client = c; return s }

func (s *fakeStage) OnHead(r *httpmsg.Request) Verdict {
	defer s.alone()()
	if s.head == nil {
		return Verdict{}
	}
	return s.head(r)
}

func (s *fakeStage) OnBody(piece []byte, end bool) Verdict {
	defer s.alone()()
	s.seen.Write(piece)
	if s.ends > 0 {
		panic("a piece behind the end")
	}
	if end {
		s.ends++
	}
	if s.body == nil {
		return Verdict{}
	}
	return s.body(piece, end)
}

func (s *fakeStage) OnResponseHead(r *httpmsg.Response) Verdict {
	defer s.alone()()
	if s.respHead == nil {
		return Verdict{}
	}
	return s.respHead(r)
}

func (s *fakeStage) OnResponseBody(piece []byte, end bool) Verdict {
	defer s.alone()()
	s.answer.Write(piece)
	if end {
		s.answers++
	}
	if s.respBody == nil {
		return Verdict{}
	}
	return s.respBody(piece, end)
}

func (s *fakeStage) Done() { s.done++ }

// firstOnly makes a stage for the first exchange, and none for others.
type firstOnly struct {
	s    *fakeStage
	made atomic.Bool
}

func (m *firstOnly) Begin(c Client) Stage {
	if m.made.Swap(true) {
		return nil
	}
	return m.s.Begin(c)
}

// staged runs a gateway with one stage.
func staged(t *testing.T, s *fakeStage, h testkit.Handler) (*gateway, *testkit.Backend) {
	t.Helper()
	b := testkit.NewBackend(t, h)
	return start(t, setup{backends: []*testkit.Backend{b}, target: func(t *Target) { t.Stages = []StageMaker{s} }}), b
}

// finished waits for the exchange to be over, after which the stage may be
// looked at.
func finished(t *testing.T, g *gateway) { g.lines(t, 1) }

func TestAStageSeesBothBodies(t *testing.T) {
	for _, size := range []int{0, 1, 10 << 10, 40 << 10, 300 << 10} {
		for _, framing := range []string{"length", "chunked"} {
			t.Run(fmt.Sprint(size, framing), func(t *testing.T) {
				s := &fakeStage{}
				body := testkit.Pattern(size)
				g, b := staged(t, s, testkit.Respond(200, body))
				send := request("PUT", "/", fmt.Sprint("Content-Length: ", size)) + body
				if framing == "chunked" {
					send = request("PUT", "/", "Transfer-Encoding: chunked")
					if size > 0 {
						send += fmt.Sprintf("%x\r\n%s\r\n", size, body)
					}
					send += "0\r\n\r\n"
				}
				r := ask(t, testkit.Dial(t, g.addr), send, 200)
				finished(t, g)
				if string(r.Content) != body || string(b.Last().Body) != body {
					t.Error("the stage changed a body")
				}
				if s.seen.String() != body || s.answer.String() != body || s.done != 1 {
					t.Errorf("the stage saw %d and %d bytes of %d; done %d times", s.seen.Len(), s.answer.Len(), size, s.done)
				}
				if s.ends != 1 || s.trailers != 0 {
					t.Errorf("%d ends of the request, told of trailers %d times", s.ends, s.trailers)
				}
				if size > 0 && s.answers != 1 {
					t.Errorf("%d ends of the response", s.answers)
				}
				if s.client.Listener != "web" || !s.client.Addr.IsValid() {
					t.Errorf("the client is %+v", s.client)
				}
			})
		}
	}
}

func TestAStageHoldsTheBody(t *testing.T) {
	for _, w := range []struct {
		name        string
		size, limit int
		shown       int // in the one piece
		end         bool
	}{
		{"nothing", 0, 0, 0, true},
		{"a short body", 5, 0, 5, true},
		{"more than a buffer", 40 << 10, 0, 40 << 10, true},
		{"the default limit", 49 << 10, 0, DefaultHold, false},
		{"exactly the limit", 100_000, 100_000, 100_000, true},
		{"a byte more", 100_001, 100_000, 100_000, false},
		{"all that can be", MaxHold, MaxHold, MaxHold, true},
		{"more than can be", MaxHold + 100, MaxHold + 200, MaxHold, false},
		{"much more", 5 << 20, 1 << 20, 1 << 20, false},
	} {
		for _, framing := range []string{"length", "chunked", "many chunks"} {
			t.Run(w.name+"/"+framing, func(t *testing.T) {
				body, send := testkit.Pattern(w.size), ""
				switch {
				case w.size == 0:
					send = get("/")
				case framing == "length":
					send = request("PUT", "/", fmt.Sprint("Content-Length: ", w.size)) + body
				default:
					send = request("PUT", "/", "Transfer-Encoding: chunked") + inChunks(body, framing == "many chunks")
				}
				holdOnce(t, send, body, w.limit, w.shown, w.end)
			})
		}
	}
}

// inChunks frames a body as one chunk, or as many.
func inChunks(body string, many bool) string {
	size := len(body)
	if many {
		size = 7001
	}
	var s strings.Builder
	for ; len(body) > 0; body = body[min(size, len(body)):] {
		fmt.Fprintf(&s, "%x\r\n%s\r\n", min(size, len(body)), body[:min(size, len(body))])
	}
	return s.String() + "0\r\n\r\n"
}

// holdOnce sends a request through a stage that holds, and another one behind
// it, in one go.
func holdOnce(t *testing.T, send, body string, limit, shown int, end bool) {
	t.Helper()
	s := &fakeStage{head: func(*httpmsg.Request) Verdict { return Verdict{Action: Hold, Limit: limit} }}
	var b *testkit.Backend
	s.body = func(piece []byte, ended bool) Verdict {
		if b.ConnCount() > 0 {
			t.Error("a member was picked while the body was held")
		}
		if len(piece) != shown || ended != end {
			t.Errorf("%d bytes in one piece, end %v; want %d, %v", len(piece), ended, shown, end)
		}
		return Verdict{}
	}
	b = testkit.NewBackend(t, nil)
	g := start(t, setup{backends: []*testkit.Backend{b}, target: func(t *Target) { t.Stages = []StageMaker{&firstOnly{s: s}} }})
	c := testkit.Dial(t, g.addr)
	go c.TrySend(send+get("/next"), soon)
	r, err := c.TryReadResponse("PUT", soon)
	if err != nil {
		t.Fatal(err)
	}
	if e := testkit.DecodeEcho(t, r.Content); e.BodyLen != int64(len(body)) || e.Body != body[:min(len(body), 64<<10)] {
		t.Errorf("%d bytes arrived, want %d", e.BodyLen, len(body))
	}
	if r, err = c.TryReadResponse("GET", soon); err != nil || testkit.DecodeEcho(t, r.Content).Target != "/next" {
		t.Errorf("the request behind it got %v, %v", r, err)
	}
	g.lines(t, 2)
	if n := g.HeldBytes(); n != 0 {
		t.Errorf("%d bytes are held still", n)
	}
}

func TestAStageAnswersOrAborts(t *testing.T) {
	long := testkit.Pattern(200 << 10)
	on := func(v Verdict) func(*httpmsg.Request) Verdict { return func(*httpmsg.Request) Verdict { return v } }
	onBody := func(after int, v Verdict) *fakeStage {
		s := &fakeStage{}
		s.body = func([]byte, bool) Verdict {
			if s.seen.Len() > after {
				return v
			}
			return Verdict{}
		}
		return s
	}
	answer, abort := Verdict{Action: Answer, Status: 451}, Verdict{Action: Abort, Reason: "enough"}
	put := request("PUT", "/", fmt.Sprint("Content-Length: ", len(long))) + long
	for _, w := range []struct {
		name   string
		stage  *fakeStage
		send   string
		status int // 0: no answer
		passes bool
	}{
		{"answers the head", &fakeStage{head: on(answer)}, get("/"), 451, false},
		{"answers the head of an upload", &fakeStage{head: on(answer)}, put, 451, false},
		{"aborts at the head", &fakeStage{head: on(abort)}, get("/"), 0, false},
		{"answers a short body", onBody(0, answer), request("PUT", "/", "Content-Length: 2") + "hi", 451, false},
		{"answers within a long body", onBody(100<<10, answer), put, 451, true},
		{"aborts within a long body", onBody(100<<10, abort), put, 0, true},
		{"answers instead of the response", &fakeStage{respHead: func(*httpmsg.Response) Verdict { return answer }}, get("/"), 451, true},
		{"aborts at the response", &fakeStage{respHead: func(*httpmsg.Response) Verdict { return abort }}, get("/"), 0, true},
		{"aborts within the response", &fakeStage{respBody: func(_ []byte, end bool) Verdict {
			if end {
				return Verdict{}
			}
			return abort
		}}, get("/"), 0, true},
	} {
		t.Run(w.name, func(t *testing.T) {
			g, b := staged(t, w.stage, testkit.Respond(200, long))
			c := testkit.Dial(t, g.addr)
			go c.TrySend(w.send, soon)
			r, err := c.TryReadResponse("GET", soon)
			switch {
			case w.status == 0 && (err == nil || r != nil && len(r.Content) == len(long)):
				t.Errorf("answer is %v, %v; want none", r, err)
			case w.status != 0 && (err != nil || r.StatusCode != w.status):
				t.Errorf("answer is %v, %v; want %d", r, err, w.status)
			}
			finished(t, g)
			if w.stage.done != 1 || (b.ConnCount() > 0) != w.passes {
				t.Errorf("done %d times, %d connections to the backend", w.stage.done, b.ConnCount())
			}
			if w.passes && w.name != "answers instead of the response" {
				testkit.Eventually(t, soon, "the backend's connection to go", func() bool { return g.idle() == 0 })
			}
		})
	}
}

func TestAStageChangesHeads(t *testing.T) {
	s := &fakeStage{
		head: func(r *httpmsg.Request) Verdict {
			r.AddString("X-Stage", "request")
			r.Path = r.KeepString("/x") // shorter than what the path rule matched
			return Verdict{}
		},
		respHead: func(r *httpmsg.Response) Verdict {
			r.AddString("X-Stage", "response")
			return Verdict{}
		},
	}
	b := testkit.NewBackend(t, nil)
	g := start(t, setup{backends: []*testkit.Backend{b}, target: func(t *Target) {
		t.Stages = []StageMaker{s}
		t.Settings.PathOverride = "/o/"
		t.SetPathRule("/long/path/rule*")
	}})
	r := ask(t, testkit.Dial(t, g.addr), get("/long/path/rule"), 200)
	if e := testkit.DecodeEcho(t, r.Content); e.Get("X-Stage") != "request" || e.Target != "/o/x" || r.Get("X-Stage") != "response" {
		t.Errorf("%q with %q, answered %q", e.Target, e.Fields, r.Head)
	}
}

// The response may begin while the body is still coming: the stage is not
// used by both goroutines at a time, which alone checks.
func TestAStageBetweenTwoStreams(t *testing.T) {
	s := &fakeStage{}
	s.body = func([]byte, bool) Verdict { time.Sleep(100 * time.Microsecond); return Verdict{} }
	g, _ := staged(t, s, func(c *testkit.Conn, r *testkit.Request) {
		c.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		buf := make([]byte, 4<<10)
		for {
			n, err := r.Read(buf)
			if n > 0 {
				c.Send(fmt.Sprintf("%x\r\n%s\r\n", n, buf[:n]))
			}
			if err != nil {
				break
			}
		}
		c.Send("0\r\n\r\n")
	})
	body := testkit.Pattern(1 << 20)
	c := testkit.Dial(t, g.addr)
	go c.TrySend(request("POST", "/", fmt.Sprint("Content-Length: ", len(body)))+body, soon)
	if r := c.ReadResponse("POST"); string(r.Content) != body {
		t.Errorf("%d bytes came back", len(r.Content))
	}
}

func TestAPanicCostsOneConnection(t *testing.T) {
	bug := func([]byte, bool) Verdict { panic("a bug") }
	long := testkit.Pattern(200 << 10)
	for name, s := range map[string]*fakeStage{
		"head":          {head: func(*httpmsg.Request) Verdict { panic("a bug") }},
		"response head": {respHead: func(*httpmsg.Response) Verdict { panic("a bug") }},
		"response body": {respBody: bug},
	} {
		t.Run(name, func(t *testing.T) { panicsOnce(t, s, get("/")) })
	}
	t.Run("held body", func(t *testing.T) {
		s := holding(1 << 20)
		s.body = bug
		panicsOnce(t, s, put(long))
	})
	t.Run("upload", func(t *testing.T) {
		s := &fakeStage{}
		s.body = func([]byte, bool) Verdict {
			if s.seen.Len() > 100<<10 {
				panic("a bug")
			}
			return Verdict{}
		}
		panicsOnce(t, s, request("PUT", "/", fmt.Sprint("Content-Length: ", len(long)))+long)
	})
}

// panicsOnce sends a request that runs into a bug, after which nothing of it
// may be left.
func panicsOnce(t *testing.T, s *fakeStage, send string) {
	t.Helper()
	g, _ := staged(t, s, testkit.Respond(200, "ok"))
	c := testkit.Dial(t, g.addr)
	go c.TrySend(send, soon)
	if r, err := c.TryReadResponse("GET", soon); err == nil {
		t.Errorf("answer is %q", r.Head)
	}
	testkit.Eventually(t, soon, "the panic to be counted", func() bool { return g.Panics() == 1 })
	testkit.Eventually(t, soon, "nothing to be in flight", func() bool { return g.pool.Status().Backends[0].InFlight == 0 })
	testkit.Eventually(t, soon, "the connection to go", func() bool { return g.Connections() == 0 })
	g.reload()
	if g.Retired() != 0 {
		t.Error("the snapshot is held still")
	}
	g.panics.Store(0)
}
