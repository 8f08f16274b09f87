package l7

import (
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/testkit"
	"gatehouse/proxy"
)

// asking runs a gateway whose one rule asks a service.
func asking(t testing.TB, service testkit.Handler, more ...func(*setup)) (g *gateway, app, asked *testkit.Backend) {
	t.Helper()
	asked = testkit.NewBackend(t, service)
	a := &Authentication{Name: "sso", Counts: &AuthCounts{}, External: &External{Path: "/verify", Send: []string{"cookie", "authorization"}, Take: []string{"X-User", "X-Groups", "Authorization"}}}
	g, app = guarded(t, a, append([]func(*setup){func(s *setup) {
		s.snapshot = func(s *Snapshot) { s.Identity = []string{"x-user", "x-groups"} }
	}}, more...)...)
	settings := defaultSettings()
	p, err := proxy.NewPool(proxy.Options{Name: "sso", Settings: "plain", Targets: []config.Target{targetAt(asked.Addr)}, DefaultPort: 80, AffinitySecret: []byte("0123456789abcdef"),
		Logger: slog.New(slog.DiscardHandler), Attach: func(b *proxy.Backend) io.Closer { return g.NewTransport(b, nil) }}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Commit()
	t.Cleanup(func() { p.Close(t.Context()) })
	a.External.Target = &Target{Pool: p, Settings: NewSettings(settings, "sso")}
	return g, app, asked
}

func TestAServiceAllows(t *testing.T) {
	g, app, asked := asking(t, testkit.Respond(200, "yes", "X-User: ann", "X-Groups: a", "X-Groups: b", "X-Other: x", "Set-Cookie: a=b"))
	c := testkit.Dial(t, g.addr)
	for range 2 {
		ask(t, c, "POST /a/../b?c=%20d HTTP/1.1\r\nHost: shop.test:8080\r\nCookie: s=1\r\nCookie: t=2\r\nX-User: root\r\nX-Secret: x\r\nX-Forwarded-Uri: /lie\r\nX-Forwarded-Method: LIE\r\nContent-Length: 4\r\n\r\nbody", 200)
	}
	q := asked.Last()
	for name, want := range map[string]string{"Host": "shop.test:8080", "X-Forwarded-Method": "POST", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "shop.test:8080",
		"X-Forwarded-Uri": "/a/../b?c=%20d", "X-Forwarded-For": "127.0.0.1", "Cookie": "s=1|t=2", "X-User": "", "X-Secret": "", "Content-Length": ""} {
		if got := strings.Join(q.Values(name), "|"); got != want {
			t.Errorf("the service got %s: %q, want %q", name, got, want)
		}
	}
	if q.Method != "GET" || q.Target != "/verify" || asked.ConnCount() != 1 {
		t.Errorf("%s %s on %d connections", q.Method, q.Target, asked.ConnCount())
	}
	b := app.Last()
	if strings.Join(b.Values("X-User"), "|") != "ann" || strings.Join(b.Values("X-Groups"), "|") != "a|b" || b.Get("X-Other") != "" || b.Target != "/b?c=%20d" {
		t.Errorf("the backend got %s %v", b.Target, b.Fields)
	}
}

func TestAServiceGivesCredentials(t *testing.T) {
	g, app, asked := asking(t, testkit.Respond(204, "", "Authorization: Bearer new"))
	ask(t, testkit.Dial(t, g.addr), get("/", "Authorization: Basic old"), 200)
	if asked.Last().Get("Authorization") != "Basic old" || strings.Join(app.Last().Values("Authorization"), "|") != "Bearer new" {
		t.Errorf("the service got %q, the backend %q", asked.Last().Values("Authorization"), app.Last().Values("Authorization"))
	}
}

func TestAServiceRefuses(t *testing.T) {
	for _, w := range []struct {
		name    string
		service testkit.Handler
		want    int
		fields  map[string]string
		body    string // empty: not looked at
	}{
		{"401", testkit.Respond(401, "who?", "WWW-Authenticate: Bearer", "X-Internal: x", "Content-Type: text/plain"), 401, map[string]string{"WWW-Authenticate": "Bearer", "X-Internal": "", "Content-Type": "text/plain", "Cache-Control": "no-store"}, "who?"},
		{"403", testkit.Respond(403, "no", "Cache-Control: private"), 403, map[string]string{"Cache-Control": "private"}, "no"},
		{"302", testkit.Respond(302, "", "Location: https://id.test/?rd=1", "Set-Cookie: a=b", "Set-Cookie: c=d"), 302, map[string]string{"Location": "https://id.test/?rd=1", "Set-Cookie": "a=b|c=d"}, ""},
		{"304", testkit.RawClose("HTTP/1.1 304 Not Modified\r\n\r\n"), 503, nil, ""},
		{"300", testkit.Respond(300, "many"), 503, nil, ""},
		{"404", testkit.Respond(404, "secret of the service"), 503, map[string]string{"Content-Type": "text/html; charset=utf-8"}, ""},
		{"500", testkit.Respond(500, "secret of the service"), 503, nil, ""},
		{"nothing", testkit.RawClose(""), 503, nil, ""},
		{"no HTTP", testkit.RawClose("SSH-2.0-x\r\n"), 503, nil, ""},
		{"late", func(c *testkit.Conn, r *testkit.Request) { c.WaitPeer(soon) }, 503, nil, ""},
		{"switches", testkit.RawClose("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"), 503, nil, ""},
		{"too much of 403", testkit.Respond(403, strings.Repeat("x", maxAnswer+1)), 503, nil, ""},
		{"cut 403", testkit.RawClose("HTTP/1.1 403 No\r\nContent-Length: 10\r\n\r\nx"), 503, nil, ""},
		{"cut head of 200", testkit.RawClose("HTTP/1.1 200 OK\r\nX-User: ann\r\n"), 503, nil, ""},
	} {
		t.Run(w.name, func(t *testing.T) {
			g, app, _ := asking(t, w.service)
			if w.name == "late" {
				g.listener.Target.Auth.External.Target.Settings.RequestTimeout = 500 * time.Millisecond
			}
			r := ask(t, testkit.Dial(t, g.addr), get("/"), w.want)
			for name, want := range w.fields {
				if got := strings.Join(r.Values(name), "|"); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if w.body != "" && string(r.Content) != w.body || strings.Contains(string(r.Content), "secret") {
				t.Errorf("body %q", r.Content)
			}
			if app.RequestCount() != 0 {
				t.Error("the request came through")
			}
			if l := g.lines(t, 1)[0]; !strings.HasPrefix(l.text("reason"), "authentication sso: ") {
				t.Errorf("reason %q", l.text("reason"))
			}
		})
	}
}

func TestALongConsentIsOne(t *testing.T) {
	g, _, asked := asking(t, testkit.Respond(200, strings.Repeat("x", 4*maxAnswer)))
	c := testkit.Dial(t, g.addr)
	for range 3 {
		ask(t, c, get("/"), 200)
	}
	testkit.Eventually(t, soon, "connections with unread bodies to be closed", func() bool { return asked.OpenConns() == 0 })
}

func TestWithoutAServiceNobodyPasses(t *testing.T) {
	g, app, asked := asking(t, testkit.Respond(200, "yes"))
	asked.Stop()
	ask(t, testkit.Dial(t, g.addr), get("/"), 503)
	if app.RequestCount() != 0 {
		t.Error("the request came through")
	}
}

func TestAClientThatLeavesIsNotAskedFor(t *testing.T) {
	ended := make(chan error, 1)
	g, app, asked := asking(t, func(c *testkit.Conn, r *testkit.Request) { ended <- c.WaitPeer(soon) })
	g.listener.Target.Auth.External.Target.Settings.RequestTimeout = time.Hour
	c := testkit.Dial(t, g.addr)
	c.Send(get("/"))
	testkit.Eventually(t, soon, "the service to be asked", func() bool { return asked.RequestCount() == 1 })
	time.Sleep(100 * time.Millisecond) // beyond the patience after which somebody looks
	c.Reset()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if l := g.lines(t, 1)[0]; l["httpStatus"] != 499.0 || app.RequestCount() != 0 {
		t.Errorf("%v", l)
	}
}

// A service behind the same gateway would be asked for ever.
func TestAnAuthenticationThatAsksItselfEnds(t *testing.T) {
	g, app, _ := asking(t, testkit.Respond(200, "yes"))
	p, err := proxy.NewPool(proxy.Options{Name: "self", Settings: "plain", Targets: []config.Target{targetAt(g.addr)}, DefaultPort: 80, AffinitySecret: []byte("0123456789abcdef"),
		Logger: slog.New(slog.DiscardHandler), Attach: func(b *proxy.Backend) io.Closer { return g.NewTransport(b, nil) }}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Commit()
	t.Cleanup(func() { p.Close(t.Context()) })
	g.listener.Target.Auth.External.Target.Pool = p
	ask(t, testkit.Dial(t, g.addr), get("/"), 503)
	if n := len(g.lines(t, 2)); n != 2 || app.RequestCount() != 0 {
		t.Errorf("%d requests", n)
	}
}
