package examples

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"gatehouse/internal/testkit"
	"gatehouse/internal/testkit/acmeca"
)

func TestACME(t *testing.T) {
	b := backends(t, "3001")
	e := copyOf(t, "acme", b)
	ca := acmeca.New(t, acmeca.Options{Addr: e.at("14000"), HTTP: e.at("8080"), TLS: e.at("8443")})
	if err := os.MkdirAll(filepath.Join(e.dir, "certs"), 0o755); err != nil {
		t.Fatal(err)
	}
	testkit.Replace(t, filepath.Join(e.dir, "certs/authority.pem"), string(ca.Roots))
	e.start(t)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), ServerName: "shop.localhost"}}}
	testkit.Eventually(t, soon, "a page over https", func() bool {
		q, _ := http.NewRequest("GET", "https://"+e.at("8443")+"/page", nil)
		q.Host = "shop.localhost"
		r, err := client.Do(q)
		if err != nil {
			return false
		}
		defer r.Body.Close()
		return r.StatusCode == 200
	})
}

func TestTwoHosts(t *testing.T) {
	b := backends(t, "3001", "3002", "3003")
	e := serve(t, "two-hosts", b)
	tests := []struct{ host, target, port, received string }{
		{"shop.localhost", "/", "3001", "/"},
		{"SHOP.localhost:8080", "/cart?id=7", "3001", "/cart?id=7"},
		{"shop.localhost", "/images/logo.png", "3002", "/static/logo.png"},
		{"shop.localhost", "/img/a/b?v=2", "3002", "/static/a/b?v=2"},
		{"shop.localhost", "/Images/logo.png", "3002", "/static/logo.png"},
		{"shop.localhost", "/x/../images/logo.png", "3002", "/static/logo.png"},
		{"shop.localhost", "/images", "3001", "/images"},
		{"blog.localhost", "/images/logo.png", "3003", "/images/logo.png"},
		{"en.blog.localhost", "/", "3003", "/"},
		{"a.en.blog.localhost", "/", "3003", "/"},
	}
	for _, tt := range tests {
		got := testkit.DecodeEcho(t, testkit.Get(t, e.at("8080"), tt.host, tt.target).Content)
		if got.Backend != b[tt.port].Addr || got.Target != tt.received || got.Get("Host") != strings.ToLower(tt.host) {
			t.Errorf("%s%s: went to %s as %s, want %s (%s) as %s", tt.host, tt.target, got.Backend, got.Target, tt.port, b[tt.port].Addr, tt.received)
		}
	}
	for _, host := range []string{"nobody.localhost", "localhost", "blog.localhost.evil.test"} {
		if r := testkit.Get(t, e.at("8080"), host, "/"); r.StatusCode != 404 {
			t.Errorf("%s: %d, want 404", host, r.StatusCode)
		}
	}
}

// shopBackend answers with its name; what /healthz says can be changed.
type shopBackend struct {
	*testkit.Backend
	health atomic.Pointer[string]
}

func newShopBackend(t *testing.T, name string) *shopBackend {
	s := &shopBackend{}
	s.says("ready to serve")
	s.Backend = testkit.NewBackend(t, testkit.ByPath(map[string]testkit.Handler{
		"/":        testkit.Respond(200, name),
		"/healthz": func(c *testkit.Conn, r *testkit.Request) { c.Respond(r, 200, *s.health.Load()) },
	}))
	return s
}

func (s *shopBackend) says(text string) { s.health.Store(&text) }

func cookieOf(r *testkit.Response) string {
	cookie, _, _ := strings.Cut(r.Get("Set-Cookie"), ";")
	return cookie
}

func TestStickyShop(t *testing.T) {
	one, two := newShopBackend(t, "one"), newShopBackend(t, "two")
	b := map[string]*testkit.Backend{"3001": one.Backend, "3002": two.Backend}
	a, other := serve(t, "sticky-shop", b), serve(t, "sticky-shop", b)
	get := func(e *example, lines ...string) *testkit.Response {
		return testkit.Get(t, e.at("8080"), "shop.localhost", "/", lines...)
	}

	first := get(a)
	cookie := cookieOf(first)
	if !strings.HasPrefix(cookie, "shop=") {
		t.Fatalf("cookie %q", first.Get("Set-Cookie"))
	}
	for _, e := range []*example{a, other, a, other, other} {
		if r := get(e, "Cookie: "+cookie); string(r.Content) != string(first.Content) || r.Get("Set-Cookie") != "" {
			t.Fatalf("a gateway with the same secret sends the client of %s to %s (%q)", first.Content, r.Content, r.Get("Set-Cookie"))
		}
	}

	pinned, spare := one, two
	if string(first.Content) == "two" {
		pinned, spare = two, one
	}
	pinned.says("warming up")
	testkit.Eventually(t, soon, "the client on the other backend", func() bool {
		return string(get(a, "Cookie: "+cookie).Content) != string(first.Content)
	})
	moved := get(a, "Cookie: "+cookie)
	if moved.StatusCode != 200 || cookieOf(moved) == "" || cookieOf(moved) == cookie {
		t.Errorf("moved with status %d and the cookie %q", moved.StatusCode, cookieOf(moved))
	}
	if out, err := a.appgw(t, "backends"); err != nil || !strings.Contains(out, "unhealthy") {
		t.Errorf("appgw backends: %v\n%s", err, out)
	}

	spare.says("")
	testkit.Eventually(t, soon, "the error page", func() bool { return get(a).StatusCode == 502 })
	page, err := os.ReadFile(filepath.Join(a.dir, "sorry.html"))
	if err != nil {
		t.Fatal(err)
	}
	if r := get(a); string(r.Content) != string(page) || !strings.HasPrefix(r.Get("Content-Type"), "text/html") {
		t.Errorf("%s %q instead of sorry.html", r.Get("Content-Type"), r.Content)
	}
	pinned.says("ready")
	testkit.Eventually(t, soon, "the return of the backend", func() bool { return get(a, "Cookie: "+cookie).StatusCode == 200 })
	if r := get(a, "Cookie: "+cookie); string(r.Content) != string(first.Content) || r.Get("Set-Cookie") != "" {
		t.Errorf("back again, the client of %s is sent to %s (%q)", first.Content, r.Content, r.Get("Set-Cookie"))
	}
}

