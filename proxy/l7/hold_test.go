package l7

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/cidr"
	"gatehouse/internal/httpmsg"
	"gatehouse/internal/telemetry"
	"gatehouse/internal/testkit"
)

// holding is a stage that holds so much of the request body.
func holding(limit int) *fakeStage {
	return &fakeStage{head: func(*httpmsg.Request) Verdict { return Verdict{Action: Hold, Limit: limit} }}
}

// eachTime makes a new stage for each exchange.
type eachTime func() *fakeStage

func (m eachTime) Begin(c Client) Stage { return m().Begin(c) }

func put(body string, lines ...string) string {
	return request("PUT", "/", append(lines, fmt.Sprint("Content-Length: ", len(body)))...) + body
}

func TestAStageWatchesWhatFollowsHeldBytes(t *testing.T) {
	body := testkit.Pattern(500_000)
	for _, w := range []struct {
		name         string
		watch        bool
		sends        string
		seen, ends   int
		others, fins int // of a stage that does not hold
	}{
		{"watching", true, put(body), len(body), 1, len(body), 1},
		{"watching a short body", true, put("short"), 5, 1, 5, 1},
		{"not watching", false, put(body), 100_000, 0, len(body), 1},
		{"watching chunks", true, request("PUT", "/", "Transfer-Encoding: chunked") + inChunks(body, true), len(body), 1, len(body), 1},
	} {
		t.Run(w.name, func(t *testing.T) {
			first, second, third := holding(100_000), holding(200_000), &fakeStage{}
			first.body = func([]byte, bool) Verdict { return Verdict{Watch: w.watch} }
			b := testkit.NewBackend(t, nil)
			g := start(t, setup{backends: []*testkit.Backend{b}, target: func(t *Target) { t.Stages = []StageMaker{first, second, third} }})
			c := testkit.Dial(t, g.addr)
			go c.TrySend(w.sends, soon)
			c.ReadResponse("PUT")
			finished(t, g)
			if first.seen.Len() != w.seen || first.ends != w.ends || !strings.HasPrefix(body, "s") && w.seen > 5 && first.seen.String() != body[:w.seen] {
				t.Errorf("the first stage saw %d bytes, %d ends; want %d, %d", first.seen.Len(), first.ends, w.seen, w.ends)
			}
			if n := min(w.others, 200_000); second.seen.Len() != n {
				t.Errorf("the second stage saw %d bytes, want %d", second.seen.Len(), n)
			}
			if third.seen.Len() != w.others || third.ends != w.fins {
				t.Errorf("the third stage saw %d bytes, %d ends; want %d, %d", third.seen.Len(), third.ends, w.others, w.fins)
			}
		})
	}
}

func TestAStageRefusesWhatItWatches(t *testing.T) {
	body := testkit.Pattern(3 << 20)
	s := holding(100_000)
	s.body = func([]byte, bool) Verdict {
		if s.seen.Len() > 1<<20 {
			return Verdict{Action: Answer, Status: 413, Reason: "too long"}
		}
		return Verdict{Watch: true}
	}
	g, _ := staged(t, s, testkit.Respond(200, "ok"))
	c := testkit.Dial(t, g.addr)
	go c.TrySend(put(body), soon)
	if r, err := c.TryReadResponse("PUT", soon); err != nil || r.StatusCode != 413 {
		t.Errorf("answer is %v, %v", r, err)
	}
	if l := g.lines(t, 1)[0]; l.text("reason") != "too long" || l.text("termination") != "PR" {
		t.Errorf("the log says %v", l)
	}
}

