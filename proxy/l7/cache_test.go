package l7

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/httpmsg"
	"gatehouse/internal/testkit"
	"gatehouse/proxy/cache"
)

// cached runs a gateway with a cache before one backend.
func cached(t testing.TB, h testkit.Handler, change ...func(*setup)) (*gateway, *testkit.Backend, *cache.Cache) {
	t.Helper()
	b := testkit.NewBackend(t, h)
	c := cache.New("main", 8<<20, cache.KeyRule{})
	s := setup{backends: []*testkit.Backend{b}, target: func(t *Target) { t.Caching = cachingBy(c) }}
	for _, f := range change {
		f(&s)
	}
	g := start(t, s)
	t.Cleanup(func() { // runs before those of start
		testkit.Eventually(t, soon, "nothing but entries to be counted", func() bool { c.PurgeAll(); return c.Stats().Bytes == 0 })
	})
	return g, b, c
}

func cachingBy(c *cache.Cache) *Caching { return &Caching{Cache: c, MaxObject: 1 << 20, ID: "web"} }

// withPolicy sets the policy of the cache.
func withPolicy(p cache.Policy) func(*setup) {
	return func(s *setup) {
		was := s.target
		s.target = func(t *Target) { was(t); t.Caching.Policy = p }
	}
}

// say is a backend that counts, and answers with fields and its count.
func say(fields ...string) testkit.Handler {
	var n atomic.Int64
	return func(c *testkit.Conn, r *testkit.Request) {
		c.Respond(r, 200, fmt.Sprintf("answer %d", n.Add(1)), fields...)
	}
}

const minute = "Cache-Control: max-age=60"

// wantCached asks and wants an answer and what a cache says of it.
func wantCached(t testing.TB, c *testkit.Client, text string, status int, body, cacheStatus string) *testkit.Response {
	t.Helper()
	r := ask(t, c, text, status)
	if string(r.Content) != body {
		t.Errorf("%.60q: the body is %.100q, want %.100q", text, r.Content, body)
	}
	if got := r.Get("Cache-Status"); !strings.HasPrefix(got, "gatehouse; "+cacheStatus) {
		t.Errorf("%.60q: Cache-Status is %q, want %q", text, got, cacheStatus)
	}
	return r
}

func TestRFC9111Section4AStoredResponseIsUsedAgain(t *testing.T) {
	g, b, _ := cached(t, say(minute, "X-Kept: yes"))
	c := testkit.Dial(t, g.addr)
	r := wantCached(t, c, get("/a?b=c"), 200, "answer 1", "fwd=miss; stored")
	if r.Get("Age") != "" {
		t.Errorf("a response of the backend's has Age %q", r.Get("Age"))
	}
	r = wantCached(t, c, get("/a?b=c"), 200, "answer 1", "hit; ttl=")
	if r.Get("Age") == "" || r.Get("X-Kept") != "yes" || len(r.Values("Date")) != 1 || len(r.Values("Content-Length")) != 1 {
		t.Errorf("the stored response is %q", r.Head)
	}
	wantCached(t, c, get("/a?b=d"), 200, "answer 2", "fwd=miss")
	if r = ask(t, c, request("HEAD", "/a?b=c"), 200); r.Get("Content-Length") != "8" || !strings.HasPrefix(r.Get("Cache-Status"), "gatehouse; hit") {
		t.Errorf("HEAD has %q", r.Head)
	}
	if n := b.RequestCount(); n != 2 {
		t.Errorf("the backend was asked %d times", n)
	}
	for i, want := range []string{"miss", "hit", "miss", "hit"} {
		if l := g.lines(t, 4)[i]; l.text("cacheResult") != want {
			t.Errorf("line %d says %q, want %q", i, l.text("cacheResult"), want)
		}
	}
}

// A hit allocates nothing, and costs no goroutine.
func TestACacheHitAllocatesNothing(t *testing.T) {
	const most = 0.05
	c := cache.New("main", 8<<20, cache.KeyRule{})
	s := setup{target: func(t *Target) { t.Caching = cachingBy(c); t.Caching.Policy.DefaultTTL = time.Hour }}
	each, last := allocationsOf(t, s, "GET /path/to/a/thing?with=query HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n")
	if each > most || !strings.Contains(last, "Cache-Status: gatehouse; hit") {
		t.Errorf("%.3f allocations for each request, want at most %.2f; the last answer is %q", each, most, last)
	}
}

