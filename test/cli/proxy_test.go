package cli

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/testkit"
)

// proxied starts `appgw proxy` with these flags on an address of its own and returns that.
func proxied(t *testing.T, flags ...string) (*testkit.Process, string) {
	t.Helper()
	web := testkit.FreeAddr(t)
	admin := "unix:" + filepath.Join(t.TempDir(), "admin.sock")
	p := testkit.Run(t, "./cmd/appgw", append([]string{"proxy", "--from", web, "--admin", admin}, flags...)...)
	p.WaitLine(`"msg":"ready"`, soon)
	return p, web
}

func named(t *testing.T, name string) *testkit.Backend {
	return testkit.NewBackend(t, testkit.Respond(200, name))
}

func url(b *testkit.Backend) string { return "http://" + b.Addr }

// answers counts the bodies of n requests.
func answers(t *testing.T, n int, web, target string) map[string]int {
	t.Helper()
	got := map[string]int{}
	for range n {
		got[string(testkit.Get(t, web, "any.test", target).Content)]++
	}
	return got
}

func TestProxyForwardsToOneApplication(t *testing.T) {
	b := testkit.NewBackend(t, nil)
	p, web := proxied(t, "--to", url(b))
	p.WaitLine("Forwarding "+web+" to "+url(b), soon)
	r := testkit.Get(t, web, "any.test", "/a%2Fb?c")
	if e := testkit.DecodeEcho(t, r.Content); e.Target != "/a%2Fb?c" || e.Get("Host") != "any.test" || e.Get("X-Forwarded-For") != "127.0.0.1" {
		t.Errorf("the application received %+v", e)
	}
	p.WaitLine(`"originalHost":"any.test"`, soon) // the access log is on stdout
	if code := p.Stop(soon); code != 0 {
		t.Errorf("stopped with status %d", code)
	}
}

func TestProxyBalancesOverSeveral(t *testing.T) {
	a, b, c := named(t, "a"), named(t, "b"), named(t, "c")
	_, web := proxied(t, "--to", url(a)+","+url(b), "--to", url(c))
	if got := answers(t, 9, web, "/"); got["a"] != 3 || got["b"] != 3 || got["c"] != 3 {
		t.Errorf("9 requests went to %v", got)
	}
}

func TestProxySendsPathsElsewhere(t *testing.T) {
	app, api, deep := named(t, "app"), named(t, "api"), testkit.NewBackend(t, nil)
	_, web := proxied(t, "--to", url(app), "--path", "/api="+url(api), "--path", "/api/deep="+url(deep)+"/base")
	for target, want := range map[string]string{"/": "app", "/apiary": "app", "/api": "api", "/API/x": "api", "/api/x/../y": "api"} {
		if got := string(testkit.Get(t, web, "any.test", target).Content); got != want {
			t.Errorf("%s went to %q, want %s", target, got, want)
		}
	}
	if e := testkit.DecodeEcho(t, testkit.Get(t, web, "any.test", "/api/deep/x?y").Content); e.Target != "/base/x?y" {
		t.Errorf("the path of the URL: received %s", e.Target)
	}
}

func TestProxyKeepsClientsByCookie(t *testing.T) {
	_, web := proxied(t, "--to", url(named(t, "a"))+","+url(named(t, "b")), "--affinity")
	first := testkit.Get(t, web, "any.test", "/")
	cookie, _, _ := strings.Cut(first.Get("Set-Cookie"), ";")
	if !strings.HasPrefix(cookie, "ApplicationGatewayAffinity=") {
		t.Fatalf("no cookie: %q", cookie)
	}
	for range 6 {
		r := testkit.Get(t, web, "any.test", "/", "Cookie: "+cookie)
		if string(r.Content) != string(first.Content) || r.Get("Set-Cookie") != "" {
			t.Fatalf("pinned to %s, went to %s (%q)", first.Content, r.Content, r.Get("Set-Cookie"))
		}
	}
}

func TestProxySpeaksHTTPS(t *testing.T) {
	ca := testkit.NewCA(t)
	cert := ca.Server("shop.test")
	b := testkit.NewBackend(t, nil)
	_, web := proxied(t, "--to", url(b), "--tls-cert", cert.CertFile, "--tls-key", cert.KeyFile)
	c := testkit.DialTLS(t, web, ca.ClientConfig("shop.test"))
	c.Send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
	if e := testkit.DecodeEcho(t, c.ReadResponse("GET").Content); e.Get("X-Forwarded-Proto") != "https" {
		t.Errorf("received %+v", e)
	}
}

func TestProxyToUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 4096)
				for n, err := c.Read(buf); err == nil && n > 0; n, err = c.Read(buf) {
					c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"))
				}
			}()
		}
	}()
	_, web := proxied(t, "--to", "unix:"+path)
	if r := testkit.Get(t, web, "any.test", "/"); string(r.Content) != "hi" {
		t.Errorf("got %d %q", r.StatusCode, r.Content)
	}
}