func TestHeldBytesAreBoundedForAllExchanges(t *testing.T) {
	s := &fakeStage{}
	s.head = func(r *httpmsg.Request) Verdict {
		if r.Method == httpmsg.PUT {
			return Verdict{Action: Hold, Limit: 1 << 20}
		}
		return Verdict{}
	}
	s.respHead = func(*httpmsg.Response) Verdict { return Verdict{Action: Hold, Limit: 1 << 20} }
	for _, w := range []struct{ name, send, long string }{
		{"request", put(testkit.Pattern(400_000)), ""},
		{"response", get("/"), testkit.Pattern(400_000)},
	} {
		t.Run(w.name, func(t *testing.T) {
			b := testkit.NewBackend(t, testkit.Respond(200, w.long))
			g := start(t, setup{backends: []*testkit.Backend{b}, target: func(t *Target) { t.Stages = []StageMaker{&firstOnly{s: s}} },
				snapshot: func(s *Snapshot) { s.HeldBytes = 300_000 }})
			c := testkit.Dial(t, g.addr)
			go c.TrySend(w.send, soon)
			if r, err := c.TryReadResponse("PUT", soon); err != nil || r.StatusCode != 503 {
				t.Fatalf("answer is %v, %v", r, err)
			}
			if l := g.lines(t, 1)[0]; l.text("reason") != errNoRoom.Error() {
				t.Errorf("the log says %v", l)
			}
			if g.HeldBytes() != 0 || b.RequestCount() != strings.Count(w.name, "response") {
				t.Errorf("%d bytes held, %d requests", g.HeldBytes(), b.RequestCount())
			}
			if n := limitHits(t, g, "heldBytes"); n != 1 {
				t.Errorf("counted %v times", n)
			}
		})
	}
}

// from dials with an address of the loopback network.
func from(t *testing.T, g *gateway, addr string) *testkit.Client {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}, Timeout: soon}
	c, err := d.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	return testkit.NewClient(t, c.(*net.TCPConn), nil)
}

func TestHeldBytesAreBoundedForEachClient(t *testing.T) {
	var log bytes.Buffer
	b := testkit.NewBackend(t, nil)
	g := start(t, setup{backends: []*testkit.Backend{b}, log: &log,
		target:   func(t *Target) { t.Stages = []StageMaker{eachTime(func() *fakeStage { return holding(MaxHold) })} },
		snapshot: func(s *Snapshot) { s.Limits.HeldBytesPerClient = 3<<20 + 100<<10 }})
	body := testkit.Pattern(600_000)
	slow := from(t, g, "127.0.0.1")
	slow.Send(put(body)[:500_000])
	testkit.Eventually(t, soon, "bytes to be held", func() bool { return g.HeldBytes() >= 500_000 })
	greedy := from(t, g, "127.0.0.1")
	go greedy.TrySend(put(testkit.Pattern(1_500_000)), soon)
	if r, err := greedy.TryReadResponse("PUT", soon); err != nil || r.StatusCode != 503 {
		t.Fatalf("answer is %v, %v", r, err)
	}
	if l := g.lines(t, 1)[0]; l.text("reason") != errNoClientRoom.Error() || l.text("termination") != "PR" {
		t.Errorf("the log says %v", l)
	}
	if own, all := limitHits(t, g, "heldBytesPerClient"), limitHits(t, g, "heldBytes"); own != 1 || all != 0 {
		t.Errorf("counted %v and %v times", own, all)
	}
	other := from(t, g, "127.0.0.2")
	go other.TrySend(put(testkit.Pattern(1_500_000)), soon)
	if r := other.ReadResponse("PUT"); r.StatusCode != 200 {
		t.Errorf("another client got %q", r.Head)
	}
	slow.Send(put(body)[500_000:])
	if r := slow.ReadResponse("PUT"); r.StatusCode != 200 {
		t.Errorf("the client got %q in the end", r.Head)
	}
	g.lines(t, 3)
	if g.holders() != 0 {
		t.Error("somebody has something held still")
	}
	if text := log.String(); strings.Count(text, "body not held") != 1 || !strings.Contains(text, "client=127.0.0.1 limit=heldBytesPerClient") {
		t.Errorf("the log says %q", text)
	}
}

