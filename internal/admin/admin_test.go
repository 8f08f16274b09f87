package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/internal/daemon"
)

// serve runs a server until the test ends and returns its address.
func serve(t *testing.T, s *Server) string {
	t.Helper()
	var bound string
	listen := s.opts.Listen
	s.opts.Listen = func(ctx context.Context, lc *net.ListenConfig, network, address string) (net.Listener, error) {
		l, err := listen(ctx, lc, network, address)
		if err == nil {
			bound = l.Addr().String()
		}
		return l, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-done:
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return bound
}

// newAdmin makes a server with one of everything.
func newAdmin(t *testing.T, opts Options) *Server {
	t.Helper()
	if opts.Address == "" {
		opts.Address = "127.0.0.1:0"
	}
	opts.Name, opts.Version = "appgw", "1.2.3"
	opts.Gatherer = testMetrics()
	opts.Status = func() any { return map[string]string{"pool": "<b>shop</b>"} }
	if opts.Reload == nil {
		opts.Reload = func(context.Context, string) error { return nil }
	}
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Post("/drain", "take a backend out", func(r *http.Request) (any, error) {
		switch b := r.FormValue("backend"); b {
		case "":
			return nil, &Error{Status: http.StatusBadRequest, Err: errors.New("which backend?")}
		case "broken":
			return nil, errors.New("broken")
		default:
			return map[string]string{"drained": b}, nil
		}
	})
	return s
}

func testMetrics() prometheus.Gatherer {
	r := prometheus.NewRegistry()
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "gatehouse_test_total", Help: "A test."})
	r.MustRegister(c)
	return r
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// send sends a request as it is written, line ends apart.
func send(t *testing.T, address, request string) answer {
	t.Helper()
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, strings.ReplaceAll(request, "\n", "\r\n")); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	body, _ := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func get(t *testing.T, address, path string) answer {
	t.Helper()
	return send(t, address, "GET "+path+" HTTP/1.1\nHost: localhost\nConnection: close\n\n")
}

func TestOnlyTheOperatorIsAnswered(t *testing.T) {
	address := serve(t, newAdmin(t, Options{}))
	_, port, _ := net.SplitHostPort(address)
	own := "Host: " + address + "\n"
	for _, tt := range []struct {
		name, method, headers string
		want                  int
	}{
		{"curl", "GET", own, 200},
		{"localhost", "GET", "Host: localhost:" + port + "\n", 200},
		{"LOCALHOST", "GET", "Host: LOCALHOST:" + port + "\n", 200},
		{"IPv6 loopback", "GET", "Host: [::1]:" + port + "\n", 200},
		{"IPv6 loopback without port", "GET", "Host: [::1]\n", 200},
		{"mapped loopback", "GET", "Host: [::ffff:127.0.0.1]\n", 200},
		{"a tunnel's port", "GET", "Host: localhost:1234\n", 200},

		{"DNS rebinding", "GET", "Host: evil.example:" + port + "\n", 403},
		{"DNS rebinding of a subdomain", "GET", "Host: localhost.evil.example\n", 403},
		{"DNS rebinding by a name like an address", "GET", "Host: 127.0.0.1.evil.example:" + port + "\n", 403},
		{"another address", "GET", "Host: 192.0.2.1\n", 403},
		{"no address", "GET", "Host: 0.0.0.0:" + port + "\n", 403},
		{"empty Host", "GET", "Host:\n", 403},
		{"two Hosts", "GET", own + "Host: evil.example\n", 400},

		{"own page", "POST", own + "Origin: http://" + address + "\nSec-Fetch-Site: same-origin\n", 200},
		{"another site's form", "POST", own + "Origin: https://evil.example\n", 403},
		{"another port's form", "POST", own + "Origin: http://127.0.0.1:1\n", 403},
		{"the same host over https", "POST", own + "Origin: https://" + address + "\n", 403},
		{"a sandboxed frame", "POST", own + "Origin: null\n", 403},
		{"an empty Origin", "POST", own + "Origin:\n", 403},
		{"two Origins", "POST", own + "Origin: http://" + address + "\nOrigin: http://evil.example\n", 403},
		{"another site's fetch of a page", "GET", own + "Origin: https://evil.example\n", 403},

		{"typed into the browser", "GET", own + "Sec-Fetch-Site: none\n", 200},
		{"another site's image", "GET", own + "Sec-Fetch-Site: cross-site\n", 403},
		{"another port's image", "GET", own + "Sec-Fetch-Site: same-site\n", 403},
		{"a second Sec-Fetch-Site", "GET", own + "Sec-Fetch-Site: none\nSec-Fetch-Site: cross-site\n", 403},
	} {
		path := "/status"
		if tt.method == "POST" {
			path = "/drain?backend=x"
		}
		got := send(t, address, tt.method+" "+path+" HTTP/1.1\n"+tt.headers+"Connection: close\n\n")
		if got.status != tt.want {
			t.Errorf("%s: status %d, want %d: %s", tt.name, got.status, tt.want, got.body)
		}
		if got.status == 403 && strings.Contains(got.body, "shop") {
			t.Errorf("%s: refused, and told: %s", tt.name, got.body)
		}
	}
	if got := send(t, address, "GET /status HTTP/1.0\n\n"); got.status != 403 {
		t.Errorf("HTTP/1.0 without Host: status %d, want 403", got.status)
	}
	if got := send(t, address, "GET http://evil.example/status HTTP/1.1\n"+own+"\n"); got.status != 403 {
		t.Errorf("absolute form: status %d, want 403", got.status)
	}
}