func TestProxyRefusesFlagsByName(t *testing.T) {
	tests := []struct {
		name string
		args string
		want string
	}{
		{"no URL", "--to 127.0.0.1:3000", "--to: must be a URL such as http://127.0.0.1:3000"},
		{"bad address", "--to http://a --from 1.2.3.4.5:1", "--from: "},
		{"bad path", "--to http://a --path api=http://b", `--path "api=http://b"`},
		{"path without URL", "--to http://a --path /api", `--path "/api"`},
		{"certificate alone", "--to http://a --tls-cert c", "--tls-cert and --tls-key go together"},
		{"no such firewall", "--to http://a --waf on", "must be prevention, detection or off"},
		{"mixed schemes", "--to http://a,https://b", "another scheme"},
		{"certificate that is not there", "--to http://a --from 127.0.0.1:0 --tls-cert none.crt --tls-key none.key", "open none.crt: no such file"},
		{"admin for everybody", "--to http://a --admin 0.0.0.0:9901", "is not loopback"},
		{"all at once", "--to a --from b --tls-cert c", "--from: "},
		{"all at once, the other one", "--to a --from b --tls-cert c", "--to: "},
		{"all at once, the third", "--to a --from b --tls-cert c", "go together"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			appgw(t, append([]string{"proxy"}, strings.Fields(tt.args)...)...).expect(t, 1, tt.want)
		})
	}
}

// What --print-config shows is accepted by check and serves the same.
func TestProxyPrintsAConfigurationToGrow(t *testing.T) {
	ca := testkit.NewCA(t)
	cert := ca.Server("shop.test")
	app, api := named(t, "app"), testkit.NewBackend(t, nil)
	web := testkit.FreeAddr(t)
	dir := t.TempDir()
	r := appgw(t, "proxy", "--print-config", "--from", web, "--to", url(app), "--path", "/api="+url(api)+"/v1", "--affinity",
		"--tls-cert", cert.CertFile, "--tls-key", cert.KeyFile, "--admin", "unix:"+filepath.Join(dir, "admin.sock"))
	r.expect(t, 0)
	write(t, dir, "appgw.yaml", r.stdout)
	appgwIn(t, dir, "check").expect(t, 0, "appgw.yaml is good")
	p := testkit.Run(t, "./cmd/appgw", "run", "-c", filepath.Join(dir, "appgw.yaml"))
	p.WaitLine(`"msg":"ready"`, soon)
	c := testkit.DialTLS(t, web, ca.ClientConfig("shop.test"))
	c.Send("GET /api/x HTTP/1.1\r\nHost: shop.test\r\n\r\n")
	first := c.ReadResponse("GET")
	if e := testkit.DecodeEcho(t, first.Content); e.Target != "/v1/x" || !strings.HasPrefix(first.Get("Set-Cookie"), "ApplicationGatewayAffinity-path1=") {
		t.Errorf("received %s, cookie %q", e.Target, first.Get("Set-Cookie"))
	}
	c.Send("GET /apix HTTP/1.1\r\nHost: shop.test\r\n\r\n")
	if r := c.ReadResponse("GET"); string(r.Content) != "app" {
		t.Errorf("got %q", r.Content)
	}
}

func TestDemo(t *testing.T) {
	web, secure := testkit.FreeAddr(t), testkit.FreeAddr(t)
	dir := t.TempDir()
	log, admin := filepath.Join(dir, "access.log"), "unix:"+filepath.Join(dir, "admin.sock")
	p := testkit.Run(t, "./cmd/appgw", "demo", "--http", web, "--https", secure, "--admin", admin, "--access-log", log)
	p.WaitLine(`"msg":"ready"`, soon)
	_, port, _ := net.SplitHostPort(web)
	p.WaitLine("curl http://shop.localhost:"+port+"/", soon)
	p.WaitLine("appgw backends --admin "+admin, soon)
	p.WaitLine("curl --unix-socket "+filepath.Join(dir, "admin.sock")+" http://localhost/metrics", soon)
	for host, want := range map[string]int{"shop.localhost": 200, "blog.localhost": 200, "nobody.localhost": 404} {
		if r := testkit.Get(t, web, host, "/"); r.StatusCode != want {
			t.Errorf("%s: %d, want %d", host, r.StatusCode, want)
		}
	}
	if r := testkit.Get(t, web, "shop.localhost", "/old/x"); r.StatusCode != 302 || r.Get("Location") != "http://blog.localhost:"+port+"/old/x" {
		t.Errorf("redirect: %d %s", r.StatusCode, r.Get("Location"))
	}
	p.WaitLine(`curl -i "http://shop.localhost:`+port+`/?q='+or+1=1--"`, soon)
	for target, want := range map[string]int{"/?q='+or+1=1--": 403, "/ADMIN/": 403, "/?q=or+1": 200} {
		if r := testkit.Get(t, web, "shop.localhost", target); r.StatusCode != want {
			t.Errorf("shop.localhost%s: %d, want %d", target, r.StatusCode, want)
		}
	}
	testkit.Eventually(t, soon, "four healthy backends", func() bool {
		return strings.Count(appgw(t, "backends", "--admin", admin).stdout, "  healthy  ") == 4
	})
	appgw(t, "backends", "--admin", admin).expect(t, 0, "shop ", "images ", "blog ", "sticky ")
	if code := p.Stop(soon); code != 0 {
		t.Errorf("stopped with status %d", code)
	}
	if strings.Contains(p.Stdout(), "{") {
		t.Errorf("the access log went to stdout: %s", p.Stdout())
	}
}

func TestDemoPrintsItsConfiguration(t *testing.T) {
	r := appgw(t, "demo", "--print-config")
	r.expect(t, 0, "127.0.0.1:3001", "certs/shop.crt")
	dir := t.TempDir()
	cert := testkit.NewCA(t).Server("shop.localhost")
	write(t, dir, "appgw.yaml", r.stdout)
	write(t, dir, "certs/shop.crt", string(cert.CertPEM))
	write(t, dir, "certs/shop.key", string(cert.KeyPEM))
	appgwIn(t, dir, "check").expect(t, 0, "is good: 3 listeners")
}