func TestWhoseHeldBytesAre(t *testing.T) {
	for _, w := range []struct{ name, peer, forwarded, want string }{
		{"a client", "192.0.2.7", "", "192.0.2.7"},
		{"a client that says it is another", "192.0.2.7", "198.51.100.1", "192.0.2.7"},
		{"a mapped address", "::ffff:192.0.2.7", "", "192.0.2.7"},
		{"a host with many addresses", "2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::"},
		{"a client of a trusted proxy", "10.0.0.1", "192.0.2.7", "192.0.2.7"},
		{"a host of a trusted proxy", "10.0.0.1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"},
		{"another that it says it is", "10.0.0.1", "198.51.100.1, 192.0.2.7", "192.0.2.7"},
		{"a proxy that it says it is", "10.0.0.1", "10.0.0.9, 192.0.2.7", "192.0.2.7"},
		{"clients whom their proxy does not name", "10.0.0.1", "", ""},
		{"clients whom nobody understands", "10.0.0.1", "unknown", ""},
	} {
		t.Run(w.name, func(t *testing.T) {
			f := &flow{req: &httpmsg.Request{}}
			f.snap = &Snapshot{Trusted: cidr.Set([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}), Limits: config.Limits{HeldBytesPerClient: 1}}
			if w.forwarded != "" {
				f.req.AddString("X-Forwarded-For", w.forwarded)
			}
			f.client.Peer = netip.AddrPortFrom(netip.MustParseAddr(w.peer), 1)
			f.client.Addr, f.trusted = f.client.Peer, f.snap.Trusted.Contains(f.client.Peer.Addr())
			f.findClient()
			got := f.room().client
			if w.want == "" && got.IsValid() || w.want != "" && got != netip.MustParseAddr(w.want) {
				t.Errorf("it is %v, want %q", got, w.want)
			}
			if f.snap.Limits.HeldBytesPerClient = 0; f.room().client.IsValid() {
				t.Error("without a bound it is somebody's")
			}
		})
	}
}