func TestStickyShopWithAnotherSecret(t *testing.T) {
	b := map[string]*testkit.Backend{"3001": newShopBackend(t, "one").Backend, "3002": newShopBackend(t, "two").Backend}
	a, stranger := serve(t, "sticky-shop", b), copyOf(t, "sticky-shop", b)
	if err := os.WriteFile(filepath.Join(stranger.dir, "affinity.secret"), []byte("another secret, as long as it"), 0o600); err != nil {
		t.Fatal(err)
	}
	stranger.start(t)
	cookie := cookieOf(testkit.Get(t, a.at("8080"), "shop.localhost", "/"))
	if r := testkit.Get(t, stranger.at("8080"), "shop.localhost", "/", "Cookie: "+cookie); cookieOf(r) == "" || cookieOf(r) == cookie {
		t.Errorf("the cookie of another secret is believed: %q", r.Get("Set-Cookie"))
	}
}

// makeCertificates runs the commands in the example's comment, up to those
// that ask the gateway.
func (e *example) makeCertificates(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Fatal("openssl is needed; `make test` installs it")
	}
	var script strings.Builder
	for _, m := range regexp.MustCompile(`(?m)^#   +(.*)$`).FindAllStringSubmatch(e.read(t), -1) {
		if !strings.HasPrefix(m[1], "curl ") {
			script.WriteString(m[1] + "\n")
		}
	}
	cmd := exec.Command("bash", "-ec", script.String())
	cmd.Dir = e.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script.String(), err, out)
	}
}

// The certificates are made by the commands in the example's comment, and the
// client is the one it names.
func TestMutualTLS(t *testing.T) {
	b := backends(t, "3001", "3002")
	e := copyOf(t, "mtls", b)
	e.makeCertificates(t)
	e.start(t)
	_, port, _ := net.SplitHostPort(e.at("8443"))
	curl := func(host string, more ...string) (string, error) {
		args := append([]string{"-sS", "-m", "10", "--cacert", "certs/server.crt", "--resolve", host + ":" + port + ":127.0.0.1"}, more...)
		cmd := exec.Command("curl", append(args, "https://"+host+":"+port+"/")...)
		cmd.Dir = e.dir
		out, err := cmd.Output()
		return string(out), err
	}
	cert := []string{"--cert", "certs/client.crt", "--key", "certs/client.key"}
	if out, err := curl("partners.localhost", cert...); err != nil {
		t.Errorf("with a certificate: %s %v", out, err)
	}
	if got := b["3002"].Last(); got.Get("X-Client-Cert-Verification") != "SUCCESS" || got.Get("X-Client-Cert-Subject") != "CN=first-partner" {
		t.Errorf("the backend got %q", got.Head)
	}
	if out, err := curl("partners.localhost"); err == nil {
		t.Errorf("without a certificate: %s", out)
	}
	if out, err := curl("shop.localhost"); err != nil {
		t.Errorf("the other host: %s %v", out, err)
	}
	if out, _ := curl("shop.localhost", append(cert, "-H", "Host: partners.localhost", "-o", "/dev/null", "-w", "%{http_code}")...); out != "421" {
		t.Errorf("partners' host through the shop: %s, want 421", out)
	}
}

// The certificate is made by the commands in the example's comment.
func TestHTTPSRedirect(t *testing.T) {
	b := backends(t, "3001")
	e := copyOf(t, "https-redirect", b)
	e.makeCertificates(t)
	e.start(t)

	_, port, _ := net.SplitHostPort(e.at("8443"))
	for target, want := range map[string]string{
		"/":                      "/",
		"/cart?id=7&x=%2F":       "/cart?id=7&x=%2F",
		"/a/../b//c?":            "/b/c?",
		"//evil.test/%2e%2e/x?y": "/x?y",
	} {
		r := testkit.Get(t, e.at("8080"), "shop.localhost:8080", target)
		if want = "https://shop.localhost:" + port + want; r.StatusCode != 301 || r.Get("Location") != want {
			t.Errorf("%s: %d %s, want 301 %s", target, r.StatusCode, r.Get("Location"), want)
		}
	}
	if r := testkit.Get(t, e.at("8080"), "other.localhost", "/"); r.StatusCode != 404 {
		t.Errorf("other host: %d, want 404", r.StatusCode)
	}

	url := "https://shop.localhost:" + port + "/cart?id=7"
	out, err := exec.Command("curl", "-sS", "--cacert", filepath.Join(e.dir, "certs/shop.crt"), "--resolve", "shop.localhost:"+port+":127.0.0.1", url).CombinedOutput()
	if err != nil {
		t.Fatalf("curl %s: %v: %s", url, err, out)
	}
	got := testkit.DecodeEcho(t, out)
	if got.Target != "/cart?id=7" || got.Get("X-Forwarded-Proto") != "https" || got.Get("X-Forwarded-Port") != port {
		t.Errorf("behind TLS the backend received %+v", got)
	}
	askHTTP3(t, e, port)
}

