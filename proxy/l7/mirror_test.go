package l7

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/testkit"
)

// mirroring runs a gateway that sends copies to a second pool.
func mirroring(t *testing.T, s setup, to testkit.Handler, change func(*Mirror)) (*gateway, *testkit.Backend, *Mirror) {
	t.Helper()
	if s.backends == nil {
		s.backends = []*testkit.Backend{testkit.NewBackend(t, testkit.Echo())}
	}
	g := start(t, s)
	b := testkit.NewBackend(t, to)
	pool, set := g.secondPool(t, b, "shadow")
	m := &Mirror{Pool: pool, Settings: set, Share: 1, MaxBody: 64 << 10, Counts: &MirrorCounts{}}
	if change != nil {
		change(m)
	}
	g.retarget(func(t *Target) { t.Mirror = m })
	t.Cleanup(func() { g.mirrors.close(g.Gateway) })
	return g, b, m
}

func TestACopyIsTheRequestThatTheBackendGets(t *testing.T) {
	g, b, m := mirroring(t, setup{}, testkit.Respond(500, "nobody reads this"), nil)
	for _, text := range []string{
		get("/path?q=1", "Cookie: a=b", "Authorization: Basic eDp5", "X-AppGW-Other: 1"),
		request("POST", "/short", "Content-Length: 5") + "hello",
		request("POST", "/long", "Content-Length: 60000") + strings.Repeat("x", 60_000),
		request("POST", "/chunks", "Transfer-Encoding: chunked", "Expect: 100-continue") + "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
	} {
		before := m.Counts.Answered.Load()
		r := ask(t, testkit.Dial(t, g.addr), text, 200)
		testkit.Eventually(t, soon, "the copy is answered", func() bool { return m.Counts.Answered.Load() == before+1 })
		first, second := testkit.DecodeEcho(t, r.Content), b.Last()
		if second.Get(mirrorField) != "1" || second.Target != first.Target || second.Get("Host") != "shop.test" || second.Get("X-Forwarded-For") != "127.0.0.1" ||
			second.Get("Cookie") != first.Get("Cookie") || second.Get("X-AppGW-Trace-Id") != first.Get("X-AppGW-Trace-Id") || second.Get("X-AppGW-Other") != "" {
			t.Errorf("%v became %v", first, second.Fields)
		}
		_, body, _ := strings.Cut(text, "\r\n\r\n")
		if strings.Contains(text, "chunked") {
			body = "hello world"
		}
		if string(second.Body) != body {
			t.Errorf("%s: the copy has a body of %d bytes, want %d", second.Target, len(second.Body), len(body))
		}
	}
	if b.ConnCount() != 1 {
		t.Errorf("%d connections to the mirror, want 1", b.ConnCount())
	}
}