// limitHits is how often a limit was hit, as the metrics say.
func limitHits(t *testing.T, g *gateway, limit string) (n float64) {
	t.Helper()
	families, err := g.metrics.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "limit" && l.GetValue() == limit {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}

func TestAClientIsToldToGoOnForAStageThatHolds(t *testing.T) {
	s := holding(1 << 20)
	g, b := staged(t, s, nil)
	body := testkit.Pattern(300_000)
	c := testkit.Dial(t, g.addr)
	c.Send(request("POST", "/", "Expect: 100-continue", fmt.Sprint("Content-Length: ", len(body))))
	if r := c.ReadResponse("POST"); r.StatusCode != 100 {
		t.Fatalf("answer is %q", r.Head)
	}
	if b.ConnCount() != 0 {
		t.Error("a member was picked before the body was there")
	}
	go c.TrySend(body, soon)
	r, interim := c.ReadFinal("POST")
	if e := testkit.DecodeEcho(t, r.Content); e.BodyLen != int64(len(body)) || e.Get("Expect") != "" || len(interim) > 0 {
		t.Errorf("%d bytes arrived with %q, %d interim responses", e.BodyLen, e.Fields, len(interim))
	}
}

func TestAClientLeavesWhileItsBodyIsHeld(t *testing.T) {
	testkit.NoLeak(t)
	s := holding(1 << 20)
	g, b := staged(t, s, nil)
	c := testkit.Dial(t, g.addr)
	c.Send(request("PUT", "/", "Content-Length: 900000") + testkit.Pattern(500_000))
	testkit.Eventually(t, soon, "bytes to be held", func() bool { return g.HeldBytes() >= 500_000 })
	c.Reset()
	if l := g.lines(t, 1)[0]; l.text("termination") != "CR" || l["httpStatus"] != 499.0 {
		t.Errorf("the log says %v", l)
	}
	if g.HeldBytes() != 0 || b.ConnCount() != 0 || s.done != 1 {
		t.Errorf("%d bytes held, %d connections to the backend, done %d times", g.HeldBytes(), b.ConnCount(), s.done)
	}
}

// A body that is held whole can be sent again, however long.
func TestAHeldBodyIsSentAgain(t *testing.T) {
	body := testkit.Pattern(1 << 20)
	s := holding(MaxHold)
	b := testkit.NewBackend(t, dieOnReuse(func(c *testkit.Conn) { c.Reset() }))
	g := start(t, setup{backends: []*testkit.Backend{b}, target: func(t *Target) { t.Stages = []StageMaker{s} }})
	c := testkit.Dial(t, g.addr)
	ask(t, c, get("/"), 200)
	s.ends = 0
	go c.TrySend(put(body), soon)
	if r := c.ReadResponse("PUT"); r.StatusCode != 200 || string(r.Content) != "connection 2" {
		t.Errorf("answer is %q %q", r.Head, r.Content)
	}
	if string(b.Last().Body) != body || g.HeldBytes() != 0 {
		t.Errorf("%d bytes arrived, %d are held still", b.Last().BodyLen, g.HeldBytes())
	}
	s.ends = 0
	ask(t, c, get("/"), 200) // the client's connection is as good as before
}

func TestAHeldBodyGoesToAnotherMemberAfterATimeout(t *testing.T) {
	body := testkit.Pattern(300_000)
	silent := testkit.NewBackend(t, func(c *testkit.Conn, r *testkit.Request) { r.ReadBody(); c.WaitPeer(soon) })
	other := testkit.NewBackend(t, nil)
	g := start(t, setup{backends: []*testkit.Backend{silent, other}, target: func(t *Target) { t.Stages = []StageMaker{eachTime(func() *fakeStage { return holding(MaxHold) })} },
		settings: func(s *config.BackendSettings) { s.RequestTimeout, s.Retries.OnTimeout = 1500*time.Millisecond, true }})
	for range 2 { // whom the balancer picks first is its affair
		c := testkit.Dial(t, g.addr)
		go c.TrySend(put(body), soon)
		if r := c.ReadResponse("PUT"); r.StatusCode != 200 || testkit.DecodeEcho(t, r.Content).BodyLen != int64(len(body)) {
			t.Errorf("answer is %q", r.Head)
		}
	}
	// A request that was given up may be read after that.
	testkit.Eventually(t, soon, "the silent member to have been asked", func() bool { return silent.RequestCount() > 0 })
}

// onUnix runs a backend on a unix socket, whose buffer is too small to take a
// whole body out of the gateway's hands. serve comes behind the head.
func onUnix(t *testing.T, serve func(c net.Conn, body io.Reader)) config.Target {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r := bufio.NewReader(c)
		for line := ""; line != "\r\n" && err == nil; {
			line, err = r.ReadString('\n')
		}
		serve(c, r)
	}()
	return config.Target{Unix: path, Weight: 1}
}

// A backend may answer before it has read a held body, and while it does.
func TestABackendAnswersWithinAHeldBody(t *testing.T) {
	body := testkit.Pattern(2 << 20)
	over := make(chan struct{})
	defer close(over)
	for _, w := range []struct {
		name   string
		serve  func(c net.Conn, body io.Reader)
		status int
		answer string
	}{
		{"refusing", func(c net.Conn, _ io.Reader) {
			io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
			<-over // and does not read
		}, 413, "no"},
		{"echoing", func(c net.Conn, r io.Reader) {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body))
			io.CopyN(struct{ io.Writer }{c}, r, int64(len(body)))
		}, 200, body},
	} {
		t.Run(w.name, func(t *testing.T) {
			s := holding(MaxHold)
			g := start(t, setup{targets: []config.Target{onUnix(t, w.serve)}, target: func(t *Target) { t.Stages = []StageMaker{s} }})
			c := testkit.Dial(t, g.addr)
			go c.TrySend(put(body), soon)
			r, err := c.TryReadResponse("PUT", soon)
			if err != nil || r.StatusCode != w.status || string(r.Content) != w.answer {
				t.Errorf("answer is %v, %v", r, err)
			}
			finished(t, g)
			if n := g.HeldBytes(); n != 0 {
				t.Errorf("%d bytes are held still", n)
			}
		})
	}
}