func TestConfiguredNameIsAnOwnHost(t *testing.T) {
	s := newAdmin(t, Options{Address: "gateway.local:9901"})
	for host, want := range map[string]bool{
		"gateway.local:9901": true, "GATEWAY.local": true, "gateway.local.": false, "other.local:9901": false, "": false,
	} {
		if s.isOwnHost(host) != want {
			t.Errorf("isOwnHost(%q) = %v", host, !want)
		}
	}
	// A socket's path is no name.
	if newAdmin(t, Options{Address: "unix:/run/s"}).isOwnHost("/run/s") {
		t.Error("a path passed as a host")
	}
}

func TestWritesArePOSTOnly(t *testing.T) {
	drained := make(chan struct{}, 8)
	s := newAdmin(t, Options{Reload: func(context.Context, string) error { drained <- struct{}{}; return nil }})
	address := serve(t, s)
	for _, tt := range []struct {
		method, path, allow string
	}{
		{"GET", "/reload", "POST"}, {"HEAD", "/reload", "POST"}, {"PUT", "/reload", "POST"},
		{"GET", "/drain?backend=x", "POST"}, {"DELETE", "/drain", "POST"},
		{"POST", "/status", "GET, HEAD"}, {"POST", "/healthz", "GET, HEAD"}, {"POST", "/", "GET, HEAD"},
		{"POST", "/debug/pprof/profile", "GET, HEAD"}, {"POST", "/metrics", "GET, HEAD"},
	} {
		got := send(t, address, tt.method+" "+tt.path+" HTTP/1.1\nHost: localhost\nConnection: close\nContent-Length: 0\n\n")
		if got.status != 405 || got.header.Get("Allow") != tt.allow {
			t.Errorf("%s %s: status %d, Allow %q; want 405, %q", tt.method, tt.path, got.status, got.header.Get("Allow"), tt.allow)
		}
	}
	if len(drained) > 0 {
		t.Error("something was reloaded")
	}
}

