package l7

import (
	"net"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/testkit"
	"gatehouse/proxy"
)

// Each leg of a request gets a peer that does nothing. The rows are those of
// docs/configuration.md; bodies of requests, stalled writes and drains have
// tests of their own.
func TestEveryWaitHasAnEnd(t *testing.T) {
	const bound = 1500 * time.Millisecond // what comes before the wait is over by then on a busy machine, too
	silent := func(c *testkit.Conn, r *testkit.Request) { c.WaitPeer(soon) }
	began := func(c *testkit.Conn, r *testkit.Request) {
		c.Send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
		c.WaitPeer(soon)
	}
	switches := func(c *testkit.Conn, r *testkit.Request) {
		c.Send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		c.WaitPeer(soon)
	}
	timeout := func(s *config.BackendSettings) { s.RequestTimeout = bound }
	for _, w := range []struct {
		name     string
		h        testkit.Handler
		send     string
		settings func(*config.BackendSettings)
		setup    func(*setup)
		status   float64
		want     string
	}{
		{name: "request head", send: "GET / HT", setup: func(s *setup) { s.snapshot = func(s *Snapshot) { s.Limits.HeadTimeout = bound } }, status: 408, want: "CR"},
		{name: "member", send: get("/"), settings: func(s *config.BackendSettings) { s.MaxRequests, s.Queue = 1, config.Queue{Length: 1, Timeout: bound} },
			setup: func(s *setup) { s.pool = func(o *proxy.Options) { o.MaxRequests, o.QueueLength = 1, 1 } }, status: 503, want: "PQ"},
		{name: "connection", send: get("/"), settings: func(s *config.BackendSettings) { s.ConnectTimeout = bound },
			setup: func(s *setup) {
				s.backends, s.targets = nil, []config.Target{targetAt(mute(t))}
				s.toTLS = testkit.NewCA(t).ClientConfig("backend.test")
			}, status: 502, want: "SC"},
		{name: "response head", h: silent, send: get("/"), settings: timeout, status: 504, want: "SH"},
		{name: "response body", h: began, send: get("/"), settings: timeout, status: 200, want: "SD"},
		{name: "tunnel", h: switches, send: get("/", "Connection: Upgrade", "Upgrade: echo"),
			setup: func(s *setup) { s.snapshot = func(s *Snapshot) { s.Limits.TunnelIdleTimeout = bound } }, status: 101, want: "CD"},
	} {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			s := setup{backends: []*testkit.Backend{testkit.NewBackend(t, w.h)}, settings: w.settings}
			if w.setup != nil {
				w.setup(&s)
			}
			g := start(t, s)
			if w.name == "member" && !g.pool.Enter() {
				t.Fatal("nobody has entered")
			}
			testkit.Dial(t, g.addr).Send(w.send)
			if l := g.lines(t, 1)[0]; l.text("termination") != w.want || l["httpStatus"] != w.status {
				t.Errorf("the log says %v", l)
			}
		})
	}
}

// mute is the address of a server that takes connections and says nothing, not
// even in a handshake.
func mute(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}