func TestTrailersFollowABody(t *testing.T) {
	for _, w := range []struct {
		size     int
		hold     int // 0: it streams
		drop     bool
		trailers int
	}{{10, MaxHold, false, 1}, {200_000, MaxHold, false, 1}, {10, MaxHold, true, 0}, {200_000, MaxHold, true, 0}, {200_000, 100_000, false, 1}, {200_000, 100_000, true, 0},
		{10, 0, false, 1}, {200_000, 0, false, 1}, {10, 0, true, 0}, {200_000, 0, true, 0}} {
		body := testkit.Pattern(w.size)
		s := &fakeStage{noTrailers: w.drop, body: func([]byte, bool) Verdict { return Verdict{Watch: true} }}
		if w.hold > 0 {
			s.head = holding(w.hold).head
		}
		g, b := staged(t, s, nil)
		c := testkit.Dial(t, g.addr)
		text := request("PUT", "/", "Transfer-Encoding: chunked", "Trailer: X-Sum") + inChunks(body, false)
		go c.TrySend(strings.TrimSuffix(text, "\r\n")+"X-Sum: 1\r\n\r\n", soon)
		e := testkit.DecodeEcho(t, c.ReadResponse("PUT").Content)
		finished(t, g)
		if e.BodyLen != int64(len(body)) || len(e.Trailers) != w.trailers || s.ends != 1 || s.trailers != 1 {
			t.Errorf("%+v: %d bytes, trailers %v, %d ends, told of trailers %d times; %d requests", w, e.BodyLen, e.Trailers, s.ends, s.trailers, b.RequestCount())
		}
	}
}

func TestResponseTrailersFollowABody(t *testing.T) {
	for _, size := range []int{0, 10, 200_000} {
		for _, hold := range []int{0, 100_000, MaxHold} {
			for _, drop := range []bool{false, true} {
				body := testkit.Pattern(size)
				s := &fakeStage{noAnswerTrailers: drop, respBody: func([]byte, bool) Verdict { return Verdict{Watch: true} }}
				if hold > 0 {
					s.respHead = func(*httpmsg.Response) Verdict { return Verdict{Action: Hold, Limit: hold} }
				}
				g, _ := staged(t, s, testkit.Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"+
					strings.TrimSuffix(inChunks(body, false), "\r\n")+"X-Sum: 1\r\n\r\n"))
				r := ask(t, testkit.Dial(t, g.addr), get("/"), 200)
				finished(t, g)
				if string(r.Content) != body || (r.Trailer.Get("X-Sum") == "1") == drop || s.answers != 1 || s.answerTrailers != 1 {
					t.Errorf("%d bytes, hold %d, drop %v: %d bytes, trailers %v, %d ends, told of trailers %d times", size, hold, drop, len(r.Content), r.Trailer, s.answers, s.answerTrailers)
				}
			}
		}
	}
}

// The upload of a held body is over when the backend has it, even if the
// goroutine that sent it does not know yet: the client is kept.
func TestAHeldBodyKeepsTheConnection(t *testing.T) {
	b := testkit.NewBackend(t, nil)
	g := start(t, setup{backends: []*testkit.Backend{b}, target: func(t *Target) {
		t.Stages = []StageMaker{eachTime(func() *fakeStage { return holding(MaxHold) })}
	}})
	c := testkit.Dial(t, g.addr)
	for range 100 {
		ask(t, c, put(testkit.Pattern(100_000)), 200)
	}
}