func TestConcurrentMissesAskOnce(t *testing.T) {
	const clients = 1000
	release := make(chan struct{})
	var asked atomic.Int64
	g, _, c := cached(t, func(c *testkit.Conn, r *testkit.Request) {
		asked.Add(1)
		<-release
		c.Respond(r, 200, "the answer", minute)
	})
	var all sync.WaitGroup
	var wrong atomic.Int64
	for range clients {
		all.Go(func() {
			if got := exchangeOf(g.addr, get("/")); !strings.HasSuffix(got, "\r\n\r\nthe answer") {
				wrong.Add(1)
			}
		})
	}
	testkit.Eventually(t, soon, "requests that wait", func() bool { return g.Connections() >= clients*9/10 && asked.Load() > 0 })
	close(release)
	all.Wait()
	if asked.Load() != 1 || wrong.Load() != 0 {
		t.Errorf("the backend was asked %d times, %d got something else", asked.Load(), wrong.Load())
	}
	testkit.Eventually(t, soon, "one miss to be counted", func() bool { // a request is, once its response has left
		s := c.Stats()
		return s.Requests["miss"] == 1 && s.Requests["collapsed"] > 0
	})
}

// exchangeOf sends a request and returns the answer to its end, by what it says
// of its length.
func exchangeOf(addr, text string) string {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(3 * soon))
	if _, err := c.Write([]byte(text)); err != nil {
		return err.Error()
	}
	var got []byte
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		_, body, ok := strings.Cut(string(got), "\r\n\r\n")
		if ok && strings.Contains(string(got), fmt.Sprintf("Content-Length: %d\r\n", len(body))) || err != nil {
			return string(got)
		}
	}
}

// Requests whose response turns out to be for one client only do not go to the
// backend one after the other.
func TestConcurrentUncacheableRequestsAreNotSerialised(t *testing.T) {
	const clients = 40
	var n atomic.Int64
	together := make(chan struct{})
	g, _, _ := cached(t, func(c *testkit.Conn, r *testkit.Request) {
		switch n.Add(1) {
		case 1: // the others wait for this one
			time.Sleep(100 * time.Millisecond)
		case clients / 4:
			close(together)
			fallthrough
		default: // and these are there at a time
			select {
			case <-together:
			case <-time.After(soon):
				t.Error("one came after the other")
			}
		}
		c.Respond(r, 200, "mine", "Cache-Control: private")
	})
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			if got := exchangeOf(g.addr, get("/")); !strings.HasSuffix(got, "mine") {
				t.Errorf("got %q", got)
			}
		})
	}
	all.Wait()
}

// serving waits until so many requests are being served: their heads have been
// read.
func (g *gateway) serving(t *testing.T, n float64) {
	t.Helper()
	testkit.Eventually(t, soon, fmt.Sprint(n, " requests being served"), func() bool {
		families, err := g.metrics.Gatherer().Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if strings.HasSuffix(f.GetName(), "_requests_in_flight") {
				now := 0.
				for _, m := range f.GetMetric() {
					now += m.GetGauge().GetValue()
				}
				return now == n
			}
		}
		return false
	})
}

func TestAWaitingClientThatLeavesIsLetGo(t *testing.T) {
	release := make(chan struct{})
	g, b, _ := cached(t, func(c *testkit.Conn, r *testkit.Request) { <-release; c.Respond(r, 200, "x", minute) })
	leader, follower := testkit.Dial(t, g.addr), testkit.Dial(t, g.addr)
	leader.Send(get("/"))
	testkit.Eventually(t, soon, "the request", func() bool { return b.RequestCount() == 1 })
	follower.Send(get("/"))
	g.serving(t, 2)
	follower.Reset()
	l := g.lines(t, 1)[0]
	if l.text("termination") != "CQ" || l["httpStatus"] != 499.0 {
		t.Errorf("the log says %v", l)
	}
	close(release)
	if r := leader.ReadResponse("GET"); string(r.Content) != "x" {
		t.Errorf("the leader got %q", r.Head)
	}
}

// When the client leaves whose request others wait for, one of them asks.
func TestALeaderThatLeavesIsReplaced(t *testing.T) {
	var n atomic.Int64
	g, b, _ := cached(t, func(c *testkit.Conn, r *testkit.Request) {
		if n.Add(1) == 1 {
			c.WaitPeer(soon)
			return
		}
		c.Respond(r, 200, "x", minute)
	})
	leader := testkit.Dial(t, g.addr)
	leader.Send(get("/"))
	testkit.Eventually(t, soon, "the request", func() bool { return b.RequestCount() == 1 })
	var followers []*testkit.Client
	for range 5 {
		c := testkit.Dial(t, g.addr)
		c.Send(get("/"))
		followers = append(followers, c)
	}
	g.serving(t, 6)
	time.Sleep(20 * time.Millisecond) // so that most of them wait for the leader
	leader.Reset()
	for _, c := range followers {
		if r := c.ReadResponse("GET"); string(r.Content) != "x" {
			t.Errorf("a follower got %q", r.Head)
		}
	}
	if got := b.RequestCount(); got != 2 {
		t.Errorf("the backend was asked %d times", got)
	}
}