// askHTTP3 asks the https port of the example over UDP.
func askHTTP3(t *testing.T, e *example, port string) {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(e.dir, "certs/shop.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	tr := &http3.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "shop.localhost"},
		Dial: func(ctx context.Context, _ string, tc *tls.Config, qc *quic.Config) (*quic.Conn, error) {
			return quic.DialAddrEarly(ctx, "127.0.0.1:"+port, tc, qc)
		}}
	defer tr.Close()
	resp, err := (&http.Client{Transport: tr, Timeout: 20 * time.Second}).Get("https://shop.localhost:" + port + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Proto != "HTTP/3.0" || resp.StatusCode != 200 {
		t.Errorf("over UDP: %s %s", resp.Proto, resp.Status)
	}
}

// requestsFor counts what a backend got for a host: the probes of the gateway are requests too.
func requestsFor(b *testkit.Backend, host string) int {
	n := 0
	for _, r := range b.Requests() {
		if r.Get("Host") == host {
			n++
		}
	}
	return n
}

// gently runs n clients with one connection each until the returned function is called, which gives the number of their
// requests. Nothing is tried again, and anything but 200 fails the test.
func gently(t *testing.T, addr string, n int) (stop func() int64) {
	var done atomic.Bool
	var count atomic.Int64
	var clients sync.WaitGroup
	for range n {
		c := testkit.Dial(t, addr)
		clients.Go(func() {
			for !done.Load() {
				if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")); err != nil {
					t.Errorf("request lost: %v", err)
					return
				}
				r, err := c.TryReadResponse("GET", soon)
				if err != nil || r.StatusCode != 200 || r.Close {
					t.Errorf("request lost: %v %+v", err, r)
					return
				}
				count.Add(1)
			}
		})
	}
	return func() int64 {
		done.Store(true)
		clients.Wait()
		return count.Load()
	}
}

func TestBlueGreen(t *testing.T) {
	release := make(chan struct{})
	slow := testkit.ByPath(map[string]testkit.Handler{
		"/": testkit.Respond(200, "ok"),
		"/slow": func(c *testkit.Conn, r *testkit.Request) {
			select {
			case <-release:
			case <-c.Done():
			}
			c.Respond(r, 200, "finished")
		},
	})
	blue, green := testkit.NewBackend(t, slow), testkit.NewBackend(t, slow)
	e := serve(t, "blue-green", map[string]*testkit.Backend{"3001": blue, "3002": green})

	c := testkit.Dial(t, e.at("8080"))
	for range 1000 {
		c.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if r := c.ReadResponse("GET"); r.StatusCode != 200 {
			t.Fatalf("status %d", r.StatusCode)
		}
	}
	if n := requestsFor(green, "a"); n != 100 {
		t.Errorf("of 1000 requests the new version got %d, want 100", n)
	}

	// One of ten in a row is green's; it is in flight while green is drained.
	var inFlight []*testkit.Client
	for range 10 {
		inFlight = append(inFlight, testkit.Dial(t, e.at("8080")))
		inFlight[len(inFlight)-1].Send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	}
	testkit.Eventually(t, soon, "a slow request at the new version", func() bool { return requestsFor(green, "a") == 101 })
	stop := gently(t, e.at("8080"), 4)
	if out, err := e.appgw(t, "drain", green.Addr); err != nil {
		t.Fatalf("drain: %v\n%s", err, out)
	}
	// A request may have been sent there before the drain began, and arrive after it.
	before := requestsFor(green, "a")
	testkit.Eventually(t, soon, "traffic while the new version is drained", func() bool { return blue.RequestCount() > 2000 })
	if n := requestsFor(green, "a") - before; n > 4 {
		t.Errorf("the drained version got %d more requests", n)
	}
	if n := stop(); n == 0 {
		t.Error("no traffic")
	}
	if out, _ := e.appgw(t, "backends"); !strings.Contains(out, green.Addr+"  draining") {
		t.Errorf("with a request in flight the new version is not draining:\n%s", out)
	}
	close(release)
	for _, c := range inFlight {
		if r := c.ReadResponse("GET"); string(r.Content) != "finished" {
			t.Errorf("a request in flight: %d %q", r.StatusCode, r.Content)
		}
	}
	testkit.Eventually(t, soon, "the end of the drain", func() bool {
		out, _ := e.appgw(t, "backends")
		return strings.Contains(out, green.Addr+"  drained")
	})
}

func TestBlueGreenSurvivesTheNewVersion(t *testing.T) {
	b := backends(t, "3001", "3002")
	e := serve(t, "blue-green", b)
	b["3002"].Stop()
	for range 30 {
		if r := testkit.Get(t, e.at("8080"), "a", "/"); r.StatusCode != 200 {
			t.Fatalf("status %d while the new version refuses connections", r.StatusCode)
		}
	}
}

func TestCanary(t *testing.T) {
	b := backends(t, "3001", "3002", "3003")
	e := serve(t, "canary", b)
	got := map[string]int{}
	var cookie string // of who got the new version
	for range 100 {
		r := testkit.Get(t, e.at("8080"), "shop.test", "/page")
		name := testkit.DecodeEcho(t, r.Content).Backend
		if got[name]++; name == b["3002"].Addr {
			cookie, _, _ = strings.Cut(r.Get("Set-Cookie"), ";")
		}
		if !strings.HasPrefix(r.Get("RateLimit"), `"everybody";r=`) || r.Get("RateLimit-Policy") != `"everybody";q=6000;w=60` {
			t.Fatalf("no rate limit in %q", r.Head)
		}
	}
	if n := got[b["3002"].Addr]; n < 8 || n > 12 || got[b["3003"].Addr] != 0 {
		t.Errorf("of 100 requests each version got %v, want 90 and 10", got)
	}
	for range 20 {
		if name := testkit.DecodeEcho(t, testkit.Get(t, e.at("8080"), "shop.test", "/", "Cookie: "+cookie).Content).Backend; name != b["3002"].Addr {
			t.Fatalf("who had the new version gets %s", name)
		}
		if name := testkit.DecodeEcho(t, testkit.Get(t, e.at("8080"), "shop.test", "/", "X-Canary: always").Content).Backend; name != b["3002"].Addr {
			t.Fatalf("a tester gets %s", name)
		}
	}
	testkit.Eventually(t, soon, "half of the requests at the mirror", func() bool { n := requestsFor(b["3003"], "shop.test"); return n >= 57 && n <= 63 })
	for size, want := range map[int]int{1<<20 + 1: 200, 8<<20 + 1: 413} {
		post := fmt.Sprintf("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n", size)
		c := testkit.Dial(t, e.at("8080"))
		c.Send(post)
		if want == 200 {
			c.Send(strings.Repeat("x", size))
		}
		if r, _ := c.ReadFinal("POST"); r.StatusCode != want {
			t.Errorf("%d bytes: %q", size, r.Head)
		}
	}
	if out, err := e.appgw(t, "explain", "--url", "http://shop.test:"+portOf(e.at("8080"))+"/"); err != nil || !strings.Contains(out, "stable with settings sticky gets 90%") ||
		!strings.Contains(out, "everybody: 6000 in 1m0s for each clientAddr, 2000 at once") || !strings.Contains(out, "at most 1048576 bytes") || !strings.Contains(out, "a copy of 50% of the requests goes to next") {
		t.Errorf("explain: %v\n%s", err, out)
	}
}