// Other protocols have pieces of other sizes.
func TestAnotherProtocolsBodyIsHeld(t *testing.T) {
	for _, pieces := range [][]int{{10, 20, 30}, {100_000, 0, 100_000}, {1 << 20}, {3 << 20}, {1 << 20, 3 << 20, 5}} {
		t.Run(fmt.Sprint(pieces), func(t *testing.T) {
			s := holding(1 << 20)
			calls, total := 0, 0
			s.body = func([]byte, bool) Verdict { calls++; return Verdict{Watch: true} }
			g, b := staged(t, s, nil)
			x := newMemoryExchange(t, "PUT / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n")
			for _, n := range pieces {
				total += n
			}
			body := testkit.Pattern(total)
			go func() {
				rest := body
				for _, n := range pieces {
					x.body <- []byte(rest[:n])
					rest = rest[n:]
				}
				close(x.body)
			}()
			g.over(x)
			if x.status != 200 || string(b.Last().Body) != body[:len(b.Last().Body)] || b.Last().BodyLen != int64(total) {
				t.Errorf("status %d, %d bytes arrived of %d", x.status, b.Last().BodyLen, total)
			}
			if s.seen.String() != body || s.ends != 1 || g.HeldBytes() != 0 || (calls == 1) != (total <= 1<<20) {
				t.Errorf("the stage saw %d bytes in %d pieces, %d ends; %d are held", s.seen.Len(), calls, s.ends, g.HeldBytes())
			}
		})
	}
}