// A client that reads slowly keeps nobody who waits for what it gets.
func TestASlowLeaderDoesNotHoldUpFollowers(t *testing.T) {
	body := testkit.Pattern(900 << 10)
	half := make(chan struct{})
	g, b, _ := cached(t, func(c *testkit.Conn, r *testkit.Request) {
		c.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: %d\r\n\r\n", len(body)))
		c.Send(body[:1000])
		<-half
		c.Send(body[1000:])
	})
	slow, follower := testkit.Dial(t, g.addr), testkit.Dial(t, g.addr)
	slow.Send(get("/"))
	slow.ReadN(100)
	follower.Send(get("/"))
	g.serving(t, 2)
	close(half)
	if r := follower.ReadResponse("GET"); string(r.Content) != body {
		t.Errorf("%d bytes came", len(r.Content))
	}
	if b.RequestCount() != 1 { // who is held up asks for himself after collapseWait
		t.Errorf("%d requests", b.RequestCount())
	}
	if rest := slow.ReadN(len(body)); !strings.HasSuffix(body, rest[len(rest)-1000:len(rest)-100]) && !strings.Contains(body, rest[500:1500]) {
		t.Error("the slow client got something else")
	}
}

func TestRFC9111Section43Validation(t *testing.T) {
	var n atomic.Int64
	g, b, _ := cached(t, func(c *testkit.Conn, r *testkit.Request) {
		if r.Get("If-None-Match") == `"one"` {
			c.Send("HTTP/1.1 304 Not Modified\r\nETag: \"one\"\r\nCache-Control: max-age=60\r\nX-New: yes\r\nContent-Length: 999\r\n\r\n")
			return
		}
		c.Respond(r, 200, fmt.Sprintf("answer %d", n.Add(1)), `ETag: "one"`, "Cache-Control: no-cache", "X-Old: yes", "X-New: no")
	})
	c := testkit.Dial(t, g.addr)
	wantCached(t, c, get("/"), 200, "answer 1", "fwd=miss; stored")
	// The client's own condition is judged by the stored response.
	r := wantCached(t, c, get("/", `If-None-Match: "other"`), 200, "answer 1", "fwd=stale; fwd-status=304")
	if r.Get("X-New") != "yes" || r.Get("X-Old") != "yes" || r.Get("Content-Length") != "8" {
		t.Errorf("section 3.2: the updated response is %q", r.Head)
	}
	wantCached(t, c, get("/"), 200, "answer 1", "hit") // the 304 made it fresh for a minute
	if b.RequestCount() != 2 {
		t.Errorf("%d requests", b.RequestCount())
	}
	r = wantCached(t, c, get("/", `If-None-Match: W/"one"`), 304, "", "hit")
	if r.Get("Content-Type") != "" || r.Get("Content-Length") != "" || r.Get("ETag") != `"one"` {
		t.Errorf("the 304 is %q", r.Head)
	}
	wantCached(t, c, get("/", "Cache-Control: no-cache"), 200, "answer 1", "fwd=stale; fwd-status=304")
}

// A client that asks on a condition what is not stored brings it into the
// cache, and is answered 304 all the same.
func TestRFC9110Section13AConditionOnAMissIsJudgedByTheNewResponse(t *testing.T) {
	g, b, _ := cached(t, say(minute, `ETag: "one"`))
	c := testkit.Dial(t, g.addr)
	wantCached(t, c, get("/", `If-None-Match: "one"`), 304, "", "fwd=miss; stored")
	wantCached(t, c, get("/"), 200, "answer 1", "hit")
	if b.Last().Get("If-None-Match") != "" {
		t.Error("the condition reached the backend")
	}
	if l := g.lines(t, 1)[0]; l["httpStatus"] != 304.0 {
		t.Errorf("the log says %v", l)
	}
}