// talk upgrades and echoes what comes through the tunnel, in upper case.
func talk(c *testkit.Conn, r *testkit.Request) {
	if r.Get("Upgrade") == "" {
		c.Respond(r, 200, "no upgrade")
		return
	}
	c.Send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello ")
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if err != nil {
			break
		}
		c.Send(strings.ToUpper(string(buf[:n])))
	}
	c.Send("bye")
	c.Close()
}

func TestWebSocketChat(t *testing.T) {
	b := map[string]*testkit.Backend{"3001": testkit.NewBackend(t, talk), "3002": testkit.NewBackend(t, talk)}
	// The probe connects and says nothing, which is no request.
	e := serve(t, "websocket-chat", b)
	open := func() *testkit.Client {
		c := testkit.Dial(t, e.at("8080"))
		c.Send("GET /chat HTTP/1.1\r\nHost: chat.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
		r := c.ReadResponse("GET")
		if r.StatusCode != 101 || !strings.EqualFold(r.Get("Upgrade"), "websocket") || r.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
			t.Fatalf("upgrade: %s", r.Head)
		}
		return c
	}
	first := open()
	if got := first.ReadN(6); got != "hello " {
		t.Errorf("got %q", got)
	}
	for _, text := range []string{"a", "\x01\x05frame", strings.Repeat("long ", 20000)} {
		first.Send(text)
		if got := first.ReadN(len(text)); got != strings.ToUpper(text) {
			t.Errorf("sent %.20q, got %.20q", text, got)
		}
	}
	used := b["3001"]
	if used.RequestCount() == 0 {
		used = b["3002"]
	}
	// Least requests: while one holds a tunnel, everything else goes to the other.
	n := used.RequestCount()
	// On one connection, whose next request is not read before the one before is known to be over: otherwise both may be level.
	c := testkit.Dial(t, e.at("8080"))
	for range 5 {
		c.Send("GET / HTTP/1.1\r\nHost: chat.test\r\n\r\n")
		if r := c.ReadResponse("GET"); r.StatusCode != 200 {
			t.Errorf("status %d", r.StatusCode)
		}
	}
	if more := used.RequestCount() - n; more > 0 {
		t.Errorf("%d of 5 requests went to the backend with more in flight", more)
	}
	first.CloseWrite()
	if got := string(first.ReadAll(soon)); got != "bye" {
		t.Errorf("after our end the backend's last words are %q", got)
	}
	entry := e.logged(t, map[string]any{"httpStatus": 101.0, "termination": "--"})
	if entry["receivedBytes"].(float64) < 100000 || entry["sentBytes"].(float64) < 100000 {
		t.Errorf("bytes of the tunnel are missing: %v", entry)
	}
}

func TestBehindACDN(t *testing.T) {
	b := backends(t, "3001")
	e := serve(t, "behind-a-cdn", b)
	tests := []struct {
		name     string
		lines    []string
		status   int
		client   string
		received string // X-Forwarded-For
	}{
		{"the CDN itself", nil, 200, "127.0.0.1", "127.0.0.1"},
		{"office", []string{"X-Forwarded-For: 192.0.2.7"}, 200, "192.0.2.7", "192.0.2.7, 127.0.0.1"},
		{"scanner", []string{"X-Forwarded-For: 198.51.100.4"}, 403, "198.51.100.4", ""},
		{"anybody", []string{"X-Forwarded-For: 203.0.113.5"}, 403, "203.0.113.5", ""},
		{"anybody, IPv6", []string{"X-Forwarded-For: 2001:db8::5"}, 403, "2001:db8::5", ""},
		{"liar in front of the CDN", []string{"X-Forwarded-For: 192.0.2.7, 203.0.113.5"}, 403, "203.0.113.5", ""},
		{"two proxies of ours", []string{"X-Forwarded-For: 198.51.100.9, 192.0.2.7, 127.0.0.9"}, 200, "192.0.2.7", "198.51.100.9, 192.0.2.7, 127.0.0.9, 127.0.0.1"},
		{"two lines", []string{"X-Forwarded-For: 198.51.100.9", "X-Forwarded-For: 192.0.2.7"}, 200, "192.0.2.7", "198.51.100.9, 192.0.2.7, 127.0.0.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target := "/" + strings.ReplaceAll(tt.name, " ", "-")
			r := testkit.Get(t, e.at("8080"), "app.test", target, append(tt.lines, "X-Forwarded-Proto: https")...)
			if r.StatusCode != tt.status {
				t.Errorf("status %d, want %d", r.StatusCode, tt.status)
			}
			if tt.status == 200 {
				got := testkit.DecodeEcho(t, r.Content)
				if got.Get("X-Forwarded-For") != tt.received || got.Get("X-Forwarded-Proto") != "https" {
					t.Errorf("received %q, %q", got.Get("X-Forwarded-For"), got.Get("X-Forwarded-Proto"))
				}
			}
			e.logged(t, map[string]any{"originalRequestUriWithArgs": target, "clientIP": tt.client, "httpStatus": float64(tt.status)})
		})
	}
}

