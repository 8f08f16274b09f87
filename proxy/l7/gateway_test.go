package l7

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/cidr"
	"gatehouse/internal/telemetry"
	"gatehouse/internal/testkit"
	"gatehouse/proxy"
	"gatehouse/proxy/http1"
)

// soon is how long anything may take that should happen at once.
const soon = 10 * time.Second

// setup is what a test may want of its gateway besides the usual: one
// listener for every host, one rule, one backend.
type setup struct {
	backends []*testkit.Backend
	targets  []config.Target // besides the backends
	tls      *tls.Config     // clients speak TLS
	toTLS    *tls.Config     // backends do
	http2    bool            // and HTTP/2
	pool     func(*proxy.Options)
	settings func(*config.BackendSettings)
	target   func(*Target)
	listener func(*Listener)
	snapshot func(*Snapshot)
	hosts    []string
	noLog    bool
	log      io.Writer     // of what is not about requests; nil: nowhere
	patience time.Duration // with slow bodies that are held; 0: as always
}

// gateway is a Gateway on a loopback socket.
type gateway struct {
	*Gateway
	addr     string
	pool     *proxy.Pool
	snap     *Snapshot
	listener *Listener
	metrics  *telemetry.Metrics
	frontend *Frontend
	logFile  string
}

// start runs a gateway until the test ends.
func start(t testing.TB, s setup) *gateway {
	t.Helper()
	g := &gateway{metrics: telemetry.NewMetrics(telemetry.MetricsOptions{}), logFile: filepath.Join(t.TempDir(), "access.log")}
	if s.log == nil {
		s.log = io.Discard
	}
	log := slog.New(slog.NewTextHandler(s.log, nil))
	g.Gateway = NewGateway(log, openLog(t, g.logFile, log, s.noLog))
	g.held.patience = int64(s.patience)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.addr = ln.Addr().String()
	g.build(t, &s)
	g.Use(g.snap)
	if g.frontend, err = g.NewFrontend(0, ln); err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { g.frontend.Serve(); close(served) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		g.frontend.Stop(ctx)
		<-served
		g.pool.Close(ctx)
		if n := g.Panics(); n > 0 {
			t.Errorf("%d panics", n)
		}
		if n, who := g.HeldBytes(), g.holders(); n != 0 || who != 0 {
			t.Errorf("%d bytes are held still, of %d clients", n, who)
		}
	})
	return g
}

// holders is how many clients have something held.
func (g *gateway) holders() (n int) {
	for i := range g.held.clients.shards {
		s := &g.held.clients.shards[i]
		s.mu.Lock()
		n += len(s.n)
		s.mu.Unlock()
	}
	return n
}

