package auth

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"gatehouse/internal/testkit"
)

func TestPathsAskForDifferentThings(t *testing.T) {
	t.Parallel()
	k := newKey(t, "k")
	g := start(t, k)
	token := k.bearer(t, "https://file.test", "token")
	for _, w := range []struct {
		name, path, line string
		want             int
		user             string // that the backend is told
	}{
		{"listener's", "/", "", 401, ""},
		{"listener's, right", "/", password("ann", "secret"), 200, "ann"},
		{"listener's, of redirects too", "/away", "", 401, ""},
		{"redirect, right", "/away", password("ann", "secret"), 302, ""},
		{"off", "/open/a", "X-User: root", 200, ""},
		{"a way round", "/open/../", "", 401, ""},
		{"token", "/file/a", token, 200, "token"},
		{"password in the place of a token", "/file/a", password("ann", "secret"), 401, ""},
		{"token in the place of a password", "/", token, 401, ""},
		{"service", "/sso/a", "X-User: root", 200, "service"},
	} {
		t.Run(w.name, func(t *testing.T) {
			if got := g.status(t, w.path, w.line); got != w.want {
				t.Fatalf("%d, want %d", got, w.want)
			}
			if w.want != 200 {
				return
			}
			if got := strings.Join(g.app.Last().Values("X-User"), "|"); got != w.user {
				t.Errorf("the backend was told %q, want %q", got, w.user)
			}
		})
	}
	g.logged(t, "127.0.0.1 - ann [")
	g.logged(t, "127.0.0.1 - token [")
	for _, want := range []string{`gatehouse_authentications_total{authentication="staff",result="allowed"} 2`, `gatehouse_authentications_total{authentication="sso",result="denied"} 0`} {
		if m := g.metrics(t); !strings.Contains(m, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}

func TestOverHTTP2(t *testing.T) {
	t.Parallel()
	g := start(t, newKey(t, "k"))
	p := &http.Protocols{}
	p.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: p}}
	ask := func(method, path, user string) *http.Response {
		r, err := http.NewRequest(method, "http://"+g.addr+path, strings.NewReader("a body"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-User", "root")
		if user != "" {
			r.SetBasicAuth(user, "secret")
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	for range 3 {
		if r := ask("POST", "/", ""); r.StatusCode != 401 || r.ProtoMajor != 2 || r.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%v", r)
		}
		if r := ask("POST", "/", "ann"); r.StatusCode != 200 || g.app.Last().Get("X-User") != "ann" {
			t.Errorf("%v, the backend got %v", r, g.app.Last().Fields)
		}
		if r := ask("POST", "/sso/a", ""); r.StatusCode != 200 || g.app.Last().Get("X-User") != "service" {
			t.Errorf("%v, the backend got %v", r, g.app.Last().Fields)
		}
	}
}

func TestUsersFileIsWatched(t *testing.T) {
	t.Parallel()
	g := start(t, newKey(t, "k"))
	g.becomes(t, 200, "/", password("ann", "secret"))
	g.users(t, "bob", "secret")
	g.becomes(t, 200, "/", password("bob", "secret"))
	if got := g.status(t, "/", password("ann", "secret")); got != 401 {
		t.Errorf("who is out of the file is remembered: %d", got)
	}
	testkit.Replace(t, g.dir+"/users", "bob:secret\n")
	g.proc.WaitLine("a plain password, or crypt, is not supported", soon)
	if got := g.status(t, "/", password("bob", "secret")); got != 200 {
		t.Errorf("a file that is refused is used: %d", got)
	}
}

func TestKeysOfAURLComeAndStay(t *testing.T) {
	t.Parallel()
	old, young := newKey(t, "old"), newKey(t, "young")
	g := start(t, old)
	token := old.bearer(t, "https://url.test", "ann")
	if got := g.status(t, "/url/a", token); got != 503 {
		t.Fatalf("without keys: %d", got)
	}
	good := set(t, old)
	g.keys.Store(&good)
	g.becomes(t, 200, "/url/a", token)
	g.keys.Store(nil)
	asked := g.asked.Load()
	g.becomes(t, 401, "/url/a", young.bearer(t, "https://url.test", "ann"))
	g.users(t, "ann", "secret", "eve", "x") // a reload, which leaves the keys as they are
	g.becomes(t, 200, "/", password("eve", "x"))
	if got := g.status(t, "/url/a", token); got != 200 {
		t.Errorf("the issuer does not answer, and the keys are gone: %d", got)
	}
	both := set(t, young)
	g.keys.Store(&both)
	g.becomes(t, 200, "/url/a", young.bearer(t, "https://url.test", "bob"))
	if got := g.status(t, "/url/a", token); got != 401 {
		t.Errorf("a key that the issuer withdrew still counts: %d", got)
	}
	if n := g.asked.Load() - asked; n > 20 {
		t.Errorf("the issuer was asked %d times", n)
	}
	if !strings.Contains(g.metrics(t), `gatehouse_authentication_keys_fetched_timestamp_seconds{authentication="url"}`) {
		t.Error("no metric of the keys")
	}
}

func TestPagesOfOtherOrigins(t *testing.T) {
	t.Parallel()
	g := start(t, newKey(t, "k"))
	r := testkit.Exchange(t, g.addr, "OPTIONS / HTTP/1.1\r\nHost: web.test\r\nOrigin: https://page.test\r\nAccess-Control-Request-Method: POST\r\n\r\n")
	if r.StatusCode != 204 || r.Get("Access-Control-Allow-Origin") != "https://page.test" || r.Get("Access-Control-Max-Age") != "600" {
		t.Errorf("preflight: %q", r.Head)
	}
	r = testkit.Get(t, g.addr, "web.test", "/", "Origin: https://page.test")
	if r.StatusCode != 401 || r.Get("Access-Control-Allow-Origin") != "https://page.test" {
		t.Errorf("a page must see that it is to authenticate: %q", r.Head)
	}
	if r := testkit.Get(t, g.addr, "web.test", "/open/a", "Origin: https://page.test"); r.StatusCode != 200 || r.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("off: %q", r.Head)
	}
}

func TestExplainAndCheckNameAuthentications(t *testing.T) {
	t.Parallel()
	g := start(t, newKey(t, "k"))
	run := func(args ...string) string {
		cmd := exec.Command(testkit.Build(t, "./cmd/appgw"), args...)
		cmd.Dir = g.dir
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	for path, want := range map[string]string{"/": "staff: user and password", "/file/a": "file: a bearer token", "/sso/a": "sso: what the pool sso allows at /"} {
		if out := run("explain", "--url", "http://"+g.addr+path); !strings.Contains(out, "asked for  "+want) {
			t.Errorf("explain %s:\n%s", path, out)
		}
	}
	if out := run("explain", "--url", "http://"+g.addr+"/open/a"); strings.Contains(out, "asked for") {
		t.Errorf("explain:\n%s", out)
	}
	if out := run("check"); !strings.Contains(out, "until it has answered, requests are answered 503") {
		t.Errorf("check:\n%s", out)
	}
}