func TestA304AboutAnotherResponseIsAskedForAgain(t *testing.T) {
	g, b, _ := cached(t, func(c *testkit.Conn, r *testkit.Request) {
		if r.Get("If-None-Match") != "" {
			c.Send("HTTP/1.1 304 Not Modified\r\nETag: \"two\"\r\n\r\n")
			return
		}
		c.Respond(r, 200, "x", `ETag: "one"`, "Cache-Control: no-cache")
	})
	c := testkit.Dial(t, g.addr)
	ask(t, c, get("/"), 200)
	wantCached(t, c, get("/"), 200, "x", "fwd=stale; fwd-status=200; stored")
	if n := b.RequestCount(); n != 3 {
		t.Errorf("%d requests", n)
	}
}

func TestRFC9111Section435HEADUpdatesOrInvalidates(t *testing.T) {
	tag := atomic.Pointer[string]{}
	one, two := `"one"`, `"two"`
	tag.Store(&one)
	g, b, _ := cached(t, func(c *testkit.Conn, r *testkit.Request) {
		c.Respond(r, 200, "body", "ETag: "+*tag.Load(), "Cache-Control: max-age=60", "X-Method: "+r.Method)
	})
	c := testkit.Dial(t, g.addr)
	ask(t, c, get("/"), 200)
	ask(t, c, request("HEAD", "/", "Cache-Control: no-cache"), 200)
	if r := wantCached(t, c, get("/"), 200, "body", "hit"); r.Get("X-Method") != "HEAD" {
		t.Errorf("the stored head was not updated: %q", r.Head)
	}
	tag.Store(&two)
	ask(t, c, request("HEAD", "/", "Cache-Control: no-cache"), 200)
	wantCached(t, c, get("/"), 200, "body", "fwd=miss")
	if n := b.RequestCount(); n != 4 {
		t.Errorf("%d requests", n)
	}
}

func TestRFC9111Section44UnsafeMethodsInvalidate(t *testing.T) {
	status := atomic.Int64{}
	status.Store(200)
	plain := say(minute)
	g, _, c := cached(t, func(c *testkit.Conn, r *testkit.Request) {
		if r.Method == "GET" {
			plain(c, r)
			return
		}
		c.Respond(r, int(status.Load()), "", "Location: /made", "Content-Location: http://shop.test/of", "X: http://other.test/a")
	})
	conn := testkit.Dial(t, g.addr)
	fill := func() int {
		for _, path := range []string{"/", "/made", "/of", "/other"} {
			ask(t, conn, get(path), 200)
		}
		return c.Stats().Entries
	}
	for _, w := range []struct {
		method string
		status int
		left   int
	}{{"POST", 201, 1}, {"DELETE", 204, 1}, {"BREW", 303, 1}, {"PUT", 500, 4}, {"POST", 403, 4}, {"OPTIONS", 200, 4}} {
		if n := fill(); n != 4 {
			t.Fatalf("%d entries", n)
		}
		status.Store(int64(w.status))
		ask(t, conn, request(w.method, "/", "Content-Length: 0"), w.status)
		if n := c.Stats().Entries; n != w.left {
			t.Errorf("%s answered %d leaves %d, want %d", w.method, w.status, n, w.left)
		}
	}
}

func TestRFC5861StaleWhileRevalidate(t *testing.T) {
	g, b, c := cached(t, say("Cache-Control: max-age=0, stale-while-revalidate=60", `ETag: "x"`))
	conn := testkit.Dial(t, g.addr)
	wantCached(t, conn, get("/"), 200, "answer 1", "fwd=miss; stored")
	wantCached(t, conn, get("/"), 200, "answer 1", "hit; ttl=")
	testkit.Eventually(t, soon, "the validation", func() bool { return c.Stats().Stores == 2 })
	wantCached(t, conn, get("/"), 200, "answer 2", "hit")
	testkit.Eventually(t, soon, "both to be counted", func() bool { // a request is, once its response has left
		s := c.Stats()
		return s.Requests["stale"] == 2 && s.Backgrounds > 0
	})
	testkit.Eventually(t, soon, "the third", func() bool { return b.RequestCount() >= 3 })
	if b.Last().Get("If-None-Match") != `"x"` {
		t.Error("the backend was not asked on a condition")
	}
}

// However many clients come, one validation is under way.
func TestRFC5861OneValidationForEachKey(t *testing.T) {
	release := make(chan struct{})
	var n atomic.Int64
	g, b, _ := cached(t, func(c *testkit.Conn, r *testkit.Request) {
		if n.Add(1) > 1 {
			<-release
		}
		c.Respond(r, 200, "x", "Cache-Control: max-age=0, stale-while-revalidate=60")
	})
	conn := testkit.Dial(t, g.addr)
	for range 30 {
		ask(t, conn, get("/"), 200)
	}
	if got := b.RequestCount(); got > 2 {
		t.Errorf("%d requests", got)
	}
	close(release)
}

