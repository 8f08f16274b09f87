package l7

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"gatehouse/config"
	"gatehouse/internal/cidr"
	"gatehouse/internal/testkit"
	"gatehouse/proxy"
)

func echoOf(t *testing.T, g *gateway, send string) testkit.EchoReply {
	t.Helper()
	return testkit.DecodeEcho(t, ask(t, testkit.Dial(t, g.addr), send, 200).Content)
}

func TestForwardingFields(t *testing.T) {
	loopback := cidr.Set([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")})
	lies := []string{"X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: lie.test",
		"X-Forwarded-Port: 1", "X-Original-Host: lie.test", "X-Original-URL: /lie", "X-AppGW-Trace-Id: lie", "X-Real-IP: 203.0.113.9", "Forwarded: for=203.0.113.9"}
	for _, w := range []struct {
		name     string
		snapshot func(*Snapshot)
		send     []string
		want     map[string]string
	}{
		{"from nobody", nil, nil, map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Port": "8080",
			"X-Forwarded-Host": "shop.test", "X-Original-Host": "shop.test", "X-Original-URL": "/a/./b?c"}},
		{"lies are not believed", nil, lies, map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Port": "8080",
			"X-Forwarded-Host": "shop.test", "X-Original-Host": "shop.test", "X-Original-URL": "/a/./b?c", "X-Real-IP": "", "Forwarded": ""}},
		{"a trusted proxy is", func(s *Snapshot) { s.Trusted = loopback }, lies, map[string]string{
			"X-Forwarded-For": "203.0.113.9, 10.0.0.1, 127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "1",
			"X-Forwarded-Host": "lie.test", "X-Original-Host": "shop.test", "X-Original-URL": "/a/./b?c", "X-Real-IP": "203.0.113.9"}},
	} {
		t.Run(w.name, func(t *testing.T) {
			b := testkit.NewBackend(t, nil)
			g := start(t, setup{backends: []*testkit.Backend{b}, snapshot: w.snapshot})
			e := echoOf(t, g, get("/a/./b?c", w.send...))
			for name, want := range w.want {
				if got := e.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if id := e.Get("X-AppGW-Trace-Id"); len(id) != 32 || id != g.lines(t, 1)[0].text("transactionId") {
				t.Errorf("the trace ID is %q", id)
			}
			if e.Target != "/a/b?c" || e.Get("Host") != "shop.test" {
				t.Errorf("the backend was asked for %q of %q", e.Target, e.Get("Host"))
			}
			if w.snapshot != nil && g.lines(t, 1)[0].text("clientIP") != "203.0.113.9" {
				t.Errorf("the log says %v", g.lines(t, 1)[0])
			}
		})
	}
	t.Run("Azure's form has the port", func(t *testing.T) {
		b := testkit.NewBackend(t, nil)
		g := start(t, setup{backends: []*testkit.Backend{b}, snapshot: func(s *Snapshot) { s.ForwardedFor = config.ForwardedForAzure }})
		c := testkit.Dial(t, g.addr)
		e := testkit.DecodeEcho(t, ask(t, c, get("/"), 200).Content)
		if got := e.Get("X-Forwarded-For"); got != c.LocalAddr().String() {
			t.Errorf("X-Forwarded-For is %q, want %q", got, c.LocalAddr())
		}
	})
}

func TestHostOfTheBackend(t *testing.T) {
	for _, w := range []struct {
		name, send, want string
		settings         func(*config.BackendSettings)
	}{
		{"the client's", get("/"), "shop.test", nil},
		{"in one form", "GET / HTTP/1.1\r\nHost: SHOP.test.:\r\n\r\n", "shop.test", nil},
		{"in one form, with its port", "GET / HTTP/1.1\r\nHost: Shop.test:8080\r\n\r\n", "shop.test:8080", nil},
		{"IPv6", "GET / HTTP/1.1\r\nHost: [::AB]:\r\n\r\n", "[::ab]", nil},
		{"as it is", "GET / HTTP/1.1\r\nHost: shop.test:80\r\n\r\n", "shop.test:80", nil},
		{"override", get("/"), "inner.test", func(s *config.BackendSettings) { s.HostName = "inner.test" }},
		{"the member's", get("/"), "127.0.0.1", func(s *config.BackendSettings) { s.PickHostFromBackend = true }},
		{"none from HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "", nil},
		{"override for HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "inner.test", func(s *config.BackendSettings) { s.HostName = "inner.test" }},
	} {
		t.Run(w.name, func(t *testing.T) {
			b := testkit.NewBackend(t, nil)
			g := start(t, setup{backends: []*testkit.Backend{b}, settings: w.settings})
			want := w.want
			if want == "" {
				want = b.Addr
			}
			if got := echoOf(t, g, w.send).Get("Host"); got != want {
				t.Errorf("Host is %q, want %q", got, want)
			}
		})
	}
}

// The table of Azure's "override backend path".
func TestPathOverride(t *testing.T) {
	for _, w := range []struct{ path, rule, override, want string }{
		{"/start/", "", "/override/", "/override/start/"},
		{"/pathrule/house/", "/pathrule*", "/override/", "/override/house/"},
		{"/start/", "/pathrule*", "/override/", "/override/start/"}, // by the map's default
		{"/pathrule/house/", "/pathrule/house*", "/override/", "/override/"},
		{"/pathrule/house/second/", "/pathrule/house*", "/override/", "/override/second/"},
		{"/pathrule/", "/pathrule/", "/override/", "/override/"},
		{"/PathRule/Home", "/pathrule*", "/o", "/o/Home"},
		{"/api/v1", "/api/*", "/", "/v1"},
		{"/api/v1", "/api*", "/v2", "/v2/v1"},
		{"/", "", "/base", "/base/"},
	} {
		b := testkit.NewBackend(t, nil)
		g := start(t, setup{backends: []*testkit.Backend{b}, settings: func(s *config.BackendSettings) { s.PathOverride = w.override },
			listener: func(l *Listener) {
				if w.rule != "" {
					rule := *l.Target
					rule.SetPathRule(w.rule)
					l.Paths = NewPathMap(l.Target)
					l.Paths.Add(w.rule, nil, &rule)
					l.Target = nil
				}
			}})
		if got := echoOf(t, g, get(w.path+"?q")).Target; got != w.want+"?q" {
			t.Errorf("%s by %q over %s is forwarded as %s, want %s?q", w.path, w.rule, w.override, got, w.want)
		}
	}
}

func takes(hosts ...string) *Sites {
	s := NewSites()
	s.Add(&Listener{}, hosts)
	return s
}

func TestRedirects(t *testing.T) {
	for _, w := range []struct {
		name, target string
		r            Redirect
		want         string
	}{
		{"to a URL", "/a?b", Redirect{Status: 301, Scheme: "https", Host: "other.test", Path: "/"}, "https://other.test/"},
		{"with path", "/a?b", Redirect{Status: 302, Scheme: "https", Host: "other.test", Path: "/", IncludePath: true}, "https://other.test/a"},
		{"with query", "/a?b", Redirect{Status: 303, Scheme: "https", Host: "other.test", Path: "/base", IncludeQuery: true}, "https://other.test/base?b"},
		{"with both", "/a?b", Redirect{Status: 307, Scheme: "https", Host: "other.test:8443", Path: "/base", IncludePath: true, IncludeQuery: true}, "https://other.test:8443/base/a?b"},
		{"to a listener", "/a?b", Redirect{Status: 301, Scheme: "https", Port: 443, IncludePath: true, IncludeQuery: true}, "https://shop.test/a?b"},
		{"to a listener's port", "/a", Redirect{Status: 301, Scheme: "https", Port: 8443, IncludePath: true, IncludeQuery: true}, "https://shop.test:8443/a"},
		{"to a listener that takes the host", "/a", Redirect{Status: 301, Scheme: "https", Port: 443, IncludePath: true, Hosts: takes("*.test"), Name: "www.shop.test"}, "https://shop.test/a"},
		{"to a listener that does not", "/a", Redirect{Status: 301, Scheme: "https", Port: 443, IncludePath: true, Hosts: takes("www.shop.test"), Name: "www.shop.test"}, "https://www.shop.test/a"},
		{"nothing of the path", "/a?b", Redirect{Status: 301, Scheme: "https", Port: 443}, "https://shop.test"},
		{"two slashes name no host", "//evil.test/a", Redirect{Status: 301, Scheme: "https", Port: 443, IncludePath: true}, "https://shop.test/evil.test/a"},
	} {
		t.Run(w.name, func(t *testing.T) {
			g := start(t, setup{target: func(t *Target) { t.Redirect = &w.r }})
			c := testkit.Dial(t, g.addr)
			for _, send := range []string{get(w.target), request("POST", w.target, "Content-Length: 3") + "abc"} {
				if r := ask(t, c, send, w.r.Status); r.Get("Location") != w.want || len(r.Content) > 0 {
					t.Errorf("Location is %q, want %q", r.Get("Location"), w.want)
				}
			}
			if r := ask(t, c, strings.Replace(get("*"), "GET", "OPTIONS", 1), w.r.Status); strings.Contains(r.Get("Location"), "*") {
				t.Errorf("OPTIONS * is sent to %q", r.Get("Location"))
			}
			if l := g.lineOf(t, w.target); l.text("termination") != "P-" {
				t.Errorf("the log says %v", l)
			}
		})
	}
}

func TestARedirectToAListenerThatTakesNoSuchHostIsRefused(t *testing.T) {
	g := start(t, setup{target: func(t *Target) {
		t.Redirect = &Redirect{Status: 301, Scheme: "https", Port: 443, Hosts: takes("*.other.test")}
	}})
	if r := ask(t, testkit.Dial(t, g.addr), get("/"), 400); r.Get("Location") != "" {
		t.Errorf("sent to %q", r.Get("Location"))
	}
}

func TestAccessRulesDecideByPriority(t *testing.T) {
	rule := func(priority int, deny bool, from string) config.AccessRule {
		return config.AccessRule{Priority: priority, Deny: deny, Sources: []netip.Prefix{netip.MustParsePrefix(from)}}
	}
	for _, w := range []struct {
		name   string
		rules  []config.AccessRule
		status int
	}{
		{"none", nil, 200},
		{"others are denied", []config.AccessRule{rule(1, true, "10.0.0.0/8")}, 200},
		{"denied", []config.AccessRule{rule(1, true, "127.0.0.0/8")}, 403},
		{"allowed first", []config.AccessRule{rule(2, true, "0.0.0.0/0"), rule(1, false, "127.0.0.1/32")}, 200},
		{"denied first", []config.AccessRule{rule(2, false, "127.0.0.1/32"), rule(1, true, "0.0.0.0/0")}, 403},
	} {
		t.Run(w.name, func(t *testing.T) {
			b := testkit.NewBackend(t, nil)
			g := start(t, setup{backends: []*testkit.Backend{b}, listener: func(l *Listener) { l.Access = NewAccessTable(w.rules) }})
			c := testkit.Dial(t, g.addr)
			ask(t, c, get("/"), w.status)
			ask(t, c, get("/"), w.status) // the connection is kept either way
		})
	}
}

func TestErrorPages(t *testing.T) {
	page := func(s string) *Page { return &Page{ContentType: "text/x-" + s, Body: []byte("page of the " + s)} }
	g := start(t, setup{hosts: []string{"shop.test"},
		listener: func(l *Listener) { l.ErrorPages = map[int]*Page{502: page("listener")} },
		snapshot: func(s *Snapshot) { s.ErrorPages = map[int]*Page{502: page("gateway"), 404: page("gateway")} }})
	c := testkit.Dial(t, g.addr)
	r := ask(t, c, get("/"), 502)
	if string(r.Content) != "page of the listener" || r.Get("Content-Type") != "text/x-listener" || r.Get("Cache-Control") != "no-store" {
		t.Errorf("the page is %q of %q", r.Content, r.Get("Content-Type"))
	}
	r = ask(t, c, "GET / HTTP/1.1\r\nHost: other.test\r\n\r\n", 404)
	if string(r.Content) != "page of the gateway" {
		t.Errorf("the page is %q", r.Content)
	}
	r = ask(t, c, get("/%00"), 400)
	if !strings.Contains(string(r.Content), "400 Bad Request") || strings.Contains(string(r.Content), "control") {
		t.Errorf("the page is %q", r.Content)
	}
	if r = ask(t, c, request("HEAD", "/"), 502); len(r.Content) > 0 {
		t.Errorf("HEAD is answered %q", r.Head)
	}
}

// cookieOf is the value of an affinity cookie in an answer.
func cookieOf(r *testkit.Response, name string) (value, attributes string) {
	for _, c := range r.Values("Set-Cookie") {
		if rest, ok := strings.CutPrefix(c, name+"="); ok {
			value, attributes, _ = strings.Cut(rest, "; ")
		}
	}
	return value, attributes
}

func TestAffinity(t *testing.T) {
	const name = "ApplicationGatewayAffinity"
	var all []*testkit.Backend
	for range 4 {
		all = append(all, testkit.NewBackend(t, nil))
	}
	g := start(t, setup{backends: all, settings: func(s *config.BackendSettings) { s.Affinity.Enabled = true }})
	c := testkit.Dial(t, g.addr)
	r := ask(t, c, get("/"), 200)
	token, attributes := cookieOf(r, name)
	if token == "" || attributes != "Path=/; HttpOnly" {
		t.Fatalf("Set-Cookie is %q", r.Values("Set-Cookie"))
	}
	if v, _ := cookieOf(r, name+"CORS"); v != "" {
		t.Error("a twin for cross-site requests on plain HTTP")
	}
	pinned := testkit.DecodeEcho(t, r.Content).Backend
	for range 8 {
		r := ask(t, c, get("/", "Cookie: a=b; "+name+"="+token), 200)
		if got := testkit.DecodeEcho(t, r.Content).Backend; got != pinned || len(r.Values("Set-Cookie")) > 0 {
			t.Fatalf("sent to %s instead of %s, with %q", got, pinned, r.Values("Set-Cookie"))
		}
	}
	if r := ask(t, c, get("/", "Cookie: "+name+"=forged"), 200); len(r.Values("Set-Cookie")) != 1 {
		t.Error("a forged cookie is taken")
	}
	for _, b := range all {
		if b.Addr == pinned {
			b.Stop()
		}
	}
	r = ask(t, c, get("/", "Cookie: "+name+"="+token), 200)
	if v, _ := cookieOf(r, name); v == "" || v == token || testkit.DecodeEcho(t, r.Content).Backend == pinned {
		t.Errorf("not pinned anew: %q", r.Values("Set-Cookie"))
	}
	proxy.NewDrains().Drain(pinned, g.pool)
	if r = ask(t, c, get("/", "Cookie: "+name+"="+token), 200); len(r.Values("Set-Cookie")) != 1 {
		t.Error("a drained member keeps its clients")
	}
}

func TestAffinityTwinOnHTTPS(t *testing.T) {
	const name = "ApplicationGatewayAffinityCORS"
	ca := testkit.NewCA(t)
	b, d := testkit.NewBackend(t, nil), testkit.NewBackend(t, nil)
	g := start(t, setup{backends: []*testkit.Backend{b, d}, settings: func(s *config.BackendSettings) { s.Affinity.Enabled = true },
		tls: &tls.Config{Certificates: []tls.Certificate{ca.Server("shop.test").TLS}}})
	c := testkit.DialTLS(t, g.addr, ca.ClientConfig("shop.test"))
	r := ask(t, c, get("/"), 200)
	token, attributes := cookieOf(r, name)
	if token == "" || attributes != "Path=/; HttpOnly; SameSite=None; Secure" {
		t.Fatalf("Set-Cookie is %q", r.Values("Set-Cookie"))
	}
	pinned := testkit.DecodeEcho(t, r.Content)
	if pinned.Get("X-Forwarded-Proto") != "https" {
		t.Error("X-Forwarded-Proto is not https")
	}
	for range 4 { // the twin alone pins, too
		r := ask(t, c, get("/", "Cookie: "+name+"="+token), 200)
		if testkit.DecodeEcho(t, r.Content).Backend != pinned.Backend {
			t.Fatal("not pinned by the twin")
		}
	}
}

func TestRequestTrailersArriveFiltered(t *testing.T) {
	g, b := one(t, nil)
	for _, size := range []int{3, 60 << 10} {
		body := testkit.Pattern(size)
		send := request("PUT", "/", "Transfer-Encoding: chunked", "Trailer: X-Sum, Host") +
			fmt.Sprintf("%x;ext=1\r\n%s\r\n0\r\nX-Sum: 42\r\nX-Unannounced: 1\r\nHost: evil.test\r\n\r\n", size, body)
		ask(t, testkit.Dial(t, g.addr), send, 200)
		r := b.Last()
		if len(r.Trailers) != 1 || r.Trailers[0].Value != "42" || len(r.ChunkExtensions) > 0 || string(r.Body) != body {
			t.Errorf("%d bytes: trailers %v, extensions %q, %d bytes", size, r.Trailers, r.ChunkExtensions, r.BodyLen)
		}
	}
}

func TestResponseTrailersArriveFiltered(t *testing.T) {
	g, _ := one(t, testkit.Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Set-Cookie\r\n\r\n3;ext\r\nabc\r\n0\r\nX-Sum: 42\r\nX-Other: 1\r\nSet-Cookie: a=b\r\n\r\n"))
	c := testkit.Dial(t, g.addr)
	for range 2 {
		r := ask(t, c, get("/"), 200)
		if len(r.Trailer) != 1 || r.Trailer.Get("X-Sum") != "42" || string(r.Content) != "abc" {
			t.Errorf("trailers %v, body %q", r.Trailer, r.Content)
		}
	}
	c.Send("GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n")
	if r := c.ReadResponse("GET"); string(r.Content) != "abc" {
		t.Errorf("HTTP/1.0 gets %q", r.Content)
	}
	c.ExpectClosed(soon)
}