func TestBodyAndHeadAreBounded(t *testing.T) {
	address := serve(t, newAdmin(t, Options{}))
	form := "Host: localhost\nConnection: close\nContent-Type: application/x-www-form-urlencoded\n"
	for _, tt := range []struct {
		name, request string
		want          int
	}{
		{"a form", "POST /drain HTTP/1.1\n" + form + "Content-Length: 9\n\nbackend=x", 200},
		{"a large form", fmt.Sprintf("POST /drain HTTP/1.1\n%sContent-Length: %d\n\nbackend=%s",
			form, maxBodyBytes+9, strings.Repeat("x", maxBodyBytes+1)), 413},
		{"a large body of no known kind", fmt.Sprintf("POST /drain?backend=x HTTP/1.1\nHost: localhost\nConnection: close\nContent-Length: %d\n\n%s",
			maxBodyBytes+1, strings.Repeat("x", maxBodyBytes+1)), 413},
		{"a large head", "GET / HTTP/1.1\nHost: localhost\nX: " + strings.Repeat("x", maxHeaderBytes+8192) + "\n\n", 431},
		{"an argument that cannot be read", "POST /drain?backend=%zz HTTP/1.1\n" + form + "Content-Length: 0\n\n", 400},
	} {
		if got := send(t, address, tt.request); got.status != tt.want {
			t.Errorf("%s: status %d, want %d: %.80s", tt.name, got.status, tt.want, got.body)
		}
	}
}

func TestSlowClientIsCutOff(t *testing.T) {
	if testing.Short() {
		t.Skip("takes the header timeout")
	}
	t.Parallel()
	address := serve(t, newAdmin(t, Options{}))
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n")
	began := time.Now()
	c.SetDeadline(began.Add(2 * headerTimeout))
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Errorf("not cut off after %v: %v", time.Since(began), err)
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	address := serve(t, newAdmin(t, Options{}))
	var held []net.Conn
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	ask := func(c net.Conn, wait time.Duration) error {
		io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		c.SetReadDeadline(time.Now().Add(wait))
		_, err := c.Read(make([]byte, 1))
		return err
	}
	for range maxConnections {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
		if err := ask(c, 10*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := ask(c, 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("one too many was served: %v", err)
	}
	held[0].Close()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Errorf("not served once there was room: %v", err)
	}
}

func TestEndpoints(t *testing.T) {
	var ready error
	var mu sync.Mutex
	address := serve(t, newAdmin(t, Options{Ready: func() error { mu.Lock(); defer mu.Unlock(); return ready }}))
	for _, tt := range []struct {
		path   string
		status int
		kind   string
		want   string
	}{
		{"/healthz", 200, "text/plain", "ok\n"},
		{"/readyz", 200, "text/plain", "ready\n"},
		{"/metrics", 200, "text/plain", "gatehouse_test_total 0"},
		{"/status", 200, "application/json", `"pool": "<b>shop</b>"`},
		{"/", 200, "text/html", "<td>/drain</td><td>take a backend out</td>"},
		{"/", 200, "text/html", "&lt;b&gt;shop"},
		{"/", 200, "text/html", `class="up">Serving.`},
		{"/debug/pprof/", 200, "text/html", "goroutine"},
		{"/debug/pprof/cmdline", 200, "text/plain", "admin.test"},
		{"/debug/pprof/heap?debug=1", 200, "text/plain", "heap profile"},
		{"/nothing", 404, "text/plain", "not found"},
		{"/healthz/more", 404, "text/plain", "not found"},
	} {
		got := get(t, address, tt.path)
		if got.status != tt.status || !strings.HasPrefix(got.header.Get("Content-Type"), tt.kind) || !strings.Contains(got.body, tt.want) {
			t.Errorf("%s: %d %s %.300q; want %d %s with %q", tt.path, got.status, got.header.Get("Content-Type"), got.body, tt.status, tt.kind, tt.want)
		}
		for header, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		} {
			if got.header.Get(header) != want && tt.path != "/metrics" {
				t.Errorf("%s: %s %q", tt.path, header, got.header.Get(header))
			}
		}
	}
	mu.Lock()
	ready = errors.New("starting: waiting for listener web")
	mu.Unlock()
	if got := get(t, address, "/readyz"); got.status != 503 || got.body != "starting: waiting for listener web\n" {
		t.Errorf("/readyz while starting: %+v", got)
	}
	if got := get(t, address, "/healthz"); got.status != 200 {
		t.Errorf("/healthz while starting: %d", got.status)
	}
	if got := get(t, address, "/"); !strings.Contains(got.body, "Not serving: starting: waiting for listener web") {
		t.Errorf("the page does not say why: %s", got.body)
	}
}