// A gateway that stops waits for nobody's validation.
func TestValidationsEndWithTheGateway(t *testing.T) {
	var n atomic.Int64
	g, b, _ := cached(t, func(c *testkit.Conn, r *testkit.Request) {
		if n.Add(1) > 1 {
			c.WaitPeer(soon)
			return
		}
		c.Respond(r, 200, "x", "Cache-Control: max-age=0, stale-while-revalidate=60")
	})
	conn := testkit.Dial(t, g.addr)
	ask(t, conn, get("/"), 200)
	ask(t, conn, get("/"), 200)
	testkit.Eventually(t, soon, "the validation", func() bool { return b.RequestCount() == 2 })
	from := time.Now()
	g.behind.stop()
	if took := time.Since(from); took > soon/2 {
		t.Errorf("it took %v", took)
	}
}

func TestRFC5861StaleIfError(t *testing.T) {
	fail := atomic.Int64{}
	g, b, _ := cached(t, func(c *testkit.Conn, r *testkit.Request) {
		switch fail.Load() {
		case 0:
			c.Respond(r, 200, "good", "Cache-Control: max-age=0, stale-if-error=60", `ETag: "x"`)
		case 1:
			c.Respond(r, 503, "bad")
		case 2:
			c.Close()
		case 3:
			c.Respond(r, 404, "gone")
		}
	}, func(s *setup) { s.settings = func(b *config.BackendSettings) { b.Retries = config.Retries{} } })
	c := testkit.Dial(t, g.addr)
	wantCached(t, c, get("/"), 200, "good", "fwd=miss; stored")
	for fail.Store(1); fail.Load() < 3; fail.Add(1) {
		wantCached(t, c, get("/"), 200, "good", "hit; ttl=")
	}
	wantCached(t, c, get("/"), 404, "gone", "fwd=stale; fwd-status=404")
	fail.Store(1)
	wantCached(t, c, get("/", "Cache-Control: no-cache"), 503, "bad", "fwd=stale")
	b.Stop()
	wantCached(t, c, get("/"), 200, "good", "hit; ttl=")
	if l := g.lines(t, 6)[5]; !strings.Contains(l.text("reason"), "a stale response was sent") || l.text("cacheResult") != "stale" {
		t.Errorf("the log says %v", l)
	}
}

func TestRFC9111Section521RequestDirectives(t *testing.T) {
	g, b, _ := cached(t, say("Cache-Control: max-age=60"))
	c := testkit.Dial(t, g.addr)
	r := ask(t, c, get("/", "Cache-Control: only-if-cached"), 504)
	if b.RequestCount() != 0 {
		t.Errorf("only-if-cached asked: %q", r.Head)
	}
	wantCached(t, c, get("/", "Cache-Control: no-store"), 200, "answer 1", "fwd=miss")
	wantCached(t, c, get("/"), 200, "answer 2", "fwd=miss; stored")
	wantCached(t, c, get("/", "Cache-Control: only-if-cached"), 200, "answer 2", "hit")
	wantCached(t, c, get("/", "Cache-Control: no-store"), 200, "answer 2", "hit")
	wantCached(t, c, get("/", "Cache-Control: max-age=30"), 200, "answer 2", "hit")
	wantCached(t, c, get("/", "Cache-Control: min-fresh=120"), 200, "answer 3", "fwd=stale; fwd-status=200; stored")
	wantCached(t, c, get("/", "Pragma: no-cache"), 200, "answer 4", "fwd=stale")
	wantCached(t, c, get("/", "Pragma: no-cache", "Cache-Control: max-age=30"), 200, "answer 4", "hit")
	g, _, _ = cached(t, say(minute), withPolicy(cache.Policy{IgnoreClientNoCache: true}))
	c = testkit.Dial(t, g.addr)
	ask(t, c, get("/"), 200)
	wantCached(t, c, get("/", "Cache-Control: no-cache"), 200, "answer 1", "hit")
}

