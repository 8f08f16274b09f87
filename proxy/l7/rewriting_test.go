package l7

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"gatehouse/config"
	"gatehouse/internal/cidr"
	"gatehouse/internal/httpmsg"
	"gatehouse/internal/testkit"
	"gatehouse/proxy/http1"
	"gatehouse/proxy/l7/rewrite"
)

// setOf compiles a rewrite set of its rules in YAML.
func setOf(t testing.TB, rules ...string) *rewrite.Set {
	t.Helper()
	text := "listeners: [{name: web, address: 8080}]\nbackendPools: [{name: app, targets: [127.0.0.1]}]\nbackendSettings: [{name: plain}]\n" +
		"rules: [{name: web, listener: web, backendPool: app, backendSettings: plain}]\nrewriteSets:\n  - name: set\n    rules:\n"
	for i, r := range rules {
		text += fmt.Sprintf("      - {name: r%d, %s}\n", i, r)
	}
	g, _, err := config.ParseGateway("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s, err := rewrite.Compile(&g.RewriteSets[0])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rewriting runs a gateway with one rule and this set, before an echo.
func rewriting(t testing.TB, set *rewrite.Set, more ...func(*setup)) (*gateway, *testkit.Backend) {
	t.Helper()
	b := testkit.NewBackend(t, nil)
	s := setup{backends: []*testkit.Backend{b}, target: func(t *Target) { t.Rewrite = set }}
	for _, m := range more {
		m(&s)
	}
	return start(t, s), b
}

// entry is a path rule of a test; the backend sees its host.
type entry struct {
	pattern string // empty: the default
	host    string
	set     *rewrite.Set
	stage   StageMaker
	away    *Redirect
}

// withPaths makes a path map of entries.
func withPaths(entries ...entry) func(*setup) {
	return func(s *setup) {
		s.target = nil
		s.listener = func(l *Listener) {
			base := *l.Target
			l.Target, l.Paths = nil, NewPathMap(nil)
			for _, e := range entries {
				t := base
				settings := base.Settings.BackendSettings
				settings.HostName = e.host
				t.Settings, t.Rewrite, t.Redirect = NewSettings(settings, "main"), e.set, e.away
				if e.stage != nil {
					t.Stages = []StageMaker{e.stage}
				}
				if e.pattern == "" {
					l.Paths.rest = &t
					continue
				}
				t.SetPathRule(e.pattern)
				l.Paths.Add(e.pattern, nil, &t)
			}
		}
	}
}

func TestARequestAndItsResponseAreRewritten(t *testing.T) {
	g, b := rewriting(t, setOf(t,
		`conditions: [{variable: var_uri_path, pattern: "^/images/(.*)$"}], actions: {url: {path: "/{var_uri_path_1}", query: "{var_query_string}&x"}, requestHeaders: {X-Client: "{var_client_ip}", User-Agent: "", Host: inner.test}}`,
		`actions: {requestHeaders: {X-Forwarded-For: "{var_add_x_forwarded_for_proxy}!", True-Client-IP: me, X-Appgw-Mark: mine}, responseHeaders: {Server: "", X-Path: "{var_uri_path} {var_http_status}"}}`))
	b.Handle(func(c *testkit.Conn, r *testkit.Request) { testkit.Echo()(c, r) })
	r := ask(t, testkit.Dial(t, g.addr), get("/./images/a?v=1", "User-Agent: x", "X-Client: lie", "X-Forwarded-For: lie"), 200)
	e := testkit.DecodeEcho(t, r.Content)
	for name, want := range map[string]string{"Host": "inner.test", "X-Client": "127.0.0.1", "User-Agent": "", "X-Forwarded-For": "127.0.0.1!", "True-Client-IP": "me",
		"X-Appgw-Mark": "mine", "X-Original-Host": "shop.test", "X-Forwarded-Host": "shop.test", "X-Original-URL": "/./images/a?v=1"} {
		if got := e.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if e.Target != "/a?v=1&x" || r.Get("X-Path") != "/images/a 200" {
		t.Errorf("target %q, X-Path %q", e.Target, r.Get("X-Path"))
	}
	l := g.lines(t, 1)[0]
	for key, want := range map[string]string{"originalRequestUriWithArgs": "/./images/a?v=1", "requestUri": "/a", "requestQuery": "v=1&x", "host": "inner.test", "originalHost": "shop.test"} {
		if l.text(key) != want {
			t.Errorf("log: %s is %q, want %q", key, l.text(key), want)
		}
	}
}

func TestXOriginalURLOfAnAbsoluteForm(t *testing.T) {
	g, _ := rewriting(t, setOf(t, `actions: {url: {query: new}}`))
	e := echoOf(t, g, "GET http://shop.test/a?old HTTP/1.1\r\nHost: shop.test\r\n\r\n")
	if e.Target != "/a?new" || e.Get("X-Original-URL") != "/a?old" {
		t.Errorf("target %q, X-Original-URL %q", e.Target, e.Get("X-Original-URL"))
	}
}

func TestThePathMapIsLookedAtOnceMore(t *testing.T) {
	toNew := func(reevaluate string) *rewrite.Set {
		return setOf(t, `conditions: [{variable: var_query_string, pattern: "^to=([a-z]*)"}], actions: {url: {path: "/{var_query_string_1}/x", reevaluatePathMap: `+reevaluate+`}}`)
	}
	shared := toNew("true")
	g, b := rewriting(t, nil, withPaths(entry{host: "rest", set: shared},
		entry{pattern: "/stay/*", host: "stay", set: toNew("false")},
		entry{pattern: "/plain/*", host: "plain"},
		entry{pattern: "/marked/*", host: "marked", set: setOf(t, `actions: {requestHeaders: {X-Mark: "{var_uri_path}"}}`)},
		entry{pattern: "/shared/*", host: "shared", set: shared},
		entry{pattern: "/loop/*", host: "loop", set: toNew("true")},
		entry{pattern: "/away/*", host: "away", away: &Redirect{Status: 302, Scheme: "http", Host: "away.test", IncludePath: true}},
	))
	c := testkit.Dial(t, g.addr)
	for _, w := range []struct{ target, host, received, mark string }{
		{"/?to=plain", "plain", "/plain/x?to=plain", ""},
		{"/a", "rest", "/a", ""},
		{"/stay/a?to=plain", "stay", "/plain/x?to=plain", ""},
		{"/a?to=marked", "marked", "/marked/x?to=marked", "/a"},
		{"/a?to=shared", "shared", "/shared/x?to=shared", ""},
		{"/a?to=nowhere", "rest", "/nowhere/x?to=nowhere", ""},
	} {
		e := testkit.DecodeEcho(t, ask(t, c, get(w.target), 200).Content)
		if e.Get("Host") != w.host || e.Target != w.received || e.Get("X-Mark") != w.mark {
			t.Errorf("%s: %q of %q marked %q, want %+v", w.target, e.Target, e.Get("Host"), e.Get("X-Mark"), w)
		}
	}
	if r := ask(t, c, get("/a?to=away"), 302); r.Get("Location") != "http://away.test/away/x" {
		t.Errorf("Location: %s", r.Get("Location"))
	}
	n := b.RequestCount()
	ask(t, c, get("/a?to=loop"), 500)
	if b.RequestCount() != n {
		t.Error("a request in a loop reached the backend")
	}
	if l := g.lineOf(t, "/?to=plain"); l.text("pathRuleName") != "/plain/*" {
		t.Errorf("log: %v", l)
	}
}

// refusing is a policy that refuses what it sees.
type refusing struct{}

func (refusing) Begin(Client) Stage {
	return &fakeStage{head: func(*httpmsg.Request) Verdict { return Verdict{Action: Answer} }}
}

func TestARewriteIsNoWayAroundAPolicy(t *testing.T) {
	toAdmin := func(reevaluate string) *rewrite.Set {
		return setOf(t, `conditions: [{variable: http_req_X-To, pattern: "(.*)"}], actions: {url: {path: "/{http_req_X-To_1}", reevaluatePathMap: `+reevaluate+`}}`)
	}
	g, b := rewriting(t, nil, withPaths(entry{host: "rest", set: toAdmin("true")},
		entry{pattern: "/admin*", host: "admin", stage: refusing{}},
		entry{pattern: "/open/*", host: "open", set: toAdmin("false")},
		entry{pattern: "/judged/*", host: "judged", set: toAdmin("false"), stage: refusing{}},
		entry{pattern: "/gone/*", away: &Redirect{Status: 302, Scheme: "http", Host: "away.test"}, stage: refusing{}},
	))
	for _, w := range []struct {
		target, to string
		status     int
	}{
		{"/a", "fine", 200}, {"/a", "admin/x", 403}, {"/a", "ADMIN", 403}, {"/a", "//admin", 403}, {"/a", "%61dmin", 200},
		{"/open/a", "fine", 200}, {"/open/a", "admin/x", 403}, {"/open/a", "Admin", 403},
		{"/open/a", "admin;x/y", 403}, {"/open/a", "judged;x/y", 400}, {"/a", "judged;x/y", 400},
		{"/open/a", "x/../admin", 400}, {"/open/a", "./admin", 400}, {"/a", "x/..", 400},
		{"/judged/a", "fine", 403}, {"/open/a", "gone/x", 403},
	} {
		want := w.status
		c := testkit.Dial(t, g.addr)
		c.Send(get(w.target, "X-To: "+w.to))
		if r, _ := c.ReadFinal("GET"); r.StatusCode != want {
			t.Errorf("%s to %s: %d, want %d", w.target, w.to, r.StatusCode, want)
		}
	}
	for _, r := range b.Requests() {
		if strings.HasPrefix(strings.ToLower(r.Target), "/admin") || strings.Contains(r.Target, "..") {
			t.Errorf("the backend was asked for %s", r.Target)
		}
	}
}

// What is known of a request when a stage sees it.
func asSeen(r *httpmsg.Request) string {
	host, _ := r.Lookup("Host")
	mark, _ := r.Lookup("X-Mark")
	forwarded, _ := r.Lookup("X-Forwarded-For")
	return fmt.Sprintf("%s?%s %s %s %s", r.Bytes(r.Path), r.Bytes(r.Query), host, mark, forwarded)
}

func TestWhatTheFirewallSees(t *testing.T) {
	for _, w := range []struct{ rule, want string }{
		{`actions: {requestHeaders: {X-Mark: new, X-Forwarded-For: new}}`, "/a?b shop.test old "},
		{`actions: {url: {path: /new}, requestHeaders: {X-Mark: new, X-Forwarded-For: new}}`, "/new?b shop.test new "},
		{`conditions: [{variable: var_uri_path, pattern: not}], actions: {url: {path: /new}}`, "/a?b shop.test old "},
		{`actions: {requestHeaders: {Host: new.test, X-Mark: new}}`, "/a?b new.test new "},
		{`actions: {url: {query: ""}}`, "/a? shop.test old "},
		{`actions: {requestHeaders: {content-type: text/plain, X-Mark: new}}`, "/a?b shop.test new "},
		{`actions: {requestHeaders: {Content-Encoding: "", X-Mark: new}}`, "/a?b shop.test new "},
	} {
		var got string
		stage := &fakeStage{head: func(r *httpmsg.Request) Verdict { got = asSeen(r); return Verdict{} }}
		g, b := rewriting(t, nil, func(s *setup) {
			s.target = func(target *Target) { target.Rewrite, target.Stages = setOf(t, w.rule), []StageMaker{stage} }
		})
		ask(t, testkit.Dial(t, g.addr), get("/a?b", "X-Mark: old"), 200)
		if got != w.want {
			t.Errorf("%s: the stage saw %q, want %q", w.rule, got, w.want)
		}
		if strings.Contains(w.rule, "X-Mark") && b.Last().Get("X-Mark") != "new" {
			t.Errorf("%s: the backend got %q", w.rule, b.Last().Get("X-Mark"))
		}
	}
}

// A client may have any field dropped by naming it in Connection: not the
// rewrite's.
func TestConnectionDoesNotUndoARewrite(t *testing.T) {
	for _, rule := range []string{
		`actions: {requestHeaders: {X-User: nobody, X-List: {value: a, append: true}}}`,
		`actions: {url: {path: /new}, requestHeaders: {X-User: nobody, X-List: {value: a, append: true}}}`,
	} {
		g, b := rewriting(t, setOf(t, rule))
		ask(t, testkit.Dial(t, g.addr), get("/", "Connection: X-User, X-List, keep-alive", "X-User: admin"), 200)
		r := b.Last()
		if r.Get("X-User") != "nobody" || r.Get("X-List") != "a" {
			t.Errorf("%s: the backend got %q", rule, r.Fields)
		}
		ask(t, testkit.Dial(t, g.addr), get("/", "X-User: admin", "X-List: b"), 200)
		if r = b.Last(); fmt.Sprint(r.Values("X-User"), r.Values("X-List")) != "[nobody] [b a]" {
			t.Errorf("%s: the backend got %q", rule, r.Fields)
		}
	}
}

func TestABadPathOrFieldIsRefused(t *testing.T) {
	g, b := rewriting(t, setOf(t, `conditions: [{variable: http_req_P, pattern: "(.+)"}], actions: {url: {path: "/p/{http_req_P_1}"}}`,
		`conditions: [{variable: var_query_string, pattern: "p=(.+)"}], actions: {url: {path: "/p/{var_query_string_1}"}}`,
		`conditions: [{variable: http_req_H, pattern: "(.+)"}], actions: {requestHeaders: {A: "{http_req_H}{http_req_H}{http_req_H}{http_req_H}"}}`))
	for _, w := range []struct {
		send   string
		status int
	}{
		{get("/", "P: ../x"), 400}, {get("/", "P: a/./b"), 400}, {get("/", "P: a\\b"), 400}, {get("/", "P: \xff"), 400},
		{get("/", "P: "+strings.Repeat("a", 9<<10)), 414}, {get("/", "H: "+strings.Repeat("a", 9<<10)), 431},
		{get("/?p=%2e%2e/x"), 400}, {get("/?p=a%2fb"), 400}, {get("/?p=%00"), 400}, {get("/?p=%0d%0aX:y"), 400}, {get("/?p=%zz"), 200}, {get("/", "P: %2e%2e"), 200},
	} {
		n := b.RequestCount()
		c := testkit.Dial(t, g.addr)
		c.Send(w.send)
		if r, _ := c.ReadFinal("GET"); r.StatusCode != w.status || w.status != 200 && b.RequestCount() != n {
			t.Errorf("%.60q: %d, want %d", w.send, r.StatusCode, w.status)
		}
	}
	if got := b.Last().Target; got != "/p/%252e%252e" {
		t.Errorf("the last was %q", got)
	}
}

// A body stays the same, and its frame, whatever a rewrite does.
func TestARewriteLeavesTheFrame(t *testing.T) {
	g, b := rewriting(t, setOf(t, `conditions: [{variable: http_req_X, pattern: "(.*)"}], actions: {url: {path: "/{http_req_X_1}", query: "{http_req_X_1}"}, requestHeaders: {Y: "{http_req_X_1}", X: ""}}`))
	c := testkit.Dial(t, g.addr)
	for _, lines := range [][]string{{"Content-Length: 5"}, {"Transfer-Encoding: chunked"}} {
		body := "hello"
		if len(lines[0]) > 20 {
			body = "5\r\nhello\r\n0\r\n\r\n"
		}
		for _, x := range []string{"%0d%0aContent-Length: 0", "a HTTP/1.1 Host: b", "Transfer-Encoding: chunked"} {
			e := testkit.DecodeEcho(t, ask(t, c, request("POST", "/", append(lines, "X: "+x)...)+body, 200).Content)
			if e.Body != "hello" || e.Get("Y") != x || len(e.Target) == 0 || strings.ContainsAny(e.Target, " \r\n\t") {
				t.Errorf("%q: got %+v", x, e)
			}
		}
	}
	if p := b.Problems(); len(p) > 0 {
		t.Errorf("%q", p)
	}
}

func TestWhatIsNotRewritten(t *testing.T) {
	set := setOf(t, `actions: {responseHeaders: {X-Mark: new}}`)
	t.Run("the gateway's answers", func(t *testing.T) {
		g, b := rewriting(t, set)
		b.Stop()
		if r := ask(t, testkit.Dial(t, g.addr), get("/"), 502); r.Get("X-Mark") != "" {
			t.Error("an error page was")
		}
	})
	t.Run("a stage's answer", func(t *testing.T) {
		g, _ := rewriting(t, nil, func(s *setup) {
			s.target = func(t *Target) { t.Rewrite, t.Stages = set, []StageMaker{refusing{}} }
		})
		if r := ask(t, testkit.Dial(t, g.addr), get("/"), 403); r.Get("X-Mark") != "" {
			t.Error("it was")
		}
	})
	t.Run("a switch of protocols", func(t *testing.T) {
		b := testkit.NewBackend(t, testkit.RawClose(switching))
		g := start(t, setup{backends: []*testkit.Backend{b}, target: func(t *Target) { t.Rewrite = set }})
		c := testkit.Dial(t, g.addr)
		c.Send(upgrade)
		if head := string(c.ReadAll(soon)); !strings.HasPrefix(head, "HTTP/1.1 101") || strings.Contains(head, "X-Mark") {
			t.Errorf("got %q", head)
		}
	})
	t.Run("OPTIONS *", func(t *testing.T) {
		g, _ := rewriting(t, setOf(t, `actions: {url: {path: /new, query: a}, requestHeaders: {X-Mark: new}}`))
		if e := echoOf(t, g, "OPTIONS * HTTP/1.1\r\nHost: shop.test\r\n\r\n"); e.Target != "*" || e.Get("X-Mark") != "new" {
			t.Errorf("got %+v", e)
		}
	})
}

func TestAffinityAndRewrites(t *testing.T) {
	one, two := testkit.NewBackend(t, nil), testkit.NewBackend(t, nil)
	g := start(t, setup{backends: []*testkit.Backend{one, two},
		settings: func(s *config.BackendSettings) { s.Affinity.Enabled = true },
		target: func(target *Target) {
			target.Rewrite = setOf(t, `actions: {url: {path: /}, requestHeaders: {Cookie: ""}, responseHeaders: {Set-Cookie: {value: "{capt_header_value_matcher_1}; Secure", valueMatcher: {pattern: "^(ApplicationGatewayAffinity=.*)"}}}}`)
		}})
	c := testkit.Dial(t, g.addr)
	r := ask(t, c, get("/"), 200)
	cookie := r.Get("Set-Cookie")
	if !strings.HasSuffix(cookie, "; HttpOnly; Secure") {
		t.Fatalf("Set-Cookie: %s", cookie)
	}
	cookie, _, _ = strings.Cut(cookie, ";")
	first := testkit.DecodeEcho(t, r.Content).Backend
	for range 4 {
		e := testkit.DecodeEcho(t, ask(t, c, get("/", "Cookie: "+cookie), 200).Content)
		if e.Backend != first || e.Get("Cookie") != "" {
			t.Errorf("a client of %s was sent to %s with the cookie %q", first, e.Backend, e.Get("Cookie"))
		}
	}
}

func TestAResponseThatCannotBeRewritten(t *testing.T) {
	g, b := rewriting(t, setOf(t, `conditions: [{variable: http_resp_A, pattern: "(.+)"}], actions: {responseHeaders: {B: "{http_resp_A}{http_resp_A}{http_resp_A}{http_resp_A}{http_resp_A}{http_resp_A}{http_resp_A}{http_resp_A}{http_resp_A}"}}`))
	b.Handle(testkit.Respond(200, "secret", "A: "+strings.Repeat("a", 8<<10)))
	for _, send := range []string{get("/"), request("POST", "/", "Content-Length: 100000") + strings.Repeat("x", 100000)} {
		c := testkit.Dial(t, g.addr)
		c.Send(send)
		if r, _ := c.ReadFinal("POST"); r.StatusCode != 502 || strings.Contains(string(r.Content), "secret") {
			t.Errorf("answer is %q", r.Head)
		}
	}
	for _, l := range g.lines(t, 2) {
		if !strings.HasPrefix(l.text("reason"), "rewrite: ") {
			t.Errorf("log: %v", l)
		}
	}
}

// A large upload is answered while its body may still be on its way.
func TestALargeUploadIsRewritten(t *testing.T) {
	g, _ := rewriting(t, setOf(t, `actions: {url: {path: /new}, requestHeaders: {A: "{var_received_bytes}"}, responseHeaders: {B: "{var_received_bytes} {var_uri_path} {http_req_A}"}}`))
	body := strings.Repeat("x", 1<<20)
	r := ask(t, testkit.Dial(t, g.addr), request("POST", "/old", fmt.Sprint("Content-Length: ", len(body)))+body, 200)
	if e := testkit.DecodeEcho(t, r.Content); e.Target != "/new" || e.BodyLen != 1<<20 || !strings.Contains(r.Get("B"), " /old ") {
		t.Errorf("%s %d, B: %s", e.Target, e.BodyLen, r.Get("B"))
	}
}

func TestExplainRewrites(t *testing.T) {
	set := setOf(t, `conditions: [{variable: var_uri_path, pattern: "^/a/(.*)"}], actions: {url: {path: "/admin/{var_uri_path_1}"}, requestHeaders: {X-Mark: "{var_client_ip}", Y: ""}}`,
		`conditions: [{variable: http_req_None, pattern: x}], actions: {requestHeaders: {Z: z}}`,
		`actions: {responseHeaders: {Server: ""}}`)
	g, _ := rewriting(t, nil, withPaths(entry{host: "rest", set: set}, entry{pattern: "/admin*", host: "admin"},
		entry{pattern: "/again*", set: setOf(t, `conditions: [{variable: var_uri_path, pattern: "."}], actions: {url: {path: /admin, reevaluatePathMap: true}}`)},
		entry{pattern: "/bad*", set: setOf(t, `conditions: [{variable: var_query_string, pattern: "(.*)"}], actions: {url: {path: "/{var_query_string_1}"}}`)}))
	for target, wants := range map[string][]string{
		"/a/b?c": {"rewrite set: rule r0 matches", "rewrite set: rule r1 does nothing", "rewrite set: rule r2 matches; what", "field set X-Mark: 192.0.2.1", "field delete Y",
			"path /admin/b?c", "firewall the policy of path rule /admin* judges it, too", "forwarded /admin/b"},
		"/again":   {"rule path rule /admin*"},
		"/bad?../": {"rewrite refused: 400"},
	} {
		var req httpmsg.Request
		if err := http1.ParseRequest([]byte(get(target)), &req, &http1.Limits{HeadBytes: 8 << 10, Fields: 100, URLBytes: 8 << 10}); err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, s := range Explain(g.snap, g.snap.Sites[0], &req, netip.MustParseAddr("192.0.2.1")) {
			all = append(all, s.Name+" "+s.Result)
		}
		text := strings.Join(all, "\n")
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", target, want, text)
			}
		}
	}
}

// Fields of a trusted proxy are looked at, a stranger's are not.
func TestConditionsOnForwardingFields(t *testing.T) {
	set := setOf(t, `conditions: [{variable: http_req_X-Forwarded-Proto, pattern: "^https$"}], actions: {requestHeaders: {X-Secure: "yes"}}`)
	for _, trusted := range []bool{false, true} {
		g, b := rewriting(t, set, func(s *setup) {
			s.snapshot = func(s *Snapshot) {
				if trusted {
					s.Trusted = cidr.Set([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
				}
			}
		})
		ask(t, testkit.Dial(t, g.addr), get("/", "X-Forwarded-Proto: https"), 200)
		if got := b.Last().Get("X-Secure") == "yes"; got != trusted {
			t.Errorf("trusted %t: %t", trusted, got)
		}
	}
}

func TestVariablesOfTheConnection(t *testing.T) {
	set := setOf(t, `actions: {requestHeaders: {A: "{var_ssl_enabled} {var_ssl_connection_protocol} {var_ciphers_used} {var_request_scheme}", B: "{var_ciphers_supported}", C: "{var_client_tcp_rtt}"}}`)
	ca := testkit.NewCA(t)
	g, _ := rewriting(t, set, func(s *setup) { s.tls = &tls.Config{Certificates: []tls.Certificate{ca.Server("shop.test").TLS}} })
	c := testkit.DialTLS(t, g.addr, ca.ClientConfig("shop.test"))
	e := testkit.DecodeEcho(t, ask(t, c, get("/"), 200).Content)
	if want := "On TLSv1.3 TLS_"; !strings.HasPrefix(e.Get("A"), want) || !strings.HasSuffix(e.Get("A"), " https") {
		t.Errorf("A is %q", e.Get("A"))
	}
	if !strings.Contains(e.Get("B"), "TLS_AES_128_GCM_SHA256:") || !strings.Contains(e.Get("B"), ":ECDHE-RSA-AES128-GCM-SHA256") && !strings.HasPrefix(e.Get("B"), "ECDHE") {
		t.Errorf("B is %q", e.Get("B"))
	}
	if n, err := strconv.Atoi(e.Get("C")); err != nil || n <= 0 || n > 1e6 {
		t.Errorf("C is %q", e.Get("C"))
	}
	g, _ = rewriting(t, set)
	e = echoOf(t, g, get("/"))
	if e.Get("A") != "http" || e.Get("B") != "" || e.Get("C") == "" {
		t.Errorf("without TLS: %q, %q, %q", e.Get("A"), e.Get("B"), e.Get("C"))
	}
}
