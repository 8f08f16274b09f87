package examples

import (
	"encoding/binary"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

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

// The certificate is made by the commands in the example's comment.
func TestHTTPSRedirect(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Fatal("openssl is needed; `make test` installs it")
	}
	b := backends(t, "3001")
	e := copyOf(t, "https-redirect", b)
	var script strings.Builder
	for _, m := range regexp.MustCompile(`(?m)^#   +(.*)$`).FindAllStringSubmatch(e.read(t), -1) {
		script.WriteString(m[1] + "\n")
	}
	cmd := exec.Command("bash", "-ec", script.String())
	cmd.Dir = e.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script.String(), err, out)
	}
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
	for range 5 {
		if r := testkit.Get(t, e.at("8080"), "chat.test", "/"); r.StatusCode != 200 {
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
	cmd := exec.CommandContext(t.Context(), testkit.Build(t, "./cmd/trafficmgr"), append(args, "-c", filepath.Join("examples", name, "trafficmgr.yaml"))...)
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