func TestMetricsServerIsReadOnlyAndForEverybody(t *testing.T) {
	s, err := NewMetrics(Options{
		Address: "0.0.0.0:0", Gatherer: testMetrics(),
		Status: func() any { return "secret" },
		Reload: func(context.Context, string) error { t.Error("reloaded"); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(serve(t, s))
	address := "127.0.0.1:" + port
	for _, tt := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/healthz", 200}, {"GET", "/readyz", 200}, {"GET", "/metrics", 200},
		{"POST", "/metrics", 405},
		{"GET", "/", 404}, {"GET", "/status", 404}, {"POST", "/reload", 404},
		{"GET", "/debug/pprof/", 404}, {"GET", "/debug/pprof/cmdline", 404}, {"GET", "/debug/pprof/profile", 404},
	} {
		req := tt.method + " " + tt.path + " HTTP/1.1\nHost: metrics.example\nConnection: close\nContent-Length: 0\n\n"
		if got := send(t, address, req); got.status != tt.want {
			t.Errorf("%s %s: status %d, want %d", tt.method, tt.path, got.status, tt.want)
		}
	}
}

func TestAddressMustBeLocal(t *testing.T) {
	for _, tt := range []struct {
		address string
		ok      bool
	}{
		{"127.0.0.1:9901", true}, {"127.8.8.8:9901", true}, {"[::1]:9901", true}, {"localhost:9901", true}, {"unix:/run/x", true},
		{":9901", false}, {"0.0.0.0:9901", false}, {"[::]:9901", false}, {"192.0.2.1:9901", false}, {"[2001:db8::1]:9901", false},
		{"[::ffff:192.0.2.1]:9901", false}, {"9901", false}, {"", false}, {"unix:", false},
	} {
		if _, err := New(Options{Address: tt.address}); (err == nil) != tt.ok {
			t.Errorf("New(%q): %v", tt.address, err)
		}
	}
	if _, err := NewMetrics(Options{Address: ":9901"}); err != nil {
		t.Errorf("NewMetrics: %v", err)
	}
}

func TestNameThatLeadsElsewhereIsRefused(t *testing.T) {
	s := newAdmin(t, Options{Address: "gateway.local:0", Listen: func(ctx context.Context, lc *net.ListenConfig, network, _ string) (net.Listener, error) {
		return daemon.Listen(ctx, lc, network, "0.0.0.0:0")
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Run(ctx); err == nil || !strings.Contains(err.Error(), "not loopback") {
		t.Errorf("Run = %v", err)
	}
}

func TestReloadAnswersWithEveryError(t *testing.T) {
	var result error
	var trigger string
	address := serve(t, newAdmin(t, Options{Reload: func(_ context.Context, tr string) error { trigger = tr; return result }}))
	post := func(accept string) answer {
		return send(t, address, "POST /reload HTTP/1.1\nHost: localhost\n"+accept+"Connection: close\nContent-Length: 0\n\n")
	}
	if got := post(""); got.status != 200 || !strings.Contains(got.body, "applied") || trigger != "admin" {
		t.Errorf("%+v, trigger %q", got, trigger)
	}
	one, two := errors.New("appgw.yaml:3: listeners[0].address: <bad>"), errors.New("appgw.yaml:9: rules[0].pool: no such pool")
	result = fmt.Errorf("configuration: %w", errors.Join(one, errors.Join(two)))
	got := post("")
	var f Failure
	if err := json.Unmarshal([]byte(got.body), &f); err != nil || got.status != 422 {
		t.Fatalf("%+v: %v", got, err)
	}
	if want := []string{one.Error(), two.Error()}; !slices.Equal(f.Errors, want) || f.Error != result.Error() {
		t.Errorf("got %+v", f)
	}
	if got := post("Accept: text/plain\n"); got.status != 422 || got.body != result.Error()+"\n" || !strings.HasPrefix(got.header.Get("Content-Type"), "text/plain") {
		t.Errorf("as text: %+v", got)
	}
	result = errors.New("one alone")
	if got := post(""); got.status != 422 || strings.Contains(got.body, "errors") {
		t.Errorf("one error: %+v", got)
	}
	result = daemon.ErrStopping
	if got := post(""); got.status != 503 {
		t.Errorf("while stopping: %+v", got)
	}
}

func TestHandoverLeavesTheServerWaiting(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newAdmin(t, Options{Listen: func(context.Context, *net.ListenConfig, string, string) (net.Listener, error) { return l, nil }})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-s.Ready()
	l.Close()
	select {
	case err := <-done:
		t.Fatalf("Run returned %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestUnixSocketWorksAndIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	serve(t, newAdmin(t, Options{Address: "unix:" + path}))
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if got := get(t, path, "/healthz"); got.status != 200 {
		t.Errorf("%+v", got)
	}
	if got := send(t, path, "GET /status HTTP/1.1\nHost: evil.example\nConnection: close\n\n"); got.status != 403 {
		t.Errorf("%+v", got)
	}
	var status map[string]string
	c := Client{Address: "unix:" + path, Name: "appgw"}
	if err := c.Get(t.Context(), "/status", nil, &status); err != nil || status["pool"] != "<b>shop</b>" {
		t.Errorf("%v, %v", status, err)
	}
}

func TestScrapesAreBounded(t *testing.T) {
	release := make(chan struct{})
	var inside sync.WaitGroup
	inside.Add(4)
	slow := prometheus.NewRegistry()
	slow.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "slow"}, func() float64 {
		inside.Done()
		<-release
		return 0
	}))
	s, err := NewMetrics(Options{Address: "127.0.0.1:0", Gatherer: slow})
	if err != nil {
		t.Fatal(err)
	}
	address := serve(t, s)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { get(t, address, "/metrics") })
	}
	inside.Wait()
	if got := get(t, address, "/metrics"); got.status != 503 {
		t.Errorf("a fifth scrape at once: status %d, want 503", got.status)
	}
	close(release)
	all.Wait()
}

// brokenCollector fails with a text that tries to be another log line.
type brokenCollector struct{}

var brokenDesc = prometheus.NewDesc("broken", "Broken.", nil, nil)

func (brokenCollector) Describe(c chan<- *prometheus.Desc) { c <- brokenDesc }
func (brokenCollector) Collect(c chan<- prometheus.Metric) {
	c <- prometheus.NewInvalidMetric(brokenDesc, errors.New("broken\nlevel=ERROR msg=forged"))
}

func TestBrokenCollectorIsLoggedAndHidesNoOther(t *testing.T) {
	broken := prometheus.NewRegistry()
	broken.MustRegister(brokenCollector{})
	gatherers := prometheus.Gatherers{testMetrics(), broken}
	var log bytes.Buffer
	s, err := NewMetrics(Options{Address: "127.0.0.1:0", Gatherer: gatherers, Log: textLog(&log)})
	if err != nil {
		t.Fatal(err)
	}
	got := get(t, serve(t, s), "/metrics")
	if got.status != 200 || !strings.Contains(got.body, "gatehouse_test_total") {
		t.Errorf("%+v", got)
	}
	if !strings.Contains(log.String(), "broken") || strings.Count(log.String(), "\n") != 1 {
		t.Errorf("log: %q", log.String())
	}
}