// "And nobody else": the same file, with the CDN at another address than ours.
func TestBehindACDNNobodyElseIsBelieved(t *testing.T) {
	e := copyOf(t, "behind-a-cdn", backends(t, "3001"))
	text := e.read(t)
	if !strings.Contains(text, "trustedProxies: [127.0.0.0/8]") {
		t.Fatal("the example trusts somebody else now")
	}
	e.write(t, strings.Replace(text, "trustedProxies: [127.0.0.0/8]", "trustedProxies: [127.0.0.2]", 1))
	e.start(t)
	for _, lie := range []string{"198.51.100.4", "192.0.2.7"} {
		r := testkit.Get(t, e.at("8080"), "app.test", "/", "X-Forwarded-For: "+lie, "X-Forwarded-Proto: https")
		if r.StatusCode != 200 {
			t.Fatalf("a client that says it is %s: %d", lie, r.StatusCode)
		}
		got := testkit.DecodeEcho(t, r.Content)
		if got.Get("X-Forwarded-For") != "127.0.0.1" || got.Get("X-Forwarded-Proto") != "http" {
			t.Errorf("a client that says it is %s is believed: %q, %q", lie, got.Get("X-Forwarded-For"), got.Get("X-Forwarded-Proto"))
		}
	}
}

// proxyV2 is a PROXY protocol version 2 header for a TCP connection over IPv4.
func proxyV2(from, to [4]byte, fromPort, toPort uint16) string {
	h := []byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c")
	h = append(append(h, from[:]...), to[:]...)
	h = binary.BigEndian.AppendUint16(h, fromPort)
	return string(binary.BigEndian.AppendUint16(h, toPort))
}

func TestBehindATCPBalancer(t *testing.T) {
	b := backends(t, "3001")
	e := serve(t, "behind-a-cdn", b)
	const request = "GET /x HTTP/1.1\r\nHost: app.test\r\nX-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n\r\n"
	for name, tt := range map[string]struct{ header, client string }{
		"version 1":       {"PROXY TCP4 203.0.113.9 192.0.2.1 51234 443\r\n", "203.0.113.9"},
		"version 1, IPv6": {"PROXY TCP6 2001:db8::9 2001:db8::1 51234 443\r\n", "2001:db8::9"},
		"version 2":       {proxyV2([4]byte{203, 0, 113, 10}, [4]byte{192, 0, 2, 1}, 51234, 443), "203.0.113.10"},
		"the balancer":    {"PROXY UNKNOWN\r\n", "127.0.0.1"},
	} {
		c := testkit.Dial(t, e.at("8081"))
		c.Send(tt.header, request)
		got := testkit.DecodeEcho(t, c.ReadResponse("GET").Content)
		// What is in the fields comes from the client, which is not trusted; the balancer is, and adds no fields.
		want := tt.client
		if name == "the balancer" {
			want = "192.0.2.1, 127.0.0.1"
		}
		if got.Get("X-Forwarded-For") != want {
			t.Errorf("%s: X-Forwarded-For %q, want %q", name, got.Get("X-Forwarded-For"), want)
		}
	}
	e.logged(t, map[string]any{"clientIP": "203.0.113.9", "clientPort": 51234.0, "listenerName": "balancer"})

	before := requestsFor(b["3001"], "app.test")
	for name, bytes := range map[string]string{"no header": request, "half a header": "PROXY TCP4 203.0.113.9\r\n" + request, "version 3": "PROXYX " + request} {
		c := testkit.Dial(t, e.at("8081"))
		c.Send(bytes)
		if rest, err := c.TryReadResponse("GET", soon); err == nil {
			t.Errorf("%s: answered %d", name, rest.StatusCode)
		}
	}
	other := dialFrom(t, "127.0.0.2", e.at("8081"))
	other.Send("PROXY TCP4 192.0.2.1 192.0.2.1 51234 443\r\n" + request)
	if r, err := other.TryReadResponse("GET", soon); err == nil && r.StatusCode != 400 {
		t.Errorf("a header from a peer that may send none: %d", r.StatusCode)
	}
	if n := requestsFor(b["3001"], "app.test") - before; n > 0 {
		t.Errorf("%d requests reached the backend", n)
	}
}

// dialFrom connects from another loopback address.
func dialFrom(t *testing.T, from, to string) *testkit.Client {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: time.Second * 5}
	conn, err := d.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	return testkit.NewClient(t, conn.(*net.TCPConn), nil)
}