func TestRFC9110Section14RangesOfAStoredResponse(t *testing.T) {
	g, b, _ := cached(t, testkit.Respond(200, "0123456789", minute, `ETag: "t"`, "Content-Type: text/plain"))
	c := testkit.Dial(t, g.addr)
	ask(t, c, get("/"), 200)
	for _, w := range []struct {
		name, ask, condition string
		status               int
		body, is             string
	}{
		{"first", "bytes=0-3", "", 206, "0123", "bytes 0-3/10"},
		{"to the end", "bytes=7-", "", 206, "789", "bytes 7-9/10"},
		{"suffix", "bytes=-2", "", 206, "89", "bytes 8-9/10"},
		{"beyond", "bytes=10-", "", 416, "", "bytes */10"},
		{"nonsense", "bytes=3-1", "", 200, "0123456789", ""},
		{"unit", "lines=0-1", "", 200, "0123456789", ""},
		{"if-range holds", "bytes=0-3", `If-Range: "t"`, 206, "0123", "bytes 0-3/10"},
		{"if-range does not", "bytes=0-3", `If-Range: "u"`, 200, "0123456789", ""},
		{"weak", "bytes=0-3", `If-Range: W/"t"`, 200, "0123456789", ""},
		{"304 first", "bytes=0-3", `If-None-Match: "t"`, 304, "", ""},
	} {
		t.Run(w.name, func(t *testing.T) {
			lines := []string{"Range: " + w.ask}
			if w.condition != "" {
				lines = append(lines, w.condition)
			}
			r := wantCached(t, c, get("/", lines...), w.status, w.body, "hit")
			if got := r.Get("Content-Range"); got != w.is {
				t.Errorf("Content-Range is %q, want %q", got, w.is)
			}
		})
	}
	if b.RequestCount() != 1 {
		t.Errorf("%d requests", b.RequestCount())
	}
	ask(t, c, get("/", "Range: bytes=0-1,3-4"), 200) // row 71: the backend's to answer
	if got := b.Last().Get("Range"); got != "bytes=0-1,3-4" {
		t.Errorf("several ranges reached the backend as %q", got)
	}
}

func TestRFC9111Section33IncompleteResponsesAreNotStored(t *testing.T) {
	for name, response := range map[string]string{
		"short":    "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\n12345",
		"chunked":  "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
		"to close": "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\n12345",
		"partial":  "HTTP/1.1 206 Partial Content\r\nCache-Control: max-age=60\r\nContent-Range: bytes 0-4/10\r\nContent-Length: 5\r\n\r\n12345",
	} {
		t.Run(name, func(t *testing.T) {
			g, b, c := cached(t, testkit.RawClose(response))
			for range 2 {
				exchangeOf(g.addr, get("/", "Connection: close"))
			}
			if n := b.RequestCount(); n < 2 || c.Stats().Stores != 0 {
				t.Errorf("%d requests, %+v", n, c.Stats())
			}
		})
	}
}

// Row 69: what is not the same URI, or not routed the same way, is not the same
// response.
func TestRow69TheKeyIsWhatIsForwarded(t *testing.T) {
	g, _, _ := cached(t, say(minute))
	c := testkit.Dial(t, g.addr)
	asks := []string{
		"GET /a HTTP/1.1\r\nHost: shop.test\r\n\r\n",
		"GET /a HTTP/1.1\r\nHost: other.test\r\n\r\n",
		"GET /a HTTP/1.1\r\nHost: shop.test:8443\r\n\r\n",
		"GET /a? HTTP/1.1\r\nHost: shop.test\r\n\r\n",
		"GET /a?x=1 HTTP/1.1\r\nHost: shop.test\r\n\r\n",
		"GET /A HTTP/1.1\r\nHost: shop.test\r\n\r\n",
		"GET /a/ HTTP/1.1\r\nHost: shop.test\r\n\r\n",
	}
	for i, text := range asks {
		wantCached(t, c, text, 200, fmt.Sprintf("answer %d", i+1), "fwd=miss; stored")
	}
	for i, text := range asks {
		wantCached(t, c, text, 200, fmt.Sprintf("answer %d", i+1), "hit")
	}
	// Spellings of the first: they may have it, but what a backend makes of
	// them is for nobody else.
	for _, same := range []string{"GET /x/../a HTTP/1.1\r\nHost: shop.test\r\n\r\n", "GET /%61 HTTP/1.1\r\nHost: SHOP.test\r\n\r\n",
		"GET http://shop.test/a HTTP/1.1\r\nHost: shop.test\r\n\r\n"} {
		wantCached(t, c, same, 200, "answer 1", "hit")
	}
	odd := []string{"GET //new HTTP/1.1\r\nHost: shop.test\r\n\r\n", "GET /new HTTP/1.1\r\nHost: Shop.test\r\n\r\n", "GET /new HTTP/1.1\r\nHost: shop.test.\r\n\r\n"}
	for i, text := range odd {
		r := wantCached(t, c, text, 200, fmt.Sprintf("answer %d", len(asks)+1+i), "fwd=miss")
		if strings.Contains(r.Get("Cache-Status"), "stored") {
			t.Errorf("%q was stored", text)
		}
	}
}