func TestHoldingsCountWhatIsReserved(t *testing.T) {
	var h holdings
	var a, b held
	text := []byte(testkit.Pattern(100_000))
	who := netip.MustParseAddr("192.0.2.1")
	space := func(all, own int64) *room { return &room{all: all, own: own, client: who} }
	if err := a.add(&h, text, space(1<<20, 200_000)); err != nil || h.used.Load() != 128<<10 || h.clients.of(who) != 128<<10 {
		t.Fatalf("%v; %d bytes are used, %d of the client", err, h.used.Load(), h.clients.of(who))
	}
	for _, w := range []struct {
		r    *room
		want error
	}{{space(200_000, 1<<20), errNoRoom}, {space(1<<20, 200_000), errNoClientRoom}, {&room{all: 200_000}, errNoRoom}} {
		if err := b.add(&h, text, w.r); err != w.want || h.used.Load() != 128<<10 || h.clients.of(who) != 128<<10 {
			t.Errorf("%v; %d bytes are used, %d of the client", err, h.used.Load(), h.clients.of(who))
		}
	}
	for range 30 {
		if err := a.add(&h, text, space(100<<20, 100<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(a.bytes, bytes.Repeat(text, 31)) || h.used.Load() < 3_100_000 || h.used.Load() > 3_500_000 {
		t.Errorf("%d bytes in %d", len(a.bytes), h.used.Load())
	}
	a.release(&h)
	a.release(&h)
	b.release(&h)
	if h.used.Load() != 0 || h.clients.of(who) != 0 {
		t.Errorf("%d bytes are used in the end, %d of the client", h.used.Load(), h.clients.of(who))
	}
	r := space(1<<20, 1<<20)
	n := testing.AllocsPerRun(100, func() {
		a.add(&h, text[:50_000], r)
		a.add(&h, text[:50_000], r)
		a.release(&h)
	})
	if n > 1 && !testkit.Race { // a collection may empty the pools
		t.Errorf("%v allocations", n)
	}
	runtime.KeepAlive(text)
}

func TestSlowBodiesMakeRoomOnceItIsShort(t *testing.T) {
	who := netip.MustParseAddr("192.0.2.1")
	for _, w := range []struct {
		name             string
		used, own, since int64
		want             error
	}{
		{"there is room", 400, 50, 20 * holdPatience, nil},
		{"a fast one", 900, 90, holdPatience, nil},
		{"a slow one", 501, 10, holdPatience + 1, errNoRoom},
		{"a slow one of a client with many", 400, 51, holdPatience + 1, errNoClientRoom},
	} {
		var h holdings
		h.used.Store(w.used)
		h.clients.add(who, w.own, 100)
		if got := h.impatient(&room{all: 1000, client: who, own: 100}, w.since); got != w.want {
			t.Errorf("%s: %v", w.name, got)
		}
	}
}

// A response that is held makes room as a request does: one that comes slowly,
// and one that does not come at all, but not one that is there.
func TestSlowResponsesMakeRoomOnceItIsShort(t *testing.T) {
	const length, tail, brief = 200_000, 100, 50 * time.Millisecond
	slow := func(c *testkit.Conn, rest string) { c.Dribble(rest, 10, brief/2) }
	slower := func(c *testkit.Conn, rest string) { c.Dribble(rest, 1, brief/2) } // it must not be whole before somebody looks
	for _, w := range []struct {
		name     string
		all, own int // bytes that may be held
		patience time.Duration
		rest     func(c *testkit.Conn, rest string)
		want     int
		limit    string
	}{
		{"there is room", 1 << 20, 1 << 20, brief, slow, 200, ""},
		{"a slow one", 400_000, 1 << 20, brief, slower, 503, "heldBytes"},
		{"a slow one of a client with many", 1 << 20, 400_000, brief, slower, 503, "heldBytesPerClient"},
		{"a silent one", 400_000, 1 << 20, 4 * brief, func(c *testkit.Conn, _ string) { c.WaitPeer(soon) }, 503, "heldBytes"},
		{"a fast one", 400_000, 1 << 20, soon, slow, 200, ""},
		{"one that is whole in the end", 40_000, 1 << 20, 1, nil, 200, ""},
	} {
		t.Run(w.name, func(t *testing.T) {
			body := testkit.Pattern(length)
			b := testkit.NewBackend(t, func(c *testkit.Conn, _ *testkit.Request) {
				const head = "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
				if w.rest == nil {
					c.Send(fmt.Sprintf(head, tail))
					time.Sleep(2 * brief) // nothing is held yet
					c.Send(body[:tail])
					return
				}
				c.Send(fmt.Sprintf(head, length) + body[:length-tail])
				w.rest(c, body[length-tail:])
			})
			s := &fakeStage{respHead: func(*httpmsg.Response) Verdict { return Verdict{Action: Hold, Limit: 1 << 20} }}
			g := start(t, setup{backends: []*testkit.Backend{b}, patience: w.patience, target: func(t *Target) { t.Stages = []StageMaker{s} },
				snapshot: func(s *Snapshot) { s.HeldBytes, s.Limits.HeldBytesPerClient = int64(w.all), w.own }})
			c := testkit.Dial(t, g.addr)
			c.Send(get("/"))
			r, err := c.TryReadResponse("GET", soon)
			if err != nil || r.StatusCode != w.want || w.want == 200 && len(r.Content) == 0 {
				t.Fatalf("answer is %v, %v", r, err)
			}
			finished(t, g)
			if w.limit != "" && limitHits(t, g, w.limit) != 1 {
				t.Errorf("%s is counted %v times", w.limit, limitHits(t, g, w.limit))
			}
		})
	}
}

// recording is a stage with something to say.
type recording struct{ *fakeStage }

func (r recording) Begin(c Client) Stage { r.fakeStage.Begin(c); return r }

func (r recording) Record(to *telemetry.Record) {
	to.WAFPolicy, to.WAFMode, to.WAFAction, to.WAFEvaluationTime = "strict", "Detection", "Matched", 2_000_000
}

func TestAStageAddsToTheRecord(t *testing.T) {
	s := recording{&fakeStage{}}
	b := testkit.NewBackend(t, nil)
	g := start(t, setup{backends: []*testkit.Backend{b}, target: func(t *Target) { t.Stages = []StageMaker{s} }})
	r := ask(t, testkit.Dial(t, g.addr), get("/", "Host2: x"), 200)
	l := g.lines(t, 1)[0]
	if l.text("WAFPolicyID") != "strict" || l.text("WAFMode") != "Detection" || l.text("WAFAction") != "Matched" || l["WAFEvaluationTime"] != 0.002 {
		t.Errorf("the log says %v", l)
	}
	c := s.client
	if c.Host != "shop.test" || string(c.TraceID[:]) != l.text("transactionId") || c.Proto != "HTTP/1.1" || !c.Local.IsValid() || c.Peer != c.Addr {
		t.Errorf("the client is %+v", c)
	}
	if e := testkit.DecodeEcho(t, r.Content); e.Get("X-AppGW-Trace-Id") != string(c.TraceID[:]) {
		t.Error("the backend got another trace ID")
	}
}