func TestWAF(t *testing.T) {
	b := backends(t, "3001")
	e := serve(t, "waf", b)
	const attack = "'+or+1=1--"
	tests := []struct {
		name, host, request string
		want                int
	}{
		{"an ordinary request", "shop.localhost", "GET /search?q=garden+chairs", 200},
		{"SQL injection", "shop.localhost", "GET /search?q=" + attack, 403},
		{"the same in a review", "shop.localhost", "GET /write?review=" + attack, 200},
		{"the same beside a review", "shop.localhost", "GET /write?review=a&q=" + attack, 403},
		{"another attack in a review", "shop.localhost", "GET /write?review=<script>alert(1)</script>", 403},
		{"a leftover", "shop.localhost", "GET /.GIT/config", 403},
		{"the monitoring", "shop.localhost", "GET /monitor?check=/etc/passwd", 200},
		{"no monitoring", "shop.localhost", "GET /monitors?check=/etc/passwd", 403},
		{"SQL of the warehouse", "shop.localhost", "GET /warehouse/query?q=" + attack, 200},
		{"another attack on the warehouse", "shop.localhost", "GET /warehouse/query?q=<script>alert(1)</script>", 403},
		{"an attack among the uploads", "shop.localhost", "GET /upload/a.png?q=" + attack, 403},
		{"what is only watched", "new.localhost", "GET /search?q=" + attack, 200},
	}
	for _, tt := range tests {
		method, target, _ := strings.Cut(tt.request, " ")
		r := testkit.Exchange(t, e.at("8080"), method+" "+target+" HTTP/1.1\r\nHost: "+tt.host+
			"\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept: */*\r\nConnection: close\r\n\r\n")
		if r.StatusCode != tt.want {
			t.Errorf("%s: %s: %d, want %d", tt.name, tt.request, r.StatusCode, tt.want)
		}
		ownPage := strings.Contains(string(r.Content), "Not today")
		if want := tt.want == 403 && !strings.Contains(tt.request, "/warehouse/") && !strings.Contains(tt.request, "/upload/"); ownPage != want {
			t.Errorf("%s: answered with %q", tt.name, r.Content)
		}
	}
	for i := range 8 {
		r := testkit.Exchange(t, e.at("8080"), "POST /login HTTP/1.1\r\nHost: shop.localhost\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n"+
			"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 12\r\nConnection: close\r\n\r\nuser=a&pw=b"+string(rune('0'+i)))
		if want := map[bool]int{true: 200, false: 429}[i < 5]; r.StatusCode != want {
			t.Errorf("login %d: %d, want %d", i+1, r.StatusCode, want)
		}
	}
	testkit.Eventually(t, soon, "the lines of the firewall's log", func() bool {
		log, _ := os.ReadFile(filepath.Join(e.dir, "waf.log"))
		return strings.Contains(string(log), "no-leftovers") && strings.Contains(string(log), `"watched"`)
	})
	out, err := e.appgw(t, "waf", "explain", "--config", "appgw.yaml", "--policy", "shop", "--url", "http://shop.localhost/search?q="+attack)
	if err != nil || !strings.Contains(out, "verdict  block") || !strings.Contains(out, "silence exclusions") {
		t.Errorf("appgw waf explain: %v\n%s", err, out)
	}
}

// director runs a command of trafficmgr about an example.
func director(t *testing.T, name string, args ...string) string {
	t.Helper()
	return about(t, "trafficmgr", name, args...)
}

// balancer runs a command of l4lb about an example.
func balancer(t *testing.T, name string, args ...string) string {
	t.Helper()
	return about(t, "l4lb", name, args...)
}

// about runs a command of a binary about the configuration of an example.
func about(t *testing.T, binary, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testkit.Build(t, "./cmd/"+binary), append(args, "-c", filepath.Join("examples", name, binary+".yaml"))...)
	cmd.Dir = testkit.ModuleRoot(t)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestDNSFailover(t *testing.T) {
	if out := director(t, "dns-failover", "check"); out != "examples/dns-failover/trafficmgr.yaml is good: 1 zone, 2 profiles, 5 endpoints\n" {
		t.Errorf("check: %s", out)
	}
	for client, want := range map[string]string{"198.51.100.3": "the client is in its subnets", "192.0.2.1": "has the smallest priority of the candidates"} {
		if out := director(t, "dns-failover", "explain", "--name", "www.tm.example", "--client", client); !strings.Contains(out, "* west  203.0.113.10  CheckingEndpoint  "+want) {
			t.Errorf("explain for %s:\n%s", client, out)
		}
	}
}