// Row 70: what a client can put into a request without its being in the key
// makes no response for others.
func TestRow70NoPoisoning(t *testing.T) {
	echo := func(c *testkit.Conn, r *testkit.Request) {
		c.Respond(r, 200, strings.Join([]string{r.Get("X-Forwarded-Host"), r.Get("X-Forwarded-Proto"), r.Get("X-Original-URL"), r.Get("X-Forwarded-Prefix")}, " "), minute)
	}
	g, b, _ := cached(t, echo)
	c := testkit.Dial(t, g.addr)
	r := ask(t, c, get("/", "X-Forwarded-Host: evil.test", "X-Forwarded-Proto: https", "X-Original-URL: /evil", "X-Forwarded-Prefix: /evil"), 200)
	if strings.Contains(string(r.Content), "evil") || !strings.HasPrefix(string(r.Content), "shop.test http /") {
		t.Errorf("a client's word reached the backend: %q", r.Content)
	}
	t.Run("a body", func(t *testing.T) {
		n := b.RequestCount()
		ask(t, c, get("/", "Content-Length: 3")+"x=1", 200)
		ask(t, c, get("/fat", "Content-Length: 3")+"x=1", 200)
		wantCached(t, c, get("/fat"), 200, "shop.test http /fat ", "fwd=miss")
		if got := b.RequestCount(); got != n+3 {
			t.Errorf("%d requests, want 3", got-n)
		}
	})
	for name, w := range map[string]struct {
		lines, fields []string
		stored        bool
	}{
		"Vary *":                    {nil, []string{minute, "Vary: *"}, false},
		"Set-Cookie":                {nil, []string{minute, "Set-Cookie: a=b"}, false},
		"Set-Cookie, public":        {nil, []string{"Cache-Control: public, max-age=60", "Set-Cookie: a=b"}, true},
		"Authorization":             {[]string{"Authorization: Basic YTpi"}, []string{minute}, false},
		"Authorization, public":     {[]string{"Authorization: Basic YTpi"}, []string{"Cache-Control: public, max-age=60"}, true},
		"Authorization, s-maxage":   {[]string{"Authorization: Basic YTpi"}, []string{"Cache-Control: s-maxage=60"}, true},
		"private":                   {nil, []string{"Cache-Control: private, max-age=60"}, false},
		"no-store":                  {nil, []string{"Cache-Control: no-store, max-age=60"}, false},
		"nothing said":              {nil, nil, false},
		"twice, once with no-store": {nil, []string{minute, "Cache-Control: no-store"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			g, _, c := cached(t, say(w.fields...))
			conn := testkit.Dial(t, g.addr)
			ask(t, conn, get("/me;x.css", w.lines...), 200)
			if got := c.Stats().Stores == 1; got != w.stored {
				t.Errorf("stored: %v", got)
			}
			if r := ask(t, conn, get("/me;x.css"), 200); w.stored && (string(r.Content) != "answer 1" || r.Get("Set-Cookie") != "") {
				t.Errorf("the next client got %q", r.Head)
			}
		})
	}
}

func TestRFC9111Section41Vary(t *testing.T) {
	g, b, _ := cached(t, func(c *testkit.Conn, r *testkit.Request) {
		c.Respond(r, 200, r.Get("Accept-Language")+"/"+strings.Join(r.Values("X-A"), "+"), minute, "Vary: Accept-Language, x-a", "Vary: Origin")
	})
	c := testkit.Dial(t, g.addr)
	for _, status := range []string{"fwd=miss; stored", "hit"} {
		wantCached(t, c, get("/", "Accept-Language: de"), 200, "de/", status)
		wantCached(t, c, get("/", "Accept-Language: en"), 200, "en/", status)
		wantCached(t, c, get("/"), 200, "/", status)
		wantCached(t, c, get("/", "Accept-Language:"), 200, "/", status) // an empty one is not none
		wantCached(t, c, get("/", "X-A: 1", "X-A: 2"), 200, "/1+2", status)
		wantCached(t, c, get("/", "Origin: http://a.test"), 200, "/", status)
	}
	if n := b.RequestCount(); n != 6 {
		t.Errorf("%d requests", n)
	}
}

