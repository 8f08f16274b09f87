package hostile

import (
	"strings"
	"testing"

	"gatehouse/internal/testkit"
)

// TestPathsHaveOneMeaning is rows 51 to 53 and 56: what is routed on is what is forwarded.
func TestPathsHaveOneMeaning(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	for sent, want := range map[string]string{
		"/a/../b": "/b", "/a/./b": "/a/b", "/a/b/..": "/a/", "/a/.": "/a/", "//a": "/a", "/a//b///c": "/a/b/c", "/a/": "/a/", "/a//": "/a/", "/a/%2e%2e/b": "/b", "/a/%2E./b": "/b",
		"/a/.%2e/b": "/b", "/%2e/a": "/a", "/a/...": "/a/...", "/.a": "/.a", "/..a": "/..a", "/%7Euser": "/~user", "/%41%2d%5f": "/A-_", "/a;x=1": "/a;x=1", "/a;x/b": "/a;x/b", "/;": "/;",
		"//evil.test/path": "/evil.test/path", "///evil.test": "/evil.test", "/http://evil.test/": "/http:/evil.test/", "/@evil.test": "/@evil.test",
		"/%252e%252e/a": "/%252e%252e/a", "/%2541": "/%2541", "/%25": "/%25", "/%252f": "/%252f", "/%23%3f": "/%23%3F", "/a%20b": "/a%20b", "/caf%c3%a9": "/caf%C3%A9", "/%e2%82%ac": "/%E2%82%AC",
		"/%22%3c%3E": "/%22%3C%3E", "/a:b@c!$&'()*+,=": "/a:b@c!$&'()*+,=", "/a%3b": "/a%3B", "/a/../..//": "", "/%c2%a0": "/%C2%A0",
		"/?a=/../%2e%2e/%zz%00": "/?a=/../%2e%2e/%zz%00", "/a/..?b": "/?b", "/..": "", "/../a": "", "/%2e%2e/": "", "/a/../../b": "", "/a/%2e%2e/%2e%2e/b": "", "/.%2e/a": "",
		"/a%2fb": "", "/a%2Fb": "", "/%2f": "", "/..%2fa": "", "/%2e%2e%2fa": "", "/a\\b": "", "/a%5cb": "", "/a%5C..%5Cb": "", "/..\\a": "", "/..;/a": "", "/..;x/a": "", "/.;/a": "", "/%2e%2e;/a": "",
		"/..%3b/a": "", "/;x/a": "", "/a/..;": "", "/a/%3b/b": "", "/%00": "", "/a%00.html": "", "/%0a": "", "/%0d%0aX:y": "", "/%09": "", "/%1b": "", "/%7f": "", "/%zz": "", "/%": "", "/%2": "", "/a%u002f": "",
		"/%c0%ae%c0%ae/": "", "/%c0%af": "", "/%e0%80%af": "", "/%f0%80%80%af": "", "/%ff": "", "/%80": "", "/%c3": "", "/%ed%a0%80": "", "/%f4%90%80%80": "", "/%c3%28": "",
	} {
		t.Run("E51 path "+quote(sent), func(t *testing.T) { g.path(t, "a.test", sent, want) })
	}
	for sent, want := range map[string]string{"/a%2fb": "/a%2Fb", "/a%2Fb/../c": "/c", "/%2f": "/%2F", "/..%2fa": "", "/a%2f..": "", "/a%2f%2e%2e": "", "/a%2f..;x": "", "/a%5cb": ""} {
		t.Run("E51 path with encoded slashes "+quote(sent), func(t *testing.T) { g.path(t, "keep.test", sent, want) })
	}
}

// path asks for a path; want is what the backend should be asked for, empty if the gateway should refuse.
func (g *gateway) path(t *testing.T, host, sent, want string) {
	t.Helper()
	before := g.mark()
	r := testkit.Get(t, g.plain, host, sent)
	if want == "" {
		if r.StatusCode != 400 {
			t.Errorf("answer is %q, want 400", r.Head)
		}
		g.untouched(t, "at once", before, false)
		return
	}
	got, _ := g.since(before)
	if r.StatusCode != 200 || len(got) != 1 || got[0].Target != want {
		t.Errorf("answer is %q, want %s at the backend, which got %s", r.Head, want, describe(got))
	}
}

// TestRulesAndOverridesSeeTheCanonicalPath is rows 54 and 55: /api/* goes to the backend as /v2/*, /admin/* never does.
func TestRulesAndOverridesSeeTheCanonicalPath(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	const away = "https://home.test"
	for sent, want := range map[string]string{
		"/api/users": "/v2/users", "/API/users": "/v2/users", "/%61pi/users": "/v2/users", "/api//users": "/v2/users", "/api/./users": "/v2/users", "/x/../api/users": "/v2/users", "//api/users": "/v2/users",
		"/api/": "/v2/", "/api": "/api", "/apis": "/apis", "/api/a/../b?q=/api/": "/v2/b?q=/api/", "/api/%25": "/v2/%25", "/api/%2e%2e/b": "/b", "/api/%2e": "/v2/", "/api/..": "/", "/api/../../b": "", "/api/..;/admin/": "",
		"/admin/x": away + "/admin/x", "/ADMIN/x": away + "/ADMIN/x", "/%61dmin/x": away + "/admin/x", "/./admin/x": away + "/admin/x", "//admin/x": away + "/admin/x", "/api/../admin/x": away + "/admin/x",
		"/api/%2e%2e/admin/x": away + "/admin/x", "/a/../admin//x": away + "/admin/x", "/admin%2fx": "", "/admin\\x": "", "/admin/%2e%2e%2fx": "", "/;/admin/x": "", "/admin;x/y": "", "/ADMIN%3bx/y": "", "/api/users;x": "/v2/users;x", "/other;x/y": "/other;x/y",
	} {
		t.Run("E54 "+quote(sent), func(t *testing.T) {
			if strings.HasPrefix(want, away) {
				g.redirected(t, request("GET "+sent+" HTTP/1.1", "Host: paths.test"), want)
				return
			}
			g.path(t, "paths.test", sent, want)
		})
	}
}

