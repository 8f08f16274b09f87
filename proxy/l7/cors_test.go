package l7

import (
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/testkit"
)

func corsOf(change func(*config.CORSPolicy)) *CORS {
	p := &config.CORSPolicy{Name: "app", AllowOrigins: []string{"https://app.test", "https://*.app.test:8443"}, AllowMethods: []string{"PUT", "GET"},
		AllowHeaders: []string{"x-api", "content-type"}, ExposeHeaders: []string{"x-total"}, AllowCredentials: true, MaxAge: time.Minute}
	if change != nil {
		change(p)
	}
	return NewCORS(p)
}

func TestOrigins(t *testing.T) {
	c := corsOf(nil)
	for origin, want := range map[string]bool{
		"https://app.test": true, "http://app.test": false, "https://app.test.": false, "https://app.test:443": false, "https://app.test.evil.test": false,
		"https://evilapp.test": false, "HTTPS://APP.TEST": false, "https://app.test/": false, "null": false, "": false,
		"https://a.app.test:8443": true, "https://app.test:8443": false, "https://.app.test:8443": false, "https://a.b.app.test:8443": false,
		"https://evil.test/.app.test:8443": false, "https://evil.test:1@x.app.test:8443": false, "https://a.app.test": false, "https://a%00.app.test:8443": false,
		"https://evil#.app.test:8443": false, "https://a.app.test:8443, https://evil.test": false,
	} {
		if got := c.allows([]byte(origin)); got != want {
			t.Errorf("%q: %v", origin, got)
		}
	}
	if !corsOf(func(p *config.CORSPolicy) { p.AllowOrigins = []string{"null"} }).allows([]byte("null")) {
		t.Error("null is listed")
	}
}

func TestPreflightsAreAnsweredBeforeAuthentication(t *testing.T) {
	a := basicAuth(t, "staff", "ann", "secret", "")
	g, b := guarded(t, a, func(s *setup) {
		s.target = func(t *Target) { t.Auth, t.CORS = a, corsOf(nil) }
	})
	c := testkit.Dial(t, g.addr)
	options := func(lines ...string) string {
		text := "OPTIONS /a HTTP/1.1\r\nHost: shop.test\r\n"
		for _, l := range lines {
			text += l + "\r\n"
		}
		return text + "\r\n"
	}
	r := ask(t, c, options("Origin: https://app.test", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: X-API,content-type"), 204)
	for name, want := range map[string]string{"Access-Control-Allow-Origin": "https://app.test", "Access-Control-Allow-Credentials": "true", "Access-Control-Allow-Methods": "PUT, GET",
		"Access-Control-Allow-Headers": "x-api, content-type", "Access-Control-Max-Age": "60", "Content-Length": ""} {
		if got := r.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if v := r.Values("Vary"); len(v) != 2 || v[0] != "Origin" {
		t.Errorf("Vary: %q", v)
	}
	for _, w := range []struct {
		want  int
		lines []string
	}{
		{204, []string{"Origin: https://app.test", "Access-Control-Request-Method: POST"}},
		{403, []string{"Origin: https://evil.test", "Access-Control-Request-Method: PUT"}},
		{403, []string{"Origin: https://app.test", "Access-Control-Request-Method: DELETE"}},
		{403, []string{"Origin: https://app.test", "Access-Control-Request-Method: put"}},
		{403, []string{"Origin: https://app.test", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-api, authorization"}},
		{401, []string{"Origin: https://app.test"}},
		{401, []string{"Access-Control-Request-Method: PUT"}},
	} {
		r := ask(t, c, options(w.lines...), w.want)
		if w.want == 401 && len(w.lines) == 1 && w.lines[0][0] == 'O' && r.Get("Access-Control-Allow-Origin") == "" {
			t.Error("a page cannot see that it must authenticate")
		}
	}
	if b.RequestCount() != 0 {
		t.Error("a preflight reached the backend")
	}
}

func TestResponsesSayWhoMayReadThem(t *testing.T) {
	policy := corsOf(nil)
	b := testkit.NewBackend(t, testkit.Respond(200, "ok", "Access-Control-Allow-Origin: *", "ACCESS-CONTROL-EXPOSE-HEADERS: x", "Access-Control-Allow-Credentials: true", "Vary: Accept"))
	g := start(t, setup{backends: []*testkit.Backend{b}, target: func(t *Target) { t.CORS = policy }})
	c := testkit.Dial(t, g.addr)
	r := ask(t, c, get("/", "Origin: https://app.test"), 200)
	if r.Get("Access-Control-Allow-Origin") != "https://app.test" || len(r.Values("Access-Control-Allow-Origin")) != 1 || r.Get("Access-Control-Allow-Credentials") != "true" ||
		len(r.Values("Access-Control-Expose-Headers")) != 1 || r.Get("Access-Control-Expose-Headers") != "x-total" || len(r.Values("Vary")) != 2 {
		t.Errorf("got %v", r.Fields)
	}
	for _, lines := range [][]string{nil, {"Origin: https://evil.test"}, {"Origin: null"}} {
		r := ask(t, c, get("/", lines...), 200)
		for _, name := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Expose-Headers"} {
			if r.Get(name) != "" {
				t.Errorf("%q: %s: %s", lines, name, r.Get(name))
			}
		}
		if v := r.Values("Vary"); len(v) != 2 {
			t.Errorf("%q: Vary %q", lines, v)
		}
	}
	*policy = *corsOf(func(p *config.CORSPolicy) { p.AllowOrigins, p.AllowCredentials = []string{"*"}, false })
	r = ask(t, c, get("/", "Origin: https://evil.test"), 200)
	if r.Get("Access-Control-Allow-Origin") != "*" || r.Get("Access-Control-Allow-Credentials") != "" || len(r.Values("Vary")) != 1 {
		t.Errorf("for all: %v", r.Fields)
	}
}