// The path rule by which a request was routed is a part of the key.
func TestTargetsAreToldApart(t *testing.T) {
	g, _, c := cached(t, say(minute), func(s *setup) {
		s.listener = func(l *Listener) {
			other := *l.Target
			other.Caching = &Caching{Cache: l.Target.Caching.Cache, MaxObject: 1 << 20, ID: "beta"}
			m, err := NewMatch(&config.RouteMatch{Headers: []config.ValueMatch{{Name: "X-Beta", Value: "1"}}})
			if err != nil {
				t.Fatal(err)
			}
			l.Paths = NewPathMap(l.Target)
			l.Paths.Add("/*", m, &other)
			l.Target = nil
		}
	})
	conn := testkit.Dial(t, g.addr)
	wantCached(t, conn, get("/", "X-Beta: 1"), 200, "answer 1", "fwd=miss")
	wantCached(t, conn, get("/"), 200, "answer 2", "fwd=miss")
	wantCached(t, conn, get("/", "X-Beta: 1"), 200, "answer 1", "hit")
	if n := c.Stats().Entries; n != 2 {
		t.Errorf("%d entries", n)
	}
	ask(t, conn, request("POST", "/", "Content-Length: 0"), 200)
	if n := c.Stats().Entries; n != 0 {
		t.Errorf("%d entries of the URI are left", n)
	}
}

// Each hit is seen by the stages, and rewritten, and gets no cookie that pins.
func TestStoredResponsesPassStagesAndRewrites(t *testing.T) {
	set := setOf(t, `actions: {requestHeaders: {X-Seen: ""}, responseHeaders: {X-Client: "{http_req_X-Who}", Server: ""}}`)
	blocked := atomic.Bool{}
	var heads, bodies atomic.Int64
	maker := &countingStage{blocked: &blocked, heads: &heads, bodies: &bodies}
	g, b, _ := cached(t, say(minute, "Server: inner"), func(s *setup) {
		was := s.target
		s.target = func(t *Target) { was(t); t.Rewrite = set; t.Stages = []StageMaker{maker} }
		s.settings = func(b *config.BackendSettings) { b.Affinity.Enabled = true }
	})
	c := testkit.Dial(t, g.addr)
	r := wantCached(t, c, get("/", "X-Who: one"), 200, "answer 1", "fwd=miss; stored")
	if r.Get("Set-Cookie") == "" || r.Get("X-Client") != "one" {
		t.Errorf("the first is %q", r.Head)
	}
	r = wantCached(t, c, get("/", "X-Who: two"), 200, "answer 1", "hit")
	if r.Get("Set-Cookie") != "" || r.Get("X-Client") != "two" || r.Get("Server") != "" || b.RequestCount() != 1 {
		t.Errorf("the second is %q", r.Head)
	}
	if heads.Load() != 2 || bodies.Load() != 2 {
		t.Errorf("stages saw %d heads and %d bodies", heads.Load(), bodies.Load())
	}
	blocked.Store(true)
	if r := ask(t, c, get("/", "X-Who: three"), 403); strings.Contains(string(r.Content), "answer") {
		t.Errorf("got %q", r.Content)
	}
}

// countingStage counts what it sees, and refuses requests when it is told to.
type countingStage struct {
	blocked       *atomic.Bool
	heads, bodies *atomic.Int64
}

func TestALargeResponseIsNotStored(t *testing.T) {
	big := testkit.Pattern(1<<20 + 1)
	g, b, c := cached(t, testkit.ByPath(map[string]testkit.Handler{
		"/length":  testkit.Respond(200, big, minute),
		"/chunked": testkit.Raw(fmt.Sprintf("HTTP/1.1 200 OK\r\n%s\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", minute, len(big), big)),
	}))
	for _, path := range []string{"/length", "/chunked"} {
		for range 2 {
			if r := ask(t, testkit.Dial(t, g.addr), get(path), 200); string(r.Content) != big {
				t.Errorf("%s: %d bytes came", path, len(r.Content))
			}
		}
	}
	if s := c.Stats(); s.Stores != 0 || b.RequestCount() != 4 {
		t.Errorf("%+v", s)
	}
}

func (m *countingStage) Begin(Client) Stage { return m }

func (m *countingStage) OnHead(*httpmsg.Request) Verdict {
	if m.blocked.Load() {
		return Verdict{Action: Answer}
	}
	return Verdict{}
}
func (m *countingStage) OnBody([]byte, bool) Verdict { return Verdict{} }
func (m *countingStage) OnResponseHead(*httpmsg.Response) Verdict {
	m.heads.Add(1)
	return Verdict{}
}
func (m *countingStage) OnResponseBody(p []byte, _ bool) Verdict {
	if len(p) > 0 {
		m.bodies.Add(1)
	}
	return Verdict{}
}
func (m *countingStage) Done() {}