// The pair is behind other addresses here, and the example is otherwise served as it is.
func TestL4Postgres(t *testing.T) {
	if out := balancer(t, "l4-postgres", "check"); out != "examples/l4-postgres/l4lb.yaml is good: 1 rule, 1 inbound NAT rule, 2 members\n" {
		t.Errorf("check: %s", out)
	}
	first, second := testkit.NewBackend(t, nil), testkit.NewBackend(t, nil)
	text, err := os.ReadFile(filepath.Join(testkit.ModuleRoot(t), "examples/l4-postgres/l4lb.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	door, admin := testkit.FreeAddr(t), testkit.FreeAddr(t)
	port := func(address string) string { return address[strings.LastIndex(address, ":")+1:] }
	direct, _ := strconv.Atoi(port(testkit.FreeAddr(t))) // connections of the machine may have those of the example
	conf := strings.NewReplacer("50022-50031", fmt.Sprintf("%d-%d", direct, direct+9),
		"127.0.0.1:9902", admin, "10.0.0.4", `"`+first.Addr+`"`, "10.0.0.5", `"`+second.Addr+`"`, "port: 5432, interval", "interval",
		"frontendPort: 5432", "frontendPort: "+port(door), "destinationPorts: 5432", "destinationPorts: "+port(door)).Replace(string(text))
	p := testkit.Run(t, "./cmd/l4lb", "run", "-c", testkit.Config(t, conf))
	p.WaitReady("http://"+admin+"/readyz", soon)
	for range 20 {
		if r := testkit.Get(t, door, "any.test", "/"); r.StatusCode != 200 {
			t.Fatal(r.Status)
		}
	}
	if first.RequestCount() == 0 || second.RequestCount() == 0 {
		t.Errorf("the first has %d requests, the second %d", first.RequestCount(), second.RequestCount())
	}
	for from, want := range map[string]string{
		"10.0.1.7:40000":    "access: Allow, by rule application of",
		"192.0.2.3:40000":   "access: Allow, by rule office of",
		"198.51.100.1:4000": "access: Deny, by rule nobody-else of",
	} {
		out, err := exec.CommandContext(t.Context(), testkit.Build(t, "./cmd/l4lb"), "explain", "--from", from, "--to", door, "--admin", admin).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("explain for %s: %v, want %q in\n%s", from, err, want, out)
		}
	}
}

func TestAppWithAPI(t *testing.T) {
	b := backends(t, "3001", "3002", "3003")
	e := serve(t, "app-with-api", b)
	get := func(target string) *testkit.Response {
		return testkit.Get(t, e.at("8080"), "app.localhost", target, "User-Agent: Mozilla/5.0", "Accept: */*")
	}
	for _, tt := range []struct{ target, received, keep string }{
		{"/", "/index.html", "no-cache"},
		{"/orders/7?tab=items", "/index.html?tab=items", "no-cache"},
		{"/favicon.ico", "/favicon.ico", "no-cache"},
		{"/assets/app.3f2a.js", "/assets/app.3f2a.js", "public, max-age=31536000, immutable"},
	} {
		r := get(tt.target)
		got := testkit.DecodeEcho(t, r.Content)
		if got.Backend != b["3001"].Addr || got.Target != tt.received || r.Get("Cache-Control") != tt.keep {
			t.Errorf("%s: %s got %s, to be kept %q; want %s, %q", tt.target, got.Backend, got.Target, r.Get("Cache-Control"), tt.received, tt.keep)
		}
	}
	served := map[string]bool{}
	for range 10 {
		r := get("/api/orders/7?x=1")
		got := testkit.DecodeEcho(t, r.Content)
		if got.Target != "/orders/7?x=1" || r.Get("Cache-Control") != "" {
			t.Errorf("the API got %s, to be kept %q", got.Target, r.Get("Cache-Control"))
		}
		served[got.Backend] = true
	}
	if len(served) != 2 || served[b["3001"].Addr] {
		t.Errorf("the API is served by %v", served)
	}
	b["3001"].Handle(testkit.Respond(200, strings.Repeat("function f() {}\n", 200), "Content-Type: text/javascript"))
	if r := testkit.Get(t, e.at("8080"), "app.localhost", "/assets/app.js", "User-Agent: Mozilla/5.0", "Accept: */*", "Accept-Encoding: gzip"); r.Get("Content-Encoding") != "gzip" || len(r.Content) > 1000 {
		t.Errorf("a script has %d bytes, encoded %q", len(r.Content), r.Get("Content-Encoding"))
	}
	b["3001"].Handle(testkit.Respond(404, "no such file"))
	if r := get("/assets/gone.js"); r.StatusCode != 404 || r.Get("Cache-Control") != "" {
		t.Errorf("a file that is gone: %d, to be kept %q", r.StatusCode, r.Get("Cache-Control"))
	}
	if r := get("/api/orders?id=1'+or+'1'='1"); r.StatusCode != 403 {
		t.Errorf("an attack: %d, want 403", r.StatusCode)
	}
}

func TestRewrite(t *testing.T) {
	b := backends(t, "3001", "3002")
	e := serve(t, "rewrite", b)
	agent := []string{"User-Agent: Mozilla/5.0", "Accept: */*"}
	get := func(target string, lines ...string) *testkit.Response {
		return testkit.Get(t, e.at("8080"), "shop.localhost", target, append(lines, agent...)...)
	}
	for _, tt := range []struct{ target, field, port, received string }{
		{"/products/shoes/7?utm=x", "", "3001", "/product?kind=shoes&id=7"},
		{"/Products/shoes/7", "", "3001", "/Products/shoes/7"},
		{"/cart?a=b", "", "3001", "/cart?a=b"},
		{"/cart?a=b", "X-Version: 2", "3002", "/cart?a=b"},
		{"/cart", "X-Version: 20", "3001", "/cart"},
		{"/v2/cart", "", "3002", "/v2/cart"},
		{"/APP/cart//x?y", "", "3001", "/cart/x?y"},
	} {
		lines := []string{"X-Forwarded-For: 1.2.3.4"}
		if tt.field != "" {
			lines = append(lines, tt.field)
		}
		got := testkit.DecodeEcho(t, get(tt.target, lines...).Content)
		if got.Backend != b[tt.port].Addr || got.Target != tt.received || got.Get("X-Forwarded-For") != "127.0.0.1" {
			t.Errorf("%s %s: %s got %s from %s, want %s (%s) to get %s", tt.target, tt.field, got.Backend, got.Target, got.Get("X-Forwarded-For"), tt.port, b[tt.port].Addr, tt.received)
		}
	}
	if got := testkit.DecodeEcho(t, get("/cart", "X-Version: 2").Content); got.Get("Host") != "next.internal" || got.Get("X-Original-Host") != "shop.localhost" {
		t.Errorf("Host %q, X-Original-Host %q", got.Get("Host"), got.Get("X-Original-Host"))
	}
	// The firewall's rule for /internal holds for whoever gets there.
	for _, target := range []string{"/internal/x", "/app/internal/x", "/APP/Internal/x", "/app//internal/x"} {
		if r := get(target); r.StatusCode != 403 {
			t.Errorf("%s: %d, want 403", target, r.StatusCode)
		}
	}
	b["3001"].Handle(testkit.Respond(302, "", "Server: x", "X-Powered-By: PHP", "Location: http://shop.internal:3001/a?b", "Set-Cookie: id=7; Path=/", "Set-Cookie: b=c", "Vary: Accept"))
	r := get("/old")
	for name, want := range map[string]string{"Server": "[]", "X-Powered-By": "[]", "Location": "[http://shop.localhost/a?b]", "Vary": "[Accept X-Version]",
		"Set-Cookie": "[id=7; HttpOnly; SameSite=Lax b=c]", "Strict-Transport-Security": "[max-age=31536000]"} {
		if got := fmt.Sprint(r.Values(name)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	out, err := e.appgw(t, "explain", "--url", "http://shop.localhost:"+portOf(e.at("8080"))+"/app/internal/x", "--header", "User-Agent: x")
	if err != nil || !strings.Contains(out, "app: rule strip matches") || !strings.Contains(out, "the policy of path rule /internal/* judges it, too") {
		t.Errorf("explain: %v\n%s", err, out)
	}
}

func TestCache(t *testing.T) {
	b := backends(t, "3001")
	e := serve(t, "cache", b)
	says := map[string]string{"/list": "public, max-age=0", "/fast": "public, max-age=600"}
	b["3001"].Handle(func(c *testkit.Conn, r *testkit.Request) {
		path, _, _ := strings.Cut(r.Target, "?")
		var lines []string
		if s := says[path]; s != "" {
			lines = []string{"Cache-Control: " + s, `ETag: "1"`}
		}
		c.Respond(r, 200, r.Target, lines...)
	})
	for _, tt := range []struct{ target, body, did string }{
		{"/fast?page=2&utm=x", "/fast?page=2&utm=x", "gatehouse; fwd=miss; stored"},
		{"/fast?utm=y&page=2", "/fast?page=2&utm=x", "gatehouse; hit"},
		{"/fast?page=3", "/fast?page=3", "gatehouse; fwd=miss; stored"},
		{"/list", "/list", "gatehouse; fwd=miss; stored"},
		{"/list", "/list", "gatehouse; hit"}, // stale, for 30s
		{"/img/a.png?1", "/img/a.png?1", "gatehouse; fwd=miss; stored"},
		{"/img/a.png?2", "/img/a.png?1", "gatehouse; hit"},
		{"/basket/1", "/basket/1", ""},
	} {
		r := testkit.Get(t, e.at("8080"), "shop.localhost", tt.target)
		if got := r.Get("Cache-Status"); string(r.Content) != tt.body || !strings.HasPrefix(got, tt.did) || tt.did == "" && got != "" {
			t.Errorf("%s: %q, %q; want %q, %q", tt.target, r.Content, got, tt.body, tt.did)
		}
	}
	b["3001"].Stop()
	if r := testkit.Get(t, e.at("8080"), "shop.localhost", "/list"); r.StatusCode != 200 {
		t.Errorf("while the shop is down: %d", r.StatusCode)
	}
	out, err := e.appgw(t, "cache", "purge", "--prefix", "http://shop.localhost:"+portOf(e.at("8080"))+"/img/")
	if err != nil || out != "0 responses removed\n" { // requests named no port
		t.Errorf("purge: %v %q", err, out)
	}
	if out, err = e.appgw(t, "cache", "purge", "--prefix", "http://shop.localhost/img/"); err != nil || out != "1 response removed\n" {
		t.Errorf("purge: %v %q", err, out)
	}
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

func TestAPIByRequest(t *testing.T) {
	b := backends(t, "3001", "3002", "3003", "3004")
	e := serve(t, "api-by-request", b)
	for _, tt := range []struct{ method, target, version, port string }{
		{"GET", "/v1/orders", "", "3002"},
		{"POST", "/v1/orders", "", "3001"},
		{"POST", "/v1/orders", "2.1", "3003"},
		{"GET", "/v1/orders", "2", "3003"},
		{"GET", "/v1/orders", "20", "3002"},
		{"GET", "/v1/orders?format=csv", "2", "3004"},
		{"GET", "/v1/orders/1?format=csv", "", "3002"},
		{"GET", "/", "2", "3001"},
	} {
		c := testkit.Dial(t, e.at("8080"))
		c.Send(tt.method + " " + tt.target + " HTTP/1.1\r\nHost: api.localhost\r\nX-Version: " + tt.version + "\r\n\r\n")
		r, _ := c.ReadFinal(tt.method)
		if got := testkit.DecodeEcho(t, r.Content); got.Backend != b[tt.port].Addr {
			t.Errorf("%s %s of version %q: went to %s, want %s (%s)", tt.method, tt.target, tt.version, got.Backend, tt.port, b[tt.port].Addr)
		}
	}
}

func TestLogin(t *testing.T) {
	b := backends(t, "3001", "3002", "3003")
	b["3003"].Handle(func(c *testkit.Conn, r *testkit.Request) {
		if r.Target == "/verify" && r.Get("Cookie") != "session=1" {
			c.Respond(r, 302, "", "Location: http://shop.localhost:8080/login?to="+r.Get("X-Forwarded-Uri"))
			return
		}
		c.Respond(r, 200, "form", "X-User: bob")
	})
	e := serve(t, "login", b)
	get := func(host, path string, lines ...string) *testkit.Response {
		return testkit.Get(t, e.at("8080"), host, path, lines...)
	}
	if r := get("shop.localhost", "/cart"); r.StatusCode != 302 || !strings.HasSuffix(r.Get("Location"), "/login?to=/cart") || b["3001"].RequestCount() != 0 {
		t.Errorf("not logged in: %q", r.Head)
	}
	if r := get("shop.localhost", "/login?to=/cart"); string(r.Content) != "form" {
		t.Errorf("the form: %q %q", r.Head, r.Content)
	}
	if get("shop.localhost", "/cart", "Cookie: session=1", "X-User: root"); b["3001"].Last().Get("X-User") != "bob" {
		t.Errorf("logged in: the shop got %q", b["3001"].Last().Head)
	}
	if r := get("shop.localhost", "/static/a.css", "X-User: root"); r.StatusCode != 200 || b["3001"].Last().Get("X-User") != "" {
		t.Errorf("without authentication: %q, the shop got %q", r.Head, b["3001"].Last().Head)
	}
	if r := get("shop.localhost", "/admin/", "Cookie: session=1"); r.StatusCode != 401 || r.Get("WWW-Authenticate") == "" {
		t.Errorf("the staff's: %q", r.Head)
	}
	password := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("ann:gatehouse"))
	if r := get("shop.localhost", "/admin/", password); r.StatusCode != 200 || b["3001"].Last().Get("X-User") != "ann" {
		t.Errorf("with the password of the comment: %q", r.Head)
	}
	if r := get("api.localhost", "/orders", "Origin: http://shop.localhost:8080"); r.StatusCode != 401 || r.Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("without a token: %q", r.Head)
	}
}