func (g *gateway) redirected(t *testing.T, send, want string) {
	t.Helper()
	before := g.mark()
	r := testkit.Exchange(t, g.plain, send)
	if got := r.Values("Location"); r.StatusCode != 301 || len(got) != 1 || got[0] != want {
		t.Errorf("answer is %q, want Location: %s", r.Head, want)
	}
	g.untouched(t, "at once", before, false)
}

// TestRedirectsLeadOnlyWhereTheyAreToLead is row 59.
func TestRedirectsLeadOnlyWhereTheyAreToLead(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	_, port, _ := strings.Cut(g.secure, ":")
	base := "https://redirect.test:" + port
	for sent, want := range map[string]string{
		"/a?b=c": "/a?b=c", "//evil.test/x": "/evil.test/x", "///evil.test": "/evil.test", "/a/..//evil.test": "/evil.test", "http://redirect.test//evil.test": "/evil.test", "/?x=%0d%0aSet-Cookie:a=b": "/?x=%0d%0aSet-Cookie:a=b",
		"/@evil.test": "/@evil.test", "/.evil.test": "/.evil.test", "/?//evil.test": "/?//evil.test", "/%22%3e": "/%22%3E",
	} {
		t.Run("E59 "+quote(sent), func(t *testing.T) {
			g.redirected(t, request("GET "+sent+" HTTP/1.1", "Host: redirect.test"), base+want)
		})
	}
	t.Run("E59 port of the client's", func(t *testing.T) {
		g.redirected(t, request("GET /a HTTP/1.1", "Host: REDIRECT.test.:1"), base+"/a")
	})
	t.Run("E59 forwarded host", func(t *testing.T) {
		g.redirected(t, request("GET /a HTTP/1.1", "Host: redirect.test", "X-Forwarded-Host: evil.test", "X-Original-Host: evil.test"), base+"/a")
	})
	t.Run("E59 slashes that are kept", func(t *testing.T) {
		g.redirected(t, request("GET //evil.test HTTP/1.1", "Host: slashes.test"), "https://slashes.test:"+port+"//evil.test")
	})
	t.Run("E59 a host that nobody takes there", func(t *testing.T) {
		g.redirected(t, request("GET /a HTTP/1.1", "Host: lost.test"), "https://shop.test:"+port+"/a")
	})
	for _, bad := range []string{"/%0d%0aLocation:x", "/\\evil.test", "/%5cevil.test", "/%00"} {
		t.Run("E59 "+quote(bad), func(t *testing.T) {
			if r := testkit.Get(t, g.plain, "redirect.test", bad); r.StatusCode != 400 || r.Get("Location") != "" {
				t.Errorf("answer is %q, want 400", r.Head)
			}
		})
	}
}

// TestQueriesAndCookiesPassAsTheyAreWithinBounds is rows 58 and 60.
func TestQueriesAndCookiesPassAsTheyAreWithinBounds(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	many := "/hostile?" + strings.Repeat("a=b&", 1900) + "z"
	cookies := strings.Repeat("a=b;", 2999) + "a=b"
	g.passAll(t, []pass{
		{name: "E58 thousands of parameters", send: request("GET "+many+" HTTP/1.1", "Host: a.test"), target: many},
		{name: "E58 odd separators and escapes", send: request("GET /hostile?a=1;b=2&a=%zz&&=&a[]=%00 HTTP/1.1", "Host: a.test"), target: "/hostile?a=1;b=2&a=%zz&&=&a[]=%00"},
		{name: "E58 two question marks", send: request("GET /hostile??a?b HTTP/1.1", "Host: a.test"), target: "/hostile??a?b"},
		{name: "E60 three thousand cookies", send: get("Cookie: " + cookies), has: []string{"Cookie: " + cookies}},
	})
	for name, send := range map[string]string{
		"E60 a cookie more":               get("Cookie: " + cookies + ";"),
		"E60 a cookie more on its line":   get("Cookie: "+cookies, "cookie: a=b"),
		"E60 ten thousand empty cookies":  get("Cookie: " + strings.Repeat(";", 10000)),
		"E60 three thousand in two lines": get("Cookie: "+strings.Repeat("a;", 1500), "Cookie: "+strings.Repeat("a;", 1500)),
	} {
		t.Run(name, func(t *testing.T) {
			before := g.mark()
			if r := testkit.Exchange(t, g.plain, send); r.StatusCode != 431 {
				t.Errorf("answer is %q, want 431", r.Head)
			}
			g.untouched(t, "at once", before, false)
		})
	}
}