func TestAMirrorThatHangsDelaysNobody(t *testing.T) {
	g, b, m := mirroring(t, setup{}, func(c *testkit.Conn, r *testkit.Request) { c.WaitPeer(soon) }, nil)
	c := testkit.Dial(t, g.addr)
	began := time.Now()
	const n = maxMirroring + maxMirrorQueue + 20
	for range n {
		ask(t, c, get("/"), 200)
	}
	if took := time.Since(began); took > soon {
		t.Errorf("%v", took)
	}
	testkit.Eventually(t, soon, "copies are dropped", func() bool { return m.Counts.Dropped.Load() == 20 })
	if b.ConnCount() > maxMirroring {
		t.Errorf("%d copies at a time", b.ConnCount())
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := g.Run(ctx); err != nil { // the end of the gateway is the end of its copies
		t.Error(err)
	}
	if m.Counts.Failed.Load() != maxMirroring || m.Counts.Dropped.Load() != n-maxMirroring {
		t.Errorf("%d failed and %d were dropped", m.Counts.Failed.Load(), m.Counts.Dropped.Load())
	}
}

func TestWhatIsNotCopied(t *testing.T) {
	tests := []struct {
		name, text string
		mirror     func(*Mirror)
		setup      setup
		want       [4]uint64 // too large, no memory, dropped, failed
	}{
		{name: "a body known to be long", text: request("POST", "/", "Content-Length: 70000") + strings.Repeat("x", 70_000), want: [4]uint64{1}},
		{name: "a body that turns out to be long", text: request("POST", "/", "Transfer-Encoding: chunked") + "11170\r\n" + strings.Repeat("x", 70_000) + "\r\n0\r\n\r\n", want: [4]uint64{1}},
		{name: "bodies where none is wanted", text: request("POST", "/", "Content-Length: 1") + "x", mirror: func(m *Mirror) { m.MaxBody = 0 }, want: [4]uint64{1}},
		{name: "a body without memory", text: request("POST", "/", "Content-Length: 60000") + strings.Repeat("x", 60_000),
			setup: setup{snapshot: func(s *Snapshot) { s.HeldBytes = 1000 }}, want: [4]uint64{0, 1}},
		{name: "a copy", text: get("/", "X-AppGW-Mirror: 1")},
		{name: "nothing of a share of 0", text: get("/"), mirror: func(m *Mirror) { m.Share = 0 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g, b, m := mirroring(t, tt.setup, testkit.Respond(200, "ok"), tt.mirror)
			ask(t, testkit.Dial(t, g.addr), tt.text, 200)
			g.lines(t, 1) // the exchange is over
			n := m.Counts
			if got := [4]uint64{n.TooLarge.Load(), n.NoMemory.Load(), n.Dropped.Load(), n.Failed.Load()}; got != tt.want || n.Answered.Load() != 0 {
				t.Errorf("counts %v, want %v", got, tt.want)
			}
			if b.RequestCount() != 0 {
				t.Error("the mirror was asked")
			}
		})
	}
}

func TestAMirrorGetsItsShareAtItsOwnHost(t *testing.T) {
	g, b, m := mirroring(t, setup{}, testkit.Respond(200, "ok"), func(m *Mirror) {
		m.Share = 0.25
		m.Settings = NewSettings(config.BackendSettings{HostName: "shadow.test", RequestTimeout: soon, ConnectTimeout: soon}, "shadow")
	})
	c := testkit.Dial(t, g.addr)
	for i := range 40 {
		if r := ask(t, c, get(fmt.Sprintf("/%d", i)), 200); testkit.DecodeEcho(t, r.Content).Get("Host") != "shop.test" {
			t.Fatal("the copy's Host is the request's")
		}
	}
	testkit.Eventually(t, soon, "a quarter of the requests is copied", func() bool { n := m.Counts.Answered.Load(); return n >= 9 && n <= 11 })
	if host := b.Last().Get("Host"); host != "shadow.test" {
		t.Errorf("Host: %q", host)
	}
}

func TestAMirrorThatCannotBeReachedIsCounted(t *testing.T) {
	g, b, m := mirroring(t, setup{}, testkit.Respond(200, "ok"), nil)
	b.Stop()
	ask(t, testkit.Dial(t, g.addr), get("/"), 200)
	testkit.Eventually(t, soon, "the copy has failed", func() bool { return m.Counts.Failed.Load() == 1 })
}

// A mirror that is the gateway itself is a circle, which Via breaks.
func TestACircleOfMirrorsEnds(t *testing.T) {
	b := testkit.NewBackend(t, testkit.Respond(200, "ok"))
	g := start(t, setup{backends: []*testkit.Backend{b}})
	conf := g.listener.Target.Settings.BackendSettings
	p := g.newPool(t, &setup{targets: nil, backends: []*testkit.Backend{{Addr: g.addr}}}, conf)
	m := &Mirror{Pool: p, Settings: NewSettings(conf, "self"), Share: 1, Counts: &MirrorCounts{}}
	g.retarget(func(t *Target) { t.Mirror = m })
	t.Cleanup(func() { g.mirrors.close(g.Gateway); p.Close(t.Context()) })
	ask(t, testkit.Dial(t, g.addr), get("/"), 200)
	testkit.Eventually(t, soon, "the copy is refused", func() bool { return m.Counts.Answered.Load() == 1 })
	all := g.lines(t, 2)
	if len(all) != 2 || all[0]["httpStatus"] != 508.0 && all[1]["httpStatus"] != 508.0 || b.RequestCount() != 1 {
		t.Errorf("%v, and %d requests to the backend", all, b.RequestCount())
	}
}