// openLog opens an access log in a file.
func openLog(t testing.TB, file string, log *slog.Logger, off bool) *telemetry.AccessLog {
	t.Helper()
	out, err := telemetry.OpenOutput(file)
	if err != nil {
		t.Fatal(err)
	}
	format := config.AccessJSON
	if off {
		format = config.AccessOff
	}
	access := telemetry.NewAccessLog(out, format, telemetry.AccessLogOptions{Logger: log})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { access.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return access
}

// defaultSettings are the backend settings of the tests.
func defaultSettings() config.BackendSettings {
	return config.BackendSettings{Name: "plain", Port: 80, RequestTimeout: soon, ConnectTimeout: soon,
		Retries: config.Retries{OnConnectFailure: true, Attempts: 1}, Affinity: config.Affinity{Cookie: "ApplicationGatewayAffinity"}}
}

// build makes the snapshot of a setup.
func (g *gateway) build(t testing.TB, s *setup) {
	t.Helper()
	settings := defaultSettings()
	if s.settings != nil {
		s.settings(&settings)
	}
	metrics := g.metrics.Begin()
	g.pool = g.newPool(t, s, settings)
	target := &Target{Pool: g.pool, Settings: NewSettings(settings, "main"), Metrics: metrics.Route("web", "rule", "main")}
	if s.target != nil {
		s.target(target)
	}
	g.listener = &Listener{Name: "web", Rule: "rule", Port: 8080, HTTPS: s.tls != nil, TLS: s.tls, Target: target,
		ProxyFrom: cidr.Set(nil), Metrics: metrics.Listener("web"), Unrouted: metrics.Route("web", "rule", "")}
	if s.listener != nil {
		s.listener(g.listener)
	}
	sites := NewSites()
	sites.Add(g.listener, s.hosts)
	g.snap = &Snapshot{Sites: []*Sites{sites}, Trusted: cidr.Set(nil), Unrouted: metrics.Route("", "", "")}
	g.snap.Limits = config.Limits{HeadBytes: 32 << 10, Fields: 100, URLBytes: 8 << 10, HeadTimeout: soon, BodyMinRate: 500,
		IdleTimeout: time.Minute, TunnelIdleTimeout: time.Minute, WriteStall: soon, ResponseHeadBytes: 64 << 10, HeldBytesPerClient: 64 << 20}
	if s.snapshot != nil {
		s.snapshot(g.snap)
	}
	l := g.snap.Limits
	g.snap.Options = http1.Options{Limits: http1.Limits{HeadBytes: l.HeadBytes, Fields: l.Fields, URLBytes: l.URLBytes},
		HeadTimeout: l.HeadTimeout, IdleTimeout: l.IdleTimeout, BodyMinRate: l.BodyMinRate}
	metrics.Commit()
}

// newPool makes the pool of a setup.
func (g *gateway) newPool(t testing.TB, s *setup, settings config.BackendSettings) *proxy.Pool {
	t.Helper()
	targets := s.targets
	for _, b := range s.backends {
		targets = append(targets, targetAt(b.Addr))
	}
	o := proxy.Options{Name: "main", Settings: "plain", Targets: targets, DefaultPort: 80, AffinitySecret: []byte("0123456789abcdef"),
		MaxConnections: settings.MaxConnections, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Attach: func(b *proxy.Backend) io.Closer {
			tr := g.NewTransport(b, s.toTLS)
			if s.http2 {
				tr.UseHTTP2()
			}
			return tr
		}}
	if s.pool != nil {
		s.pool(&o)
	}
	p, err := proxy.NewPool(o, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Commit()
	return p
}

// targetAt is the target for an address.
func targetAt(addr string) config.Target {
	a := netip.MustParseAddrPort(addr)
	return config.Target{Host: a.Addr().String(), Port: int(a.Port()), Weight: 1}
}

// one runs a gateway with one backend.
func one(t testing.TB, h testkit.Handler) (*gateway, *testkit.Backend) {
	t.Helper()
	b := testkit.NewBackend(t, h)
	return start(t, setup{backends: []*testkit.Backend{b}}), b
}

// line is one line of the access log.
type line map[string]any

func (l line) text(key string) string {
	s, _ := l[key].(string)
	return s
}

// lines waits for n lines of the access log.
func (g *gateway) lines(t testing.TB, n int) []line {
	t.Helper()
	var all []line
	testkit.Eventually(t, soon, "lines of the access log", func() bool {
		data, _ := os.ReadFile(g.logFile)
		all = nil
		for text := range bytes.Lines(data) {
			var l line
			if json.Unmarshal(text, &l) == nil {
				all = append(all, l)
			}
		}
		return len(all) >= n
	})
	return all
}

// lineOf waits for the line of a request by its target: clients' lines come
// in no order.
func (g *gateway) lineOf(t testing.TB, target string) (found line) {
	t.Helper()
	testkit.Eventually(t, soon, "the line of "+target, func() bool {
		for _, l := range g.lines(t, 1) {
			if l.text("originalRequestUriWithArgs") == target {
				found = l
			}
		}
		return found != nil
	})
	return found
}

// idle is the number of connections to backends that are kept.
func (g *gateway) idle() (n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for t := range g.transports {
		n += t.Idle()
	}
	return n
}

// get is a GET request on a connection that is kept.
func get(target string, lines ...string) string {
	return request("GET", target, lines...)
}

func request(method, target string, lines ...string) string {
	head := method + " " + target + " HTTP/1.1\r\nHost: shop.test\r\n"
	for _, l := range lines {
		head += l + "\r\n"
	}
	return head + "\r\n"
}

// ask sends a request on a kept connection and wants this status.
func ask(t testing.TB, c *testkit.Client, text string, status int) *testkit.Response {
	t.Helper()
	c.Send(text)
	method, _, _ := strings.Cut(text, " ")
	r, _ := c.ReadFinal(method)
	if r.StatusCode != status {
		t.Fatalf("answer is %q %.200q, want %d", r.Head, r.Content, status)
	}
	return r
}

// A cache behind the gateway reckons ages from Date, which a backend without a
// clock leaves out (RFC 9110 6.6.1).
func TestAResponseHasOneDate(t *testing.T) {
	theirs := "Tue, 15 Nov 1994 08:12:31 GMT"
	g, _ := one(t, testkit.Respond(200, "ok", "Date: "+theirs))
	if got := ask(t, testkit.Dial(t, g.addr), get("/"), 200).Values("Date"); !slices.Equal(got, []string{theirs}) {
		t.Errorf("the backend's became %q", got)
	}
	g, _ = one(t, testkit.Respond(200, "ok"))
	got := ask(t, testkit.Dial(t, g.addr), get("/"), 200).Values("Date")
	if len(got) != 1 {
		t.Fatalf("without one of the backend there is %q", got)
	}
	if at, err := http.ParseTime(got[0]); err != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("%q: %v", got[0], err)
	}
}
